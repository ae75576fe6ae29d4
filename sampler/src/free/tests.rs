//! Free beams against brute force, and against the tokens that spell no item.

use super::*;
use crate::testing::{Fixture, fixture};
use policy::ids::ItemId;
use policy::log_prob::LogProbSpace;

const NOTHING: [&[ItemId]; 3] = [&[], &[], &[]];

fn search(fixture: &Fixture, width: usize, exclude: &[&[ItemId]]) -> Vec<Free> {
    let scorer = fixture.scorer(LogProbSpace::Trie);
    free_beam_search(&scorer, &fixture.trie, &fixture.encode(), &Search { width, exclude })
}

#[test]
fn a_beam_of_all_token_rows_finds_every_item_with_its_full_probability() {
    let fixture = fixture();
    let rows = fixture.vocab.size().pow(3);
    let ids = fixture.catalog.entries().count();
    for (free, expected) in
        search(&fixture, rows, &NOTHING).iter().zip(fixture.brute_force(LogProbSpace::Full))
    {
        assert!((free.legal - ids as f64 / rows as f64).abs() < 1e-12, "{}", free.legal);
        let items = expected
            .iter()
            .flat_map(|(id, log_prob)| fixture.catalog.items(id).iter().map(move |&item| (item, *log_prob)));
        assert_eq!(free.candidates.len(), fixture.catalog.num_items());
        for (candidate, (item, log_prob)) in free.candidates.iter().zip(items) {
            assert_eq!(candidate.item, item);
            assert!((candidate.log_prob() - log_prob).abs() < 1e-4);
        }
    }
}

#[test]
fn hypotheses_that_are_no_item_take_places_and_are_dropped() {
    let fixture = fixture();
    for free in search(&fixture, 40, &NOTHING) {
        let ids: std::collections::BTreeSet<_> =
            free.candidates.iter().map(|c| fixture.catalog.semantic_id(c.item).clone()).collect();
        assert!(free.legal < 1.0, "random weights write rows that are no item");
        assert!((free.legal * 40.0 - ids.len() as f64).abs() < 1e-9);
    }
}

#[test]
fn excluded_items_are_not_proposed_but_count_as_legal() {
    let fixture = fixture();
    let all: Vec<ItemId> = (0..fixture.catalog.num_items()).map(ItemId::new).collect();
    let (free, masked) = (search(&fixture, 40, &NOTHING), search(&fixture, 40, &[&all, &all, &all]));
    for (free, masked) in free.iter().zip(&masked) {
        assert!(masked.candidates.is_empty());
        assert!((free.legal - masked.legal).abs() < 1e-12);
    }
}
