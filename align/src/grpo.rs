//! Group relative policy optimisation (`DeepSeekMath`, 2402.03300, eq. 3), per token.
//!
//! Departures: the clip bounds are separate (DAPO, 2503.14476, section 3.1); the aggregation is an option; the
//! log-ratio is capped at [`MAX_LOG_RATIO`].

use crate::advantage::Advantage;
use crate::kl::{MAX_LOG_RATIO, k3};
use crate::loss::{LossOutput, read_metrics};
use crate::tokens::{Aggregation, ValidTokens};
use burn::prelude::*;
use burn::tensor::Bool;
use serde::{Deserialize, Serialize};

/// `kind = "grpo"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpo {
    /// How far below 1 a ratio may fall while its advantage is negative, in `[0, 1)`. 0.2 is PPO's (1707.06347).
    pub clip_low: f64,
    /// How far above 1 a ratio may rise while its advantage is positive; at least 0. 0.2 is PPO's.
    pub clip_high: f64,
    /// Weight of the distance to the reference; at least 0. 1e-3 is `MiniOneRec`'s (2510.24431); 0.04 is `DeepSeekMath`'s.
    pub kl_weight: f64,
    /// How scores within a group become advantages.
    pub advantage: Advantage,
    /// How token losses become one number.
    pub aggregation: Aggregation,
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            clip_low: 0.2,
            clip_high: 0.2,
            kl_weight: 1e-3,
            advantage: Advantage::Standardized,
            aggregation: Aggregation::PerSequence,
        }
    }
}

/// Candidates of a step. Token log-probs are `[r, l]`, all of the same probability space.
#[derive(Clone, Debug)]
pub struct GrpoBatch {
    /// Under the policy being trained.
    pub policy: Tensor<2>,
    /// Under the policy that sampled them, as it was then.
    pub behavior: Tensor<2>,
    /// Under the frozen reference.
    pub reference: Tensor<2>,
    /// Advantage of each candidate, `[r]`.
    pub advantages: Tensor<1>,
    /// Which tokens count.
    pub valid: ValidTokens,
}

/// Per token, `-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) + kl_weight k3` with
/// `rho = policy / behavior`, aggregated over valid tokens. On the first pass over a rollout `rho` is 1 and the gradient
/// is `-A grad log policy`.
///
/// Metrics are TRL's, as means over valid tokens: `kl`; `clip_ratio/low_mean` (negative advantage, ratio below the lower bound),
/// `clip_ratio/high_mean` (positive advantage, ratio above the upper bound), `clip_ratio/region_mean` (either). Rewards are
/// measured where advantages are made ([`crate::advantage::reward_metrics`]).
///
/// # Panics
/// If shapes disagree.
pub fn grpo(batch: GrpoBatch, config: &Grpo) -> LossOutput {
    let [rows, tokens] = batch.policy.dims();
    assert_eq!(batch.behavior.dims(), [rows, tokens], "behavior log-probs");
    assert_eq!(batch.reference.dims(), [rows, tokens], "reference log-probs");
    assert_eq!(batch.advantages.dims(), [rows], "advantages");

    // Before anything is exponentiated: the gradient of an infinite exponential is NaN even where its weight is 0.
    let [policy, behavior, reference] =
        [batch.policy, batch.behavior, batch.reference].map(|values| batch.valid.zero_padding(values));
    let advantages = batch.advantages.reshape([rows, 1]).expand([rows, tokens]);
    let ratio = (policy.clone() - behavior).clamp_max(MAX_LOG_RATIO).exp();
    let clipped = ratio.clone().clamp(1.0 - config.clip_low, 1.0 + config.clip_high);
    let surrogate = (ratio.clone() * advantages.clone()).min_pair(clipped * advantages.clone());
    let divergence = k3(policy, reference);
    let losses = divergence.clone() * config.kl_weight - surrogate;

    let low = ratio.clone().lower_elem(1.0 - config.clip_low).bool_and(advantages.clone().lower_elem(0.0));
    let high = ratio.greater_elem(1.0 + config.clip_high).bool_and(advantages.greater_elem(0.0));
    let mean = |values| Aggregation::Tokens.reduce(values, &batch.valid);
    let share = |mask: Tensor<2, Bool>| mean(mask.float().cast(losses.dtype()));
    let metrics = read_metrics([
        ("kl", mean(divergence.detach())),
        ("clip_ratio/low_mean", share(low.clone())),
        ("clip_ratio/high_mean", share(high.clone())),
        ("clip_ratio/region_mean", share(low.bool_or(high))),
    ]);
    LossOutput { loss: config.aggregation.reduce(losses, &batch.valid), metrics }
}

#[cfg(test)]
mod tests;
