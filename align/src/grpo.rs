//! Group relative policy optimisation (`DeepSeekMath`, 2402.03300, eq. 3) and its family.
//!
//! A member of the family is a choice of surrogate, level of the ratio, aggregation, advantage and distance to the reference:
//!
//! | method | keys that differ from the defaults |
//! |---|---|
//! | Dr. GRPO 2503.20783 | `aggregation = "max-length"`, `advantage = "centered"`, `kl_weight = 0` |
//! | BNPO, DAPO 2503.14476 | `aggregation = "tokens"`, `clip_high = 0.28`, `kl_weight = 0` |
//! | GSPO 2507.18071 | `level = "sequence"`, `clip_low = 3e-4`, `clip_high = 4e-4`, `kl_weight = 0` |
//! | LUSPO 2602.05261 | `level = "sequence"`, `aggregation = "sequence-sum"` |
//! | RLOO 2402.14740 | `advantage = "leave-one-out"`, `kl = "k1"`, `kl_in = "reward"` |
//! | REINFORCE++ 2501.03262 | `advantage = "batch"`, `kl = "k1"`, `kl_in = "reward"` |
//! | `MiniOneRec` 2510.24431 | `reward = { kind = "rank-aware" }`, or `"rule"`, `"semantic"`, `"collaborative"` ([`Reward`]) |
//! | PARS, MSRA (`REG4Rec` 2508.15308, reconstructed) | `reward = { kind = "pars" }`, `{ kind = "msra" }` ([`Reward`]) |
//! | CISPO, SAPO, VESPO, ECPO, GBPO, dual clip | `surrogate = { kind = "cispo" }` and so on ([`Surrogate`]) |
//!
//! Departures: the clip bounds are separate (DAPO, 2503.14476, section 3.1); the log-ratio is capped at
//! [`MAX_LOG_RATIO`](crate::kl::MAX_LOG_RATIO).

use crate::advantage::Advantage;
use crate::kl::KlEstimator;
use crate::loss::{LossOutput, read_metrics};
use crate::rewarding::Reward;
use crate::surrogate::{Ratios, Surrogate};
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
    /// What is maximised.
    #[serde(skip_serializing_if = "is_default")]
    pub surrogate: Surrogate,
    /// What has one ratio.
    #[serde(skip_serializing_if = "is_default")]
    pub level: Level,
    /// How the distance to the reference is estimated.
    #[serde(skip_serializing_if = "is_default")]
    pub kl: KlEstimator,
    /// Where it counts.
    #[serde(skip_serializing_if = "is_default")]
    pub kl_in: KlPlace,
    /// What candidates are rewarded for.
    #[serde(skip_serializing_if = "is_default")]
    pub reward: Reward,
}

/// What has one ratio of probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Every token.
    #[default]
    Token,
    /// Every sequence: the geometric mean of its tokens' (GSPO, 2507.18071), whose log-probability is their mean. For `gbpo`,
    /// which compares with `1 - policy`, it is the product (`OneRec`-V2 does not say which level it means).
    Sequence,
}

/// Where the distance to the reference counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlPlace {
    /// In the loss, per token.
    #[default]
    Loss,
    /// Taken off the reward before advantages are made ([`rewards_with_kl`]).
    Reward,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Rewards less `config.kl_weight` times the estimated distance of each candidate, summed over its tokens; as they are where the
/// distance counts in the loss. The distance is that of the sampling policy: rewards do not move while the policy is trained.
///
/// # Panics
/// If there are not as many rewards as candidates.
pub fn rewards_with_kl(rewards: &[f64], candidates: &[CandidateLogProbs<'_>], config: &Grpo) -> Vec<f64> {
    assert_eq!(rewards.len(), candidates.len(), "one reward per candidate");
    let distance = |candidate: &CandidateLogProbs<'_>| -> f64 {
        let tokens = candidate.behavior.iter().zip(candidate.reference);
        tokens.map(|(&b, &r)| config.kl.number(f64::from(b), f64::from(r))).sum()
    };
    match config.kl_in {
        KlPlace::Loss => rewards.to_vec(),
        KlPlace::Reward => rewards
            .iter()
            .zip(candidates)
            .map(|(reward, candidate)| reward - config.kl_weight * distance(candidate))
            .collect(),
    }
}

/// Token log-probabilities of one candidate.
#[derive(Clone, Copy, Debug)]
pub struct CandidateLogProbs<'a> {
    /// Under the policy that sampled it.
    pub behavior: &'a [f32],
    /// Under the reference.
    pub reference: &'a [f32],
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            clip_low: 0.2,
            clip_high: 0.2,
            kl_weight: 1e-3,
            advantage: Advantage::Standardized,
            aggregation: Aggregation::PerSequence,
            surrogate: Surrogate::Clip,
            level: Level::Token,
            kl: KlEstimator::K3,
            kl_in: KlPlace::Loss,
            reward: Reward::Judge,
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

/// Per token, `-surrogate(rho, A) + kl_weight kl` with `rho = policy / behavior`, aggregated over valid tokens. On the first pass
/// over a rollout `rho` is 1 and the gradient of the default is `-A grad log policy`.
///
/// Metrics are TRL's, as means over valid tokens: `kl`; `clip_ratio/low_mean` (negative advantage, ratio below `1 - clip_low`),
/// `clip_ratio/high_mean` (positive advantage, ratio above `1 + clip_high`), `clip_ratio/region_mean` (either), whatever the surrogate
/// does there. Rewards are measured where advantages are made ([`crate::advantage::reward_metrics`]).
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
    let ratios = ratios((policy.clone(), behavior, advantages), &batch.valid, config);
    let surrogate = config.surrogate.values(&ratios);
    let divergence = config.kl.estimate(policy, reference);
    let losses = match config.kl_in {
        KlPlace::Loss => divergence.clone() * config.kl_weight - surrogate,
        KlPlace::Reward => -surrogate,
    };
    let metrics = metrics(&ratios, divergence, &batch.valid);
    LossOutput { loss: config.aggregation.reduce(losses, &batch.valid), metrics }
}

/// Ratios at the level of `config`.
fn ratios(
    (policy, behavior, advantages): (Tensor<2>, Tensor<2>, Tensor<2>),
    valid: &ValidTokens,
    config: &Grpo,
) -> Ratios {
    let log_ratio = policy.clone() - behavior;
    let shape = log_ratio.dims();
    let sums = |values: Tensor<2>| values.sum_dim(1).expand(shape);
    let sequence = sums(log_ratio.clone().detach());
    let (policy, log_ratio) = match (config.level, config.surrogate) {
        (Level::Token, _) => (policy, log_ratio),
        (Level::Sequence, Surrogate::Gbpo) => (sums(policy), sums(log_ratio)),
        (Level::Sequence, _) => (valid.row_means(policy), valid.row_means(log_ratio)),
    };
    let bounds = [1.0 - config.clip_low, 1.0 + config.clip_high];
    Ratios { policy, log_ratio, sequence, advantages, bounds }
}

fn metrics(ratios: &Ratios, divergence: Tensor<2>, valid: &ValidTokens) -> Vec<(&'static str, f64)> {
    let (ratio, advantages, [low, high]) =
        (ratios.ratio().detach(), ratios.advantages.clone(), ratios.bounds);
    let dtype = ratio.dtype();
    let low = ratio.clone().lower_elem(low).bool_and(advantages.clone().lower_elem(0.0));
    let high = ratio.greater_elem(high).bool_and(advantages.greater_elem(0.0));
    let mean = |values| Aggregation::Tokens.reduce(values, valid);
    let share = |mask: Tensor<2, Bool>| mean(mask.float().cast(dtype));
    read_metrics([
        ("kl", mean(divergence.detach())),
        ("clip_ratio/low_mean", share(low.clone())),
        ("clip_ratio/high_mean", share(high.clone())),
        ("clip_ratio/region_mean", share(low.bool_or(high))),
    ])
}

#[cfg(test)]
mod tests;
