//! Histories as right-padded token batches.

use crate::catalog::Catalog;
use crate::ids::ItemId;
use crate::vocab::{PAD, Vocab};
use burn::prelude::*;
use burn::tensor::TensorData;
use std::sync::Arc;

/// Encoder input of some users.
#[derive(Clone, Debug)]
pub struct EncoderBatch {
    /// `[b, s]`, right-padded with [`PAD`].
    pub tokens: Tensor<2, Int>,
    /// Valid tokens per row, at least 1.
    pub lengths: Arc<[usize]>,
}

impl EncoderBatch {
    /// The last `max_items` items of each context, as tokens. An empty context becomes one pad token, so that
    /// attention over it is defined.
    ///
    /// # Panics
    /// If there is no context.
    pub fn new(contexts: &[&[ItemId]], max_items: usize, catalog: &Catalog, device: &Device) -> Self {
        let vocab = Vocab::of(catalog);
        let rows: Vec<Vec<i64>> = contexts
            .iter()
            .map(|items| {
                let recent = &items[items.len().saturating_sub(max_items)..];
                recent.iter().flat_map(|&item| vocab.tokens(catalog.semantic_id(item))).collect()
            })
            .collect();
        let width = rows.iter().map(Vec::len).max().expect("a batch has at least one user").max(1);
        let lengths = rows.iter().map(|row| row.len().max(1)).collect();
        let mut values = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            values.extend(row);
            values.extend(std::iter::repeat_n(PAD, width - row.len()));
        }
        let tokens = Tensor::from_data(TensorData::new(values, [rows.len(), width]), device);
        Self { tokens, lengths }
    }
}
