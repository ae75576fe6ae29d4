//! `log_softmax(scale * x W^T)` at one target per row: head and cross-entropy as one operator, so that a chunk's logits
//! never leave the cache before they are probabilities.

use super::buffer::Buffer;
use super::choices::Choices;
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::parallel::{Chunk, Sums, backward_lanes, forward_chunks, zeros};
use super::products::{matrix, matrix_mut, product};
use super::vector;
use burn::tensor::Shape;
use faer::Accum;
use std::ops::Range;
use std::sync::Arc;

/// Everything but the tensors: states `[n, d]` and the head `[v, d]`.
#[derive(Clone, Debug)]
pub(super) struct TargetLogProb {
    /// Rows of the head that the softmax runs over.
    pub(super) columns: Range<usize>,
    /// Target of each state, counted from the first column.
    pub(super) targets: Arc<[u32]>,
    /// Factor of the logits.
    pub(super) scale: f32,
    /// Share of the target's place that all columns have together.
    pub(super) smoothing: f32,
    /// Columns each state may choose from; all of them where absent.
    pub(super) legal: Option<Arc<Choices>>,
}

struct Tensors<'a> {
    states: &'a [f32],
    /// The columns of the head in use.
    head: &'a [f32],
    d: usize,
}

impl TargetLogProb {
    fn tensors<'a>(&self, [states, head]: [Input<'a>; 2]) -> Tensors<'a> {
        let d = states.width;
        Tensors { states: states.values, head: &head.values[self.columns.start * d..self.columns.end * d], d }
    }

    fn smoothed(&self, rows: &Range<usize>) -> vector::Smoothed<'_> {
        vector::Smoothed { targets: &self.targets[rows.clone()], smoothing: self.smoothing }
    }

    fn forward_chunk(&self, tensors: &Tensors<'_>, rows: &Range<usize>, out: &mut [f32]) -> Buffer {
        let (d, v) = (tensors.d, self.columns.len());
        let mut probs = Buffer::stale(rows.len() * v);
        let states = matrix(&tensors.states[rows.start * d..rows.end * d], d);
        let head = matrix(tensors.head, d).transpose();
        product(matrix_mut(&mut probs, v), states, head, Accum::Replace, self.scale);
        if let Some(legal) = &self.legal {
            for (row, logits) in rows.clone().zip(probs.chunks_exact_mut(v)) {
                hide_all_but(legal.row(row), logits);
            }
        }
        vector::target_log_prob(&mut probs, self.smoothed(rows), out);
        probs
    }

    fn backward_chunk(
        &self,
        tensors: &Tensors<'_>,
        (chunk, grad): (&Chunk<'_>, &[f32]),
        dstates: &mut [f32],
        dhead: &mut [f32],
    ) {
        let (d, v, rows) = (tensors.d, self.columns.len(), &chunk.rows);
        let mut dlogits = Buffer::stale(chunk.saved.len());
        vector::target_log_prob_backward(chunk.saved, self.smoothed(rows), &grad[rows.clone()], &mut dlogits);
        let dlogits = matrix(&dlogits, v);
        product(matrix_mut(dstates, d), dlogits, matrix(tensors.head, d), Accum::Replace, self.scale);
        let states = matrix(&tensors.states[rows.start * d..rows.end * d], d);
        product(matrix_mut(dhead, d), dlogits.transpose(), states, chunk.accumulate, self.scale);
    }
}

/// A logit low enough to vanish in any softmax, high enough that sums with it stay finite.
pub(crate) const HIDDEN: f32 = -1e9;

fn hide_all_but(legal: &[u32], logits: &mut [f32]) {
    let mut next = 0;
    for &column in legal {
        logits[next..column as usize].fill(HIDDEN);
        next = column as usize + 1;
    }
    logits[next..].fill(HIDDEN);
}

impl Operator<2> for TargetLogProb {
    fn forward(&self, inputs: [Input<'_>; 2], keep: Keep) -> Output {
        let (tensors, rows) = (self.tensors(inputs), self.targets.len());
        let plan = Lanes::tokens(rows);
        let mut values = vec![0.0; rows];
        let outputs = parts(&mut values, plan.chunks.iter().map(ExactSizeIterator::len));
        let saved = forward_chunks(&plan, outputs, keep, |rows, out| self.forward_chunk(&tensors, rows, out));
        Output { values, shape: Shape::from([rows]), saved }
    }

    fn backward(&self, inputs: [Input<'_>; 2], saved: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 2] {
        let (tensors, d) = (self.tensors(inputs), inputs[0].width);
        let plan = Lanes::tokens(self.targets.len());
        let mut dstates = zeros(tensors.states.len());
        let outputs = parts(&mut dstates, plan.chunks.iter().map(|rows| rows.len() * d));
        let sums = Sums { added: 0, multiplied: tensors.head.len() };
        let used = backward_lanes(&plan, (saved, outputs), sums, |chunk, dstates, dhead| {
            self.backward_chunk(&tensors, (&chunk, &grad), dstates, dhead);
        });
        if used.len() == inputs[1].values.len() {
            return [dstates, used];
        }
        let mut dhead = vec![0.0; inputs[1].values.len()];
        dhead[self.columns.start * d..self.columns.end * d].copy_from_slice(&used);
        [dstates, dhead]
    }
}
