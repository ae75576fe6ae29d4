//! A judge by metric learning: users and items as directions, near where the user approved.
//!
//! Per head `x` a pair's logit is `a_x cos(U_x u, V_x v) + (l_x . u + b_x)`. The directions are learned by contrast
//! ([`sampled_softmax`]) and by the cross-entropy of the heads, which also fits scale and level: contrast alone knows neither who
//! approves of much nor what was shown and not approved of.
//!
//! Sampled softmax with in-batch negatives and the correction for how often an item is sampled: Yi et al. 2019 (Sampling-bias-
//! corrected neural modeling for large corpus item recommendations), equation 5. Departures: `q` is the share of the training
//! interactions instead of an estimate from the stream; the same item elsewhere in the batch is no negative; one space per head.

use super::encoder::Encoder;
use super::layers::{Dense, Init};
use super::{ListInput, ModelConfig, Outputs};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::{DType, TensorData, activation};

/// Divides cosines in the contrast.
const TEMPERATURE: f64 = 0.1;
/// Multiplies cosines in the logits of the heads, before training.
const SCALE: f32 = 5.0;
/// Added to the score of what is no negative; `exp` of it is exactly 0.
const LEFT_OUT: f64 = -1e9;
/// A vector shorter than this has no direction.
const SHORTEST: f64 = 1e-6;

/// The weights of the metric judge.
#[derive(Module, Debug)]
pub struct MetricModel {
    encoder: Encoder,
    users: Dense,
    items: Dense,
    level: Dense,
    /// `[x]`.
    scale: Param<Tensor<1>>,
}

impl MetricModel {
    pub(super) fn new(config: &ModelConfig, init: Init<'_>) -> Self {
        let (d, heads) = (config.width, config.heads);
        let directions = |name| Dense::new([d, heads * d.div_ceil(2)], 0.0, init.named(name));
        let scale = Tensor::from_data(TensorData::new(vec![SCALE; heads], [heads]), init.device);
        Self {
            encoder: Encoder::new(config, init),
            users: directions("users"),
            items: directions("items"),
            level: Dense::new([d, heads], 0.0, init.named("level")),
            scale: Param::from_tensor(scale),
        }
    }
    fn heads(&self) -> usize {
        self.scale.dims()[0]
    }
    /// `[rows, x * k]`, every head's part of unit length.
    fn directions(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = x.dims();
        let x = x.reshape([rows, self.heads(), columns / self.heads()]);
        let length = (x.clone() * x.clone()).sum_dim(2).add_scalar(SHORTEST * SHORTEST).sqrt();
        (x / length).reshape([rows, columns])
    }

    /// The sum over heads of [`sampled_softmax`].
    ///
    /// # Shapes
    /// `states: [c, 2 * x * k]` of [`Outputs::states`], `labels: [c, x]`; output `[1]`.
    pub(super) fn contrast(&self, states: &Tensor<2>, labels: &Tensor<2>, crowd: &Crowd) -> Tensor<1> {
        let [lists, columns] = states.dims();
        let width = columns / 2 / self.heads();
        let part = |at: usize| states.clone().slice([0..lists, at * width..(at + 1) * width]);
        let head = |head: usize| {
            let positive = labels.clone().slice([0..lists, head..head + 1]);
            sampled_softmax([part(head), part(self.heads() + head)], positive, (crowd, TEMPERATURE))
        };
        Tensor::cat((0..self.heads()).map(head).collect(), 0).sum()
    }
}

impl super::Architecture for MetricModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }
    fn item_side(&self, vectors: Tensor<2>) -> Tensor<2> {
        self.directions(self.items.apply(vectors))
    }
    fn user_side(&self, users: Tensor<2>) -> Tensor<2> {
        let directions = self.directions(self.users.apply(users.clone()));
        Tensor::cat(vec![directions, self.level.apply(users)], 1)
    }
    fn outputs(&self, input: ListInput) -> Outputs {
        let [lists, length, columns] = input.items.dims();
        assert!(length == 1, "point-wise models judge items one by one, this list has {length}");
        let items = input.items.reshape([lists, columns]);
        let users = input.users.clone().slice([0..lists, 0..columns]);
        let level = input.users.slice([0..lists, columns..columns + self.heads()]);
        let products = (users.clone() * items.clone()).reshape([lists, self.heads(), columns / self.heads()]);
        let cosines = products.sum_dim(2).reshape([lists, self.heads()]);
        let heads = cosines * self.scale.val().unsqueeze() + level;
        Outputs { heads, personal: None, states: Some(Tensor::cat(vec![users, items], 1)) }
    }
}

/// The items of a batch's lists, among which a list's own is to be found.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd {
    /// Which item.
    pub items: Vec<usize>,
    /// Logarithm of the share of its item among all that batches draw.
    pub log_q: Vec<f32>,
}

/// The mean over positive rows `i` of `-ln softmax_j(u_i . v_j / temperature - ln q_j)_i`, where `j` is every row of another item and
/// `i` itself; 0 without a positive row. At its least `u . v / temperature` is the log probability of the item given the user,
/// whatever the rates at which items are drawn.
///
/// # Shapes
/// `users`, `items: [c, k]`, `positive: [c, 1]` of 0 and 1; output `[1]`.
pub fn sampled_softmax(
    [users, items]: [Tensor<2>; 2],
    positive: Tensor<2>,
    (crowd, temperature): (&Crowd, f64),
) -> Tensor<1> {
    let (rows, device, dtype) = (users.dims()[0], users.device(), users.dtype());
    let constant = |values: Vec<f32>| square(values, rows, (&device, dtype));
    let pair = |at: usize| (at / rows, at % rows);
    let same = |at: usize| {
        let (i, j) = pair(at);
        f32::from(i != j && crowd.items[i] == crowd.items[j])
    };
    let diagonal = constant((0..rows * rows).map(|at| f32::from(at / rows == at % rows)).collect());
    let rate = constant((0..rows * rows).map(|at| crowd.log_q[pair(at).1]).collect());
    let repeated = constant((0..rows * rows).map(same).collect()).mul_scalar(LEFT_OUT);
    let scores = users.matmul(items.transpose()).mul_scalar(temperature.recip()) - rate + repeated;
    let own = (activation::log_softmax(scores, 1) * diagonal).sum_dim(1);
    let count = positive.clone().sum().clamp_min(1.0);
    -(own * positive).sum() / count
}

fn square(values: Vec<f32>, rows: usize, (device, dtype): (&Device, DType)) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [rows, rows]), (device, dtype))
}

#[cfg(test)]
mod tests;
