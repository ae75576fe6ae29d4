//! `x + dropout(attention(rms_norm(x)) W_o)`: the self-attention half of a pre-norm block, as one operator.

use super::buffer::Buffer;
use super::heads::{Bias, BiasGrad, Heads, Row, RowGrads};
use super::mask::{self, Mask};
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, Packing, parts};
use super::parallel::{Chunk, Sums, backward_lanes, copied, forward_chunks};
use super::products::{Weight, matrix, matrix_mut};
use super::vector::{self, Normalized};
use burn::tensor::Shape;
use faer::Accum;
use std::ops::Range;

/// Everything but the tensors: `x [n, d]`, `gain [d]`, `qkv [3 h dk, d]`, `out [d, h dk]` and, where there is one, the
/// bias `[h, t, t]`.
#[derive(Clone, Debug)]
pub(super) struct SelfAttention {
    pub(super) packing: Packing,
    pub(super) heads: Heads,
    pub(super) epsilon: f32,
    pub(super) mask: Option<Mask>,
}

struct Tensors<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    qkv: Weight<'a>,
    out: Weight<'a>,
    bias: Option<Bias<'a>>,
}

impl<'a> Tensors<'a> {
    fn new([x, gain, qkv, out]: [Input<'a>; 4], bias: Option<(Input<'a>, usize)>) -> Self {
        let (d, inner) = (x.width, out.width);
        Self {
            x: x.values,
            gain: gain.values,
            qkv: Weight { values: qkv.values, inputs: d },
            out: Weight { values: out.values, inputs: inner },
            bias: bias.map(|(bias, heads)| Bias {
                values: bias.values,
                rows: bias.values.len() / bias.width / heads,
                columns: bias.width,
            }),
        }
    }
    fn width(&self) -> usize {
        self.gain.len()
    }
    fn inner(&self) -> usize {
        self.out.inputs
    }
}

/// What a chunk saves: queries, keys and values `[t, 3 h dk]`, attended values `[t, h dk]`, probabilities by row.
fn split(saved: &[f32], tokens: usize, inner: usize) -> (&[f32], &[f32], &[f32]) {
    let (qkv, rest) = saved.split_at(3 * tokens * inner);
    let (attended, probs) = rest.split_at(tokens * inner);
    (qkv, attended, probs)
}

fn columns(qkv: &[f32], inner: usize) -> Row<'_> {
    let all = matrix(qkv, 3 * inner);
    let part = |index: usize| all.subcols(index * inner, inner);
    Row { query: part(0), key: part(1), value: part(2) }
}

impl SelfAttention {
    fn run(&self, tensors: &Tensors<'_>, keep: Keep) -> Output {
        let (d, plan) = (tensors.width(), Lanes::of(&self.packing));
        let mut values = copied(tensors.x);
        let outputs = parts(&mut values, plan.chunks.iter().map(|rows| self.packing.span(rows).len() * d));
        let saved = forward_chunks(&plan, outputs, keep, |rows, out| self.forward_chunk(tensors, rows, out));
        Output { shape: Shape::from([self.packing.tokens(), d]), values, saved }
    }

    fn forward_chunk(&self, tensors: &Tensors<'_>, rows: &Range<usize>, out: &mut [f32]) -> Buffer {
        let (d, inner, span) = (tensors.width(), tensors.inner(), self.packing.span(rows));
        let tokens = span.len();
        let probs: usize =
            rows.clone().map(|row| self.packing.row(row).len()).map(|t| self.heads.probs(t, t)).sum();
        let mut saved = Buffer::stale(4 * tokens * inner + probs);
        let mut hidden = Buffer::stale(tokens * d);
        let (qkv, rest) = saved.split_at_mut(3 * tokens * inner);
        let (attended, mut probs) = rest.split_at_mut(tokens * inner);
        vector::rms_norm(&tensors.x[span.start * d..span.end * d], tensors.gain, self.epsilon, &mut hidden);
        tensors.qkv.apply(&hidden, qkv);
        for row in rows.clone() {
            let at = self.local(row, span.start);
            let own = probs.split_off_mut(..self.heads.probs(at.len(), at.len())).expect("sized above");
            let out = matrix_mut(&mut attended[at.start * inner..at.end * inner], inner);
            let qkv = columns(&qkv[3 * at.start * inner..3 * at.end * inner], inner);
            self.heads.forward(qkv, tensors.bias, own, out);
        }
        tensors.out.apply(attended, &mut hidden);
        vector::add_update(out, &hidden, self.mask.map(|mask| (mask, span.start * d)));
        saved
    }

    /// Tokens of a row within a chunk that begins at token `start`.
    fn local(&self, row: usize, start: usize) -> Range<usize> {
        let row = self.packing.row(row);
        row.start - start..row.end - start
    }

    /// Gradients of x, gain, qkv, out and the bias.
    fn grads(&self, tensors: &Tensors<'_>, saved: &[Buffer], mut grad: Vec<f32>) -> [Vec<f32>; 5] {
        let (d, inner, plan) = (tensors.width(), tensors.inner(), Lanes::of(&self.packing));
        let sizes = [d, tensors.bias.map_or(0, |bias| bias.values.len()), 3 * inner * d, d * inner];
        let sizes_of_sums = Sums { added: sizes[0] + sizes[1], multiplied: sizes[2] + sizes[3] };
        let outputs = parts(&mut grad, plan.chunks.iter().map(|rows| self.packing.span(rows).len() * d));
        let mut sums = backward_lanes(&plan, (saved, outputs), sizes_of_sums, |chunk, grad, mut sums| {
            let sums = sizes.map(|size| sums.split_off_mut(..size).expect("sized above"));
            self.backward_chunk(tensors, &chunk, grad, sums);
        });
        let out = sums.split_off(sums.len() - sizes[3]);
        let qkv = sums.split_off(sizes[0] + sizes[1]);
        let bias = sums.split_off(d);
        [grad, sums, qkv, out, bias]
    }

    /// `grad` is that of the output and becomes that of `x`.
    fn backward_chunk(
        &self,
        tensors: &Tensors<'_>,
        chunk: &Chunk<'_>,
        grad: &mut [f32],
        [dgain, dbias, dqkv_weight, dout_weight]: [&mut [f32]; 4],
    ) {
        let (d, inner, span) = (tensors.width(), tensors.inner(), self.packing.span(&chunk.rows));
        let tokens = span.len();
        let (qkv, attended, mut probs) = split(chunk.saved, tokens, inner);
        let (mut dupdate, mut dattended) = (Buffer::stale(tokens * d), Buffer::stale(tokens * inner));
        let update = mask::before(self.mask, grad, span.start * d, &mut dupdate);
        tensors.out.grad(attended, update, (dout_weight, chunk.accumulate));
        tensors.out.input_grad(update, &mut dattended);
        let mut dqkv = Buffer::stale(3 * tokens * inner);
        for row in chunk.rows.clone() {
            let at = self.local(row, span.start);
            let own = probs.split_off(..self.heads.probs(at.len(), at.len())).expect("saved by forward");
            let mut scratch = Buffer::stale(at.len() * at.len());
            let wide = 3 * at.start * inner..3 * at.end * inner;
            let (query, rest) = matrix_mut(&mut dqkv[wide.clone()], 3 * inner).split_at_col_mut(inner);
            let (key, value) = rest.split_at_col_mut(inner);
            let bias = tensors.bias.map(|bias| BiasGrad {
                values: &mut *dbias,
                rows: bias.rows,
                columns: bias.columns,
            });
            self.heads.backward(
                (columns(&qkv[wide], inner), own),
                matrix(&dattended[at.start * inner..at.end * inner], inner),
                &mut RowGrads { query, key, value, accumulate: Accum::Replace },
                (&mut scratch, bias),
            );
        }
        // The buffer of the masked gradient has served; it takes the normalised input, then its gradient.
        let x = &tensors.x[span.start * d..span.end * d];
        vector::rms_norm(x, tensors.gain, self.epsilon, &mut dupdate);
        tensors.qkv.grad(&dupdate, &dqkv, (dqkv_weight, chunk.accumulate));
        tensors.qkv.input_grad(&dqkv, &mut dupdate);
        let normalized = Normalized { x, gain: tensors.gain, epsilon: self.epsilon };
        vector::rms_norm_backward(normalized, &dupdate, grad, dgain);
    }
}

impl Operator<4> for SelfAttention {
    fn forward(&self, inputs: [Input<'_>; 4], keep: Keep) -> Output {
        self.run(&Tensors::new(inputs, None), keep)
    }
    fn backward(&self, inputs: [Input<'_>; 4], saved: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 4] {
        let [x, gain, qkv, out, _] = self.grads(&Tensors::new(inputs, None), saved, grad);
        [x, gain, qkv, out]
    }
}

impl Operator<5> for SelfAttention {
    fn forward(&self, [x, gain, qkv, out, bias]: [Input<'_>; 5], keep: Keep) -> Output {
        self.run(&Tensors::new([x, gain, qkv, out], Some((bias, self.heads.count))), keep)
    }
    fn backward(
        &self,
        [x, gain, qkv, out, bias]: [Input<'_>; 5],
        saved: &[Buffer],
        grad: Vec<f32>,
    ) -> [Vec<f32>; 5] {
        self.grads(&Tensors::new([x, gain, qkv, out], Some((bias, self.heads.count))), saved, grad)
    }
}
