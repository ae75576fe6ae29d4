//! The policy: padding, grouping, caching, learning.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing;
use burn::tensor::{TensorData, Tolerance};

fn batch(rows: &[&[u32]]) -> EncoderBatch {
    EncoderBatch::of(rows.iter().map(|row| row.to_vec()))
}

#[test]
fn neighbours_in_a_batch_change_nothing() {
    let device = Device::flex();
    let model = testing::model(&device);
    let decoded = |rows: &[&[u32]]| {
        let encoded = model.encode(&batch(rows), Dropout::Off);
        let inputs = [0, 4, 9].repeat(rows.len());
        let states = model.decode(&encoded, &inputs, rows.len(), Dropout::Off);
        states.slice([0..3, 0..16]).into_data()
    };
    decoded(&[&[3, 8, 12]]).assert_approx_eq::<f32>(
        &decoded(&[&[3, 8, 12], &[5], &[7, 7, 7, 7, 7, 9, 9, 9]]),
        Tolerance::absolute(1e-6),
    );
}

#[test]
fn grouped_rows_decode_as_if_each_had_its_own_encoding() {
    let device = Device::flex();
    let model = testing::model(&device);
    let inputs = [0, 4, 9, 0, 5, 11, 0, 2, 8, 0, 3, 10];
    let shared = model.encode(&batch(&[&[3, 8, 12], &[5]]), Dropout::Off);
    let repeated = model.encode(&batch(&[&[3, 8, 12], &[3, 8, 12], &[5], &[5]]), Dropout::Off);
    let grouped = model.decode(&shared, &inputs, 4, Dropout::Off).into_data();
    let single = model.decode(&repeated, &inputs, 4, Dropout::Off).into_data();
    grouped.assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-5));
}

#[test]
fn cached_decoding_equals_teacher_forcing() {
    let device = Device::flex();
    let model = testing::model(&device);
    let encoded = model.encode(&batch(&[&[3, 8, 12, 2], &[5, 9]]), Dropout::Off);
    let rows = [[0, 4, 9], [0, 5, 11], [0, 2, 8], [0, 3, 10]];
    let full = model.decode(&encoded, &rows.concat(), 4, Dropout::Off).reshape([4, 3, 16]);
    let mut cache = model.start(&encoded);
    // Start from one row per user, fan out to two: the cache follows.
    let first = model.step(&[0, 0], &mut cache);
    cache.reorder(&[0, 0, 1, 1]);
    let expected = full.clone().slice([0..4, 0..1, 0..16]).reshape([4, 16]);
    let first = first.select(0, Tensor::from_ints([0, 0, 1, 1], &device));
    first.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    for position in 1..3 {
        let tokens: Vec<u32> = rows.iter().map(|row| row[position]).collect();
        let state = model.step(&tokens, &mut cache).into_data();
        let expected = full.clone().slice([0..4, position..position + 1, 0..16]).reshape([4, 16]);
        state.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}

#[test]
fn later_codes_do_not_change_earlier_states() {
    let device = Device::flex();
    let model = testing::model(&device);
    let encoded = model.encode(&batch(&[&[3, 8, 12]]), Dropout::Off);
    let states =
        |last| model.decode(&encoded, &[0, 4, last], 1, Dropout::Off).slice([0..2, 0..16]).into_data();
    states(9).assert_eq(&states(11), true);
}

/// One causal encoding read by prefixes is the encoding of every prefix by itself, in value and gradient.
#[test]
fn a_shared_causal_encoding_equals_an_encoding_per_prefix() {
    let device = Device::flex().autodiff();
    let config = T5Config { encoder_attention: EncoderAttention::Causal, ..testing::config() };
    let model = T5::new(&config, Key::new(5), &device).unwrap();
    let rows: [&[u32]; 2] = [&[3, 8, 12, 2, 5, 9], &[7, 4, 4]];
    let prefixes = [vec![2, 4, 6], vec![3]];
    let single: Vec<&[u32]> =
        rows.iter().zip(&prefixes).flat_map(|(row, all)| all.iter().map(|&n| &row[..n])).collect();
    let inputs = [0, 4, 9].repeat(single.len());
    let loss = |encoded: &Encoded| {
        let states = model.decode(encoded, &inputs, single.len(), Dropout::Off);
        let targets = Targets { columns: 0..16, targets: (0..12).collect(), legal: None };
        model.target_log_probs(states, targets)
    };
    let shared = loss(&model.encode(&batch(&rows), Dropout::Off).read_prefixes(&prefixes));
    let separate = loss(&model.encode(&batch(&single), Dropout::Off));
    shared.to_data().assert_approx_eq::<f32>(&separate.to_data(), Tolerance::absolute(1e-5));
    let grads = |log_probs: Tensor<1>| {
        let grads = log_probs.sum().backward();
        let of = |x: &Tensor<2>| x.grad(&grads).unwrap().into_data();
        let block = &model.encoder.block[0];
        [&model.shared.weight, &block.self_attention.q.weight, &block.feed_forward.wo.weight]
            .map(|w| of(&w.val()))
    };
    for (shared, separate) in grads(shared).iter().zip(&grads(separate)) {
        shared.assert_approx_eq::<f32>(separate, Tolerance::absolute(1e-4));
    }
}

#[test]
fn the_same_key_gives_the_same_weights_on_any_device_mode() {
    let (plain, autodiff) = (Device::flex(), Device::flex().autodiff());
    let a = crate::checkpoint::fingerprint(&testing::model(&plain));
    assert_eq!(a, crate::checkpoint::fingerprint(&testing::model(&autodiff)));
}

/// Weights, inputs and logits made by `tests/golden/make_t5.py` with Hugging Face's implementation.
#[test]
fn logits_equal_those_of_transformers() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/t5");
    let device = Device::flex();
    let (model, config) = crate::checkpoint::read(&dir, &device).unwrap();
    let expected = std::fs::read(dir.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let table = |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(expected[key].clone()).unwrap() };
    let lengths: Vec<usize> = serde_json::from_value(expected["lengths"].clone()).unwrap();
    let rows = table("inputs").into_iter().zip(lengths).map(|(row, length)| row[..length].to_vec());
    let encoded = model.encode(&EncoderBatch::of(rows), Dropout::Off);
    let inputs = table("decoder_inputs");
    let states = model.decode(&encoded, &inputs.concat(), inputs.len(), Dropout::Off);
    let logits = model.logits(states, 0..config.vocab_size).into_data();
    let wanted: Vec<Vec<Vec<f32>>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let wanted = TensorData::new(wanted.concat().concat(), [12, config.vocab_size]);
    logits.assert_approx_eq::<f32>(&wanted, Tolerance::absolute(2e-5));
}
