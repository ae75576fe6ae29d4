//! Residual k-means: 12,101 vectors of 384 numbers, 3 levels of 256 clusters, 20 iterations each.

use super::canonical::{self, ITEMS};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use policy::embeddings::Embeddings;
use policy::quantize::{Normalize, QuantizeConfig, Quantized, Quantizer, SweepOrder, quantize};
use rand::distr::Distribution as _;
use rand_distr::StandardNormal;

/// Width of the vectors.
pub(super) const VECTOR: usize = 384;
/// Directions in which they vary beside the noise: like text embeddings, without crisp clusters, so that no
/// implementation settles before the last iteration.
const DIRECTIONS: usize = 48;
const NOISE: f32 = 0.3;
/// Levels.
pub(super) const LEVELS: usize = 3;
/// Clusters per level.
pub(super) const CLUSTERS: usize = 256;
/// Iterations per level.
pub(super) const ITERATIONS: usize = 20;

/// Times whole fits; tells what they leave, to be compared with that of others at the same number of iterations.
pub(super) fn run(timing: Timing) -> anyhow::Result<Outcome> {
    let vectors = vectors();
    let config = QuantizeConfig {
        quantizer: Quantizer::ResidualKmeans,
        levels: LEVELS,
        codes: CLUSTERS,
        iterations: ITERATIONS,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
    };
    let key = canonical::key().named("quantize");
    let (seconds, fitted) = timing.steps(None, |_| Ok(Some(quantize(&vectors, &config, key)?)))?;
    let case = Case {
        workload: "W-kmeans",
        variant: "recalign".into(),
        unit: "fits",
        units: 1.0,
        gflop_per_unit: Some(flops::kmeans()),
    };
    let left = fitted.map(|fitted| residual(&vectors, &fitted));
    Ok(Outcome::new(case, seconds, [("residual_mse", left.into()), ("start", "k-means++".into())]))
}

/// Mean squared norm of what the last level leaves.
fn residual(vectors: &Embeddings, fitted: &Quantized) -> f64 {
    let squares: f64 = vectors.values().iter().map(|&value| f64::from(value).powi(2)).sum();
    squares / vectors.rows() as f64 * fitted.residuals[LEVELS - 1]
}

/// Gaussian vectors of low rank, plus noise.
fn vectors() -> Embeddings {
    let mut rng = canonical::key().named("vectors").rng();
    let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
    let scale = (DIRECTIONS as f32).sqrt().recip();
    let directions: Vec<f32> = (0..DIRECTIONS * VECTOR).map(|_| normal() * scale).collect();
    let mut values = Vec::with_capacity(ITEMS * VECTOR);
    for _ in 0..ITEMS {
        let mut row: Vec<f32> = (0..VECTOR).map(|_| NOISE * normal()).collect();
        for direction in directions.chunks(VECTOR) {
            let weight = normal();
            row.iter_mut().zip(direction).for_each(|(value, part)| *value += weight * part);
        }
        values.extend(row);
    }
    Embeddings::new(VECTOR, values)
}
