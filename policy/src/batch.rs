//! Histories as packed token rows.

use crate::catalog::Catalog;
use crate::ids::ItemId;
use crate::kernels::Packing;
use crate::vocab::{PAD, Vocab};

/// Encoder input of some users: their tokens one user after the other, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderBatch {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// The tokens of each user, at least 1.
    pub packing: Packing,
}

impl EncoderBatch {
    /// The last `max_items` items of each context, as tokens. An empty context becomes one pad token, so that
    /// attention over it is defined.
    ///
    /// # Panics
    /// If there is no context.
    pub fn new(contexts: &[&[ItemId]], max_items: usize, catalog: &Catalog) -> Self {
        let vocab = Vocab::of(catalog);
        assert!(!contexts.is_empty(), "a batch has at least one user");
        let rows = contexts.iter().map(|items| {
            let recent = &items[items.len().saturating_sub(max_items)..];
            if recent.is_empty() {
                return vec![PAD];
            }
            recent.iter().flat_map(|&item| vocab.tokens(catalog.semantic_id(item))).collect()
        });
        Self::of(rows)
    }
    /// Rows of tokens.
    pub fn of(rows: impl Iterator<Item = Vec<u32>>) -> Self {
        let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
        for row in rows {
            lengths.push(row.len());
            tokens.extend(row);
        }
        Self { tokens, packing: Packing::of(lengths) }
    }
}
