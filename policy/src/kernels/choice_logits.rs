//! Logits of chosen columns only: deep in a trie a prefix has a handful of continuations, and a product with the whole
//! head would compute hundreds of logits to use a few.

use super::buffer::Buffer;
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::target_log_prob::Choices;
use super::vector;
use burn::tensor::Shape;
use rayon::prelude::*;
use std::sync::Arc;

/// `scale * x_i . W_j` for every choice `j` of every state `i`; states `[n, d]`, head `[v, d]`, result `[choices]`.
#[derive(Clone, Debug)]
pub(super) struct ChoiceLogits {
    pub(super) choices: Arc<Choices>,
    pub(super) scale: f32,
}

impl Operator<2> for ChoiceLogits {
    fn forward(&self, [states, head]: [Input<'_>; 2], _: Keep) -> Output {
        let (choices, d) = (&*self.choices, states.width);
        let mut values = vec![0.0; choices.columns.len()];
        let plan = Lanes::tokens(choices.starts.len() - 1);
        let of = |rows: &std::ops::Range<usize>| choices.starts[rows.end] - choices.starts[rows.start];
        let outputs = parts(&mut values, plan.chunks.iter().map(|rows| of(rows) as usize));
        plan.chunks.par_iter().zip(outputs).for_each(|(rows, mut out)| {
            for row in rows.clone() {
                let columns = choices.row(row);
                let own = out.split_off_mut(..columns.len()).expect("sized above");
                let state = &states.values[row * d..(row + 1) * d];
                vector::dots(state, (head.values, columns), self.scale, own);
            }
        });
        Output { shape: Shape::from([values.len()]), values, saved: Vec::new() }
    }

    fn backward(&self, [states, head]: [Input<'_>; 2], _: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; 2] {
        let d = states.width;
        let (mut dstates, mut dhead) = (vec![0.0; states.values.len()], vec![0.0; head.values.len()]);
        let mut grads = &grad[..];
        for row in 0..self.choices.starts.len() - 1 {
            let columns = self.choices.row(row);
            let own = grads.split_off(..columns.len()).expect("one gradient per choice");
            let at = row * d..(row + 1) * d;
            for (&column, grad) in columns.iter().zip(own) {
                let head_at = column as usize * d..(column as usize + 1) * d;
                let grad = grad * self.scale;
                vector::add_scaled(&mut dstates[at.clone()], &head.values[head_at.clone()], grad);
                vector::add_scaled(&mut dhead[head_at], &states.values[at.clone()], grad);
            }
        }
        [dstates, dhead]
    }
}
