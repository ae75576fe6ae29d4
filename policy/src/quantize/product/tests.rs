//! Properties of product quantisation.

use super::super::{LearnedConfig, NewItems, Normalize, Quantizer, SweepOrder, quantize};
use super::*;
use crate::ids::Code;

/// Eight strong directions mixed into all twelve columns, and noise: neighbouring columns depend on each other, so plain
/// sub-vectors waste bits.
fn vectors() -> Embeddings {
    let unit = |row: usize, column: usize| Key::new(31).at(row as u64).at(column as u64).unit() as f32 - 0.5;
    let value = |row: usize, column: usize| {
        let strength = |part: usize| 3.0 / (1 + part) as f32;
        let mixed: f32 =
            (0..8).map(|part| strength(part) * unit(row, part) * unit(9_000 + part, column)).sum();
        mixed + 0.02 * unit(row, 100 + column) + 5.0
    };
    Embeddings::new(12, (0..900 * 12).map(|at| value(at / 12, at % 12)).collect())
}

fn config(levels: usize) -> QuantizeConfig {
    QuantizeConfig {
        quantizer: Quantizer::OptimizedProduct,
        levels,
        codes: 16,
        iterations: 20,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
        rq_vae: LearnedConfig::default(),
    }
}

fn error(vectors: &Embeddings, quantized: &Quantized) -> f64 {
    let reconstructed = quantized.reconstruct();
    let pairs = vectors.values().iter().zip(reconstructed.values());
    pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum()
}

fn turned(vectors: &Embeddings, levels: usize, rotation: Embeddings) -> Quantized {
    let fixed = Product { rotation, ..Product::new(vectors.clone(), &config(levels), Key::new(1)) };
    Box::new(fixed).finish()
}

#[test]
fn a_learnt_rotation_beats_plain_sub_vectors_and_its_own_start() {
    let vectors = vectors();
    for levels in [2, 4] {
        let learnt = error(&vectors, &quantize(&vectors, &config(levels), Key::new(1)).unwrap());
        let plain = error(&vectors, &turned(&vectors, levels, identity(12)));
        let start = Product::new(vectors.clone(), &config(levels), Key::new(1)).rotation;
        let start = error(&vectors, &turned(&vectors, levels, start));
        assert!(learnt < 0.8 * plain, "{levels} subspaces: {learnt} against {plain}");
        assert!(learnt <= start * 1.001, "{levels} subspaces: {learnt} against {start}");
    }
}

#[test]
fn the_error_never_rises_from_round_to_round() {
    let vectors = vectors();
    let mut product = Product::new(vectors, &config(3), Key::new(2));
    let mut before = f64::INFINITY;
    while product.remaining() > 0 {
        product.cluster(1);
        let coordinates = product.coordinates(&product.points);
        let error: f64 = (0..3)
            .map(|level| {
                let points = columns(&coordinates, product.subspace(level));
                super::super::distance::inertia(&points, &product.clusters[level])
            })
            .sum();
        assert!(error <= before * 1.0001, "{error} after {before}");
        before = error;
        product.rotate();
        product.rounds += 1;
    }
}

#[test]
fn the_rotation_is_orthogonal() {
    let mut product = Product::new(vectors(), &config(4), Key::new(3));
    for _ in 0..3 {
        product.step().unwrap();
        let gram = products(&product.rotation, &product.rotation);
        for (found, expected) in gram.iter().zip(identity(12).values()) {
            assert!((found - expected).abs() < 1e-5, "{gram:?}");
        }
    }
}

/// Rounding may move an item on a border, and no more than a few.
fn assert_nearly(expected: &[Vec<Code>], found: &[Vec<Code>]) {
    let differing = expected.iter().zip(found).filter(|(a, b)| a != b).count();
    assert!(differing <= 5, "{differing} of {} items differ", expected.len());
}

#[test]
fn codes_are_the_nearest_of_every_subspace_whatever_the_order() {
    let vectors = vectors();
    // Five subspaces of twelve columns: widths 2 and 3.
    let quantized = quantize(&vectors, &config(5), Key::new(4)).unwrap();
    assert!(quantized.codes.iter().flatten().all(|code| *code < 16));
    assert_nearly(&quantized.codes, &quantized.codes_of_new(&vectors, NewItems::Argmin));
    let mut reversed = quantized.clone();
    reversed.codebooks.reverse();
    let backwards = |codes: &Vec<Code>| codes.iter().rev().copied().collect::<Vec<_>>();
    let expected: Vec<_> = quantized.codes.iter().map(backwards).collect();
    assert_nearly(&expected, &reversed.codes_of_new(&vectors, NewItems::Argmin));
    assert!(quantized.residuals.is_sorted_by(|a, b| a >= b), "{:?}", quantized.residuals);
}

#[test]
fn one_seed_gives_one_quantisation_for_any_number_of_threads() {
    let vectors = vectors();
    let run = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| quantize(&vectors, &config(3), Key::new(seed)).unwrap())
    };
    assert_eq!(run(1, 5), run(2, 5));
    assert_ne!(run(1, 5).codes, run(1, 6).codes);
}

#[test]
fn variances_are_dealt_out_evenly() {
    // By hand: 20 and 8 start; 4 joins 8 (32), 2 joins 20 (40), 1.5 joins 32 (48), and 1 goes where there is room.
    let dealt = allocation(&[1.0, 1.5, 2.0, 4.0, 8.0, 20.0], 2);
    assert_eq!(dealt, [(5, 0), (4, 1), (3, 1), (2, 0), (1, 1), (0, 0)]);
}

#[test]
fn equal_vectors_and_too_many_subspaces() {
    let equal = Embeddings::new(3, [1.0, 2.0, 3.0].repeat(20));
    let quantized = quantize(&equal, &config(3), Key::new(6)).unwrap();
    assert!(error(&equal, &quantized) < 1e-6);
    let message = quantize(&equal, &config(4), Key::new(6)).unwrap_err().to_string();
    assert_eq!(message, "levels = 4 is more than the 3 columns of the vectors; use at most 3 subspaces");
}
