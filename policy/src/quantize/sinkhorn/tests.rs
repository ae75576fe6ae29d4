//! The plan, and what it does to collisions.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::{LearnedConfig, Normalize, QuantizeConfig, Quantizer, SweepOrder, quantize};
use super::*;
use crate::random::Key;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn rows_move_one_unit_and_columns_receive_equal_amounts() {
    let key = Key::new(41);
    let mut plan: Vec<f64> = (0..60).map(|at| key.at(at).unit() * 0.02).collect();
    transport(&mut plan, 5);
    for row in plan.chunks_exact(5) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{row:?}");
    }
    for column in 0..5 {
        let sum: f64 = plan[column..].iter().step_by(5).sum();
        assert!((sum - 12.0 / 5.0).abs() < 1e-12, "{sum}");
    }
}

#[test]
fn plans_are_those_of_the_golden_values() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/quantize.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in file["sinkhorn"].as_array().unwrap() {
        let mut plan = numbers(&case["distances"]);
        centre(&mut plan);
        transport(&mut plan, case["columns"].as_u64().unwrap() as usize);
        for (found, expected) in plan.iter().zip(numbers(&case["plan"])) {
            // The public implementations divide by the reach plus 1e-5, at an epsilon of .003.
            assert!(
                (found - expected).abs() < 0.02 * expected + 1e-3,
                "{}: {found} {expected}",
                case["name"]
            );
        }
    }
}

#[test]
fn extreme_distances_stay_finite() {
    let mut plan = vec![0.0, 1e9, 1e9, 0.0, 0.0, 1e9];
    centre(&mut plan);
    transport(&mut plan, 3);
    assert!(plan.iter().all(|value| value.is_finite()), "{plan:?}");
    let mut equal = vec![4.0; 6];
    centre(&mut equal);
    transport(&mut equal, 3);
    assert!(equal.iter().all(|value| (value - 1.0 / 3.0).abs() < 1e-12), "{equal:?}");
}

fn fitted(quantizer: Quantizer) -> (Embeddings, Quantized) {
    let unit = |row: usize, column: usize| Key::new(42).at(row as u64).at(column as u64).unit() as f32 - 0.5;
    let value = |row: usize, column: usize| 4.0 * unit(90_000 + row % 30, column) + 0.3 * unit(row, column);
    let vectors = Embeddings::new(8, (0..600 * 8).map(|at| value(at / 8, at % 8)).collect());
    let config = QuantizeConfig {
        quantizer,
        levels: 2,
        codes: 32,
        iterations: 20,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
        rq_vae: LearnedConfig { epochs: 3, batch_size: 64, ..LearnedConfig::default() },
    };
    let quantized = quantize(&vectors, &config, Key::new(7)).unwrap();
    (vectors, quantized)
}

#[test]
fn fewer_items_collide_and_only_last_codes_change() {
    for quantizer in [
        Quantizer::ResidualKmeans,
        Quantizer::BalancedResidualKmeans,
        Quantizer::OptimizedProduct,
        Quantizer::ResidualVq,
        Quantizer::RqVae,
    ] {
        let (vectors, before) = fitted(quantizer);
        let after = before.clone().separated(&vectors, Collisions::Sinkhorn);
        let (was, is) = (colliding(&before.codes), colliding(&after.codes));
        assert!(is < was, "{quantizer:?}: {is} of {was}");
        assert!(after.codes.iter().flatten().all(|code| *code < 32));
        for (before, after) in before.codes.iter().zip(&after.codes) {
            assert_eq!(before[0], after[0], "{quantizer:?}");
        }
        assert!(after.residuals[1] >= before.residuals[1] - 1e-9, "nearest codes leave the least");
        assert_eq!(before.clone().separated(&vectors, Collisions::Digit), before);
        assert_eq!(after, before.separated(&vectors, Collisions::Sinkhorn), "no randomness");
        assert!(after.catalog(Collisions::Sinkhorn).is_ok());
    }
}

#[test]
fn items_that_cannot_be_told_apart_stay_together() {
    let vectors = Embeddings::new(2, [1.0, 2.0].repeat(6));
    let quantized = Quantized {
        codes: vec![vec![1]; 6],
        codebooks: vec![Embeddings::new(2, vec![0.0, 0.0, 1.0, 2.0, 5.0, 5.0])],
        residuals: vec![0.0],
        autoencoder: None,
    };
    let separated = quantized.separated(&vectors, Collisions::Sinkhorn);
    let catalog = separated.catalog(Collisions::Sinkhorn).unwrap();
    assert_eq!(catalog.level_sizes(), [3, 6], "a digit tells them apart");
}
