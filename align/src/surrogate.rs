//! What a policy gradient maximises per token: a function of the probability ratio `rho = policy / behavior` and the advantage
//! `A`. Everything else of the GRPO family - level, aggregation, advantage, distance to the reference - is independent of it.
//!
//! Every ratio is capped at `exp` of [`MAX_LOG_RATIO`], past which it gives no gradient.

use crate::kl::MAX_LOG_RATIO;
use crate::reference_free::log_complement;
use burn::prelude::*;
use burn::tensor::activation::sigmoid;
use serde::{Deserialize, Serialize};

/// The surrogate. `lo` and `hi` are `1 - clip_low` and `1 + clip_high`; `sg` stops the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Surrogate {
    /// `min(rho A, clip(rho, lo, hi) A)` (PPO, 1707.06347; GRPO).
    #[default]
    Clip,
    /// The same, but for `A < 0` at least `bound A` (dual clip, 1912.09729; verl `clip_ratio_c`).
    DualClip {
        /// Above `hi`; 3 is the paper's and verl's.
        #[serde(default = "dual_bound")]
        bound: f64,
    },
    /// The same with `rho` clamped at `bound` first (INTELLECT-2, 2505.07291; TRL `delta`): unlike `ecpo` it stops the gradient.
    TwoSided {
        /// Above `hi`; 4 is INTELLECT-2's.
        #[serde(default = "two_sided_bound")]
        bound: f64,
    },
    /// `sg(min(rho, bound)) A log policy` (CISPO, 2506.13585; TRL's `epsilon_high` is `bound`).
    Cispo {
        /// Above 0; 5 is `ScaleRL`'s (2510.13786), recommended by TRL.
        #[serde(default = "cispo_bound")]
        bound: f64,
    },
    /// `4 / t s(t (rho - 1)) A`, `t` by the sign of `A` (SAPO, 2511.20347).
    Sapo {
        /// For `A > 0`; 1 is the paper's.
        #[serde(default = "sapo_positive")]
        positive: f64,
        /// For other `A`; 1.05 is the paper's.
        #[serde(default = "sapo_negative")]
        negative: f64,
    },
    /// `sg(exp(t) w^k exp(-t w)) A log policy`, `w` the ratio of the whole sequence, `(k, t)` = (2, 3) for `A >= 0`, (3, 2) else
    /// (VESPO, 2602.10693; TRL's defaults).
    Vespo,
    /// `clip` with `policy / max(sg(policy) / (hi + delta), behavior)` as ratio: its value never exceeds `hi + delta`, and there
    /// the gradient is bounded instead of stopped (ECPO, `OneRec` report 2506.13695).
    Ecpo {
        /// Above 0; 0.1 is the report's.
        #[serde(default = "ecpo_delta")]
        delta: f64,
    },
    /// `policy / b A` with `b = max(behavior, sg policy)` for `A >= 0` and `max(behavior, 1 - sg policy)` for `A < 0`: the gradient is
    /// at most that of binary cross-entropy; nothing is clipped (GBPO, `OneRec`-V2 2508.20900).
    Gbpo,
    /// `A log policy`, at value `A`: REINFORCE, whatever the behavior was (what recipes with a ratio of the policy to itself do).
    Reinforce,
}

const fn dual_bound() -> f64 {
    3.0
}
const fn two_sided_bound() -> f64 {
    4.0
}
const fn cispo_bound() -> f64 {
    5.0
}
const fn sapo_positive() -> f64 {
    1.0
}
const fn sapo_negative() -> f64 {
    1.05
}
const fn ecpo_delta() -> f64 {
    0.1
}

/// Weights of VESPO's gamma density, `(k, t)`, for `A >= 0` and for `A < 0`.
const VESPO: [(f64, f64); 2] = [(2.0, 3.0), (3.0, 2.0)];

/// What a surrogate reads; all `[r, l]`, padding zeroed.
pub(crate) struct Ratios {
    /// Log-probabilities under the policy, of tokens or, in every entry, of sequences.
    pub(crate) policy: Tensor<2>,
    /// `policy - behavior`.
    pub(crate) log_ratio: Tensor<2>,
    /// Sum of a row's log-ratios, in every entry; no gradient.
    pub(crate) sequence: Tensor<2>,
    pub(crate) advantages: Tensor<2>,
    /// `lo` and `hi`.
    pub(crate) bounds: [f64; 2],
}

impl Ratios {
    /// The ratio itself.
    pub(crate) fn ratio(&self) -> Tensor<2> {
        self.log_ratio.clone().clamp_max(MAX_LOG_RATIO).exp()
    }

    fn clipped(&self, ratio: Tensor<2>) -> Tensor<2> {
        let [low, high] = self.bounds;
        let clipped = ratio.clone().clamp(low, high);
        (ratio * self.advantages.clone()).min_pair(clipped * self.advantages.clone())
    }

    /// `positive` where the advantage is at least 0, `negative` elsewhere.
    fn where_positive(&self, positive: Tensor<2>, negative: Tensor<2>) -> Tensor<2> {
        positive.mask_where(self.advantages.clone().lower_elem(0.0), negative)
    }

    fn constant(&self, value: f64) -> Tensor<2> {
        self.advantages.full_like(value)
    }
}

impl Surrogate {
    /// Per token, what to maximise.
    pub(crate) fn values(self, ratios: &Ratios) -> Tensor<2> {
        let advantages = || ratios.advantages.clone();
        match self {
            Self::Clip => ratios.clipped(ratios.ratio()),
            Self::DualClip { bound } => {
                let clipped = ratios.clipped(ratios.ratio());
                let bounded = clipped.clone().max_pair(advantages() * bound);
                ratios.where_positive(clipped, bounded)
            }
            // The inner clip is of the ratio as it was: a bound above `hi` leaves it alone.
            Self::TwoSided { bound } => ratios.clipped(ratios.ratio().clamp_max(bound)),
            Self::Cispo { bound } => weighted(ratios, ratios.ratio().clamp_max(bound)),
            Self::Sapo { positive, negative } => {
                // TRL: a zero advantage takes the second temperature; its product is 0 either way.
                let temperature = ratios.where_positive(ratios.constant(positive), ratios.constant(negative));
                let gate = sigmoid((ratios.ratio() - 1.0) * temperature.clone());
                gate * 4.0 / temperature * advantages()
            }
            Self::Vespo => weighted(ratios, vespo_weights(ratios)),
            Self::Ecpo { delta } => ratios.clipped(early_clipped(ratios, ratios.bounds[1] + delta)),
            Self::Gbpo => gradient_bounded(ratios) * advantages(),
            Self::Reinforce => {
                let policy = ratios.policy.clone();
                (policy.clone() - policy.detach()).exp() * advantages()
            }
        }
    }
}

/// `sg(weight) A log policy`.
fn weighted(ratios: &Ratios, weight: Tensor<2>) -> Tensor<2> {
    weight.detach() * ratios.advantages.clone() * ratios.policy.clone()
}

/// `exp(t + k log w - t w)`, 1 at `w` = 1, with TRL's bounds of `log w`.
fn vespo_weights(ratios: &Ratios) -> Tensor<2> {
    let log_weight = ratios.sequence.clone().clamp(1e-8f64.ln(), MAX_LOG_RATIO);
    let [positive, negative] =
        VESPO.map(|(k, t)| (log_weight.clone() * k - (log_weight.clone().exp() - 1.0) * t).exp());
    ratios.where_positive(positive, negative)
}

/// `exp(min(log rho, log policy - sg log policy + log(most)))`.
fn early_clipped(ratios: &Ratios, most: f64) -> Tensor<2> {
    let policy = ratios.policy.clone();
    let capped = policy.clone() - policy.detach() + most.ln();
    ratios.log_ratio.clone().min_pair(capped).exp()
}

/// `policy / b`, with the bounded behavior `b` of [`Surrogate::Gbpo`].
fn gradient_bounded(ratios: &Ratios) -> Tensor<2> {
    let policy = ratios.policy.clone().detach();
    let behavior = policy.clone() - ratios.log_ratio.clone().detach();
    let least = ratios.where_positive(policy.clone(), log_complement(policy));
    (ratios.policy.clone() - behavior.max_pair(least)).clamp_max(MAX_LOG_RATIO).exp()
}
