//! Preference losses without a reference: CPO, `SimPO`, ORPO. Formulas are TRL's.

use crate::dpo::smoothed;
use crate::loss::{LossOutput, read_metrics};
use crate::preferences::{Preferences, chosen, preference_metrics, rejected};
use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;
use serde::{Deserialize, Serialize};

/// `kind = "cpo"`: `-log s(beta (log chosen - log rejected)) + nll_weight NLL(chosen)` (CPO, 2401.08417, eq. 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cpo {
    /// Temperature; above 0. 0.1 is the paper's and TRL's.
    pub beta: f64,
    /// Weight of the preferred candidate's negative log-likelihood per token; at least 0. 1 is the paper's.
    pub nll_weight: f64,
    /// Share of labels believed to be wrong, in `[0, 0.5)`.
    pub label_smoothing: f64,
}

impl Default for Cpo {
    fn default() -> Self {
        Self { beta: 0.1, nll_weight: 1.0, label_smoothing: 0.0 }
    }
}

/// `kind = "simpo"`: `-log s(beta (log chosen - log rejected) / n - gamma)`, `n` tokens (`SimPO`, 2405.14734, eq. 6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simpo {
    /// Scale of the average log-probability; above 0. 2 is the authors' for Llama 3 base.
    pub beta: f64,
    /// Margin the preferred candidate must reach; at least 0. 1 is half of beta, as there.
    pub gamma: f64,
}

impl Default for Simpo {
    fn default() -> Self {
        Self { beta: 2.0, gamma: 1.0 }
    }
}

/// `kind = "orpo"`: `NLL(chosen) - beta log s(log odds(chosen) - log odds(rejected))` (ORPO, 2403.07691, eq. 4 and 7), with
/// `odds = p / (1 - p)` of the probability per token, `p = exp(log-prob / n)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orpo {
    /// Weight of the odds ratio (the paper's lambda); at least 0. 0.1 is the paper's and TRL's.
    pub beta: f64,
}

impl Default for Orpo {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

/// CPO's loss over pairs. Metrics as in [`crate::dpo::dpo_per_pair`] with `beta log policy` as rewards, and `nll_loss`.
///
/// # Panics
/// If there is no pair or a row has not exactly two candidates.
pub fn cpo(pairs: &Preferences, config: &Cpo) -> LossOutput {
    let rewards = pairs.policy.clone() * config.beta;
    let losses = smoothed(chosen(&rewards) - rejected(&rewards), config.label_smoothing);
    with_likelihood(losses.mean(), &rewards, (pairs, config.nll_weight))
}

/// `SimPO`'s loss over pairs. Metrics as in [`cpo`], rewards per token.
///
/// # Panics
/// As [`cpo`].
pub fn simpo(pairs: &Preferences, config: &Simpo) -> LossOutput {
    let rewards = pairs.policy.clone() * (config.beta / pairs.tokens as f64);
    let losses = -log_sigmoid(chosen(&rewards) - rejected(&rewards) - config.gamma);
    LossOutput { loss: losses.mean(), metrics: preference_metrics(&rewards, &pairs.policy) }
}

/// ORPO's loss over pairs. Metrics as in [`cpo`], rewards per token.
///
/// # Panics
/// As [`cpo`].
pub fn orpo(pairs: &Preferences, config: &Orpo) -> LossOutput {
    let average = pairs.policy.clone() / pairs.tokens as f64;
    let log_odds = |average: Tensor<1>| average.clone() - log_complement(average);
    let difference = log_odds(chosen(&average)) - log_odds(rejected(&average));
    let losses = -log_sigmoid(difference) * config.beta;
    with_likelihood(losses.mean(), &(average * config.beta), (pairs, 1.0))
}

/// `loss` and the weighted negative log-likelihood of the preferred candidates, per token.
fn with_likelihood(loss: Tensor<1>, rewards: &Tensor<2>, (pairs, weight): (&Preferences, f64)) -> LossOutput {
    let likelihood = -chosen(&pairs.policy).mean() / pairs.tokens as f64;
    let mut metrics = preference_metrics(rewards, &pairs.policy);
    metrics.extend(read_metrics([("nll_loss", likelihood.clone())]));
    LossOutput { loss: loss + likelihood * weight, metrics }
}

/// A certain event has no odds: probabilities count as at most `exp` of this.
const MOST_LOG_PROB: f64 = -1e-6;
/// Above this, `1 - exp(x)` loses digits in f32; the series is exact there to 1e-8.
const SERIES_ABOVE: f64 = -0.03;

/// `log(1 - exp(x))` for `x <= 0`.
pub(crate) fn log_complement<const D: usize>(log_probs: Tensor<D>) -> Tensor<D> {
    let x = log_probs.clamp_max(MOST_LOG_PROB);
    let near_one = x.clone().greater_elem(SERIES_ABOVE);
    // Each branch sees only values it can digest, or the unused one's infinite gradient would spoil the other's.
    let inside = x.clone().mask_fill(near_one.clone().bool_not(), SERIES_ABOVE);
    let tail = (inside.clone() / 4.0 + 1.0) * inside.clone() / 3.0 + 1.0;
    let series = -inside.clone() * (tail * inside / 2.0 + 1.0);
    let outside = x.mask_fill(near_one.clone(), SERIES_ABOVE);
    let exact = -outside.exp() + 1.0;
    exact.mask_where(near_one, series).log()
}

#[cfg(test)]
mod tests;
