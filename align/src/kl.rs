//! The distance to the reference, estimated per token from the sampled token alone (Schulman 2020).

use burn::prelude::*;
use serde::{Deserialize, Serialize};

/// exp(20) is about 5e8: past it a ratio of probabilities says that the two policies have nothing to do with
/// each other, and squaring or summing it soon leaves f32. Larger log-ratios count as this one and give no
/// gradient (verl clamps at the same value). Small ratios need no bound: exp underflows to 0.
pub const MAX_LOG_RATIO: f64 = 20.0;

/// Below this, `exp(d) - d - 1` in f32 is mostly rounding noise, of either sign; the series is exact there.
const SERIES_BELOW: f64 = 0.03;

/// An estimator of KL(policy || reference) at a sampled token, with `d = reference - policy`, the log-ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimator {
    /// `-d`: unbiased, of either sign. As a loss its gradient is zero on average; it belongs into the reward.
    K1,
    /// `d^2 / 2`: as a loss its gradient is that of the divergence.
    K2,
    /// `exp(d) - d - 1`: unbiased and never negative.
    #[default]
    K3,
}

impl KlEstimator {
    /// Per token; `d` is capped at [`MAX_LOG_RATIO`].
    ///
    /// # Shapes
    /// Log-probabilities of the sampled tokens, `[r, l]` both; the result as well.
    pub fn estimate(self, policy: Tensor<2>, reference: Tensor<2>) -> Tensor<2> {
        match self {
            Self::K1 => (policy - reference).clamp_min(-MAX_LOG_RATIO),
            Self::K2 => {
                let difference = (reference - policy).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO);
                difference.clone() * difference * 0.5
            }
            Self::K3 => k3(policy, reference),
        }
    }

    /// The same of one token, as a number: for rewards.
    pub fn number(self, policy: f64, reference: f64) -> f64 {
        let difference = (reference - policy).min(MAX_LOG_RATIO);
        match self {
            Self::K1 => -difference,
            Self::K2 => difference.max(-MAX_LOG_RATIO).powi(2) / 2.0,
            Self::K3 => difference.exp_m1() - difference,
        }
    }
}

/// The k3 estimator of KL(policy || reference) (Schulman 2020; GRPO, 2402.03300, eq. 4):
/// `exp(d) - d - 1` with `d = reference - policy`. Unbiased for tokens sampled from the policy, and never negative.
///
/// Departures: `d` is capped at [`MAX_LOG_RATIO`]; for `|d| < 0.03` a Taylor series (relative error below 1e-6)
/// replaces the formula, which cancels in f32.
///
/// # Shapes
/// Log-probabilities of the sampled tokens, `[r, l]` both; the result as well.
pub fn k3(policy: Tensor<2>, reference: Tensor<2>) -> Tensor<2> {
    let difference = (reference - policy).clamp_max(MAX_LOG_RATIO);
    let small = difference.clone().abs().lower_elem(SERIES_BELOW);
    let square = difference.clone() * difference.clone();
    let series = square * ((difference.clone() / 24.0 + 1.0 / 6.0) * difference.clone() + 0.5);
    let exact = difference.clone().exp() - difference - 1.0;
    exact.mask_where(small, series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, gradient, matrix, values};

    #[test]
    fn k3_is_never_negative_down_to_the_last_bit_of_f32() {
        let device = Device::flex();
        let differences: Vec<f32> =
            (-60..=50).flat_map(|e: i32| [1.0f32, -1.0].map(|s| s * 1.3f32.powi(e))).collect();
        let row = TensorData::new(differences.clone(), [1, differences.len()]);
        let reference = Tensor::<2>::from_data(row, &device);
        let estimates = values(k3(reference.zeros_like(), reference));
        for (difference, estimate) in differences.iter().zip(estimates) {
            assert!(estimate >= 0.0 && estimate.is_finite(), "k3({difference}) = {estimate}");
        }
    }

    #[test]
    fn series_and_formula_meet() {
        let device = Device::flex();
        let reference = matrix(&[vec![0.029_999, 0.030_001, -0.029_999, -0.030_001]], &device);
        let estimates = values(k3(reference.zeros_like(), reference.clone()));
        for (d, estimate) in values(reference).into_iter().zip(estimates) {
            let exact = d.exp_m1() - d;
            assert!((estimate / exact - 1.0).abs() < 1e-6, "k3({d}) = {estimate}, exactly {exact}");
        }
    }

    /// Exact, not sampled: the average of k3 over the policy's distribution is the KL divergence.
    #[test]
    fn k3_averages_to_the_divergence() {
        let device = Device::flex();
        let (policy, reference) = ([0.5f64, 0.3, 0.2], [0.2f64, 0.3, 0.5]);
        let log = |p: [f64; 3]| matrix(&[p.map(f64::ln).to_vec()], &device);
        let estimates = values(k3(log(policy), log(reference)));
        let mean: f64 = policy.iter().zip(estimates).map(|(p, k)| p * k).sum();
        let exact: f64 = policy.iter().zip(reference).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((mean - exact).abs() < 1e-9, "{mean} against {exact}");
    }

    #[test]
    fn numbers_and_tensors_agree() {
        let device = Device::flex();
        let (policy, reference) = ([-1.0, -2.0, -0.5, -1e4, 0.0], [-1.5, -1.0, -0.5, 0.0, -1e4]);
        for estimator in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
            let [p, r] = [policy, reference].map(|row| matrix(&[row.to_vec()], &device));
            let tensors = values(estimator.estimate(p, r));
            let numbers: Vec<f64> =
                policy.iter().zip(reference).map(|(&p, r)| estimator.number(p, r)).collect();
            assert_close(&format!("{estimator:?}"), &tensors, &numbers, 1e-6);
        }
        assert!((KlEstimator::K1.number(-1.0, -1.5) - 0.5).abs() < 1e-15);
        assert!((KlEstimator::K2.number(-1.0, -1.5) - 0.125).abs() < 1e-15);
    }

    #[test]
    fn at_the_reference_value_and_gradient_are_zero() {
        let device = Device::flex().autodiff();
        let policy = matrix(&[vec![-1.0, -2.0]], &device).require_grad();
        let estimate = k3(policy.clone(), policy.clone().detach());
        assert_eq!(values(estimate.clone()), [0.0, 0.0]);
        assert_eq!(gradient(&estimate.sum(), &policy), [0.0, 0.0]);
    }
}
