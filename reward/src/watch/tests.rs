use super::Kind;
use super::codec::Codec;
use super::head::{Lesson, WatchHead};
use super::metrics::{mae, xauc};
use super::vocabulary::Vocabulary;
use crate::model::layers::Init;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::optimizer::{Optimizer, OptimizerConfig};
use policy::random::Key;

/// Watch times as logs have them: log-normal milliseconds, some of them 0.
fn times(count: u64, key: Key) -> Vec<f64> {
    let normal = |key: Key| (0..12).map(|at| key.at(at).unit()).sum::<f64>() - 6.0;
    let time = |at: u64| {
        let key = key.at(at);
        if key.named("skip").unit() < 0.02 { 0.0 } else { (9.2 + 1.3 * normal(key)).exp().round() }
    };
    (0..count).map(time).collect()
}

#[test]
fn every_label_is_restored_and_written_in_few_falling_tokens() {
    for seed in 0..5 {
        let labels = times(5000, Key::new(seed));
        let vocabulary = Vocabulary::fit(&labels);
        assert!(vocabulary.len() < 120, "{} tokens", vocabulary.len());
        assert!(vocabulary.longest() < 20, "{} places", vocabulary.longest());
        for &label in &labels {
            let tokens = vocabulary.encode(label);
            assert!(tokens.is_sorted_by(|a, b| a >= b), "{tokens:?}");
            assert!((vocabulary.decode(&tokens) - label).abs() <= 1e-6 * label, "{label}: {tokens:?}");
        }
    }
}

#[test]
fn fractions_are_restored_to_a_millionth_of_the_largest() {
    for scale in [30_000.0, 30.0, 3.0, 0.3] {
        let labels: Vec<f64> = times(3000, Key::new(9)).into_iter().map(|time| time / scale).collect();
        let vocabulary = Vocabulary::fit(&labels);
        let largest = labels.iter().copied().fold(0.0, f64::max);
        for &label in &labels {
            let restored = vocabulary.decode(&vocabulary.encode(label));
            assert!((restored - label).abs() <= 1e-6 * largest, "{label} is {restored} of {largest}");
        }
    }
}

#[test]
fn labels_that_are_all_zero_equal_or_unseen_are_written_too() {
    let zeros = Vocabulary::fit(&[0.0, 0.0]);
    assert_eq!((zeros.len(), zeros.longest(), zeros.encode(0.0)), (1, 1, vec![]));
    let equal = Vocabulary::fit(&[7.0, 7.0]);
    assert!((equal.decode(&equal.encode(7.0)) - 7.0).abs() < 1e-12);
    // A number unlike any label keeps its large parts.
    assert!((equal.decode(&equal.encode(15.0)) - 7.0).abs() < 1e-12);
    assert!(equal.decode(&equal.encode(-3.0)).abs() < 1e-12);
}

#[test]
fn xauc_equals_counting_all_pairs_and_mae_its_hand_value() {
    for seed in 0..20 {
        let key = Key::new(seed);
        let draw = |name: &str, at: u64| (key.named(name).at(at).unit() * 8.0).floor();
        let (predictions, labels): (Vec<f64>, Vec<f64>) =
            (0..50).map(|at| (draw("prediction", at), draw("label", at))).unzip();
        let weights: Vec<f64> = (0..50).map(|at| (key.named("weight").at(at).unit() * 3.0).floor()).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for i in 0..50 {
            for j in 0..50 {
                if labels[i] > labels[j] {
                    let weight = weights[i] * weights[j];
                    let difference = predictions[i] - predictions[j];
                    pairs += weight;
                    won += weight * if difference > 0.0 { 1.0 } else { f64::from(difference == 0.0) / 2.0 };
                }
            }
        }
        assert!((xauc(&predictions, &labels, &weights).unwrap() - won / pairs).abs() < 1e-12);
    }
    assert_eq!(xauc(&[1.0, 2.0], &[3.0, 3.0], &[1.0, 1.0]), None);
    assert_eq!(mae(&[1.0, 5.0], &[2.0, 3.0], &[1.0, 3.0]), Some(1.75));
    assert_eq!(mae(&[], &[], &[]), None);
}

#[test]
fn the_means_between_thresholds_restore_the_mean() {
    let labels = times(2000, Key::new(4));
    let Codec::Ordinal { thresholds, means } = Codec::fit(Kind::Ordinal, &labels) else { panic!("ordinal") };
    assert!(thresholds.is_sorted_by(|a, b| a < b) && means.len() == thresholds.len() + 1);
    let restored = |label: f64| means[thresholds.partition_point(|&threshold| threshold < label)];
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let (found, truth) = (mean(labels.iter().map(|&l| restored(l)).collect()), mean(labels.clone()));
    assert!((found - truth).abs() < 1e-6 * truth, "{found} is not {truth}");
}

/// States that tell the watch time: a head must get it almost right. Returns XAUC and MAE over the mean.
fn learn(kind: Kind) -> (f64, f64) {
    const COUNT: usize = 256;
    let device = Device::flex().autodiff();
    let labels = times(COUNT as u64, Key::new(8));
    let codec = Codec::fit(kind, &labels);
    let features = |&label: &f64| {
        let scaled = label.ln_1p() / 5.0 - 1.8;
        [scaled, (3.0 * scaled).sin(), (7.0 * scaled).sin(), (7.0 * scaled).cos(), 1.0, 0.0, 0.0, 0.0]
    };
    let values: Vec<f32> = labels.iter().flat_map(features).map(|value| value as f32).collect();
    let states = || Tensor::<2>::from_data(TensorData::new(values.clone(), [COUNT, 8]), &device);
    let mut head = WatchHead::new(8, &codec, Init { key: Key::new(1), device: &device });
    let mut optimizer = Optimizer::new(&OptimizerConfig::default());
    let times: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    for step in 0..250 {
        let lesson = Lesson { step, key: Key::new(2).at(step) };
        let loss = head.loss(states(), (&codec, &times), lesson);
        head = optimizer.step(head, &loss, 1e-2).unwrap().0;
    }
    let predictions: Vec<f64> = head.predict(states(), &codec).into_iter().map(f64::from).collect();
    let once = vec![1.0; COUNT];
    let mean = labels.iter().sum::<f64>() / COUNT as f64;
    (xauc(&predictions, &labels, &once).unwrap(), mae(&predictions, &labels, &once).unwrap() / mean)
}

#[test]
fn every_kind_learns_watch_times_that_states_tell() {
    for kind in [Kind::Regression, Kind::Ordinal, Kind::Generative] {
        let (xauc, error) = learn(kind);
        assert!(xauc > 0.9 && error < 0.35, "{kind:?}: XAUC {xauc}, MAE {error} of the mean");
    }
}

/// States that tell nothing: what is left is the distribution, of which two parts of five are one short time and the rest spreads
/// over a factor of a hundred. Its mode is the short time, its mean far above its median.
#[test]
fn where_states_tell_nothing_the_generated_number_is_the_median() {
    let device = Device::flex().autodiff();
    let spread = |at: u64| (8.0 + 4.6 * Key::new(3).at(at).unit()).exp().round();
    let labels: Vec<f64> = (0..200).map(|at| if at % 5 < 2 { 1500.0 } else { spread(at) }).collect();
    let codec = Codec::fit(Kind::Generative, &labels);
    let states = || Tensor::<2>::ones([200, 8], &device);
    let mut head = WatchHead::new(8, &codec, Init { key: Key::new(1), device: &device });
    let mut optimizer = Optimizer::new(&OptimizerConfig::default());
    let times: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    for step in 0..200 {
        let lesson = Lesson { step, key: Key::new(2).at(step) };
        let loss = head.loss(states(), (&codec, &times), lesson);
        head = optimizer.step(head, &loss, 1e-2).unwrap().0;
    }
    let mut sorted = labels.clone();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[80], sorted[120]);
    let found = f64::from(head.predict(states(), &codec)[0]);
    assert!(
        (low..=high).contains(&found),
        "{found} is not between the 40th and 60th percentile, {low} and {high}"
    );
}
