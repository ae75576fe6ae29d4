//! The operators that the model spends its time in, as functions on tensors.
//!
//! On the CPU each is one autodiff node with its own forward and backward (`node`, `flex`): burn's
//! primitives under autodiff cost 2-3 times as much. On other devices the same function is composed of burn's
//! operations (`composed`), which is also what the tests compare the fused operators with.

mod attention;
mod composed;
mod flex;
mod node;
mod rows;

use crate::random::Key;
use burn::backend::Dispatch;
use burn::prelude::*;
use node::FusedOps;
use std::sync::Arc;

/// Which keys a query may attend to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attend {
    /// Self-attention of right-padded rows: query and key positions below the row's length.
    /// Outputs at padded positions are unspecified (zero on the CPU) and must not be used.
    Within(Arc<[usize]>),
    /// Every query sees the keys below the row's length (cross-attention, cached decoding).
    To(Arc<[usize]>),
    /// Position `i` sees keys `0..=i`; queries and keys are the same positions.
    Causal,
}

impl Attend {
    /// Valid keys of batch row `row`, out of `keys`.
    fn keys(&self, row: usize, keys: usize) -> usize {
        match self {
            Self::Within(lengths) | Self::To(lengths) => lengths[row],
            Self::Causal => keys,
        }
    }
    /// Valid queries of batch row `row`, out of `queries`.
    fn queries(&self, row: usize, queries: usize) -> usize {
        match self {
            Self::Within(lengths) => lengths[row],
            Self::To(_) | Self::Causal => queries,
        }
    }
}

/// Queries, keys and values straight from their projections.
#[derive(Clone, Debug)]
pub struct AttentionInput {
    /// `[b, tq, h * dk]`.
    pub query: Tensor<3>,
    /// `[b, tk, h * dk]`.
    pub key: Tensor<3>,
    /// `[b, tk, h * dk]`.
    pub value: Tensor<3>,
    /// Added to the scores of every batch row, `[h, tq, tk]`; relative position bias.
    pub bias: Option<Tensor<3>>,
}

fn on_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// `x W^T`: weights are stored `[out, in]`, as in PyTorch and in the exported files.
///
/// # Shapes
/// - `x`: `[n, in]`, `weight`: `[out, in]`, result: `[n, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if on_cpu(&x.device()) {
        return Tensor::from_dispatch(Dispatch::fused_linear(x.into_dispatch(), weight.into_dispatch()));
    }
    composed::linear(x, weight)
}

/// Root-mean-square normalisation over the last axis, without bias or mean (T5, Zhang & Sennrich 2019).
///
/// # Shapes
/// - `x`: `[n, d]`, `gain`: `[d]`, result: `[n, d]`.
pub fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    if on_cpu(&x.device()) {
        let out = Dispatch::fused_rms_norm(x.into_dispatch(), gain.into_dispatch(), epsilon);
        return Tensor::from_dispatch(out);
    }
    composed::rms_norm(x, gain, epsilon)
}

/// Multi-head attention without the `1 / sqrt(d)` factor (T5 folds it into the initialisation).
///
/// # Shapes
/// - result: `[b, tq, h * dk]`.
pub fn attention(input: AttentionInput, heads: usize, attend: &Attend) -> Tensor<3> {
    if !on_cpu(&input.query.device()) {
        return composed::attention(input, heads, attend);
    }
    let AttentionInput { query, key, value, bias } = input;
    let (query, key, value) = (query.into_dispatch(), key.into_dispatch(), value.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => {
            Dispatch::fused_biased_attention(query, key, value, bias.into_dispatch(), heads, attend.clone())
        }
        None => Dispatch::fused_attention(query, key, value, heads, attend.clone()),
    })
}

/// Log-softmax of each row at its target.
///
/// # Shapes
/// - `logits`: `[n, v]`, `targets`: `[n]`, result: `[n]`.
pub fn target_log_prob(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    if on_cpu(&logits.device()) {
        let out = Dispatch::fused_target_log_prob(logits.into_dispatch(), targets.into_dispatch());
        return Tensor::from_dispatch(out);
    }
    composed::target_log_prob(logits, targets)
}

/// The log of the summed exponentials, computed on the CPU: the normaliser that [`target_log_prob`] subtracts from a
/// logit. Negative infinity of nothing.
pub fn log_sum_exp(values: impl Iterator<Item = f32>) -> f32 {
    let mut row: Vec<f32> = values.collect();
    let mut out = f32::NEG_INFINITY;
    rows::log_sum_exp(&mut row, &mut out);
    out
}

/// Inverted dropout whose mask is a function of (`key`, element), so that backward and a resumed run rebuild it.
///
/// # Shapes
/// - `x` and result: `[n, d]`.
pub fn dropout(x: Tensor<2>, rate: f64, key: Key) -> Tensor<2> {
    if rate == 0.0 {
        return x;
    }
    if on_cpu(&x.device()) {
        return Tensor::from_dispatch(Dispatch::fused_dropout(x.into_dispatch(), rate as f32, key));
    }
    composed::dropout(x, rate as f32, key)
}

#[cfg(test)]
mod tests;
