#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::beam::beam_search;
use crate::testing::{Fixture, fixture};
use policy::ids::SemanticId;
use policy::log_prob::{LogProbSpace, Sessions};
use policy::model::Dropout;
use std::collections::BTreeSet;

fn sessions(fixture: &Fixture, space: LogProbSpace, (width, items): (usize, usize)) -> Vec<Vec<Session>> {
    let seen: Vec<&[ItemId]> = fixture.contexts.iter().map(Vec::as_slice).collect();
    let search = Search { width, exclude: &seen };
    session_search(&fixture.scorer(space), &fixture.trie, &fixture.encode(), (&search, items))
}

#[test]
fn sessions_of_one_item_are_the_candidates_of_a_beam() {
    let fixture = fixture();
    let nothing: Vec<&[ItemId]> = vec![&[]; fixture.contexts.len()];
    let search = Search { width: 7, exclude: &nothing };
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        let scorer = fixture.scorer(space);
        let found = session_search(&scorer, &fixture.trie, &fixture.encode(), (&search, 1));
        let beams = beam_search(&scorer, &fixture.trie, &fixture.encode(), &search);
        for (sessions, beam) in found.iter().zip(&beams) {
            // A beam lists all items of a shared semantic ID, a session takes one.
            let ids = |item| fixture.catalog.semantic_id(item);
            let mut beam = beam.clone();
            beam.dedup_by_key(|candidate| ids(candidate.item));
            assert_eq!(sessions.len(), beam.len());
            for (session, candidate) in sessions.iter().zip(&beam) {
                assert_eq!(ids(session.items[0]), ids(candidate.item));
                assert_eq!(session.token_log_probs, candidate.token_log_probs);
            }
        }
    }
}

#[test]
fn sessions_hold_different_items_of_the_catalog_that_were_not_seen() {
    let fixture = fixture();
    for (width, items) in [(1, 5), (4, 3), (30, 2)] {
        let found = sessions(&fixture, LogProbSpace::Trie, (width, items));
        for (sessions, seen) in found.iter().zip(&fixture.contexts) {
            assert_eq!(sessions.len(), width);
            assert!(sessions.windows(2).all(|pair| pair[0].log_prob() >= pair[1].log_prob()));
            let distinct: BTreeSet<_> = sessions.iter().map(|session| session.items.clone()).collect();
            assert_eq!(distinct.len(), width, "no session twice");
            for session in sessions {
                let own: BTreeSet<_> = session.items.iter().collect();
                assert_eq!((session.items.len(), own.len()), (items, items), "{session:?}");
                assert!(session.items.iter().all(|item| !seen.contains(item)));
                assert_eq!(session.token_log_probs.len(), items * fixture.trie.levels());
            }
        }
    }
}

/// Decoding with a cache says of a session what the teacher-forced definition says of it.
#[test]
fn the_search_and_the_one_log_probability_agree() {
    let fixture = fixture();
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        let found: Vec<Session> = sessions(&fixture, space, (3, 3)).into_iter().flatten().collect();
        let ids: Vec<&SemanticId> = found
            .iter()
            .flat_map(|session| &session.items)
            .map(|&item| fixture.catalog.semantic_id(item))
            .collect();
        let rows = Sessions { ids: &ids, items: 3 };
        let log_probs = fixture.scorer(space).session_log_probs(&fixture.encode(), rows, Dropout::Off);
        let log_probs: Vec<f32> = log_probs.into_data().iter::<f32>().collect();
        for (session, expected) in found.iter().zip(log_probs.chunks(3 * fixture.trie.levels())) {
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(session.token_log_probs.iter().zip(expected).all(close), "{session:?} {expected:?}");
        }
    }
}

/// A user who has seen all but two items gets sessions of two, however narrow the search, and none of three.
#[test]
fn the_last_items_left_are_found() {
    let fixture = fixture();
    let all: Vec<ItemId> = (0..fixture.catalog.num_items()).map(ItemId::new).collect();
    let left = [all[5], all[41]];
    let seen: Vec<ItemId> = all.iter().copied().filter(|item| !left.contains(item)).collect();
    let exclude: Vec<&[ItemId]> = vec![&seen, &[], &seen];
    let search = Search { width: 1, exclude: &exclude };
    let of = |items| {
        session_search(
            &fixture.scorer(LogProbSpace::Trie),
            &fixture.trie,
            &fixture.encode(),
            (&search, items),
        )
    };
    let two: Vec<BTreeSet<ItemId>> =
        of(2).into_iter().map(|sessions| sessions[0].items.iter().copied().collect()).collect();
    assert_eq!([&two[0], &two[2]], [&left.into(), &left.into()]);
    assert_eq!(of(3).iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0]);
}
