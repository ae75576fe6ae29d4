use super::*;
use crate::objective::Objective;
use crate::testing::{assert_close, finite_differences, golden, gradient, matrix, rows, scalar, values};
use burn::tensor::DType;

fn pairs(policy: &[Vec<f64>], dtype: DType) -> Preferences {
    let policy = matrix(policy, &Device::flex().autodiff()).cast(dtype).detach().require_grad();
    Preferences { reference: policy.zeros_like().detach(), policy, tokens: 3 }
}

fn output(objective: &Objective, pairs: &Preferences) -> LossOutput {
    match objective {
        Objective::Cpo(config) => cpo(pairs, config),
        Objective::Simpo(config) => simpo(pairs, config),
        Objective::Orpo(config) => orpo(pairs, config),
        other => panic!("{other:?} has a reference"),
    }
}

#[test]
fn loss_and_gradient_equal_pytorch() {
    for case in golden("reference_free") {
        let name = case["name"].as_str().unwrap();
        let objective: Objective = serde_json::from_value(case["config"].clone()).unwrap();
        for (dtype, tolerance) in [(DType::F64, 1e-7), (DType::F32, 1e-4)] {
            let pairs = pairs(&rows(&case["policy"]), dtype);
            let loss = output(&objective, &pairs).loss;
            assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
            let expected = rows(&case["grad_policy"]).concat();
            assert_close(name, &gradient(&loss, &pairs.policy), &expected, tolerance);
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let at = [-3.0, -1.0, -5.5, -2.0];
    let objectives = [
        Objective::Cpo(Cpo { label_smoothing: 0.1, ..Cpo::default() }),
        Objective::Simpo(Simpo::default()),
        Objective::Orpo(Orpo { beta: 0.7 }),
    ];
    for objective in objectives {
        let build = |at: &[f64]| pairs(&[at[..2].to_vec(), at[2..].to_vec()], DType::F64);
        let numeric = finite_differences(&at, |at| scalar(output(&objective, &build(at)).loss));
        let pairs = build(&at);
        let loss = output(&objective, &pairs).loss;
        assert_close(objective.name(), &gradient(&loss, &pairs.policy), &numeric, 1e-8);
    }
}

#[test]
fn simpo_without_a_margin_is_the_preference_term_of_cpo_per_token() {
    let pairs = pairs(&[vec![-3.0, -4.0], vec![-7.5, -6.0]], DType::F64);
    let per_token = scalar(simpo(&pairs, &Simpo { beta: 1.5, gamma: 0.0 }).loss);
    let plain = scalar(cpo(&pairs, &Cpo { beta: 0.5, nll_weight: 0.0, label_smoothing: 0.0 }).loss);
    assert_close("simpo", &[per_token], &[plain], 1e-12);
}

#[test]
fn the_complement_of_a_probability_is_exact_near_certainty() {
    let device = Device::flex();
    let at = [-1e-6, -1e-4, -0.029_999, -0.030_001, -0.7, -5.0, -1e4];
    let found = values(log_complement(matrix(&[at.to_vec()], &device)));
    let exact: Vec<f64> = at.iter().map(|x: &f64| (-x.exp_m1()).ln()).collect();
    assert_close("log(1 - p)", &found, &exact, 1e-8);
    assert_close("certainty", &values(log_complement(vector_of(0.0))), &[1e-6f64.ln()], 1e-6);
}

fn vector_of(value: f64) -> Tensor<1> {
    crate::testing::vector(&[value], &Device::flex())
}
