//! The prefix trie at the size of a large shop: built from a million random items, then walked.

use super::canonical::{self, CODE_LENGTH, CODES, random_ids};
use super::harness::{Case, Outcome, Timing};
use crate::run::clock::Stopwatch;
use policy::catalog::Catalog;
use sampler::trie::{Node, Trie};
use std::hint::black_box;

const MANY_ITEMS: usize = 1_000_000;

/// Times building from a catalog, tells memory per item and whole semantic IDs looked up per second.
pub(super) fn run(timing: Timing) -> anyhow::Result<Outcome> {
    let ids = random_ids(MANY_ITEMS, canonical::key().named("many items"));
    let catalog = Catalog::new(ids, vec![CODES; CODE_LENGTH])?;
    let (seconds, trie) = timing.steps(None, |_| Ok(Some(Trie::new(&catalog))))?;
    let trie = trie.expect("at least one step is timed");
    let case = Case {
        workload: "W-trie",
        variant: "recalign".into(),
        unit: "items",
        units: MANY_ITEMS as f64,
        gflop_per_unit: None,
    };
    let details = [
        ("bytes_per_item", (trie.bytes() as f64 / MANY_ITEMS as f64).into()),
        ("lookups_per_s", lookups_per_second(&trie, &catalog).into()),
    ];
    Ok(Outcome::new(case, seconds, details))
}

/// One thread, from the root to the items, in an order without locality.
fn lookups_per_second(trie: &Trie, catalog: &Catalog) -> f64 {
    let ids = catalog.semantic_ids();
    let watch = Stopwatch::start();
    for draw in 0..ids.len() {
        // The step shares no factor with the number of items, so every item is looked up once.
        let id = &ids[draw * 614_657 % ids.len()];
        let leaf = id.codes().iter().try_fold(trie.root(), |node: Node, &code| trie.child(node, code));
        black_box(leaf.map(|leaf| trie.items(leaf)));
    }
    ids.len() as f64 / watch.seconds()
}
