use super::*;
use burn::tensor::DType;
use serde_json::Value;

/// The golden values of `tests/golden/contrastive.json`, one list of cases per loss.
fn golden(loss: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/contrastive.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(file[loss].take()).unwrap()
}

fn listed(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn matrix(values: &[f64], rows: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
    Tensor::from_data(data, (device, DType::F64))
}

fn leaf(rows: &[Vec<f64>]) -> Tensor<2> {
    matrix(&rows.concat(), rows.len(), &Device::flex().autodiff()).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[track_caller]
fn assert_close(case: &Value, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{}", case["name"]);
    for (f, e) in found.iter().zip(expected) {
        let close = (f - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(close, "{}: {found:?}, expected {expected:?}", case["name"]);
    }
}

#[test]
fn info_nce_and_its_gradient_equal_pytorch() {
    for case in golden("info_nce") {
        let (x, y) = (leaf(&listed(&case["x"])), leaf(&listed(&case["y"])));
        let loss = info_nce(x.clone(), y.clone(), case["temperature"].as_f64().unwrap());
        let gradients = loss.backward();
        assert_close(&case, &values(loss), &[case["loss"].as_f64().unwrap()], 1e-9);
        for (leaf, key) in [(x, "grad_x"), (y, "grad_y")] {
            assert_close(&case, &values(leaf.grad(&gradients).unwrap()), &listed(&case[key]).concat(), 1e-9);
        }
    }
}

#[test]
fn distillation_and_its_gradient_equal_pytorch() {
    for case in golden("distillation") {
        let (student, teacher) = (leaf(&listed(&case["student"])), leaf(&listed(&case["teacher"])));
        let loss = distillation(student.clone(), teacher.clone(), case["temperature"].as_f64().unwrap());
        let gradients = loss.backward();
        assert_close(&case, &values(loss), &[case["loss"].as_f64().unwrap()], 1e-9);
        let expected = listed(&case["grad_student"]).concat();
        assert_close(&case, &values(student.grad(&gradients).unwrap()), &expected, 1e-9);
        assert!(teacher.grad(&gradients).is_none(), "the teacher learns nothing");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let case = &golden("info_nce")[0];
    let (x, y) = (listed(&case["x"]), listed(&case["y"]).concat());
    let device = Device::flex();
    let loss = |at: &[f64]| {
        let (x, y) = (matrix(at, 5, &device), matrix(&y, 5, &device));
        values(info_nce(x.clone(), y.clone(), 0.3) + distillation(x, y, 0.3))[0]
    };
    let at = x.concat();
    let tracked = leaf(&x);
    let other = matrix(&y, 5, &Device::flex().autodiff());
    let total = info_nce(tracked.clone(), other.clone(), 0.3) + distillation(tracked.clone(), other, 0.3);
    let gradient = values(tracked.grad(&total.backward()).unwrap());
    for entry in 0..at.len() {
        let shifted = |by: f64| {
            let mut at = at.clone();
            at[entry] += by;
            loss(&at)
        };
        let difference = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
        assert!((gradient[entry] - difference).abs() < 1e-7, "{entry}: {} {difference}", gradient[entry]);
    }
}

#[test]
fn one_row_alone_teaches_nothing() {
    let (x, y) = (leaf(&[vec![0.6, 0.8]]), leaf(&[vec![1.0, 0.0, 0.0]]));
    let loss = distillation(x.clone(), y, 0.1) + info_nce(x.clone(), leaf(&[vec![0.8, 0.6]]), 0.1);
    assert!(values(loss.clone())[0].abs() < 1e-12);
    let gradient = values(x.grad(&loss.backward()).unwrap());
    assert!(gradient.iter().all(|value| value.abs() < 1e-9), "{gradient:?}");
}

/// Forty items whose two parts are different views of the same place on a circle; the last one is unknown.
fn parts() -> Parts {
    let angle = |item: usize| item as f32 * std::f32::consts::TAU / 40.0;
    let text = (0..40).flat_map(|item| [angle(item).cos(), angle(item).sin(), 0.0]);
    let collaborative = (0..40).flat_map(|item| [angle(item).sin() * 3.0, -angle(item).cos() * 3.0]);
    Parts {
        text: Embeddings::new(3, text.collect()),
        collaborative: Embeddings::new(2, collaborative.collect()),
        known: (0..40).map(|item| item < 39).collect(),
    }
}

fn trained(parts: &Parts) -> (Vec<f64>, Embeddings) {
    let config = ContrastiveConfig {
        width: 8,
        hidden: 16,
        epochs: 60,
        batch_size: 16,
        ..ContrastiveConfig::default()
    };
    let config = ContrastiveConfig { learning_rate: 1e-2, ..config };
    let mut fusion = Fusion::new(parts, &config, Key::new(3), &Device::flex());
    assert_eq!(fusion.total_steps(), 180, "39 items in batches of 16, 60 times");
    let mut losses = Vec::new();
    while let Some(step) = fusion.step().unwrap() {
        losses.push(step.report.loss);
    }
    (losses, fusion.vectors())
}

#[test]
fn training_lowers_the_loss_keeps_neighbours_and_repeats_bit_for_bit() {
    let parts = parts();
    let (losses, vectors) = trained(&parts);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[177..]) < 0.8 * mean(&losses[..3]), "{losses:?}");
    let cosine =
        |a: usize, b: usize| -> f32 { vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| x * y).sum() };
    for item in 0..40 {
        assert!((cosine(item, item) - 1.0).abs() < 1e-5, "item {item} has unit length");
        let (near, far) = (cosine(item, (item + 1) % 40), cosine(item, (item + 20) % 40));
        assert!(near > 0.8 && near > far + 0.5, "item {item}: {near} {far}");
    }
    assert_eq!(trained(&parts), (losses, vectors));
}
