//! What changes for users when one exported directory replaces another.

use super::bundle::Bundle;
use super::golden::{Golden, WIDTH};
use super::manifest;
use burn::prelude::Device;
use policy::ids::ItemId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// The difference between two directories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Files whose hashes differ, or that only one has.
    pub files: Vec<String>,
    /// Fields of `serving.json` that differ: name, first, second.
    pub settings: Vec<(String, serde_json::Value, serde_json::Value)>,
    /// What happened to items and their semantic IDs.
    pub catalog: CatalogDifference,
    /// Golden requests of the first, answered by both; items that the second does not know are left out of histories.
    pub answers: AnswerDifference,
}

/// Items and semantic IDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CatalogDifference {
    /// In both, with the same ID.
    pub kept: usize,
    /// In both, with another ID.
    pub moved: usize,
    /// Only in the first.
    pub removed: usize,
    /// Only in the second.
    pub added: usize,
}

/// Answers to the same requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct AnswerDifference {
    /// Requests.
    pub requests: usize,
    /// Share of requests with the same first item.
    pub same_first: f64,
    /// Mean share of the first's best items that are among the second's.
    pub overlap: f64,
    /// Mean absolute difference of log-probabilities of items in both lists.
    pub score_drift: f64,
}

/// Compares two directories.
///
/// # Errors
/// One of them is not an exported directory or is damaged.
pub fn diff(a: &Path, b: &Path, device: &Device) -> anyhow::Result<Difference> {
    let (first, second) = (manifest::read(a)?, manifest::read(b)?);
    let names: BTreeSet<&String> = first.files.keys().chain(second.files.keys()).collect();
    let differs = |name: &&&String| first.files.get(**name) != second.files.get(**name);
    let files = names.iter().filter(differs).map(|name| (*name).clone()).collect();
    let (a, b) = (Bundle::load(a, device)?, Bundle::load(b, device)?);
    let golden = Golden::read(&a)?;
    Ok(Difference {
        files,
        settings: settings(&a, &b)?,
        catalog: catalog(&a, &b),
        answers: answers(&golden, &a, &b),
    })
}

fn settings(a: &Bundle, b: &Bundle) -> anyhow::Result<Vec<(String, serde_json::Value, serde_json::Value)>> {
    let [a, b] = [serde_json::to_value(&a.description)?, serde_json::to_value(&b.description)?];
    let fields = a.as_object().into_iter().flatten();
    let differing = fields.filter(|(name, value)| b.get(name) != Some(value));
    Ok(differing.map(|(name, value)| (name.clone(), value.clone(), b[name].clone())).collect())
}

/// What happens to items.
pub(super) fn catalog(a: &Bundle, b: &Bundle) -> CatalogDifference {
    let mut difference = CatalogDifference::default();
    for item in items(a) {
        match b.item(a.raw_id(item)) {
            None => difference.removed += 1,
            Some(other) if a.codebook.catalog.semantic_id(item) == b.codebook.catalog.semantic_id(other) => {
                difference.kept += 1;
            }
            Some(_) => difference.moved += 1,
        }
    }
    difference.added = b.description.items - difference.kept - difference.moved;
    difference
}

fn items(bundle: &Bundle) -> impl Iterator<Item = ItemId> + use<> {
    (0..bundle.description.items).map(ItemId::new)
}

/// The answers to golden requests of `a`, which `golden` holds, beside those of `b`.
pub(super) fn answers(golden: &Golden, a: &Bundle, b: &Bundle) -> AnswerDifference {
    let other = Golden::of(b, golden.histories.iter().map(|history| translated(history, a, b)).collect());
    let mut agreement = Agreement::default();
    for (mine, theirs) in golden.beams.iter().zip(&other.beams) {
        agreement.add(&named(a, mine), &named(b, theirs));
    }
    agreement.means()
}

/// The items of `a` as those of `b`, which may not have them all.
pub(super) fn translated(items: &[ItemId], a: &Bundle, b: &Bundle) -> Vec<ItemId> {
    items.iter().filter_map(|item| b.item(a.raw_id(*item))).collect()
}

/// A beam by the ids in the log.
pub(super) fn named<'a>(bundle: &'a Bundle, beam: &[(ItemId, f32)]) -> Vec<(&'a str, f64)> {
    beam.iter().take(WIDTH).map(|(item, log_prob)| (bundle.raw_id(*item), f64::from(*log_prob))).collect()
}

/// Running comparison of ranked lists of item ids with their log-probabilities.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agreement {
    requests: usize,
    same_first: usize,
    overlap: f64,
    drift: f64,
    shared: usize,
}

impl Agreement {
    /// Adds the two answers to one request.
    pub fn add(&mut self, mine: &[(&str, f64)], theirs: &[(&str, f64)]) {
        self.requests += 1;
        self.same_first += usize::from(mine.first().map(|best| best.0) == theirs.first().map(|best| best.0));
        let mut shared = 0;
        for (item, log_prob) in mine {
            if let Some((_, other)) = theirs.iter().find(|other| other.0 == *item) {
                shared += 1;
                self.drift += (log_prob - other).abs();
            }
        }
        self.shared += shared;
        self.overlap += if mine.is_empty() { 1.0 } else { shared as f64 / mine.len() as f64 };
    }

    /// The means so far; of nothing, all zero.
    pub fn means(&self) -> AnswerDifference {
        let requests = self.requests.max(1) as f64;
        AnswerDifference {
            requests: self.requests,
            same_first: self.same_first as f64 / requests,
            overlap: self.overlap / requests,
            score_drift: self.drift / self.shared.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_over_items_not_over_ranks() {
        let mut agreement = Agreement::default();
        agreement.add(&[("a", -1.0), ("b", -2.0)], &[("b", -2.5), ("a", -3.0)]);
        agreement.add(&[("a", -1.0), ("b", -2.0)], &[("a", -1.0), ("c", -2.0)]);
        let means = agreement.means();
        assert_eq!((means.requests, means.same_first, means.overlap), (2, 0.5, 0.75));
        // Differences of the three shared items: .5, 2 and 0.
        assert!((means.score_drift - 2.5 / 3.0).abs() < 1e-12, "{means:?}");
    }
}
