//! Attention of one row: every head's products and softmax, forward and backward.

use super::products::{matrix, matrix_mut, product};
use super::vector::{self, ScoreBias, Scores};
use faer::{Accum, MatMut, MatRef};
use std::ops::Range;

/// Which keys a query may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Query `i` sees keys `0..=i`; queries and keys are the same positions.
    Past,
}

/// Queries whose scores are computed together when later keys are hidden: fewer would waste less, but multiply slower.
const BLOCK: usize = 64;

/// How heads attend.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Factor of the scores: 1 in T5, `1 / sqrt(dk)` elsewhere.
    pub scale: f32,
    /// Which keys are looked at.
    pub visible: Visible,
}

/// A bias table `[h, rows, columns]`; a row of fewer tokens uses its upper left corner.
#[derive(Clone, Copy)]
pub(super) struct Bias<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> Bias<'a> {
    fn block(self, head: usize, queries: &Range<usize>) -> ScoreBias<'a> {
        let first = (head * self.rows + queries.start) * self.columns;
        ScoreBias { values: &self.values[first..], stride: self.columns }
    }
}

/// Queries, keys and values of a row, `[t, h * dk]` each.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) query: MatRef<'a, f32>,
    pub(super) key: MatRef<'a, f32>,
    pub(super) value: MatRef<'a, f32>,
}

/// Where a row's gradients go.
pub(super) struct RowGrads<'a> {
    pub(super) query: MatMut<'a, f32>,
    pub(super) key: MatMut<'a, f32>,
    pub(super) value: MatMut<'a, f32>,
    /// How gradients of keys and values enter: rows that read the same memory add up.
    pub(super) accumulate: Accum,
}

impl Heads {
    /// Values of the probabilities of a row: those of hidden blocks are not kept.
    pub(super) fn probs(&self, queries: usize, keys: usize) -> usize {
        self.count * self.probs_of_head(queries, keys)
    }

    fn probs_of_head(&self, queries: usize, keys: usize) -> usize {
        self.blocks(queries, keys).map(|(block, seen)| block.len() * seen).sum()
    }

    /// Blocks of queries with the number of keys they see; the first block sees them all.
    fn blocks(&self, queries: usize, keys: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let size = if self.visible == Visible::Past { BLOCK } else { queries };
        let past = self.visible == Visible::Past;
        (0..queries.div_ceil(size)).rev().map(move |block| {
            let block = block * size..((block + 1) * size).min(queries);
            let seen = if past { block.end } else { keys };
            (block, seen)
        })
    }

    fn scores(&self, block: &Range<usize>, seen: usize) -> Scores {
        let causal_from = (self.visible == Visible::Past).then_some(block.start);
        Scores { queries: block.len(), keys: seen, causal_from }
    }

    /// Writes the probabilities (per head and block, `[queries, seen keys]`) and the attended values `[tq, h * dk]`.
    pub(super) fn forward(
        &self,
        row: Row<'_>,
        bias: Option<Bias<'_>>,
        probs: &mut [f32],
        mut out: MatMut<'_, f32>,
    ) {
        let (tq, tk, dk) = (row.query.nrows(), row.key.nrows(), row.query.ncols() / self.count);
        for (head, mut probs) in probs.chunks_exact_mut(self.probs_of_head(tq, tk)).enumerate() {
            for (block, seen) in self.blocks(tq, tk) {
                let probs = probs.split_off_mut(..block.len() * seen).expect("blocks make up a head");
                let query = row.query.submatrix(block.start, head * dk, block.len(), dk);
                let key = row.key.submatrix(0, head * dk, seen, dk).transpose();
                let scores = matrix_mut(probs, seen);
                product(scores, query, key, Accum::Replace, self.scale);
                let bias = bias.map(|bias| bias.block(head, &block));
                vector::softmax(probs, bias, self.scores(&block, seen));
                let value = row.value.submatrix(0, head * dk, seen, dk);
                let out = out.as_mut().submatrix_mut(block.start, head * dk, block.len(), dk);
                product(out, matrix(probs, seen), value, Accum::Replace, 1.0);
            }
        }
    }

    /// Writes the gradients of a row from its probabilities and the gradient of its output, and adds to that of the
    /// bias. `scratch` holds `tq * tk` values.
    pub(super) fn backward(
        &self,
        (row, probs): (Row<'_>, &[f32]),
        grad: MatRef<'_, f32>,
        grads: &mut RowGrads<'_>,
        (scratch, mut dbias): (&mut [f32], Option<BiasGrad<'_>>),
    ) {
        let (tq, tk, dk) = (row.query.nrows(), row.key.nrows(), row.query.ncols() / self.count);
        for (head, mut probs) in probs.chunks_exact(self.probs_of_head(tq, tk)).enumerate() {
            let first = head * dk;
            let mut accumulate = grads.accumulate;
            for (block, seen) in self.blocks(tq, tk) {
                let probs = probs.split_off(..block.len() * seen).expect("blocks make up a head");
                let grad = grad.submatrix(block.start, first, block.len(), dk);
                let dvalue = grads.value.as_mut().submatrix_mut(0, first, seen, dk);
                let weights = matrix(probs, seen);
                product(dvalue, weights.transpose(), grad, accumulate, 1.0);
                let dscores = &mut scratch[..block.len() * seen];
                let value = row.value.submatrix(0, first, seen, dk).transpose();
                product(matrix_mut(dscores, seen), grad, value, Accum::Replace, 1.0);
                vector::softmax_backward(probs, dscores, self.scores(&block, seen));
                let weights = matrix(dscores, seen);
                let dquery = grads.query.as_mut().submatrix_mut(block.start, first, block.len(), dk);
                let key = row.key.submatrix(0, first, seen, dk);
                product(dquery, weights, key, Accum::Replace, self.scale);
                let dkey = grads.key.as_mut().submatrix_mut(0, first, seen, dk);
                let query = row.query.submatrix(block.start, first, block.len(), dk);
                product(dkey, weights.transpose(), query, accumulate, self.scale);
                if let Some(dbias) = &mut dbias {
                    dbias.add(head, &block, (dscores, seen));
                }
                accumulate = Accum::Add;
            }
        }
    }
}

/// Where the gradient of a [`Bias`] is summed.
pub(super) struct BiasGrad<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl BiasGrad<'_> {
    fn add(&mut self, head: usize, block: &Range<usize>, (dscores, seen): (&[f32], usize)) {
        let first = (head * self.rows + block.start) * self.columns;
        if seen == self.columns {
            return vector::add(&mut self.values[first..][..dscores.len()], dscores);
        }
        let rows = self.values[first..].chunks_mut(self.columns).zip(dscores.chunks(seen));
        for (sum, dscores) in rows {
            vector::add(&mut sum[..seen], dscores);
        }
    }
}
