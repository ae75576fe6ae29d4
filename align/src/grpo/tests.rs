use super::*;
use crate::advantage::advantages;
use crate::testing::{
    assert_close, finite_differences, golden, gradient, matrix, numbers, rows, scalar, values, vector,
};
use burn::tensor::DType;
use serde_json::Value;

fn config(case: &Value) -> Grpo {
    let number = |key: &str| case[key].as_f64().unwrap();
    Grpo {
        clip_low: number("clip_low"),
        clip_high: number("clip_high"),
        kl_weight: number("kl_weight"),
        advantage: Advantage::Standardized,
        aggregation: serde_json::from_value(case["aggregation"].clone()).unwrap(),
        ..Grpo::default()
    }
}

fn batch(case: &Value, dtype: DType) -> GrpoBatch {
    let device = Device::flex().autodiff();
    let log_probs = |key: &str| matrix(&rows(&case[key]), &device).cast(dtype).detach();
    let policy = log_probs("policy").require_grad();
    let lengths = numbers(&case["lengths"]).iter().map(|&length| length as usize).collect();
    GrpoBatch {
        behavior: log_probs("behavior"),
        reference: log_probs("reference"),
        advantages: vector(&numbers(&case["advantages"]), &device).cast(dtype),
        valid: ValidTokens::from_lengths(lengths, policy.dims()[1], &device),
        policy,
    }
}

/// f32 tolerance: 1e-5 relative, because a ratio of e^20 carries the rounding of its exponent (20 x 6e-8).
#[test]
fn loss_gradient_and_metrics_equal_pytorch() {
    for case in golden("grpo") {
        let name = case["name"].as_str().unwrap();
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
            let batch = batch(&case, dtype);
            let policy = batch.policy.clone();
            let LossOutput { loss, metrics } = grpo(batch, &config(&case));
            assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
            assert_close(name, &gradient(&loss, &policy), &rows(&case["grad_policy"]).concat(), tolerance);
            for (key, value) in metrics {
                let expected = case["metrics"][key].as_f64().unwrap();
                assert_close(&format!("{name} {key}"), &[value], &[expected], tolerance);
            }
        }
    }
}

fn on_policy(rewards: &[f64], kl_weight: f64) -> (f64, Vec<f64>) {
    let device = Device::flex().autodiff();
    let policy = matrix(&vec![vec![-1.0, -0.5]; rewards.len()], &device).require_grad();
    let advantages: Vec<f64> =
        advantages(rewards, Advantage::Standardized).unwrap().into_iter().map(f64::from).collect();
    let batch = GrpoBatch {
        behavior: policy.clone().detach(),
        reference: policy.clone().detach(),
        advantages: vector(&advantages, &device),
        valid: ValidTokens::all(rewards.len(), 2, &device),
        policy: policy.clone(),
    };
    let output = grpo(batch, &Grpo { kl_weight, ..Grpo::default() });
    (scalar(output.loss.clone()), gradient(&output.loss, &policy))
}

#[test]
fn equal_rewards_give_no_gradient() {
    assert_eq!(on_policy(&[0.7, 0.7, 0.7], 0.1), (0.0, vec![0.0; 6]));
}

#[test]
fn on_the_first_pass_the_gradient_is_minus_the_advantage() {
    let rewards = [1.0, 3.0];
    let (loss, found) = on_policy(&rewards, 0.1);
    let expected: Vec<f64> = advantages(&rewards, Advantage::Standardized)
        .unwrap()
        .into_iter()
        .flat_map(|advantage| [-f64::from(advantage) / 4.0; 2])
        .collect();
    assert_close("gradient", &found, &expected, 1e-12);
    assert_close("advantages sum to zero", &[loss], &[0.0], 1e-12);
}

#[test]
fn gradient_equals_finite_differences_on_both_sides_of_the_clip() {
    let device = Device::flex().autodiff();
    // Ratios 1.05, 1.5, 0.6, 0.9 and so on: none within 1e-2 of a bound, where the loss has a kink.
    let at = [-0.95, -0.6, -1.5, -1.1, -0.8, -1.6];
    for aggregation in [Aggregation::PerSequence, Aggregation::Tokens, Aggregation::MaxLength] {
        let config = Grpo { kl_weight: 0.3, aggregation, ..Grpo::default() };
        let run = |at: &[f64]| {
            let policy = matrix(&[at[..3].to_vec(), at[3..].to_vec()], &device).require_grad();
            let batch = GrpoBatch {
                behavior: policy.zeros_like().detach() - 1.0,
                reference: policy.zeros_like().detach() - 1.3,
                advantages: vector(&[1.2, -0.7], &device),
                valid: ValidTokens::from_lengths(vec![3, 2], 3, &device),
                policy: policy.clone(),
            };
            (grpo(batch, &config).loss, policy)
        };
        let (loss, policy) = run(&at);
        let numeric = finite_differences(&at, |at| scalar(run(at).0));
        assert_close("grpo", &gradient(&loss, &policy), &numeric, 1e-7);
    }
}

#[test]
fn padding_content_changes_neither_loss_nor_metrics() {
    let device = Device::flex().autodiff();
    let run = |padding: f64| {
        let policy = matrix(&[vec![-1.0, padding], vec![-0.2, -0.4]], &device).require_grad();
        let batch = GrpoBatch {
            behavior: policy.clone().detach() * 1.5,
            reference: policy.clone().detach() * 0.5,
            advantages: vector(&[1.0, -1.0], &device),
            valid: ValidTokens::from_lengths(vec![1, 2], 2, &device),
            policy: policy.clone(),
        };
        let output = grpo(batch, &Grpo::default());
        (values(output.loss.clone()), output.metrics, gradient(&output.loss, &policy))
    };
    for padding in [0.0, -1e30, f64::NAN] {
        assert_eq!(run(padding), run(-3.0), "padding {padding}");
    }
}

#[test]
fn every_surrogate_level_aggregation_and_divergence_equals_pytorch() {
    for case in golden("surrogates") {
        let name = case["name"].as_str().unwrap();
        let config: Grpo = serde_json::from_value(case["config"].clone()).unwrap();
        for (dtype, tolerance) in [(DType::F64, 1e-7), (DType::F32, 1e-4)] {
            let batch = batch(&case, dtype);
            let policy = batch.policy.clone();
            let loss = grpo(batch, &config).loss;
            assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
            assert_close(name, &gradient(&loss, &policy), &rows(&case["grad_policy"]).concat(), tolerance);
        }
    }
}

/// Loss and gradient of one token with these probabilities.
fn one_token(surrogate: Surrogate, advantage: f64, [policy, behavior]: [f64; 2]) -> [f64; 2] {
    let device = Device::flex().autodiff();
    let policy = matrix(&[vec![policy.ln()]], &device).require_grad();
    let behavior = matrix(&[vec![behavior.ln()]], &device);
    let batch = GrpoBatch {
        policy: policy.clone(),
        reference: behavior.clone(),
        behavior,
        advantages: vector(&[advantage], &device),
        valid: ValidTokens::all(1, 1, &device),
    };
    let loss = grpo(batch, &Grpo { kl_weight: 0.0, surrogate, ..Grpo::default() }).loss;
    [scalar(loss.clone()), gradient(&loss, &policy)[0]]
}

#[test]
fn early_clipping_bounds_the_gradient_and_keeps_it() {
    let ecpo = Surrogate::Ecpo { delta: 0.1 };
    let close = |surrogate, probabilities, expected: [f64; 2]| {
        assert_close("one token", &one_token(surrogate, -1.0, probabilities), &expected, 1e-12);
    };
    close(ecpo, [0.5, 0.1], [1.3, 1.3]);
    close(Surrogate::Clip, [0.5, 0.1], [5.0, 5.0]);
    close(Surrogate::DualClip { bound: 3.0 }, [0.5, 0.1], [3.0, 0.0]);
    close(Surrogate::TwoSided { bound: 1.3 }, [0.5, 0.1], [1.3, 0.0]);
    close(ecpo, [0.1, 0.1], [1.0, 1.0]);
    close(ecpo, [0.05, 0.1], [0.8, 0.0]);
    for probabilities in [[0.5, 0.1], [0.1, 0.1], [0.05, 0.1], [0.9, 1e-9]] {
        let [early, plain] = [ecpo, Surrogate::Clip].map(|s| one_token(s, 1.0, probabilities));
        assert_close("an advantage above 0", &early, &plain, 1e-12);
    }
}

#[test]
fn gradient_bounds_are_those_of_binary_cross_entropy() {
    let ratio = |advantage: f64, probabilities| {
        let [loss, slope] = one_token(Surrogate::Gbpo, advantage, probabilities);
        assert_close("the gradient is the value", &[slope], &[loss], 1e-12);
        -loss * advantage
    };
    assert_close("negative", &[ratio(-1.0, [0.5, 0.1])], &[1.0], 1e-12);
    assert_close("negative, rare", &[ratio(-1.0, [0.01, 0.01])], &[0.01 / 0.99], 1e-12);
    assert_close("positive, off policy", &[ratio(1.0, [0.01, 0.2])], &[0.05], 1e-12);
    assert_close("positive", &[ratio(1.0, [0.4, 0.1])], &[1.0], 1e-12);
}

#[test]
fn on_the_first_pass_every_importance_ratio_of_the_clip_family_is_1() {
    let rewards = [1.0, 3.0, 2.0];
    let expected = on_policy(&rewards, 0.0);
    let device = Device::flex().autodiff();
    for surrogate in [
        Surrogate::Clip,
        Surrogate::DualClip { bound: 3.0 },
        Surrogate::TwoSided { bound: 4.0 },
        Surrogate::Ecpo { delta: 0.1 },
        Surrogate::Cispo { bound: 5.0 },
        Surrogate::Sapo { positive: 1.0, negative: 1.05 },
        Surrogate::Vespo,
        Surrogate::Reinforce,
    ] {
        let policy = matrix(&vec![vec![-1.0, -0.5]; 3], &device).require_grad();
        let advantages = advantages(&rewards, Advantage::Standardized).unwrap();
        let batch = GrpoBatch {
            behavior: policy.clone().detach(),
            reference: policy.clone().detach(),
            advantages: vector(&advantages.into_iter().map(f64::from).collect::<Vec<_>>(), &device),
            valid: ValidTokens::all(3, 2, &device),
            policy: policy.clone(),
        };
        let loss = grpo(batch, &Grpo { kl_weight: 0.0, surrogate, ..Grpo::default() }).loss;
        assert_close(&format!("{surrogate:?}"), &gradient(&loss, &policy), &expected.1, 1e-12);
    }
}

#[test]
fn the_distance_is_taken_off_rewards_or_added_to_the_loss() {
    let candidate = CandidateLogProbs { behavior: &[-1.0, -2.0], reference: &[-1.5, -1.0] };
    let config = Grpo { kl_weight: 0.1, kl: KlEstimator::K1, kl_in: KlPlace::Reward, ..Grpo::default() };
    assert_close("reward", &rewards_with_kl(&[3.0], &[candidate], &config), &[3.05], 1e-12);
    let config = Grpo { kl_in: KlPlace::Loss, ..config };
    assert_close("reward", &rewards_with_kl(&[3.0], &[candidate], &config), &[3.0], 1e-12);
}
