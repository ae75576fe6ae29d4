//! Packed rows as rows of one length, for what is composed of burn's operations.

use crate::kernels;
use burn::prelude::*;
use std::ops::Range;

/// How rows of a packed tensor become rows of one length, and packed again.
pub(super) struct Padded {
    rows: usize,
    longest: usize,
    /// Where each padded position is among the packed ones. Padding repeats the row's first: it follows every position
    /// that counts, so that causal rows do not see it.
    sources: Vec<u32>,
    /// Where each position that counts is among the padded ones.
    counted: Vec<u32>,
}

impl Padded {
    /// Rows of a packed tensor; they may overlap.
    pub(super) fn new(ranges: &[Range<usize>]) -> Self {
        let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let (mut sources, mut counted) = (Vec::with_capacity(ranges.len() * longest), Vec::new());
        for (row, range) in ranges.iter().enumerate() {
            let padding = std::iter::repeat_n(range.start, longest - range.len());
            sources.extend(range.clone().chain(padding).map(|at| at as u32));
            counted.extend((0..range.len()).map(|at| (row * longest + at) as u32));
        }
        Self { rows: ranges.len(), longest, sources, counted }
    }
    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
    /// Length of every row.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }
    /// `[n, w]` to `[rows * longest, w]`.
    pub(super) fn padded(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::gather(x, &self.sources)
    }
    /// `[rows * longest, w]` to `[n, w]`.
    pub(super) fn packed(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::gather(x, &self.counted)
    }
    /// One value per padded position, of one per packed position.
    pub(super) fn values<T: Copy>(&self, of: &[T]) -> Vec<T> {
        self.sources.iter().map(|&at| of[at as usize]).collect()
    }
    /// `[n, h dk]` to `[rows, h, longest, dk]`.
    pub(super) fn heads(&self, x: Tensor<2>, heads: usize) -> Tensor<4> {
        let dk = x.dims()[1] / heads;
        self.padded(x).reshape([self.rows, self.longest, heads, dk]).swap_dims(1, 2)
    }
}
