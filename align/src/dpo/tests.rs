use super::*;
use crate::testing::{
    assert_close, finite_differences, golden, gradient, matrix, numbers, rows, scalar, values,
};
use burn::tensor::DType;
use serde_json::Value;
use std::f64::consts::LN_2;

/// All variants.
const LOSSES: [PairLoss; 15] = [
    PairLoss::Sigmoid,
    PairLoss::Hinge,
    PairLoss::Ipo,
    PairLoss::ExoPair,
    PairLoss::NcaPair,
    PairLoss::Robust,
    PairLoss::BcoPair,
    PairLoss::SppoHard,
    PairLoss::Aot,
    PairLoss::AotUnpaired,
    PairLoss::ApoZero,
    PairLoss::ApoDown,
    PairLoss::Discopop,
    PairLoss::Sft,
    PairLoss::SigmoidNorm,
];

fn pairs(policy: &[Vec<f64>], reference: &[Vec<f64>], dtype: DType) -> Preferences {
    let device = Device::flex().autodiff();
    let policy = matrix(policy, &device).cast(dtype).detach().require_grad();
    let reference = matrix(reference, &device).cast(dtype).detach();
    Preferences { policy, reference, tokens: 3 }
}

fn columns(case: &Value, keys: [&str; 2]) -> Vec<Vec<f64>> {
    let [left, right] = keys.map(|key| numbers(&case[key]));
    left.into_iter().zip(right).map(|(a, b)| vec![a, b]).collect()
}

#[test]
fn loss_gradient_and_metrics_equal_pytorch() {
    for case in golden("dpo") {
        let name = case["name"].as_str().unwrap();
        let policy = columns(&case, ["policy_chosen", "policy_rejected"]);
        let reference = columns(&case, ["reference_chosen", "reference_rejected"]);
        let config = Dpo { beta: case["beta"].as_f64().unwrap(), ..Dpo::default() };
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
            let pairs = pairs(&policy, &reference, dtype);
            let LossOutput { loss, metrics } = dpo(&pairs, &config);
            assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
            let expected = columns(&case, ["grad_policy_chosen", "grad_policy_rejected"]).concat();
            assert_close(name, &gradient(&loss, &pairs.policy), &expected, tolerance);
            for (key, value) in metrics {
                let expected = case["metrics"][key].as_f64().unwrap();
                assert_close(&format!("{name} {key}"), &[value], &[expected], tolerance);
            }
        }
    }
}

/// f32 tolerance 1e-4, and relative to 1e8 where a squared log-ratio of 1e4 is the loss.
#[test]
fn every_pair_loss_and_divergence_equals_pytorch() {
    let mut seen = 0;
    for case in golden("pair_losses") {
        let name = case["name"].as_str().unwrap();
        let config: Dpo = serde_json::from_value(case["config"].clone()).unwrap();
        seen += 1;
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
            let pairs = pairs(&rows(&case["policy"]), &rows(&case["reference"]), dtype);
            let loss = dpo(&pairs, &config).loss;
            assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
            let expected = rows(&case["grad_policy"]).concat();
            assert_close(name, &gradient(&loss, &pairs.policy), &expected, tolerance);
        }
    }
    assert!(seen > 100, "{seen} cases");
}

/// A stable softplus written as `relu(-x) + log(1 + exp(-|x|))` has the right value and a zero gradient here.
#[test]
fn at_the_reference_the_loss_is_ln_2_and_the_gradient_is_half_of_beta() {
    let table = [vec![-3.0, -4.0], vec![-5.0, -1.0]];
    let pairs = pairs(&table, &table, DType::F32);
    let output = dpo(&pairs, &Dpo::default());
    assert_close("loss", &[scalar(output.loss.clone())], &[LN_2], 1e-7);
    assert_close("gradient", &gradient(&output.loss, &pairs.policy), &[-0.025, 0.025, -0.025, 0.025], 1e-8);
    assert!(output.metrics.contains(&("rewards/accuracies", 0.0)), "a zero margin is not a correct pair");
}

#[test]
fn gradients_equal_finite_differences() {
    let at = [-3.0, -1.0, -5.5, -2.0, -4.2, -9.0];
    let reference = [vec![-3.3, -1.5], vec![-5.0, -1.0], vec![-4.0, -7.0]];
    let build =
        |at: &[f64]| pairs(&[at[..2].to_vec(), at[2..4].to_vec(), at[4..].to_vec()], &reference, DType::F64);
    for loss in LOSSES {
        for divergence in [Divergence::ReverseKl, Divergence::ForwardKl, Divergence::Js, Divergence::Alpha] {
            let config = Dpo { beta: 0.7, loss, label_smoothing: 0.1, divergence, ..Dpo::default() };
            let numeric = finite_differences(&at, |at| scalar(dpo(&build(at), &config).loss));
            let pairs = build(&at);
            let analytic = gradient(&dpo(&pairs, &config).loss, &pairs.policy);
            assert_close(&format!("{loss:?} {divergence:?}"), &analytic, &numeric, 1e-7);
        }
    }
}

/// Semantic IDs have one length `n`: averaging per token turns beta into `beta n` and scales the loss by `n^-2`.
#[test]
fn ipo_per_token_is_ipo_with_another_beta() {
    let table = [vec![-3.0, -4.0], vec![-7.5, -6.0]];
    let reference = [vec![-3.5, -4.5], vec![-7.0, -6.5]];
    let losses = |tokens, beta| {
        let pairs = Preferences { tokens, ..pairs(&table, &reference, DType::F64) };
        values(dpo_per_pair(&pairs, &Dpo { beta, loss: PairLoss::Ipo, ..Dpo::default() }).0)
    };
    let scaled: Vec<f64> = losses(1, 0.1 / 3.0).iter().map(|loss| loss / 9.0).collect();
    assert_close("ipo", &losses(3, 0.1), &scaled, 1e-12);
}

#[test]
fn what_two_losses_share_is_equal() {
    let build = || pairs(&[vec![-3.0, -4.0]], &[vec![-3.5, -9.5]], DType::F64);
    let loss = |config: Dpo| scalar(dpo(&build(), &config).loss);
    let sigmoid = loss(Dpo::default());
    // One pair is sorted as it is.
    assert_close("aot", &[loss(Dpo { loss: PairLoss::Aot, ..Dpo::default() })], &[sigmoid], 1e-12);
    assert_close("robust", &[loss(Dpo { loss: PairLoss::Robust, ..Dpo::default() })], &[sigmoid], 1e-12);
    let alpha = Dpo { divergence: Divergence::Alpha, alpha: 1.0, ..Dpo::default() };
    assert_close("alpha 1 is reverse KL", &[loss(alpha)], &[sigmoid], 1e-12);
    let forward = loss(Dpo { divergence: Divergence::ForwardKl, ..Dpo::default() });
    let zero = loss(Dpo { divergence: Divergence::Alpha, alpha: 0.0, ..Dpo::default() });
    assert_close("alpha 0 is forward KL", &[zero], &[forward], 1e-12);
}

#[test]
#[should_panic(expected = "rows of two candidates")]
fn sets_of_three_are_no_pairs() {
    dpo(&pairs(&[vec![0.0, 1.0, 2.0]], &[vec![0.0; 3]], DType::F64), &Dpo::default());
}
