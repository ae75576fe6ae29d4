//! Direct preference optimisation (Rafailov et al. 2023, 2305.18290, eq. 7): the sigmoid loss on sequence
//! log-probabilities. No label smoothing and no length normalisation (semantic IDs have one length, so it
//! would only rescale beta).

use crate::loss::{LossOutput, read_metrics};
use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;

/// Sequence log-probabilities of pairs, all `[r]`, row by row of the same pair.
#[derive(Clone, Debug)]
pub struct PairLogProbs {
    /// Preferred candidate under the policy being trained.
    pub policy_chosen: Tensor<1>,
    /// The other candidate under the policy being trained.
    pub policy_rejected: Tensor<1>,
    /// Preferred candidate under the frozen reference.
    pub reference_chosen: Tensor<1>,
    /// The other candidate under the frozen reference.
    pub reference_rejected: Tensor<1>,
}

/// `-log sigmoid(beta (log-ratio of chosen - log-ratio of rejected))`, one value per pair, where a log-ratio is
/// `log policy - log reference`. Stable for any finite log-probabilities: no ratio is ever exponentiated
/// alone, and the gradient tends to `-beta`, not to NaN, for a hopeless pair.
///
/// Metrics are TRL's: `rewards/chosen`, `rewards/rejected` (beta times the log-ratio), `rewards/margins`,
/// `rewards/accuracies` (share of pairs with a positive margin), `logps/chosen`, `logps/rejected`.
///
/// # Shapes
/// The losses are `[r]`; [`dpo`] is their mean.
///
/// # Panics
/// If the four tensors differ in length or are empty.
pub fn dpo_per_pair(pairs: &PairLogProbs, beta: f64) -> (Tensor<1>, Vec<(&'static str, f64)>) {
    let [rows] = pairs.policy_chosen.dims();
    let others = [&pairs.policy_rejected, &pairs.reference_chosen, &pairs.reference_rejected];
    assert!(
        rows > 0 && others.iter().all(|t| t.dims() == [rows]),
        "pairs need four equal, non-empty columns"
    );

    let chosen = (pairs.policy_chosen.clone() - pairs.reference_chosen.clone()) * beta;
    let rejected = (pairs.policy_rejected.clone() - pairs.reference_rejected.clone()) * beta;
    let margins = chosen.clone() - rejected.clone();
    let losses = -log_sigmoid(margins.clone());
    let correct = margins.clone().detach().greater_elem(0.0).float().cast(margins.dtype());
    let metrics = read_metrics([
        ("rewards/chosen", chosen.mean()),
        ("rewards/rejected", rejected.mean()),
        ("rewards/margins", margins.mean()),
        ("rewards/accuracies", correct.mean()),
        ("logps/chosen", pairs.policy_chosen.clone().mean()),
        ("logps/rejected", pairs.policy_rejected.clone().mean()),
    ]);
    (losses, metrics)
}

/// The mean of [`dpo_per_pair`] over pairs.
///
/// # Panics
/// As [`dpo_per_pair`].
pub fn dpo(pairs: &PairLogProbs, beta: f64) -> LossOutput {
    let (losses, metrics) = dpo_per_pair(pairs, beta);
    LossOutput { loss: losses.mean(), metrics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, finite_differences, golden, gradient, numbers, scalar, vector};
    use burn::tensor::DType;
    use std::f64::consts::LN_2;

    fn pairs(columns: [&[f64]; 4], dtype: DType) -> PairLogProbs {
        let device = Device::flex().autodiff();
        let [policy_chosen, policy_rejected, reference_chosen, reference_rejected] =
            columns.map(|values| vector(values, &device).cast(dtype).detach());
        PairLogProbs {
            policy_chosen: policy_chosen.require_grad(),
            policy_rejected: policy_rejected.require_grad(),
            reference_chosen,
            reference_rejected,
        }
    }

    #[test]
    fn loss_gradient_and_metrics_equal_pytorch() {
        for case in golden("dpo") {
            let name = case["name"].as_str().unwrap();
            let column = |key: &str| numbers(&case[key]);
            let columns =
                ["policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected"].map(column);
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
                let pairs = pairs(columns.each_ref().map(Vec::as_slice), dtype);
                let LossOutput { loss, metrics } = dpo(&pairs, case["beta"].as_f64().unwrap());
                assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
                let gradients = loss.backward();
                let of = |tensor: &Tensor<1>| crate::testing::values(tensor.grad(&gradients).unwrap());
                assert_close(name, &of(&pairs.policy_chosen), &column("grad_policy_chosen"), tolerance);
                assert_close(name, &of(&pairs.policy_rejected), &column("grad_policy_rejected"), tolerance);
                for (key, value) in metrics {
                    let expected = case["metrics"][key].as_f64().unwrap();
                    assert_close(&format!("{name} {key}"), &[value], &[expected], tolerance);
                }
            }
        }
    }

    /// A stable softplus written as `relu(-x) + log(1 + exp(-|x|))` has the right value and a zero gradient here.
    #[test]
    fn at_the_reference_the_loss_is_ln_2_and_the_gradient_is_half_of_beta() {
        let log_probs: [&[f64]; 4] = [&[-3.0, -5.0], &[-4.0, -1.0], &[-3.0, -5.0], &[-4.0, -1.0]];
        let pairs = pairs(log_probs, DType::F32);
        let output = dpo(&pairs, 0.1);
        assert_close("loss", &[scalar(output.loss.clone())], &[LN_2], 1e-7);
        assert_close("gradient", &gradient(&output.loss, &pairs.policy_chosen), &[-0.025, -0.025], 1e-8);
        assert!(output.metrics.contains(&("rewards/accuracies", 0.0)), "a zero margin is not a correct pair");
    }

    #[test]
    fn gradient_equals_finite_differences() {
        let at = [-3.0, -5.5, -4.2, -1.0, -2.0, -9.0];
        let reference: [&[f64]; 2] = [&[-3.3, -5.0, -4.0], &[-1.5, -1.0, -7.0]];
        let build = |at: &[f64]| pairs([&at[..3], &at[3..], reference[0], reference[1]], DType::F64);
        let numeric = finite_differences(&at, |at| scalar(dpo(&build(at), 0.7).loss));
        let pairs = build(&at);
        let gradients = dpo(&pairs, 0.7).loss.backward();
        let analytic = [&pairs.policy_chosen, &pairs.policy_rejected]
            .map(|tensor| crate::testing::values(tensor.grad(&gradients).unwrap()))
            .concat();
        assert_close("dpo", &analytic, &numeric, 1e-8);
    }

    #[test]
    #[should_panic(expected = "four equal, non-empty columns")]
    fn columns_of_different_length_are_refused() {
        dpo(&pairs([&[0.0], &[0.0, 1.0], &[0.0], &[0.0]], DType::F64), 0.1);
    }
}
