//! The prefix trie at the size of a large shop: built from a million random items, then walked.

use super::canonical;
use super::harness::{Case, Outcome, Timing};
use crate::run::clock::Stopwatch;
use policy::catalog::Catalog;
use sampler::trie::{Node, Trie};
use std::hint::black_box;

const MANY_ITEMS: usize = 1_000_000;
/// Most semantic IDs that are looked up.
const LOOKUPS: usize = 1_000_000;

/// Times building from a catalog, tells memory per item and whole semantic IDs looked up per second.
pub(super) fn run(timing: Timing) -> anyhow::Result<Outcome> {
    let case = Case {
        workload: "W-trie",
        variant: "recalign".into(),
        unit: "items",
        units: MANY_ITEMS as f64,
        gflop_per_unit: None,
    };
    Ok(build(timing, &canonical::catalog(MANY_ITEMS, "many items")?, case)?.0)
}

/// The trie of a catalog, and what it costs.
///
/// # Errors
/// Never: building cannot fail.
pub(super) fn build(timing: Timing, catalog: &Catalog, case: Case) -> anyhow::Result<(Outcome, Trie)> {
    let (seconds, trie) = timing.steps(None, |_| Ok(Some(Trie::new(catalog))))?;
    let trie = trie.expect("at least one step is timed");
    let details = [
        ("bytes_per_item", (trie.bytes() as f64 / catalog.num_items() as f64).into()),
        ("lookups_per_s", lookups_per_second(&trie, catalog).into()),
    ];
    Ok((Outcome::new(case, seconds, details), trie))
}

/// One thread, from the root to the items, in an order without locality. Counts of items are powers of ten.
fn lookups_per_second(trie: &Trie, catalog: &Catalog) -> f64 {
    let ids = catalog.semantic_ids();
    let watch = Stopwatch::start();
    let lookups = ids.len().min(LOOKUPS);
    for draw in 0..lookups {
        // The step shares no factor with the number of items, so no item is looked up twice.
        let id = &ids[draw * 614_657 % ids.len()];
        let leaf = id.codes().iter().try_fold(trie.root(), |node: Node, &code| trie.child(node, code));
        black_box(leaf.map(|leaf| trie.items(leaf)));
    }
    lookups as f64 / watch.seconds()
}
