//! Attention on slices, parallel over batch rows; each head's products go through faer.

use super::Attend;
use super::rows::{self, Scores};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Batch rows per partial sum of the bias gradient: fixed, so that the order of additions does not depend on
/// the number of threads.
const ROWS_PER_PARTIAL: usize = 8;

/// Sizes of one call.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) attend: Attend,
}

impl Layout {
    fn scores(&self, row: usize) -> Scores {
        Scores {
            queries: self.attend.queries(row, self.queries),
            keys: self.attend.keys(row, self.keys),
            stride: self.keys,
            causal: self.attend == Attend::Causal,
        }
    }
    /// Values of one batch row of the probabilities.
    pub(super) fn probs_per_row(&self) -> usize {
        self.heads * self.queries * self.keys
    }
    /// Head `head` of the first `positions` positions of a batch row.
    fn head<'a>(&self, x: &'a [f32], head: usize, positions: usize) -> MatRef<'a, f32> {
        let dk = self.width / self.heads;
        MatRef::from_row_major_slice(x, x.len() / self.width, self.width).submatrix(
            0,
            head * dk,
            positions,
            dk,
        )
    }
    fn head_mut<'a>(&self, x: &'a mut [f32], head: usize, positions: usize) -> MatMut<'a, f32> {
        let dk = self.width / self.heads;
        let rows = x.len() / self.width;
        MatMut::from_row_major_slice_mut(x, rows, self.width).submatrix_mut(0, head * dk, positions, dk)
    }
}

fn product(out: MatMut<'_, f32>, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    matmul(out, Accum::Replace, left, right, 1.0, Par::Seq);
}

/// Projected inputs, `[b, t, h * dk]` each, and the bias `[h, tq, tk]`.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
}

/// Writes the output `[b, tq, h * dk]` and the probabilities `[b, h, tq, tk]`.
pub(super) fn forward(inputs: Inputs<'_>, layout: &Layout, out: &mut [f32], probs: &mut [f32]) {
    let (query_row, key_row) = (layout.queries * layout.width, layout.keys * layout.width);
    out.par_chunks_mut(query_row).zip(probs.par_chunks_mut(layout.probs_per_row())).enumerate().for_each(
        |(row, (out, probs))| {
            let row_inputs = Inputs {
                query: &inputs.query[row * query_row..][..query_row],
                key: &inputs.key[row * key_row..][..key_row],
                value: &inputs.value[row * key_row..][..key_row],
                bias: inputs.bias,
            };
            forward_row(row_inputs, layout, layout.scores(row), (out, probs));
        },
    );
}

fn forward_row(inputs: Inputs<'_>, layout: &Layout, scores: Scores, (out, probs): (&mut [f32], &mut [f32])) {
    let per_head = layout.queries * layout.keys;
    for (head, probs) in probs.chunks_exact_mut(per_head).enumerate() {
        let query = layout.head(inputs.query, head, scores.queries);
        let key = layout.head(inputs.key, head, scores.keys);
        product(block_mut(probs, layout, scores), query, key.transpose());
        rows::softmax(probs, inputs.bias.map(|bias| &bias[head * per_head..][..per_head]), scores);
        let value = layout.head(inputs.value, head, scores.keys);
        product(layout.head_mut(out, head, scores.queries), block(probs, layout, scores), value);
    }
}

fn block<'a>(x: &'a [f32], layout: &Layout, scores: Scores) -> MatRef<'a, f32> {
    MatRef::from_row_major_slice(x, layout.queries, layout.keys).submatrix(0, 0, scores.queries, scores.keys)
}

fn block_mut<'a>(x: &'a mut [f32], layout: &Layout, scores: Scores) -> MatMut<'a, f32> {
    let whole = MatMut::from_row_major_slice_mut(x, layout.queries, layout.keys);
    whole.submatrix_mut(0, 0, scores.queries, scores.keys)
}

/// Gradients in the layouts of what they are gradients of; the bias gradient summed over the batch.
pub(super) struct Gradients {
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Gradients of [`forward`] from the saved probabilities and the gradient of its output.
pub(super) fn backward(inputs: Inputs<'_>, probs: &[f32], grad_out: &[f32], layout: &Layout) -> Gradients {
    let (query_row, key_row) = (layout.queries * layout.width, layout.keys * layout.width);
    let mut grads = Gradients {
        query: vec![0.0; inputs.query.len()],
        key: vec![0.0; inputs.key.len()],
        value: vec![0.0; inputs.value.len()],
        bias: vec![0.0; layout.probs_per_row()],
    };
    let partials: Vec<Vec<f32>> = grads
        .query
        .par_chunks_mut(ROWS_PER_PARTIAL * query_row)
        .zip(grads.key.par_chunks_mut(ROWS_PER_PARTIAL * key_row))
        .zip(grads.value.par_chunks_mut(ROWS_PER_PARTIAL * key_row))
        .enumerate()
        .map(|(chunk, ((query, key), value))| {
            let mut bias = vec![0.0; if inputs.bias.is_some() { layout.probs_per_row() } else { 0 }];
            let mut scratch = vec![0.0; layout.queries * layout.keys];
            let rows =
                query.chunks_mut(query_row).zip(key.chunks_mut(key_row)).zip(value.chunks_mut(key_row));
            for (i, ((query, key), value)) in rows.enumerate() {
                let row = chunk * ROWS_PER_PARTIAL + i;
                let saved = Saved {
                    query: &inputs.query[row * query_row..][..query_row],
                    key: &inputs.key[row * key_row..][..key_row],
                    value: &inputs.value[row * key_row..][..key_row],
                    probs: &probs[row * layout.probs_per_row()..][..layout.probs_per_row()],
                    grad_out: &grad_out[row * query_row..][..query_row],
                };
                let mut out = RowGradients { query, key, value, bias: &mut bias, scratch: &mut scratch };
                backward_row(&saved, layout, layout.scores(row), &mut out);
            }
            bias
        })
        .collect();
    for partial in partials {
        rows::add(&mut grads.bias, &partial);
    }
    grads
}

struct Saved<'a> {
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    probs: &'a [f32],
    grad_out: &'a [f32],
}

struct RowGradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    bias: &'a mut [f32],
    scratch: &'a mut [f32],
}

fn backward_row(saved: &Saved<'_>, layout: &Layout, scores: Scores, out: &mut RowGradients<'_>) {
    let per_head = layout.queries * layout.keys;
    for head in 0..layout.heads {
        let probs = &saved.probs[head * per_head..][..per_head];
        let grad_out = layout.head(saved.grad_out, head, scores.queries);
        let value_grad = layout.head_mut(out.value, head, scores.keys);
        product(value_grad, block(probs, layout, scores).transpose(), grad_out);
        let value = layout.head(saved.value, head, scores.keys);
        product(block_mut(out.scratch, layout, scores), grad_out, value.transpose());
        rows::softmax_backward(probs, out.scratch, scores);
        let score_grad = block(out.scratch, layout, scores);
        let key = layout.head(saved.key, head, scores.keys);
        product(layout.head_mut(out.query, head, scores.queries), score_grad, key);
        let query = layout.head(saved.query, head, scores.queries);
        product(layout.head_mut(out.key, head, scores.keys), score_grad.transpose(), query);
        if !out.bias.is_empty() {
            let used = scores.queries * layout.keys;
            rows::add(&mut out.bias[head * per_head..][..used], &out.scratch[..used]);
        }
    }
}
