//! Gradients past the choice of codes, the loss against PyTorch, and properties of whole trainings.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::distance::nearest;
use super::super::{
    LearnedConfig, NewItems, Normalize, QuantizeConfig, Quantized, Quantizer, SweepOrder, quantize,
};
use super::gradient::pass;
use super::model::{Batch, Model, tensor};
use super::*;
use crate::embeddings::Embeddings;
use crate::random::Key;
use burn::prelude::*;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/quantize.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file[name].take()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn rows(width: usize, value: &Value) -> Embeddings {
    Embeddings::new(width, numbers(value))
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance * (1.0 + b.abs());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}\n{expected:?}");
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Value, and the gradient of its product with `weights`.
fn passed(from: &Embeddings, to: &Embeddings, weights: &Embeddings, gradient: Gradient) -> [Vec<f32>; 2] {
    let device = Device::flex().autodiff();
    let encoded = tensor(from, &device).require_grad();
    let out = pass(encoded.clone(), tensor(to, &device), gradient);
    let grads = (out.clone() * tensor(weights, &device)).sum().backward();
    [values(out), values(encoded.grad(&grads).unwrap())]
}

#[test]
fn values_and_gradients_are_those_of_the_golden_values() {
    for case in golden("gradients").as_array().unwrap() {
        let width = case["width"].as_u64().unwrap() as usize;
        let [from, to, weights] = ["encoded", "quantized", "weights"].map(|key| rows(width, &case[key]));
        for (gradient, key) in
            [(Gradient::StraightThrough, "straight_through"), (Gradient::Rotation, "rotation")]
        {
            let [value, grad] = passed(&from, &to, &weights, gradient);
            close(&value, &numbers(&case["quantized"]), 1e-5);
            close(&grad, &numbers(&case[key]), 1e-5);
        }
    }
}

/// The derivation, in f64: `R` from its definition is orthogonal and turns one direction onto the other, and the gradient is
/// `(|q| / |e|) R^T g`.
#[test]
fn the_rotation_trick_is_an_orthogonal_map_times_the_ratio_of_norms() {
    let (e, q, g) = ([1.0, -2.0, 0.5], [0.3, 0.4, 2.0], [1.0, 0.2, -0.7]);
    let norm = |x: &[f64; 3]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let unit = |x: &[f64; 3]| x.map(|value| value / norm(x));
    let (from, to) = (unit(&e), unit(&q));
    let between = unit(&[0, 1, 2].map(|at| from[at] + to[at]));
    let rotation = |row: usize, column: usize| {
        f64::from(u8::from(row == column)) - 2.0 * between[row] * between[column]
            + 2.0 * to[row] * from[column]
    };
    for (a, to) in to.iter().enumerate() {
        for b in 0..3 {
            let product: f64 = (0..3).map(|row| rotation(row, a) * rotation(row, b)).sum();
            assert!((product - f64::from(u8::from(a == b))).abs() < 1e-12, "columns {a} and {b}: {product}");
        }
        let turned: f64 = from.iter().enumerate().map(|(column, from)| rotation(a, column) * from).sum();
        assert!((turned - to).abs() < 1e-12);
    }
    let ratio = norm(&q) / norm(&e);
    let expected =
        [0, 1, 2].map(|column| (0..3).map(|row| ratio * rotation(row, column) * g[row]).sum::<f64>() as f32);
    let row = |x: [f64; 3]| Embeddings::new(3, x.map(|x| x as f32).to_vec());
    let [value, grad] = passed(&row(e), &row(q), &row(g), Gradient::Rotation);
    close(&value, row(q).values(), 1e-6);
    close(&grad, &expected, 1e-6);
}

/// Ratio and rotation are constants of the gradient, so differences of the map they make at one point are its gradient.
#[test]
fn the_gradient_is_the_slope_of_the_fixed_map() {
    let (e, q) = (vec![0.4, -1.0, 0.7, 2.0], vec![1.0, 0.5, 0.5, -0.2]);
    let row = |x: &[f32]| Embeddings::new(4, x.to_vec());
    let slope = |at: usize, out: usize| {
        let mut weights = vec![0.0; 4];
        weights[out] = 1.0;
        passed(&row(&e), &row(&q), &row(&weights), Gradient::Rotation)[1][at]
    };
    // A linear map is known from its slopes: applied to a shifted encoding it must shift the value by as much, and keep ratios of lengths.
    let shift = [0.01, 0.02, -0.03, 0.01];
    let shifted: Vec<f32> =
        (0..4).map(|out| (0..4).map(|at| slope(at, out) * (e[at] + shift[at])).sum()).collect();
    let at_e: Vec<f32> = (0..4).map(|out| (0..4).map(|at| slope(at, out) * e[at]).sum()).collect();
    close(&at_e, &q, 1e-5);
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    let moved: Vec<f32> = shifted.iter().zip(&at_e).map(|(a, b)| a - b).collect();
    let ratio = length(&q) / length(&e);
    assert!((length(&moved) / length(&shift) - ratio).abs() < 1e-3, "{} against {ratio}", length(&moved));
}

#[test]
fn zero_and_opposite_rows_have_finite_gradients() {
    let from = Embeddings::new(2, vec![0.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
    let to = Embeddings::new(2, vec![1.0, 1.0, -1.0, -2.0, 0.0, 0.0]);
    let [value, grad] = passed(&from, &to, &Embeddings::new(2, vec![1.0; 6]), Gradient::Rotation);
    assert!(value.iter().chain(&grad).all(|value| value.is_finite()), "{value:?} {grad:?}");
}

/// `items` vectors around `topics` directions of four hidden dimensions.
fn vectors(items: usize, width: usize) -> Embeddings {
    let unit = |row: usize, column: usize| Key::new(51).at(row as u64).at(column as u64).unit() as f32 - 0.5;
    let value = |row: usize, column: usize| {
        let mixed: f32 = (0..4).map(|part| unit(row, part) * unit(70_000 + part, column)).sum();
        3.0 + 2.0 * mixed + 0.1 * unit(row, 50 + column)
    };
    Embeddings::new(width, (0..items * width).map(|at| value(at / width, at % width)).collect())
}

fn config(quantizer: Quantizer, gradient: Gradient) -> QuantizeConfig {
    QuantizeConfig {
        quantizer,
        levels: 3,
        codes: 16,
        iterations: 10,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
        rq_vae: LearnedConfig {
            hidden: vec![32],
            latent: 6,
            gradient,
            epochs: 60,
            batch_size: 100,
            learning_rate: 1e-2,
            ..LearnedConfig::default()
        },
    }
}

const ALL: [(Quantizer, Gradient); 3] = [
    (Quantizer::ResidualVq, Gradient::StraightThrough),
    (Quantizer::RqVae, Gradient::StraightThrough),
    (Quantizer::RqVae, Gradient::Rotation),
];

fn error(vectors: &Embeddings, quantized: &Quantized) -> f64 {
    super::super::quality::reconstruction_error(vectors, &quantized.reconstruct())
}

#[test]
fn codes_are_in_range_nearest_and_reconstruct_better_than_few_epochs_do() {
    let vectors = vectors(500, 20);
    for (quantizer, gradient) in ALL {
        let config = config(quantizer, gradient);
        let quantized = quantize(&vectors, &config, Key::new(1)).unwrap();
        assert!(quantized.codes.iter().flatten().all(|code| *code < 16));
        assert!(quantized.codes.iter().all(|codes| codes.len() == 3));
        assert!(quantized.residuals.is_sorted_by(|a, b| a >= b), "{:?}", quantized.residuals);
        let new = quantized.codes_of_new(&vectors, NewItems::Argmin);
        let same = quantized.codes.iter().zip(&new).filter(|(a, b)| a == b).count();
        assert!(same >= 498, "{quantizer:?}: rounding may move an item on a border, not {}", 500 - same);
        let learned = error(&vectors, &quantized);
        assert!(learned < 0.25, "{quantizer:?} {gradient:?}: {learned}");
        if quantizer == Quantizer::RqVae {
            let short = LearnedConfig { epochs: 1, ..config.rq_vae.clone() };
            let short = quantize(&vectors, &QuantizeConfig { rq_vae: short, ..config }, Key::new(1)).unwrap();
            assert!(learned < error(&vectors, &short), "{gradient:?}");
        }
    }
}

#[test]
fn one_seed_gives_one_training_for_any_number_of_threads() {
    let vectors = vectors(300, 12);
    for (quantizer, gradient) in ALL {
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| quantize(&vectors, &config(quantizer, gradient), Key::new(seed)).unwrap())
        };
        assert!(run(1, 2) == run(2, 2), "{quantizer:?} {gradient:?}");
        assert!(run(1, 2).codes != run(1, 3).codes, "{quantizer:?} {gradient:?}");
    }
}

/// Where Lloyd's iterations stop: every code is the mean of the encodings that are nearest to it, level by level.
#[test]
fn codebooks_start_at_the_means_of_what_they_hold() {
    let vectors = vectors(400, 20);
    for quantizer in [Quantizer::RqVae, Quantizer::ResidualVq] {
        let config = QuantizeConfig { iterations: 500, ..config(quantizer, Gradient::StraightThrough) };
        let (mut rests, codebooks) = Training::new(vectors.clone(), None, &config, Key::new(3)).at_start();
        assert_eq!(codebooks.len(), 3);
        for codebook in codebooks {
            let codes = nearest(&rests, &codebook);
            for code in 0..codebook.rows() {
                let own: Vec<usize> = (0..rests.rows()).filter(|row| codes[*row] == code as u32).collect();
                assert!(!own.is_empty(), "{quantizer:?}: nobody has code {code}");
                for column in 0..rests.width() {
                    let mean = own.iter().map(|row| rests.row(*row)[column]).sum::<f32>() / own.len() as f32;
                    let centre = codebook.row(code)[column];
                    assert!((mean - centre).abs() < 1e-4, "{quantizer:?}: {centre} is not {mean}");
                }
            }
            let width = rests.width();
            for (row, code) in codes.into_iter().enumerate() {
                for column in 0..width {
                    rests.values_mut()[row * width + column] -= codebook.row(code as usize)[column];
                }
            }
        }
    }
}

/// Codes far from every item, as a bad start would leave them, are put among the items.
#[test]
fn codes_that_nobody_has_are_revived() {
    let device = Device::flex().autodiff();
    let mut training = Training::new(vectors(200, 8), None, &config(ALL[0].0, ALL[0].1), Key::new(4));
    training.strand(0, 3, &device);
    while super::super::Fit::remaining(&training) > 0 {
        super::super::Fit::step(&mut training).unwrap();
    }
    let quantized = super::super::Fit::finish(Box::new(training));
    let use_of_first = super::super::quality::code_use(quantized.codes.iter().map(|codes| codes[0]), 16);
    assert!(use_of_first.usage > 0.9, "{use_of_first:?}");
}

#[test]
fn the_loss_and_its_gradients_are_those_of_the_golden_values() {
    for case in golden("rq_vae").as_array().unwrap() {
        let widths: Vec<usize> = numbers(&case["widths"]).into_iter().map(|width| width as usize).collect();
        let device = Device::flex().autodiff();
        let layers = |half: &str| -> Vec<Dense> {
            let dense = |layer: &Value| Dense {
                weight: rows(layer["inputs"].as_u64().unwrap() as usize, &layer["weight"]),
                bias: numbers(&layer["bias"]),
            };
            case[half].as_array().unwrap().iter().map(dense).collect()
        };
        let mut model = Model::of(&layers("encoder"), &layers("decoder"), &device);
        let latent = widths[widths.len() - 1];
        for codebook in case["codebooks"].as_array().unwrap() {
            model.push(&rows(latent, codebook), &device);
        }
        let gradient = match case["gradient"].as_str() {
            Some("rotation") => Gradient::Rotation,
            _ => Gradient::StraightThrough,
        };
        let weight = |key: &str| case[key].as_f64().unwrap();
        let config = LearnedConfig {
            gradient,
            collaborative_weight: weight("collaborative_weight"),
            diversity_weight: weight("diversity_weight"),
            ..LearnedConfig::default()
        };
        let collaborative = case["collaborative"].as_object().map(|letter| {
            let projection =
                Dense { weight: rows(latent, &letter["weight"]), bias: numbers(&letter["bias"]) };
            model = model.clone().projecting_by(&projection, &device);
            tensor(&rows(projection.bias.len(), &letter["vectors"]), &device)
        });
        let partner = |partner: &Value| partner.as_u64().map(|partner| partner as u32);
        let of_level = |level: &Value| level.as_array().unwrap().iter().map(partner).collect();
        let partners: Vec<Vec<_>> = case["partners"].as_array().unwrap().iter().map(of_level).collect();
        let x = tensor(&rows(widths[0], &case["x"]), &device);
        let pass = model.loss(Batch { x, collaborative, partners: &partners }, &config);
        close(&values(pass.loss.clone()), &[case["loss"].as_f64().unwrap() as f32], 1e-5);
        let codes: Vec<f32> = pass.codes.iter().flatten().map(|code| *code as f32).collect();
        assert_eq!(codes, numbers(&case["codes"]));
        let found = model.gradients(&pass.loss);
        let expected: Vec<_> = case["gradients"].as_array().unwrap().iter().map(numbers).collect();
        assert_eq!(found.len(), expected.len());
        found.iter().zip(&expected).for_each(|(found, expected)| close(found, expected, 2e-5));
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let vectors = vectors(40, 4);
    let refused = |rq_vae: LearnedConfig| {
        let config = QuantizeConfig { rq_vae, ..config(Quantizer::RqVae, Gradient::Rotation) };
        quantize(&vectors, &config, Key::new(1)).unwrap_err().to_string()
    };
    let good = LearnedConfig::default;
    for (key, bad) in [
        ("hidden", LearnedConfig { hidden: vec![8, 0], ..good() }),
        ("latent", LearnedConfig { latent: 0, ..good() }),
        ("epochs", LearnedConfig { epochs: 0, ..good() }),
        ("batch_size", LearnedConfig { batch_size: 0, ..good() }),
        ("commitment", LearnedConfig { commitment: f64::NAN, ..good() }),
        ("collaborative_weight", LearnedConfig { collaborative_weight: -1.0, ..good() }),
        ("diversity_weight", LearnedConfig { diversity_weight: f64::INFINITY, ..good() }),
        ("diversity_groups", LearnedConfig { diversity_groups: 0, ..good() }),
        ("learning_rate", LearnedConfig { learning_rate: 0.0, ..good() }),
        ("weight_decay", LearnedConfig { weight_decay: -1.0, ..good() }),
    ] {
        let message = refused(bad);
        assert!(message.starts_with(&format!("rq_vae.{key} = ")) && message.contains("must be"), "{message}");
    }
}
