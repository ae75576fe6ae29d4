#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::beam::{Search, beam_search};
use crate::recommend::{Codebook, Recommender};
use crate::rollout::{Rollouts, Shard};
use crate::sampling::tests::{Fixture, context, fixture};
use policy::log_prob::LogProbSpace;
use std::convert::Infallible;

/// Enough for shares with a standard error below 0.008.
const MANY: usize = 4000;

const ANCESTRAL: Method = Method::Sample { temperature: 1.0, top_k: None, top_p: 1.0 };

/// Proposals for as many users of one context as there are keys.
fn proposals(fixture: &Fixture, method: Method, (width, users): (usize, usize)) -> Vec<Vec<Candidate>> {
    proposals_in(LogProbSpace::Trie, fixture, method, (width, users))
}

fn proposals_in(
    space: LogProbSpace,
    fixture: &Fixture,
    method: Method,
    (width, users): (usize, usize),
) -> Vec<Vec<Candidate>> {
    let history = context();
    let contexts = vec![history.as_slice(); users];
    let keys: Vec<Key> = (0..users as u64).map(|user| Key::new(5).at(user)).collect();
    let request = Request { method, width, exclude: &vec![&[] as &[ItemId]; users], keys: &keys };
    propose(&fixture.scorer(space), &fixture.trie, &fixture.encode(&contexts), &request)
}

/// Probability of every item under the trie, with this temperature at every code.
fn probabilities(fixture: &Fixture) -> Vec<f64> {
    let rows = fixture.log_probs(LogProbSpace::Trie, &context());
    rows.iter().map(|row| row.iter().map(|&log_prob| f64::from(log_prob)).sum::<f64>().exp()).collect()
}

fn shares<'a>(found: impl Iterator<Item = &'a Candidate>) -> Vec<f64> {
    let mut counts = vec![0.0; 5];
    found.for_each(|candidate| counts[candidate.item.index()] += 1.0);
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / total).collect()
}

fn assert_shares(found: &[f64], expected: &[f64]) {
    // Five standard errors of the least certain share.
    let most = 5.0 * (0.25 / MANY as f64).sqrt();
    assert!(
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() < most),
        "{found:?}, expected {expected:?}"
    );
}

#[test]
fn draws_have_the_probabilities_of_the_policy_in_both_spaces() {
    let fixture = fixture();
    let expected = probabilities(&fixture);
    let found = proposals(&fixture, ANCESTRAL, (MANY, 1));
    assert_shares(&shares(found[0].iter()), &expected);

    let full = proposals_in(LogProbSpace::Full, &fixture, ANCESTRAL, (50, 1));
    let log_probs = fixture.log_probs(LogProbSpace::Full, &context());
    for candidate in &full[0] {
        let pairs = candidate.token_log_probs.iter().zip(&log_probs[candidate.item.index()]);
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "{candidate:?}");
    }
}

#[test]
fn one_code_or_a_tiny_nucleus_is_greedy() {
    let fixture = fixture();
    let greedy = proposals(&fixture, Method::Beam, (1, 1));
    for method in [
        Method::Sample { temperature: 3.0, top_k: Some(1), top_p: 1.0 },
        Method::Sample { temperature: 1.0, top_k: None, top_p: 1e-9 },
        Method::Sample { temperature: 1e-4, top_k: None, top_p: 1.0 },
    ] {
        let found = proposals(&fixture, method, (20, 1));
        assert_eq!(found[0].len(), 20);
        assert!(found[0].iter().all(|candidate| candidate.item == greedy[0][0].item), "{method:?}");
    }
}

#[test]
fn draws_without_replacement_repeat_nothing_and_begin_like_the_policy() {
    let fixture = fixture();
    let method = Method::GumbelTopK { temperature: 1.0 };
    let found = proposals(&fixture, method, (3, MANY));
    for list in &found {
        let items: std::collections::BTreeSet<_> = list.iter().map(|candidate| candidate.item).collect();
        assert!(items.len() == 3 && list.len() == 3, "{list:?}");
    }
    let expected = probabilities(&fixture);
    assert_shares(&shares(found.iter().map(|list| &list[0])), &expected);
    // The second of a draw without replacement: sum over firsts of p(first) p(second) / (1 - p(first)).
    let second: Vec<f64> = (0..5)
        .map(|item| {
            let others = (0..5).filter(|&first| first != item);
            others.map(|first| expected[first] * expected[item] / (1.0 - expected[first])).sum()
        })
        .collect();
    assert_shares(&shares(found.iter().map(|list| &list[1])), &second);
    assert_eq!(proposals(&fixture, method, (9, 1))[0].len(), 5, "the whole catalog");
}

#[test]
fn one_group_is_a_beam_and_a_penalty_separates_groups() {
    let fixture = fixture();
    let history = context();
    let encoded = fixture.encode(&[&history]);
    let search = Search { width: 4, exclude: &[&[]] };
    let beam = beam_search(&fixture.scorer(LogProbSpace::Trie), &fixture.trie, &encoded, &search);
    let one = proposals(&fixture, Method::DiverseBeam { groups: 1, penalty: 9.0 }, (4, 1));
    assert_eq!(one, beam);
    let diverse = proposals(&fixture, Method::DiverseBeam { groups: 3, penalty: 1e3 }, (3, 1));
    let first_codes: std::collections::BTreeSet<_> =
        diverse[0].iter().map(|candidate| fixture.catalog.semantic_id(candidate.item).codes()[0]).collect();
    assert_eq!(first_codes.len(), 3, "{diverse:?}");
}

#[test]
fn shards_put_together_are_the_whole() {
    let fixture = fixture();
    let codebook = Codebook::new(fixture.catalog.clone());
    let recommender = Recommender {
        model: &fixture.model,
        codebook: &codebook,
        history_items: 4,
        space: LogProbSpace::Trie,
        session_items: 1,
    };
    let histories: Vec<Vec<ItemId>> =
        (0..200).map(|user| (0..=user % 3).map(|at| ItemId::new((user + at) % 5)).collect()).collect();
    let contexts: Vec<_> = histories.iter().map(|items| items.as_slice().into()).collect();
    let keys: Vec<Key> = (0..200).map(|user| Key::new(9).at(user)).collect();
    for method in [Method::Beam, ANCESTRAL, Method::GumbelTopK { temperature: 1.0 }] {
        let run = |shard| {
            let wanted = Rollouts { method, group: 2, keys: &keys, shard };
            recommender.rollouts(&contexts, &wanted, |batch| Ok::<_, Infallible>(batch.decode())).unwrap()
        };
        let whole = run(Shard::WHOLE);
        assert!(whole.iter().all(Option::is_some));
        let parts: Vec<_> = (0..3).map(|index| run(Shard { index, count: 3 })).collect();
        for user in 0..200 {
            let found: Vec<_> = parts.iter().filter_map(|part| part[user].as_ref()).collect();
            assert_eq!(found, [whole[user].as_ref().unwrap()], "{method:?}, user {user}");
        }
    }
}
