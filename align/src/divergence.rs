//! The divergence that anchors a preference loss to its reference (f-DPO, Wang et al. 2023, 2309.16240).

use crate::kl::MAX_LOG_RATIO;
use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;
use serde::{Deserialize, Serialize};

/// How a log-ratio counts: `f'(policy / reference)` of the divergence, without the constants that cancel between two
/// candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// `x`: DPO itself.
    #[default]
    ReverseKl,
    /// `-exp(-x)`.
    ForwardKl,
    /// Jensen-Shannon: `log sigmoid(x)`.
    Js,
    /// `exp((alpha - 1) x) / (alpha - 1)`; at `alpha` = 1 it is `x`.
    Alpha,
}

impl Divergence {
    /// The score of log-ratios. Departure: exponents are capped at [`MAX_LOG_RATIO`]; past it the gradient is 0.
    ///
    /// # Shapes
    /// `[r]` to `[r]`.
    pub fn score(self, log_ratios: Tensor<1>, alpha: f64) -> Tensor<1> {
        let slope = alpha - 1.0;
        match self {
            Self::ReverseKl => log_ratios,
            Self::ForwardKl => -(-log_ratios).clamp_max(MAX_LOG_RATIO).exp(),
            Self::Js => log_sigmoid(log_ratios),
            // As in TRL: closer to 1 the quotient is the log-ratio itself.
            Self::Alpha if slope.abs() < 1e-6 => log_ratios,
            Self::Alpha => (log_ratios * slope).clamp_max(MAX_LOG_RATIO).exp() * (1.0 / slope),
        }
    }
}
