//! Fused operators against their composed definitions, forward and backward, and against finite differences.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use burn::tensor::{TensorData, Tolerance};

fn device() -> Device {
    Device::flex().autodiff()
}

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let key = Key::new(seed);
    let n = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..n).map(|i| (key.at(i).unit() * 2.0 - 1.0) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &device()).require_grad()
}

/// Value and gradients of `inputs` under a fixed random weighting of the output.
fn value_and_grads<const I: usize, const O: usize>(
    inputs: Vec<Tensor<I>>,
    f: impl Fn(Vec<Tensor<I>>) -> Tensor<O>,
) -> Vec<TensorData> {
    let inputs: Vec<_> = inputs.into_iter().map(|x| x.detach().require_grad()).collect();
    let out = f(inputs.clone());
    let weights = random(out.dims(), 99).detach();
    let grads = (out.clone() * weights).sum().backward();
    let mut all = vec![out.into_data()];
    all.extend(inputs.iter().map(|x| x.grad(&grads).unwrap().into_data()));
    all
}

fn assert_close(left: &[TensorData], right: &[TensorData]) {
    assert_eq!(left.len(), right.len());
    for (l, r) in left.iter().zip(right) {
        l.assert_approx_eq::<f32>(r, Tolerance::absolute(2e-5));
    }
}

#[test]
fn linear_equals_its_composition() {
    let inputs = vec![random([37, 12], 1), random([20, 12], 2)];
    let fused = value_and_grads(inputs.clone(), |x| linear(x[0].clone(), x[1].clone()));
    assert_close(&fused, &value_and_grads(inputs, |x| composed::linear(x[0].clone(), x[1].clone())));
}

#[test]
fn rms_norm_equals_its_composition() {
    let gain = || random([24], 3).detach();
    let x = vec![random([33, 24], 4)];
    let fused = value_and_grads(x.clone(), |x| rms_norm(x[0].clone(), gain(), 1e-6));
    assert_close(&fused, &value_and_grads(x, |x| composed::rms_norm(x[0].clone(), gain(), 1e-6)));
    let (x, gain) = (random([33, 24], 4).detach(), vec![random([24], 3)]);
    let fused = value_and_grads(gain.clone(), |g| rms_norm(x.clone(), g[0].clone(), 1e-6));
    assert_close(&fused, &value_and_grads(gain, |g| composed::rms_norm(x.clone(), g[0].clone(), 1e-6)));
}

fn attention_cases() -> Vec<(Attend, usize, usize)> {
    vec![
        (Attend::Causal, 5, 5),
        (Attend::To(Arc::from([7, 1, 4])), 3, 7),
        (Attend::To(Arc::from([19, 2, 16])), 1, 19),
        (Attend::Within(Arc::from([6, 6, 6])), 6, 6),
    ]
}

#[test]
fn attention_equals_its_composition() {
    for (attend, tq, tk) in attention_cases() {
        let inputs = vec![random([3, tq, 8], 5), random([3, tk, 8], 6), random([3, tk, 8], 7)];
        let input = |x: Vec<Tensor<3>>| AttentionInput {
            query: x[0].clone(),
            key: x[1].clone(),
            value: x[2].clone(),
            bias: x.get(3).cloned(),
        };
        let fused = value_and_grads(inputs.clone(), |x| attention(input(x), 2, &attend));
        let plain = value_and_grads(inputs.clone(), |x| composed::attention(input(x), 2, &attend));
        assert_close(&fused, &plain);
        let biased: Vec<_> = inputs.into_iter().chain([random([2, tq, tk], 8)]).collect();
        let fused = value_and_grads(biased.clone(), |x| attention(input(x), 2, &attend));
        let plain = value_and_grads(biased, |x| composed::attention(input(x), 2, &attend));
        assert_close(&fused, &plain);
    }
}

#[test]
fn padding_content_changes_nothing() {
    let attend = Attend::Within(Arc::from([4, 2]));
    let run = |filler: f32| {
        let x = random([2, 6, 8], 11).detach();
        let pad = |row: usize, from: usize, x: Tensor<3>| {
            x.slice_assign([row..row + 1, from..6, 0..8], Tensor::full([1, 6 - from, 8], filler, &device()))
        };
        let x = pad(1, 2, pad(0, 4, x));
        let bias = Some(random([2, 6, 6], 12).detach());
        let out = attention(AttentionInput { query: x.clone(), key: x.clone(), value: x, bias }, 2, &attend);
        (
            out.clone().slice([0..1, 0..4]).into_data().try_to_vec::<f32>().unwrap(),
            out.slice([1..2, 0..2]).into_data().try_to_vec::<f32>().unwrap(),
        )
    };
    assert_eq!(run(0.0), run(1e6));
}

#[test]
fn target_log_prob_equals_its_composition_and_survives_extremes() {
    let targets = || Tensor::<1, Int>::from_ints([3, 0, 8, 8], &device());
    let x = vec![random([4, 9], 13)];
    let fused = value_and_grads(x.clone(), |x| target_log_prob(x[0].clone(), targets()));
    assert_close(&fused, &value_and_grads(x, |x| composed::target_log_prob(x[0].clone(), targets())));

    let logits = Tensor::<2>::from_floats([[1e4, -1e4, 0.0], [-1e9, 2.0, -1e9]], &device());
    let out = target_log_prob(logits, Tensor::from_ints([1, 1], &device()));
    let out = out.into_data().try_to_vec::<f32>().unwrap();
    assert!((out[0] + 2e4).abs() < 1.0 && out[1].abs() < 1e-6, "{out:?}");
}

#[test]
fn dropout_keeps_the_mean_and_repeats_its_mask() {
    let x = Tensor::<2>::ones([400, 500], &device());
    let key = Key::new(3).named("dropout");
    let fused = dropout(x.clone(), 0.25, key);
    let mean: f32 = fused.clone().mean().into_scalar();
    // Standard error 0.0013: 7 sigma.
    assert!((mean - 1.0).abs() < 0.009, "mean {mean}");
    fused.into_data().assert_eq(&composed::dropout(x, 0.25, key).into_data(), false);
}

#[test]
fn gradients_equal_finite_differences() {
    let attend = Attend::Within(Arc::from([3, 4]));
    let loss = |x: Tensor<3>, w: Tensor<2>| {
        let flat = rms_norm(x.reshape([8, 6]), random([6], 21).detach(), 1e-6);
        let projected = linear(flat, w).reshape([2, 4, 6]);
        let bias = Some(random([3, 4, 4], 22).detach());
        let input =
            AttentionInput { query: projected.clone(), key: projected.clone(), value: projected, bias };
        let out = attention(input, 3, &attend).reshape([8, 6]);
        let valid = out.select(0, Tensor::from_ints([0, 1, 2, 4, 5, 6, 7], &device()));
        target_log_prob(valid, Tensor::from_ints([0, 5, 2, 3, 1, 4, 0], &device())).sum()
    };
    let (x, w) = (random([2, 4, 6], 23), random([6, 6], 24));
    let grads = loss(x.clone(), w.clone()).backward();
    let analytic = w.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
    let base = w.into_data().try_to_vec::<f32>().unwrap();
    for i in 0..base.len() {
        let at = |delta: f32| {
            let mut moved = base.clone();
            moved[i] += delta;
            let w = Tensor::<2>::from_data(TensorData::new(moved, [6, 6]), &device());
            f64::from(loss(x.clone(), w).into_scalar::<f32>())
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(analytic[i])).abs() < 5e-3, "weight {i}: {numeric} vs {}", analytic[i]);
    }
}
