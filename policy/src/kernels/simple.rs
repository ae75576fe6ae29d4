//! The operators that are one thing only: linear maps, normalisation, dropout, activations, rows of a table.

use super::buffer::Buffer;
use super::mask::Mask;
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::parallel::{Sums, backward_lanes, forward_chunks, zeros};
use super::products::Weight;
use super::vector::{self, Normalized};
use burn::tensor::Shape;
use rayon::prelude::*;
use std::sync::Arc;

/// `x W^T` of `x [n, in]` and `W [out, in]`.
#[derive(Clone, Debug)]
pub(super) struct Linear;

impl Operator<2> for Linear {
    fn forward(&self, [x, weight]: [Input<'_>; 2], keep: Keep) -> Output {
        let weight = Weight { values: weight.values, inputs: x.width };
        let (tokens, outputs) = (x.values.len() / x.width, weight.outputs());
        let plan = Lanes::tokens(tokens);
        let mut values = zeros(tokens * outputs);
        let chunks = parts(&mut values, plan.chunks.iter().map(|tokens| tokens.len() * outputs));
        let saved = forward_chunks(&plan, chunks, keep, |tokens, out| {
            weight.apply(&x.values[tokens.start * x.width..tokens.end * x.width], out);
            Buffer::default()
        });
        Output { values, shape: Shape::from([tokens, outputs]), saved }
    }
    fn backward(&self, [x, weight]: [Input<'_>; 2], saved: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 2] {
        let weight = Weight { values: weight.values, inputs: x.width };
        let outputs = weight.outputs();
        let plan = Lanes::tokens(x.values.len() / x.width);
        let mut dx = zeros(x.values.len());
        let chunks = parts(&mut dx, plan.chunks.iter().map(|tokens| tokens.len() * x.width));
        let sums = Sums { added: 0, multiplied: weight.values.len() };
        let dweight = backward_lanes(&plan, (saved, chunks), sums, |chunk, dx, dweight| {
            let grad = &grad[chunk.rows.start * outputs..chunk.rows.end * outputs];
            let x = &x.values[chunk.rows.start * x.width..chunk.rows.end * x.width];
            weight.input_grad(grad, dx);
            weight.grad(x, grad, (dweight, chunk.accumulate));
        });
        [dx, dweight]
    }
}

/// Root-mean-square normalisation of `x [n, d]` with `gain [d]`.
#[derive(Clone, Debug)]
pub(super) struct RmsNorm {
    pub(super) epsilon: f32,
}

impl Operator<2> for RmsNorm {
    fn forward(&self, [x, gain]: [Input<'_>; 2], _: Keep) -> Output {
        let mut values = zeros(x.values.len());
        let rows = Lanes::tokens(x.values.len() / x.width);
        let chunks = parts(&mut values, rows.chunks.iter().map(|rows| rows.len() * x.width));
        rows.chunks.par_iter().zip(chunks).for_each(|(rows, out)| {
            let x = &x.values[rows.start * x.width..rows.end * x.width];
            vector::rms_norm(x, gain.values, self.epsilon, out);
        });
        Output { shape: Shape::from([values.len() / x.width, x.width]), values, saved: Vec::new() }
    }
    fn backward(&self, [x, gain]: [Input<'_>; 2], saved: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 2] {
        let plan = Lanes::tokens(x.values.len() / x.width);
        let mut dx = zeros(x.values.len());
        let chunks = parts(&mut dx, plan.chunks.iter().map(|rows| rows.len() * x.width));
        let sums = Sums { added: x.width, multiplied: 0 };
        let dgain = backward_lanes(&plan, (saved, chunks), sums, |chunk, dx, dgain| {
            let range = chunk.rows.start * x.width..chunk.rows.end * x.width;
            let normalized =
                Normalized { x: &x.values[range.clone()], gain: gain.values, epsilon: self.epsilon };
            vector::rms_norm_backward(normalized, &grad[range], dx, dgain);
        });
        [dx, dgain]
    }
}

/// Multiplies `x [n, d]` by a mask.
#[derive(Clone, Debug)]
pub(super) struct Dropout {
    pub(super) mask: Mask,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = zeros(x.len());
        out.par_chunks_mut(PART)
            .zip(x.par_chunks(PART))
            .enumerate()
            .for_each(|(part, (out, x))| vector::dropped(x, self.mask, part * PART, out));
        out
    }
}

impl Operator<1> for Dropout {
    fn forward(&self, [x]: [Input<'_>; 1], _: Keep) -> Output {
        let values = self.apply(x.values);
        Output { shape: Shape::from([values.len() / x.width, x.width]), values, saved: Vec::new() }
    }
    fn backward(&self, _: [Input<'_>; 1], _: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 1] {
        [self.apply(&grad)]
    }
}

/// Values per task of what works element by element.
const PART: usize = 1 << 14;

/// `x * sigmoid(x)` of `x [n, d]`.
#[derive(Clone, Debug)]
pub(super) struct Silu;

impl Operator<1> for Silu {
    fn forward(&self, [x]: [Input<'_>; 1], _: Keep) -> Output {
        let mut values = zeros(x.values.len());
        let parts = values.par_chunks_mut(PART).zip(x.values.par_chunks(PART));
        parts.for_each(|(out, x)| vector::silu(x, out));
        Output { shape: Shape::from([values.len() / x.width, x.width]), values, saved: Vec::new() }
    }
    fn backward(&self, [x]: [Input<'_>; 1], _: &[Buffer], mut grad: Vec<f32>) -> [Vec<f32>; 1] {
        let parts = grad.par_chunks_mut(PART).zip(x.values.par_chunks(PART));
        parts.for_each(|(grad, x)| vector::silu_backward(x, grad));
        [grad]
    }
}

/// Sums of `per` neighbours among rows of a table `[v, d]`.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    pub(super) rows: Arc<[u32]>,
    pub(super) per: usize,
}

impl Operator<1> for Gather {
    fn forward(&self, [table]: [Input<'_>; 1], _: Keep) -> Output {
        let d = table.width;
        let row = |row: u32| &table.values[row as usize * d..][..d];
        let mut values = Vec::with_capacity(self.rows.len() / self.per * d);
        for rows in self.rows.chunks_exact(self.per) {
            let start = values.len();
            values.extend_from_slice(row(rows[0]));
            for &other in &rows[1..] {
                vector::add(&mut values[start..], row(other));
            }
        }
        Output { values, shape: Shape::from([self.rows.len() / self.per, d]), saved: Vec::new() }
    }
    /// Every task owns a range of the table and adds what belongs there in the order of the rows.
    fn backward(&self, [table]: [Input<'_>; 1], _: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 1] {
        const TASKS: usize = 16;
        let d = table.width;
        let owned = (table.values.len() / d).div_ceil(TASKS).max(1);
        let mut sum = vec![0.0; table.values.len()];
        sum.par_chunks_mut(owned * d).enumerate().for_each(|(task, sum)| {
            let own = task * owned..(task + 1) * owned;
            for (rows, grad) in self.rows.chunks_exact(self.per).zip(grad.chunks_exact(d)) {
                for &row in rows.iter().filter(|&&row| own.contains(&(row as usize))) {
                    vector::add(&mut sum[(row as usize - own.start) * d..][..d], grad);
                }
            }
        });
        [sum]
    }
}
