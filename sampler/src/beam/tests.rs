//! Beam search against brute force over the whole catalog.

use super::*;
use crate::testing::{Fixture, fixture};
use policy::batch::EncoderBatch;
use policy::log_prob::LogProbSpace;
use policy::model::Dropout;

impl Fixture {
    fn beams(&self, space: LogProbSpace, width: usize, exclude: &[&[ItemId]]) -> Vec<Vec<Candidate>> {
        let search = Search { width, exclude };
        beam_search(&self.scorer(space), &self.trie, &self.encode(), &search)
    }
}

const NOTHING: [&[ItemId]; 3] = [&[], &[], &[]];

#[test]
fn a_beam_as_wide_as_the_catalog_equals_brute_force() {
    let fixture = fixture();
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        let beams = fixture.beams(space, 60, &NOTHING);
        for (beam, expected) in beams.iter().zip(fixture.brute_force(space)) {
            assert_eq!(beam.len(), 60, "every item is proposed once");
            let mut at = 0;
            for (id, log_prob) in expected {
                for item in fixture.catalog.items(&id) {
                    assert_eq!(beam[at].item, *item, "{space:?} rank {at}");
                    assert!((beam[at].log_prob() - log_prob).abs() < 1e-4, "{space:?} rank {at}");
                    at += 1;
                }
            }
        }
    }
}

#[test]
fn a_narrow_beam_proposes_catalog_items_in_order() {
    let fixture = fixture();
    for candidates in fixture.beams(LogProbSpace::Trie, 7, &NOTHING) {
        assert!(candidates.len() >= 7);
        assert!(candidates.windows(2).all(|pair| pair[0].log_prob() >= pair[1].log_prob()));
        assert!(candidates.iter().all(|c| c.item.index() < fixture.catalog.num_items()));
    }
}

#[test]
fn excluded_items_are_left_out_and_change_no_probability() {
    let fixture = fixture();
    let free = fixture.beams(LogProbSpace::Trie, 60, &NOTHING);
    let seen: Vec<&[ItemId]> = fixture.contexts.iter().map(Vec::as_slice).collect();
    let masked = fixture.beams(LogProbSpace::Trie, 60, &seen);
    for ((free, masked), seen) in free.into_iter().zip(masked).zip(seen) {
        let expected: Vec<_> = free.into_iter().filter(|c| !seen.contains(&c.item)).collect();
        assert_eq!(masked, expected);
    }
}

#[test]
fn users_do_not_influence_each_other() {
    let fixture = fixture();
    let together = fixture.beams(LogProbSpace::Trie, 10, &NOTHING);
    for (user, context) in fixture.contexts.iter().enumerate() {
        let batch = EncoderBatch::new(&[context.as_slice().into()], 8, &fixture.catalog);
        let encoded = fixture.model.encode(&batch, Dropout::Off);
        let search = Search { width: 10, exclude: &[&[]] };
        let alone = beam_search(&fixture.scorer(LogProbSpace::Trie), &fixture.trie, &encoded, &search);
        let items = |candidates: &[Candidate]| candidates.iter().map(|c| c.item).collect::<Vec<_>>();
        assert_eq!(items(&alone[0]), items(&together[user]));
    }
}
