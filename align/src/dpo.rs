//! Direct preference optimisation (Rafailov et al. 2023, 2305.18290) and the pair losses that followed it.
//!
//! Each is a function of the two implicit rewards `c = beta log(policy / reference)` of the preferred candidate, `r` of the
//! other one, and their margin `m`, which is `c - r` unless another divergence is asked for. Formulas are TRL's.
//!
//! Departure: an exponent that could overflow is capped at [`MAX_LOG_RATIO`].

use crate::divergence::Divergence;
use crate::kl::MAX_LOG_RATIO;
use crate::loss::LossOutput;
use crate::preferences::{Preferences, RowLosses, chosen, preference_metrics, rejected};
use burn::prelude::*;
use burn::tensor::activation::{log_sigmoid, relu, sigmoid};
use serde::{Deserialize, Serialize};

/// `kind = "dpo"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dpo {
    /// Strength of the anchor; above 0. 0.1 is DPO's own and TRL's default.
    pub beta: f64,
    /// The function of the margin.
    pub loss: PairLoss,
    /// Share of labels believed to be wrong, in `[0, 0.5)`: `sigmoid` (cDPO), `robust`, `aot`, `aot-unpaired`, and `exo-pair`, which
    /// needs it above 0.
    pub label_smoothing: f64,
    /// How log-ratios count. Losses that read rewards one by one know reverse KL only ([`PairLoss::reads_margin`]).
    pub divergence: Divergence,
    /// Exponent of `divergence = "alpha"`; 0.5 is TRL's.
    pub alpha: f64,
    /// Temperature of `discopop`; above 0. 0.05 is the paper's (2406.08414).
    pub tau: f64,
}

impl Default for Dpo {
    fn default() -> Self {
        Self {
            beta: 0.1,
            loss: PairLoss::Sigmoid,
            label_smoothing: 0.0,
            divergence: Divergence::ReverseKl,
            alpha: 0.5,
            tau: 0.05,
        }
    }
}

/// A loss of one pair; `e` is the label smoothing, `s` the logistic function, `n` the number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairLoss {
    /// `-(1 - e) log s(m) - e log s(-m)`: DPO; with smoothing cDPO.
    #[default]
    Sigmoid,
    /// `relu(1 - m)` (`SLiC`, 2305.10425).
    Hinge,
    /// `((m / n - 1/2) / beta)^2` (IPO, 2310.12036, eq. 17), averaged per token as its authors advise.
    Ipo,
    /// `q (log q - log(1 - e)) + (1 - q)(log(1 - q) - log e)`, `q = s(m)` (EXO, 2402.00856, eq. 16).
    ExoPair,
    /// `-log s(c) - log s(-c) / 2 - log s(-r) / 2` (NCA, 2402.05369).
    NcaPair,
    /// `(-(1 - e) log s(m) + e log s(-m)) / (1 - 2 e)` (rDPO, 2403.00409): unbiased under flipped labels.
    Robust,
    /// `-log s(c) - log s(-r)` (BCO, 2404.04656, without its running mean).
    BcoPair,
    /// `((c - 1/2) / beta)^2 + ((r + 1/2) / beta)^2` (SPPO, 2405.00675, eq. 4.7 with hard probabilities).
    SppoHard,
    /// The sigmoid loss between the sorted `policy` margins of the batch and its sorted `reference` margins (AOT, 2406.05882).
    Aot,
    /// The sigmoid loss between the sorted `c` and the sorted `r` of the batch (AOT, 2406.05882).
    AotUnpaired,
    /// `s(-c) + s(r)` (APO-zero, 2408.06266, eq. 7).
    ApoZero,
    /// `s(c) + s(-(c - r))` (APO-down, 2408.06266, eq. 8).
    ApoDown,
    /// `-(1 - g) log s(m) + g exp(-m)`, `g = s(m / tau)` (`DiscoPOP`, 2406.08414, eq. 5).
    Discopop,
    /// `-log policy(preferred) / n`: cross-entropy, a term of MPO (2411.10442).
    Sft,
    /// `-log s(m / n)`: DPO averaged per token.
    SigmoidNorm,
}

impl PairLoss {
    /// Whether it reads the margin, which a divergence can change, rather than each reward.
    pub const fn reads_margin(self) -> bool {
        matches!(
            self,
            Self::Sigmoid
                | Self::Hinge
                | Self::Ipo
                | Self::ExoPair
                | Self::Robust
                | Self::Discopop
                | Self::SigmoidNorm
        )
    }
}

/// One loss per pair, `[r]`. Stable for any finite log-probabilities: no ratio is ever exponentiated alone, and the gradient
/// of the default tends to `-beta`, not to NaN, for a hopeless pair.
///
/// Metrics are TRL's (rewards with reverse KL, whatever the divergence): `rewards/chosen`, `rewards/rejected`,
/// `rewards/margins`, `rewards/accuracies`, `logps/chosen`, `logps/rejected`.
///
/// # Panics
/// If the tables differ in shape, are empty, or rows have not exactly two candidates.
pub fn dpo_per_pair(pairs: &Preferences, config: &Dpo) -> RowLosses {
    let rewards = pairs.rewards(config.beta);
    let losses = Pair { pairs, config, rewards: &rewards }.losses();
    (losses, preference_metrics(&rewards, &pairs.policy))
}

/// The mean of [`dpo_per_pair`] over pairs.
///
/// # Panics
/// As [`dpo_per_pair`].
pub fn dpo(pairs: &Preferences, config: &Dpo) -> LossOutput {
    let (losses, metrics) = dpo_per_pair(pairs, config);
    LossOutput { loss: losses.mean(), metrics }
}

/// Scalars are multiplied, not divided by: in f64 the backend divides by a scalar of f32.
struct Pair<'a> {
    pairs: &'a Preferences,
    config: &'a Dpo,
    rewards: &'a Tensor<2>,
}

impl Pair<'_> {
    fn losses(&self) -> Tensor<1> {
        let Dpo { beta, loss, label_smoothing: wrong, tau, .. } = *self.config;
        let tokens = self.pairs.tokens as f64;
        let (c, r) = (chosen(self.rewards), rejected(self.rewards));
        match loss {
            PairLoss::Sigmoid => smoothed(self.margin(), wrong),
            PairLoss::Hinge => relu(-self.margin() + 1.0),
            PairLoss::Ipo => square((self.margin() * (1.0 / tokens) - 0.5) * (1.0 / beta)),
            PairLoss::ExoPair => exo(self.margin(), wrong),
            PairLoss::NcaPair => -log_sigmoid(c.clone()) - (log_sigmoid(-c) + log_sigmoid(-r)) * 0.5,
            PairLoss::Robust => {
                let margin = self.margin();
                let clean = log_sigmoid(margin.clone()) * (1.0 - wrong);
                (log_sigmoid(-margin) * wrong - clean) * (1.0 / (1.0 - 2.0 * wrong))
            }
            PairLoss::BcoPair => -log_sigmoid(c) - log_sigmoid(-r),
            PairLoss::SppoHard => square((c - 0.5) * (1.0 / beta)) + square((r + 0.5) * (1.0 / beta)),
            PairLoss::Aot => {
                let margins = |table: &Tensor<2>| sorted(chosen(table) - rejected(table));
                smoothed((margins(&self.pairs.policy) - margins(&self.pairs.reference)) * beta, wrong)
            }
            PairLoss::AotUnpaired => smoothed(sorted(c) - sorted(r), wrong),
            PairLoss::ApoZero => sigmoid(-c) + sigmoid(r),
            PairLoss::ApoDown => sigmoid(c.clone()) + sigmoid(r - c),
            PairLoss::Discopop => discopop(self.margin(), tau),
            PairLoss::Sft => -chosen(&self.pairs.policy) * (1.0 / tokens),
            PairLoss::SigmoidNorm => -log_sigmoid(self.margin() * (1.0 / tokens)),
        }
    }

    /// `beta (f(chosen) - f(rejected))`.
    fn margin(&self) -> Tensor<1> {
        let Dpo { beta, divergence, alpha, .. } = *self.config;
        let (c, r) = (chosen(self.rewards), rejected(self.rewards));
        match divergence {
            Divergence::ReverseKl => c - r,
            other => (other.score(c * (1.0 / beta), alpha) - other.score(r * (1.0 / beta), alpha)) * beta,
        }
    }
}

/// The sigmoid loss with a share of wrong labels.
pub(crate) fn smoothed(margin: Tensor<1>, wrong: f64) -> Tensor<1> {
    if wrong == 0.0 {
        return -log_sigmoid(margin);
    }
    -log_sigmoid(margin.clone()) * (1.0 - wrong) - log_sigmoid(-margin) * wrong
}

fn square(values: Tensor<1>) -> Tensor<1> {
    values.clone() * values
}

fn exo(margin: Tensor<1>, wrong: f64) -> Tensor<1> {
    let side = |margin: Tensor<1>, target: f64| sigmoid(margin.clone()) * (log_sigmoid(margin) - target.ln());
    side(margin.clone(), 1.0 - wrong) + side(-margin, wrong)
}

fn discopop(margin: Tensor<1>, tau: f64) -> Tensor<1> {
    let gate = sigmoid(margin.clone() * (1.0 / tau));
    let exponential = (-margin.clone()).clamp_max(MAX_LOG_RATIO).exp();
    -log_sigmoid(margin) * (-gate.clone() + 1.0) + exponential * gate
}

/// Ascending; the gradient follows each value to its place.
fn sorted(values: Tensor<1>) -> Tensor<1> {
    let order = values.clone().detach().argsort(0);
    values.select(0, order)
}

#[cfg(test)]
mod tests;
