//! A mixture of experts in place of a decoder's feed-forward layer (OneRec, 2502.18965, eq. 7-9).
//!
//! `x + sum over the chosen experts of g_i FFN_i(h)` with `h = norm(x)`, `g = softmax(h E^T)`, not normalised again, as
//! published; shared experts (DeepSeekMoE, 2401.06066) see every token with gate 1. Only chosen experts are computed.
//!
//! Loads are balanced without a loss (Wang et al. 2024, 2408.15664): a bias per expert takes part in the choice but not in the
//! gate. After the choice of a training pass it rises by a fixed step where an expert was chosen less often than the mean,
//! and falls where more often. It is part of the weights but takes no gradient. Departures: the pass moves it, not the optimizer's
//! step, so it rests while a policy is aligned, where passes are without dropout: its log-probabilities are then a
//! function of the weights that the rollouts were sampled with.

use super::layers::{Dropout, FeedForward, Matrix, Norm};
use super::routes::Routes;
use super::stack::feed_forward_masks;
use crate::kernels::{self, Mask};
use crate::random::Key;
use burn::module::RunningState;
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::{relu, softmax};
use serde::{Deserialize, Serialize};

/// Standard deviation of the router's initial rows; its input has unit variance.
const ROUTER_STD: f64 = 0.02;
/// Dropout part of the shared experts; the others have those from 0 on.
const SHARED: u64 = 1 << 32;

/// Experts of every decoder block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpertsConfig {
    /// Experts to choose from.
    pub num_experts: usize,
    /// Experts of one token.
    pub num_experts_per_token: usize,
    /// Experts of all tokens.
    pub num_shared_experts: usize,
    /// How far a bias moves in a training pass.
    pub balance_rate: f64,
}

/// What follows cross-attention in a decoder block.
#[derive(Module, Debug)]
pub(super) enum DecoderFeedForward {
    /// One layer for all tokens.
    Dense(FeedForward),
    /// A choice of layers.
    Experts(Experts),
}

impl DecoderFeedForward {
    /// Residual included.
    pub(super) fn apply(&self, x: Tensor<2>, norm: &Norm, dropout: Dropout) -> Tensor<2> {
        match self {
            Self::Dense(layer) => layer.apply(x, norm, feed_forward_masks(dropout)),
            Self::Experts(experts) => experts.apply(x, norm, dropout),
        }
    }

    /// How many of the tokens `x [n, d]` each expert is chosen for; `None` without experts.
    pub(super) fn loads(&self, x: Tensor<2>, norm: &Norm) -> Option<Vec<usize>> {
        let Self::Experts(experts) = self else { return None };
        Some(experts.loads(&experts.choose(&experts.scores(norm.apply(x)))))
    }
}

/// Router and experts.
#[derive(Module, Debug)]
pub(super) struct Experts {
    /// `[experts, d]`.
    router: Matrix,
    expert: Vec<FeedForward>,
    shared: Vec<FeedForward>,
    /// Added to the scores where experts are chosen, `[experts]`.
    balance: RunningState<Tensor<1>>,
    per_token: usize,
    rate: f64,
}

impl Experts {
    /// `[d, ff]`: widths of the residual stream and inside one expert.
    pub(super) fn new(
        config: &ExpertsConfig,
        ([d, ff], gain): ([usize; 2], f64),
        key: Key,
        device: &Device,
    ) -> Self {
        let experts = |count: usize, name: &str| {
            let one = |i: usize| FeedForward::new([d, ff], gain, key.named(name).at(i as u64), device);
            (0..count).map(one).collect()
        };
        Self {
            router: Matrix::new([config.num_experts, d], ROUTER_STD, key.named("router"), device),
            expert: experts(config.num_experts, "expert"),
            shared: experts(config.num_shared_experts, "shared"),
            balance: RunningState::new(Tensor::zeros([config.num_experts], device)),
            per_token: config.num_experts_per_token,
            rate: config.balance_rate,
        }
    }

    fn apply(&self, x: Tensor<2>, norm: &Norm, dropout: Dropout) -> Tensor<2> {
        let hidden = norm.apply(x.clone());
        let scores = self.scores(hidden.clone());
        let chosen = self.choose(&scores);
        if let Dropout::On { .. } = dropout {
            self.rebalance(&chosen);
        }
        let inside = |part: u64| feed_forward_masks(dropout.part(part))[0];
        let mut update = self.routed(&hidden, scores, &Routes::new(&chosen, self.expert.len()), inside);
        for (i, expert) in self.shared.iter().enumerate() {
            update = update + value(expert, hidden.clone(), inside(SHARED + i as u64));
        }
        x + kernels::dropout(update, feed_forward_masks(dropout)[1])
    }

    /// Affinities of tokens to experts, `[n, experts]`.
    fn scores(&self, hidden: Tensor<2>) -> Tensor<2> {
        softmax(kernels::linear(hidden, self.router.weight.val()), 1)
    }

    /// The experts of every token, best first. Scores are read back; a choice has no gradient.
    fn choose(&self, scores: &Tensor<2>) -> Vec<Vec<u32>> {
        let experts = self.expert.len();
        let balance: Vec<f32> = self.balance.value().into_data().iter::<f32>().collect();
        let scores: Vec<f32> = scores.to_data().iter::<f32>().collect();
        let best = |row: &[f32]| {
            let biased: Vec<f32> = row.iter().zip(&balance).map(|(score, bias)| score + bias).collect();
            let mut order: Vec<u32> = (0..experts as u32).collect();
            order.sort_by(|&a, &b| biased[b as usize].total_cmp(&biased[a as usize]));
            order.truncate(self.per_token);
            order
        };
        scores.chunks_exact(experts).map(best).collect()
    }

    /// How many tokens each expert is chosen for.
    fn loads(&self, chosen: &[Vec<u32>]) -> Vec<usize> {
        let mut loads = vec![0; self.expert.len()];
        for &expert in chosen.iter().flatten() {
            loads[expert as usize] += 1;
        }
        loads
    }

    /// A step of every bias towards equal loads.
    fn rebalance(&self, chosen: &[Vec<u32>]) {
        let (experts, loads) = (self.expert.len(), self.loads(chosen));
        let total: usize = loads.iter().sum();
        let step = |load: usize| match (load * experts).cmp(&total) {
            std::cmp::Ordering::Less => self.rate as f32,
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => -self.rate as f32,
        };
        let steps: Vec<f32> = loads.into_iter().map(step).collect();
        let balance = self.balance.value();
        let steps = Tensor::from_data(TensorData::new(steps, [experts]), &balance.device());
        self.balance.update(balance + steps);
        // What is saved is the value, not what waits to become it.
        self.balance.value_sync();
    }

    /// Gated sums of the chosen experts, `[n, d]`.
    fn routed(
        &self,
        hidden: &Tensor<2>,
        scores: Tensor<2>,
        routes: &Routes,
        inside: impl Fn(u64) -> Option<Mask>,
    ) -> Tensor<2> {
        let [n, experts] = scores.dims();
        let computed = self.expert.iter().zip(&routes.tokens).enumerate();
        let outputs = computed.filter(|(_, (_, tokens))| !tokens.is_empty()).map(|(i, (expert, tokens))| {
            value(expert, kernels::gather(hidden.clone(), tokens), inside(i as u64))
        });
        let outputs = Tensor::cat(outputs.collect(), 0);
        let gates = kernels::gather(scores.reshape([n * experts, 1]), &routes.gates);
        kernels::gather_sums(outputs * gates, &routes.back, self.per_token)
    }
}

/// `wo(relu(wi(x)))`.
fn value(expert: &FeedForward, x: Tensor<2>, inside: Option<Mask>) -> Tensor<2> {
    let hidden = kernels::dropout(relu(kernels::linear(x, expert.wi.weight.val())), inside);
    kernels::linear(hidden, expert.wo.weight.val())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experts() -> Experts {
        let config = ExpertsConfig {
            num_experts: 5,
            num_experts_per_token: 2,
            num_shared_experts: 0,
            balance_rate: 1.0 / 512.0,
        };
        Experts::new(&config, ([8, 4], 1.0), Key::new(1), &Device::flex())
    }

    /// Biases in steps of the rate.
    fn balance(experts: &Experts) -> Vec<i32> {
        experts.balance.value().into_data().iter::<f32>().map(|bias| (bias * 512.0) as i32).collect()
    }

    /// Largest share of the choices that one expert has, where fair is 0.2.
    fn largest_share(chosen: &[Vec<u32>]) -> f64 {
        let routes = Routes::new(chosen, 5);
        let most = routes.tokens.iter().map(Vec::len).max().unwrap();
        most as f64 / routes.gates.len() as f64
    }

    #[test]
    fn training_passes_balance_the_loads_and_others_leave_the_biases() {
        let experts = experts();
        let norm = Norm::new(8, 1e-6, &Device::flex());
        let key = Key::new(2);
        // Tokens much alike: without balance all go to two experts.
        let values = (0..64 * 8).map(|i| 1.0 + (i % 8) as f32 + 2.0 * key.at(i).unit() as f32).collect();
        let x: Tensor<2> = Tensor::from_data(TensorData::new(values, [64, 8]), &Device::flex());
        let scores =
            softmax(kernels::linear(norm.apply(x.clone()), experts.router.weight.val().mul_scalar(40.0)), 1);
        assert!(largest_share(&experts.choose(&scores)) > 0.45);
        experts.apply(x, &norm, Dropout::Off);
        assert_eq!(balance(&experts), [0; 5]);
        for _ in 0..600 {
            experts.rebalance(&experts.choose(&scores));
        }
        assert!(largest_share(&experts.choose(&scores)) < 0.3, "{:?}", balance(&experts));
    }

    #[test]
    fn a_training_pass_moves_every_bias_by_the_rate() {
        let experts = experts();
        experts.rebalance(&[vec![0, 1], vec![0, 2], vec![0, 3]]);
        // Mean load 6 / 5: above it for the first, below for the others.
        assert_eq!(balance(&experts), [-1, 1, 1, 1, 1]);
    }
}
