//! The policy: padding, grouping, caching, learning.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing;
use burn::tensor::{TensorData, Tolerance};

fn batch(rows: &[&[i64]], width: usize, filler: i64, device: &Device) -> EncoderBatch {
    let mut tokens = Vec::new();
    for row in rows {
        tokens.extend(row.iter().copied());
        tokens.extend(std::iter::repeat_n(filler, width - row.len()));
    }
    EncoderBatch {
        tokens: Tensor::from_data(TensorData::new(tokens, [rows.len(), width]), device),
        lengths: rows.iter().map(|row| row.len()).collect(),
    }
}

fn inputs(rows: &[[i64; 3]], device: &Device) -> Tensor<2, Int> {
    let flat: Vec<i64> = rows.iter().flatten().copied().collect();
    Tensor::from_data(TensorData::new(flat, [rows.len(), 3]), device)
}

#[test]
fn padding_changes_nothing() {
    let device = Device::flex();
    let model = testing::model(&device);
    let decoded = |width, filler| {
        let encoded = model.encode(&batch(&[&[3, 8, 12], &[5]], width, filler, &device), Dropout::Off);
        model.decode(&encoded, inputs(&[[0, 4, 9], [0, 6, 10]], &device), Dropout::Off).into_data()
    };
    decoded(3, 0).assert_approx_eq::<f32>(&decoded(9, 7), Tolerance::absolute(1e-6));
}

#[test]
fn grouped_rows_decode_as_if_each_had_its_own_encoding() {
    let device = Device::flex();
    let model = testing::model(&device);
    let rows = [[0, 4, 9], [0, 5, 11], [0, 2, 8], [0, 3, 10]];
    let shared = model.encode(&batch(&[&[3, 8, 12], &[5]], 3, 0, &device), Dropout::Off);
    let repeated = model.encode(&batch(&[&[3, 8, 12], &[3, 8, 12], &[5], &[5]], 3, 0, &device), Dropout::Off);
    let grouped = model.decode(&shared, inputs(&rows, &device), Dropout::Off).into_data();
    let single = model.decode(&repeated, inputs(&rows, &device), Dropout::Off).into_data();
    grouped.assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-5));
}

#[test]
fn cached_decoding_equals_teacher_forcing() {
    let device = Device::flex();
    let model = testing::model(&device);
    let encoded = model.encode(&batch(&[&[3, 8, 12, 2], &[5, 9]], 4, 0, &device), Dropout::Off);
    let rows = [[0, 4, 9], [0, 5, 11], [0, 2, 8], [0, 3, 10]];
    let full = model.decode(&encoded, inputs(&rows, &device), Dropout::Off).reshape([4, 3, 16]);
    let mut cache = model.start(&encoded);
    // Start from one row per user, fan out to two: the cache follows.
    let first = model.step(Tensor::from_ints([0, 0], &device), &mut cache);
    cache.reorder(&Tensor::from_ints([0, 0, 1, 1], &device));
    let expected = full.clone().slice([0..4, 0..1, 0..16]).reshape([4, 16]);
    let first = first.select(0, Tensor::from_ints([0, 0, 1, 1], &device));
    first.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    for position in 1..3 {
        let tokens: Vec<i64> = rows.iter().map(|row| row[position]).collect();
        let tokens = Tensor::<1, Int>::from_data(TensorData::new(tokens, [4]), &device);
        let state = model.step(tokens, &mut cache).into_data();
        let expected = full.clone().slice([0..4, position..position + 1, 0..16]).reshape([4, 16]);
        state.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}

#[test]
fn later_codes_do_not_change_earlier_states() {
    let device = Device::flex();
    let model = testing::model(&device);
    let encoded = model.encode(&batch(&[&[3, 8, 12]], 3, 0, &device), Dropout::Off);
    let states = |last| {
        let inputs = inputs(&[[0, 4, last]], &device);
        model.decode(&encoded, inputs, Dropout::Off).slice([0..2, 0..16]).into_data()
    };
    states(9).assert_eq(&states(11), true);
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
    let table = |key: &str| -> Tensor<2, Int> {
        let rows: Vec<Vec<i64>> = serde_json::from_value(expected[key].clone()).unwrap();
        let shape = [rows.len(), rows[0].len()];
        Tensor::from_data(TensorData::new(rows.concat(), shape), &device)
    };
    let lengths: Vec<usize> = serde_json::from_value(expected["lengths"].clone()).unwrap();
    let batch = EncoderBatch { tokens: table("inputs"), lengths: lengths.into() };
    let encoded = model.encode(&batch, Dropout::Off);
    let states = model.decode(&encoded, table("decoder_inputs"), Dropout::Off);
    let logits = model.logits(states, 0..config.vocab_size).into_data();
    let wanted: Vec<Vec<Vec<f32>>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let wanted = TensorData::new(wanted.concat().concat(), [12, config.vocab_size]);
    logits.assert_approx_eq::<f32>(&wanted, Tolerance::absolute(2e-5));
}
