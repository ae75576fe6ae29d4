//! Codes that index items rather than quantise vectors: item IDs, and the indexing methods of P5 (Hua et al., "How to Index
//! Item IDs for Recommendation Foundation Models", 2305.06569).
//!
//! | quantiser | ID |
//! |---|---|
//! | `item-id` | the item's number, one level ("independent" in P5, atomic IDs elsewhere) |
//! | `random` | random codes, no two items alike |
//! | `sequential` | items numbered by first appearance, user after user, in base `codes` |
//! | `collaborative` | path in a tree of spectral clusters of the co-occurrence graph, then the place in the leaf |
//! | `semantic` | the same with k-means over vectors |
//! | `hybrid` | the clusters of `collaborative`, then the item's number |
//!
//! Departures: P5's semantic index is a path in a category tree; item tables need not have one, and here the tree is made of
//! vectors. P5 numbers tree nodes with new tokens where we number siblings, so that levels have at most `codes` codes.
//! A tree is at most `levels` deep: a leaf of more than `codes` items gives neighbours the same place, and
//! [`super::Collisions`] decides about them.
//!
//! A code's vector is the mean of what earlier levels leave of its items. It tells what the index happens to say of the
//! vectors; nothing is chosen by it.

mod graph;
mod ordinal;
mod spectral;
mod tree;

use super::distance::gather;
use super::levels::{Levels, of_codes};
use super::residual::around_mean;
use super::{Clusters, Fit, QuantizeConfig, QuantizeError, Quantized, Quantizer, lloyd};
use crate::embeddings::Embeddings;
use crate::history::Log;
use crate::ids::Code;
use crate::random::Key;
use graph::CoOccurrence;
use tree::{Leaf, Split, Tree, spread};

/// An indexing in progress; the only step is all of it.
pub(super) struct Indexing<'a> {
    vectors: Embeddings,
    log: Option<&'a Log>,
    config: QuantizeConfig,
    key: Key,
    quantized: Option<Quantized>,
}

impl<'a> Indexing<'a> {
    /// Before it starts; settings are checked by the caller.
    pub(super) fn new(vectors: Embeddings, log: Option<&'a Log>, config: &QuantizeConfig, key: Key) -> Self {
        Self { vectors, log, config: config.clone(), key, quantized: None }
    }
    fn index(&self) -> Quantized {
        let items = self.vectors.rows();
        let QuantizeConfig { levels, codes, .. } = self.config;
        let codes = match self.config.quantizer {
            Quantizer::Random => ordinal::random(items, (levels, codes), self.key),
            Quantizer::Sequential => {
                let order = ordinal::first_appearance(self.log());
                order.into_iter().map(|position| ordinal::digits(position, (levels, codes))).collect()
            }
            Quantizer::Collaborative => placed(&self.leaves(&self.spectral_split()), items, codes),
            Quantizer::Semantic => {
                placed(&self.leaves(&|items, key| self.kmeans_split(items, key)), items, codes)
            }
            Quantizer::Hybrid => numbered(&self.leaves(&self.spectral_split()), items),
            _ => return item_ids(&self.vectors),
        };
        of_codes(self.vectors.clone(), &codes)
    }

    fn leaves(&self, split: &Split) -> Vec<Leaf> {
        // The last level is for places or numbers.
        let tree = Tree { codes: self.config.codes, depth: self.config.levels - 1, split };
        tree.leaves(self.vectors.rows(), self.key)
    }
    fn spectral_split(&self) -> impl Fn(&[usize], Key) -> Vec<usize> {
        let histories = CoOccurrence::of(self.log());
        move |items: &[usize], key: Key| {
            let embedding =
                spectral::embedding(&histories.among(items), self.config.codes, key.named("start"));
            let cluster = |points: &Embeddings| lloyd::cluster(points, &self.config, key);
            // Items that no edge leads to stay together.
            embedding.map_or_else(|| vec![0; items.len()], |points| cluster(&points).assignment)
        }
    }
    fn kmeans_split(&self, items: &[usize], key: Key) -> Vec<usize> {
        let points = gather(&self.vectors, items);
        around_mean(&points, |points| lloyd::cluster(points, &self.config, key)).assignment
    }
    fn log(&self) -> &'a Log {
        self.log.expect("histories are there where they are needed, checked before")
    }
}

impl Fit for Indexing<'_> {
    fn remaining(&self) -> usize {
        usize::from(self.quantized.is_none())
    }
    fn step(&mut self) -> Result<(), QuantizeError> {
        self.quantized = Some(self.index());
        Ok(())
    }
    fn finish(self: Box<Self>) -> Quantized {
        self.quantized.expect("the only step is done, checked before")
    }
}

/// Every item its own code, whose vector is the item's.
fn item_ids(vectors: &Embeddings) -> Quantized {
    let mut levels = Levels::new(vectors.clone());
    levels.push(Clusters { assignment: (0..vectors.rows()).collect(), centers: vectors.clone() });
    levels.finish()
}

/// The leaves' paths, made equally long by zeros, and the place of every item in its leaf. Where paths end early, the place
/// follows at once: nothing else is below the leaf.
fn placed(leaves: &[Leaf], items: usize, codes: usize) -> Vec<Vec<Code>> {
    let longest = leaves.iter().map(|leaf| leaf.path.len()).max().unwrap_or(0) + 1;
    let mut ids = vec![Vec::new(); items];
    for leaf in leaves {
        for (place, &item) in leaf.items.iter().enumerate() {
            let mut id = leaf.path.clone();
            id.push(spread(place, leaf.items.len(), codes) as Code);
            id.resize(longest, 0);
            ids[item] = id;
        }
    }
    ids
}

/// The leaves' paths, made equally long by zeros, and the number of every item.
fn numbered(leaves: &[Leaf], items: usize) -> Vec<Vec<Code>> {
    let longest = leaves.iter().map(|leaf| leaf.path.len()).max().unwrap_or(0);
    let mut ids = vec![Vec::new(); items];
    for leaf in leaves {
        for &item in &leaf.items {
            let mut id = leaf.path.clone();
            id.resize(longest, 0);
            id.push(item as Code);
            ids[item] = id;
        }
    }
    ids
}

#[cfg(test)]
mod tests;
