use super::*;
use policy::optimizer::{Optimizer, OptimizerConfig};
use policy::random::Key;
use serde_json::Value;

/// The golden values of `tests/golden/metric.json`.
fn golden() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/metric.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(file["sampled_softmax"].take()).unwrap()
}
fn listed(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}
fn column(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}
fn tensor(rows: &[Vec<f64>]) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, (&Device::flex().autodiff(), DType::F64))
}
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
fn close(case: &Value, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!(
            (f - e).abs() <= tolerance * e.abs().max(1.0),
            "{}: {found:?}, not {expected:?}",
            case["name"]
        );
    }
}

/// A case's loss of these users and items.
fn loss(case: &Value, [users, items]: [Tensor<2>; 2]) -> Tensor<1> {
    let log_q = column(&case["log_q"]).into_iter().map(|q| q as f32).collect();
    let crowd = Crowd { items: serde_json::from_value(case["item_ids"].clone()).unwrap(), log_q };
    let positive: Vec<Vec<f64>> = column(&case["positive"]).into_iter().map(|p| vec![p]).collect();
    sampled_softmax([users, items], tensor(&positive), (&crowd, case["temperature"].as_f64().unwrap()))
}

#[test]
fn the_sampled_softmax_and_its_gradient_equal_pytorch() {
    for case in golden() {
        let sides = ["users", "items"].map(|key| tensor(&listed(&case[key])).require_grad());
        let found = loss(&case, sides.clone());
        let gradients = found.backward();
        close(&case, &values(found), &[case["loss"].as_f64().unwrap()], 1e-9);
        for (leaf, key) in sides.iter().zip(["grad_users", "grad_items"]) {
            close(&case, &values(leaf.grad(&gradients).unwrap()), &listed(&case[key]).concat(), 1e-9);
        }
    }
}

#[test]
fn its_gradient_equals_finite_differences() {
    const STEP: f64 = 1e-5;
    let case = &golden()[0];
    let rows = ["users", "items"].map(|key| listed(&case[key]));
    let leaves = [0, 1].map(|side| tensor(&rows[side]).require_grad());
    let gradients = loss(case, leaves.clone()).backward();
    for (side, leaf) in leaves.iter().enumerate() {
        let exact = values(leaf.grad(&gradients).unwrap());
        for (element, exact) in exact.iter().enumerate() {
            let at = |by: f64| {
                let mut moved = rows.clone();
                let width = moved[side][0].len();
                moved[side][element / width][element % width] += by;
                values(loss(case, [tensor(&moved[0]), tensor(&moved[1])]))[0]
            };
            let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!((difference - exact).abs() < 1e-7, "{side} {element}: {difference} against {exact}");
        }
    }
}

#[test]
fn without_a_positive_there_is_no_loss_and_none_is_a_gradient() {
    let rows = [vec![0.6, 0.8], vec![1.0, 0.0]];
    let users = tensor(&rows).require_grad();
    let crowd = Crowd { items: vec![0, 1], log_q: vec![-1.0, -2.0] };
    let found =
        sampled_softmax([users.clone(), tensor(&rows)], tensor(&[vec![0.0], vec![0.0]]), (&crowd, 0.1));
    let gradients = found.backward();
    assert_eq!(values(found), [0.0]);
    assert!(values(users.grad(&gradients).unwrap()).iter().all(|gradient| *gradient == 0.0));
}

/// Free scores of items, learned for one user whose wishes have known probabilities, from batches that draw items at other rates.
fn learned(rates: [f64; 4], wished: [f64; 4], log_q: [f64; 4]) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let mut model = Param::from_tensor(Tensor::<2>::zeros([4, 1], &device));
    let mut optimizer =
        Optimizer::new(&OptimizerConfig { max_grad_norm: 10.0, ..OptimizerConfig::default() });
    let draw = |shares: [f64; 4], key: Key| {
        let (mut left, mut item) = (key.unit(), 0);
        while item < 3 && left >= shares[item] {
            left -= shares[item];
            item += 1;
        }
        item
    };
    for step in 0..600 {
        let key = Key::new(4).at(step);
        // Rows of wishes, then rows that only make the crowd.
        let items: Vec<usize> =
            (0..64).map(|row| draw(if row < 8 { wished } else { rates }, key.at(row))).collect();
        let index = items.iter().map(|&item| item as i64).collect::<Vec<_>>();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [64]), &device);
        let positive = (0..64).map(|row| f32::from(row < 8)).collect::<Vec<_>>();
        let positive = Tensor::from_data(TensorData::new(positive, [64, 1]), &device);
        let crowd = Crowd { log_q: items.iter().map(|&item| log_q[item] as f32).collect(), items };
        let sides = [Tensor::ones([64, 1], &device), model.val().select(0, index)];
        let loss = sampled_softmax(sides, positive, (&crowd, 1.0));
        model = optimizer.step(model, &loss, 0.05 * (1.0 - step as f64 / 600.0)).unwrap().0;
    }
    values(model.val())
}

/// The logQ fact: corrected by the rates at which items are drawn, the scores are the log probabilities of the wishes up to a
/// constant; uncorrected, those less the log rates. The crowd is finite and has the wishes in it: both hold to a tenth or two.
#[test]
fn corrected_scores_are_log_probabilities_whatever_is_drawn_how_often() {
    let (rates, wished) = ([0.55, 0.25, 0.15, 0.05], [0.25; 4]);
    let spread = |scores: &[f64]| scores[3] - scores[0];
    let drawn: Vec<f64> = (0..4).map(|item| (56.0 * rates[item] + 8.0 * wished[item]) / 64.0).collect();
    let corrected = learned(rates, wished, std::array::from_fn(|item| drawn[item].ln()));
    assert!(spread(&corrected).abs() < 0.3, "{corrected:?}");
    let raw = learned(rates, wished, [0.0; 4]);
    let expected = (drawn[0] / drawn[3]).ln();
    assert!((spread(&raw) - expected).abs() < 0.35 && expected > 1.5, "{raw:?}, {expected}");
}
