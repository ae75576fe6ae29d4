//! Pruning against brute force, and what it never does.

use super::*;
use crate::beam::{Search, beam_search, pruned_beam_search};
use crate::testing::{Fixture, fixture};
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::Dropout;
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOTHING: [&[ItemId]; 3] = [&[], &[], &[]];

impl Fixture {
    fn pruned(&self, space: LogProbSpace, (width, least): (usize, f64), seen: &[&[ItemId]]) -> Vec<Pruned> {
        let search = Search { width, exclude: seen };
        pruned_beam_search(&self.scorer(space), &self.trie, &self.encode(), (&search, least))
    }

    /// Every ID of the first user with its log-probability and its consistency, from the log-probabilities of whole IDs alone.
    fn consistencies(&self) -> Vec<(SemanticId, f64, f64)> {
        let ids: Vec<&SemanticId> = self.catalog.entries().map(|(id, _)| id).collect();
        let repeated: Vec<_> = self.contexts.iter().flat_map(|_| ids.iter().copied()).collect();
        let scored = self.scorer(LogProbSpace::Trie).token_log_probs(&self.encode(), &repeated, Dropout::Off);
        let tokens: Vec<f32> = scored.into_data().iter::<f32>().take(ids.len() * 3).collect();
        let rows: Vec<&[f32]> = tokens.chunks(3).collect();
        let of = |(at, id): (usize, &&SemanticId)| {
            let step = |level: usize| {
                let siblings =
                    ids.iter().zip(&rows).filter(|(o, _)| o.codes()[..level] == id.codes()[..level]);
                let best = siblings.map(|(_, row)| row[level]).fold(f32::NEG_INFINITY, f32::max);
                f64::from(rows[at][level] - best)
            };
            let log_prob = rows[at].iter().map(|&token| f64::from(token)).sum();
            ((*id).clone(), log_prob, (0..3).map(step).fold(0.0, f64::min).exp())
        };
        ids.iter().enumerate().map(of).collect()
    }
}

/// A number, how good it is, and how inconsistent, in nats.
type Path = (usize, (i32, i32));

fn items(candidates: &[Candidate]) -> Vec<ItemId> {
    candidates.iter().map(|candidate| candidate.item).collect()
}

#[test]
fn inconsistent_paths_come_last_as_brute_force_says() {
    let fixture = fixture();
    let all = fixture.consistencies();
    let mut sorted: Vec<f64> = all.iter().map(|(.., consistency)| *consistency).collect();
    sorted.sort_by(f64::total_cmp);
    // Between two consistencies, so that rounding decides nothing.
    let least = f64::midpoint(sorted[all.len() / 2], sorted[all.len() / 2 + 1]);
    let mut expected = all;
    expected.sort_by(|a, b| (a.2 < least).cmp(&(b.2 < least)).then(b.1.total_cmp(&a.1)));
    let items_of = |id: &SemanticId| fixture.catalog.items(id).to_vec();
    let ranked: Vec<ItemId> = expected.iter().flat_map(|(id, ..)| items_of(id)).collect();
    let found = &fixture.pruned(LogProbSpace::Trie, (60, least), &NOTHING)[0];
    assert_eq!(items(&found.candidates), ranked);

    // Over the whole vocabulary the order is another, but the same paths are consistent.
    let consistent: Vec<_> = expected.iter().filter(|(.., consistency)| *consistency >= least).collect();
    let consistent: BTreeSet<ItemId> = consistent.into_iter().flat_map(|(id, ..)| items_of(id)).collect();
    let found = &fixture.pruned(LogProbSpace::Full, (60, least), &NOTHING)[0];
    let first: BTreeSet<ItemId> = items(&found.candidates)[..consistent.len()].iter().copied().collect();
    assert_eq!(first, consistent);
}

#[test]
fn without_a_least_consistency_every_bit_is_that_of_the_beam() {
    let fixture = fixture();
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        for width in [1, 5, 60] {
            let search = Search { width, exclude: &NOTHING };
            let plain = beam_search(&fixture.scorer(space), &fixture.trie, &fixture.encode(), &search);
            for (pruned, plain) in fixture.pruned(space, (width, 0.0), &NOTHING).iter().zip(&plain) {
                assert_eq!((&pruned.candidates, pruned.pruned), (plain, 0));
            }
        }
    }
}

#[test]
fn what_was_seen_takes_no_place_in_a_narrow_beam() {
    let fixture = fixture();
    let seen: Vec<ItemId> = (0..30).map(ItemId::new).collect();
    for found in fixture.pruned(LogProbSpace::Trie, (8, 0.0), &[seen.as_slice(); 3]) {
        assert!(found.pruned == 0 && found.candidates.len() >= 8);
        assert!(found.candidates.iter().all(|candidate| !seen.contains(&candidate.item)));
    }
}

#[test]
fn users_who_have_seen_whole_branches_are_searched_as_if_alone() {
    let fixture = fixture();
    let (_, branch) = fixture.trie.children(fixture.trie.root()).next().unwrap();
    let seen = fixture.trie.items_below(branch);
    for (width, least) in [(60, 0.0), (7, 0.0), (60, 0.3), (7, 0.3)] {
        let mixed = fixture.pruned(LogProbSpace::Trie, (width, least), &[seen, &[], &[]]);
        let alike = fixture.pruned(LogProbSpace::Trie, (width, least), &[seen; 3]);
        let nothing = fixture.pruned(LogProbSpace::Trie, (width, least), &NOTHING);
        assert_eq!(mixed, [alike[0].clone(), nothing[1].clone(), nothing[2].clone()], "{width} {least}");
    }
}

#[test]
fn the_greedy_path_is_consistent_whatever_is_asked() {
    let fixture = fixture();
    let greedy = fixture.pruned(LogProbSpace::Trie, (1, 0.0), &NOTHING);
    let strict = fixture.pruned(LogProbSpace::Trie, (9, 1.0), &NOTHING);
    for (greedy, strict) in greedy.iter().zip(&strict) {
        assert_eq!(greedy.candidates[0], strict.candidates[0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lists_are_as_long_as_the_beam_is_wide_and_never_show_what_was_seen(
        width in 1usize..70,
        least in 0.0..=1.0f64,
        seen in prop::collection::vec(0usize..60, 0..55),
    ) {
        let fixture = fixture();
        let seen: Vec<ItemId> = seen.into_iter().map(ItemId::new).collect();
        let left = |items: &[ItemId]| items.iter().any(|item| !seen.contains(item));
        // An ID may stand for several items: as many IDs have at least as many items.
        let shown = fixture.catalog.entries().filter(|(_, items)| left(items)).count();
        for found in fixture.pruned(LogProbSpace::Trie, (width, least), &[&seen, &seen, &seen]) {
            let found = items(&found.candidates);
            prop_assert!(found.len() >= width.min(shown), "{} of {width}, {shown}", found.len());
            prop_assert!(found.iter().all(|item| !seen.contains(item)));
            prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "an item twice");
        }
    }

    #[test]
    fn where_nothing_was_pruned_the_items_are_those_of_the_beam(width in 1usize..70, least in 0.0..=1.0f64) {
        let fixture = fixture();
        let plain = fixture.pruned(LogProbSpace::Trie, (width, 0.0), &NOTHING);
        let pruned = fixture.pruned(LogProbSpace::Trie, (width, least), &NOTHING);
        for (plain, pruned) in plain.iter().zip(&pruned) {
            let [plain, found] = [plain, pruned].map(|one| {
                items(&one.candidates).into_iter().collect::<BTreeSet<ItemId>>()
            });
            prop_assert!(pruned.pruned > 0 || plain == found);
        }
    }

    #[test]
    fn as_many_are_kept_as_without_and_the_count_is_of_those_that_differ(
        paths in prop::collection::vec((0i32..20, 0i32..4), 0..30),
        most in 1usize..12,
        least in 0.01..1.0f64,
    ) {
        let paths: Vec<Path> = paths.into_iter().enumerate().collect();
        let better = |a: &Path, b: &Path| b.1.0.cmp(&a.1.0).then(a.0.cmp(&b.0));
        let (mut plain, mut kept) = (paths.clone(), paths);
        keep_best(&mut plain, most, better);
        let rule = Rule::at_least(least);
        let pruned = rule.keep(&mut kept, most, (better, |path: &Path| -f64::from(path.1.1)));
        prop_assert_eq!(plain.len(), kept.len());
        prop_assert_eq!(plain.iter().filter(|path| !kept.contains(path)).count(), pruned);
    }
}
