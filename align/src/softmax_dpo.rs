//! Softmax-DPO (S-DPO, Chen et al. 2024, 2406.09215): one preferred candidate against several others at once.

use crate::loss::LossOutput;
use crate::preferences::{Preferences, RowLosses, chosen, preference_metrics};
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

/// `kind = "s-dpo"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftmaxDpo {
    /// Strength of the anchor; above 0. 1 is the paper's.
    pub beta: f64,
}

impl Default for SoftmaxDpo {
    fn default() -> Self {
        Self { beta: 1.0 }
    }
}

/// `-log s(-log sum_d exp(beta (log-ratio of d - log-ratio of the preferred one)))`, one value per row, `[r]`. Since
/// `-log s(-log T) = log(1 + T)` this is the cross-entropy of a softmax over the set, which is how it is computed: stable, and
/// with one other candidate exactly DPO. Metrics as in [`crate::dpo::dpo_per_pair`].
///
/// # Panics
/// If the tables differ in shape, are empty or have fewer than two columns.
pub fn softmax_dpo_per_row(sets: &Preferences, config: &SoftmaxDpo) -> RowLosses {
    let rewards = sets.rewards(config.beta);
    let losses = -chosen(&log_softmax(rewards.clone(), 1));
    (losses, preference_metrics(&rewards, &sets.policy))
}

/// The mean of [`softmax_dpo_per_row`] over rows.
///
/// # Panics
/// As [`softmax_dpo_per_row`].
pub fn softmax_dpo(sets: &Preferences, config: &SoftmaxDpo) -> LossOutput {
    let (losses, metrics) = softmax_dpo_per_row(sets, config);
    LossOutput { loss: losses.mean(), metrics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpo::{Dpo, dpo_per_pair};
    use crate::testing::{
        assert_close, finite_differences, golden, gradient, matrix, numbers, rows, scalar, values,
    };
    use burn::prelude::*;
    use burn::tensor::DType;

    fn sets(policy: &[Vec<f64>], reference: &[Vec<f64>], dtype: DType) -> Preferences {
        let device = Device::flex().autodiff();
        let policy = matrix(policy, &device).cast(dtype).detach().require_grad();
        let reference = matrix(reference, &device).cast(dtype).detach();
        Preferences { policy, reference, tokens: 3 }
    }

    #[test]
    fn loss_gradient_and_metrics_equal_pytorch() {
        for case in golden("softmax_dpo") {
            let name = case["name"].as_str().unwrap();
            let config = SoftmaxDpo { beta: case["beta"].as_f64().unwrap() };
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
                let sets = sets(&rows(&case["policy"]), &rows(&case["reference"]), dtype);
                let LossOutput { loss, metrics } = softmax_dpo(&sets, &config);
                assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
                let expected = rows(&case["grad_policy"]).concat();
                assert_close(name, &gradient(&loss, &sets.policy), &expected, tolerance);
                for (key, value) in metrics {
                    let expected = case["metrics"][key].as_f64().unwrap();
                    assert_close(&format!("{name} {key}"), &[value], &[expected], tolerance);
                }
            }
        }
        assert!(!numbers(&golden("softmax_dpo")[0]["policy"][0]).is_empty());
    }

    /// beta 1, preferred .5, others -.2, .1, .3: `log(1 + e^-.7 + e^-.4 + e^-.2)`.
    #[test]
    fn the_published_example_comes_out() {
        let sets = sets(&[vec![0.5, -0.2, 0.1, 0.3]], &[vec![0.0; 4]], DType::F64);
        let loss = scalar(softmax_dpo(&sets, &SoftmaxDpo::default()).loss);
        assert_close("example", &[loss], &[1.0938], 1e-4);
    }

    #[test]
    fn with_one_other_candidate_it_is_dpo() {
        let table = [vec![-3.0, -4.0], vec![-7.5, -6.0], vec![-12.0, -9000.0]];
        let sets = sets(&table, &[vec![-3.5, -4.5], vec![-7.0, -6.5], vec![-9.0, -2.0]], DType::F64);
        let (softmax, _) = softmax_dpo_per_row(&sets, &SoftmaxDpo { beta: 0.7 });
        let (sigmoid, _) = dpo_per_pair(&sets, &Dpo { beta: 0.7, ..Dpo::default() });
        assert_close("losses", &values(softmax.clone()), &values(sigmoid.clone()), 1e-12);
        let gradients = [softmax, sigmoid].map(|losses| gradient(&losses.sum(), &sets.policy));
        assert_close("gradients", &gradients[0], &gradients[1], 1e-12);
    }

    #[test]
    fn gradient_equals_finite_differences() {
        let at = [-3.0, -5.5, -4.2, -1.0, -2.0, -9.0];
        let reference = [vec![-3.3, -5.0, -4.0], vec![-1.5, -1.0, -7.0]];
        let build = |at: &[f64]| sets(&[at[..3].to_vec(), at[3..].to_vec()], &reference, DType::F64);
        let config = SoftmaxDpo { beta: 0.6 };
        let numeric = finite_differences(&at, |at| scalar(softmax_dpo(&build(at), &config).loss));
        let sets = build(&at);
        let loss = softmax_dpo(&sets, &config).loss;
        assert_close("softmax", &gradient(&loss, &sets.policy), &numeric, 1e-8);
    }
}
