//! What the tests of the losses share: tensors in f64, golden values, finite differences.

use burn::prelude::*;
use burn::tensor::DType;
use serde_json::Value;

/// The golden values of `tests/golden/losses.json`, one list of cases per loss.
pub(crate) fn golden(loss: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/losses.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(file[loss].take()).unwrap()
}

/// Numbers of a JSON list.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Rows of a JSON list of lists.
pub(crate) fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// An f64 vector.
pub(crate) fn vector(values: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::from(values), (device, DType::F64))
}

/// An f64 matrix.
pub(crate) fn matrix(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, (device, DType::F64))
}

/// The entries of a tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The entry of a scalar tensor.
pub(crate) fn scalar(tensor: Tensor<1>) -> f64 {
    values(tensor)[0]
}

/// d loss / d `input`; zeros when the loss does not depend on it.
pub(crate) fn gradient<const D: usize>(loss: &Tensor<1>, input: &Tensor<D>) -> Vec<f64> {
    let gradients = loss.backward();
    input.grad(&gradients).map_or_else(|| vec![0.0; input.shape().num_elements()], values)
}

/// Central differences of `f` at `at`, in f64 (error about 1e-9 for a smooth function of size 1).
pub(crate) fn finite_differences(at: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    (0..at.len())
        .map(|i| {
            let shifted = |by: f64| {
                let mut at = at.to_vec();
                at[i] += by;
                f(&at)
            };
            (shifted(step) - shifted(-step)) / (2.0 * step)
        })
        .collect()
}

/// Panics unless every pair of numbers agrees to `tolerance`, relative to the larger of 1 and the expected number.
#[track_caller]
pub(crate) fn assert_close(case: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{case}: {found:?} against {expected:?}");
    for (f, e) in found.iter().zip(expected) {
        let close = (f - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(close, "{case}: {found:?}, expected {expected:?}");
    }
}
