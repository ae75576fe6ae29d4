//! `x + dropout(dropout(relu(rms_norm(x) W_i)) W_o)`: the feed-forward half of a pre-norm block, as one operator.

use super::buffer::Buffer;
use super::mask::{self, Mask};
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::parallel::{Chunk, Sums, backward_lanes, copied, forward_chunks};
use super::products::Weight;
use super::vector::{self, Normalized};
use burn::tensor::Shape;
use std::ops::Range;

/// Everything but the tensors: `x [n, d]`, `gain [d]`, `inner [ff, d]`, `outer [d, ff]`.
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    pub(super) epsilon: f32,
    /// Dropout after the rectifier and after the block.
    pub(super) masks: Option<[Mask; 2]>,
}

struct Tensors<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    inner: Weight<'a>,
    outer: Weight<'a>,
}

impl<'a> Tensors<'a> {
    fn new([x, gain, inner, outer]: [Input<'a>; 4]) -> Self {
        let weight = |weight: Input<'a>| Weight { values: weight.values, inputs: weight.width };
        Self { x: x.values, gain: gain.values, inner: weight(inner), outer: weight(outer) }
    }
    fn width(&self) -> usize {
        self.gain.len()
    }
    fn plan(&self) -> Lanes {
        Lanes::tokens(self.x.len() / self.width())
    }
}

impl FeedForward {
    fn forward_chunk(&self, tensors: &Tensors<'_>, tokens: &Range<usize>, out: &mut [f32]) -> Buffer {
        let (d, wide) = (tensors.width(), tensors.outer.inputs);
        let mut saved = Buffer::stale(tokens.len() * wide);
        let mut hidden = Buffer::stale(tokens.len() * d);
        vector::rms_norm(
            &tensors.x[tokens.start * d..tokens.end * d],
            tensors.gain,
            self.epsilon,
            &mut hidden,
        );
        tensors.inner.apply(&hidden, &mut saved);
        vector::relu(&mut saved, self.masks.map(|[inner, _]| (inner, tokens.start * wide)));
        tensors.outer.apply(&saved, &mut hidden);
        vector::add_update(out, &hidden, self.masks.map(|[_, outer]| (outer, tokens.start * d)));
        saved
    }

    /// `grad` is that of the output and becomes that of `x`.
    fn backward_chunk(
        &self,
        tensors: &Tensors<'_>,
        chunk: &Chunk<'_>,
        grad: &mut [f32],
        [dgain, dinner, douter]: [&mut [f32]; 3],
    ) {
        let (d, tokens) = (tensors.width(), &chunk.rows);
        let (mut dupdate, mut dhidden) = (Buffer::stale(tokens.len() * d), Buffer::stale(chunk.saved.len()));
        let update = mask::before(self.masks.map(|[_, outer]| outer), grad, tokens.start * d, &mut dupdate);
        tensors.outer.grad(chunk.saved, update, (douter, chunk.accumulate));
        tensors.outer.input_grad(update, &mut dhidden);
        let scale = self.masks.map_or(1.0, |[inner, _]| inner.scale());
        vector::relu_backward(&mut dhidden, chunk.saved, scale);
        let x = &tensors.x[tokens.start * d..tokens.end * d];
        vector::rms_norm(x, tensors.gain, self.epsilon, &mut dupdate);
        tensors.inner.grad(&dupdate, &dhidden, (dinner, chunk.accumulate));
        tensors.inner.input_grad(&dhidden, &mut dupdate);
        let normalized = Normalized { x, gain: tensors.gain, epsilon: self.epsilon };
        vector::rms_norm_backward(normalized, &dupdate, grad, dgain);
    }
}

impl Operator<4> for FeedForward {
    fn forward(&self, inputs: [Input<'_>; 4], keep: Keep) -> Output {
        let tensors = Tensors::new(inputs);
        let (d, plan) = (tensors.width(), tensors.plan());
        let mut values = copied(tensors.x);
        let shape = Shape::from([values.len() / d, d]);
        let outputs = parts(&mut values, plan.chunks.iter().map(|tokens| tokens.len() * d));
        let saved =
            forward_chunks(&plan, outputs, keep, |tokens, out| self.forward_chunk(&tensors, tokens, out));
        Output { values, shape, saved }
    }

    fn backward(&self, inputs: [Input<'_>; 4], saved: &[Buffer], mut grad: Vec<f32>) -> [Vec<f32>; 4] {
        let tensors = Tensors::new(inputs);
        let (d, plan) = (tensors.width(), tensors.plan());
        let sizes = [d, tensors.inner.values.len(), tensors.outer.values.len()];
        let sums = Sums { added: d, multiplied: sizes[1] + sizes[2] };
        let outputs = parts(&mut grad, plan.chunks.iter().map(|tokens| tokens.len() * d));
        let mut sums = backward_lanes(&plan, (saved, outputs), sums, |chunk, grad, mut sums| {
            let sums = sizes.map(|size| sums.split_off_mut(..size).expect("sized above"));
            self.backward_chunk(&tensors, &chunk, grad, sums);
        });
        let mut inner = sums.split_off(d);
        let outer = inner.split_off(sizes[1]);
        [grad, sums, inner, outer]
    }
}
