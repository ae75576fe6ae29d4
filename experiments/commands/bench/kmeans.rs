//! Residual k-means: 12,101 vectors of 384 numbers, 3 levels of 256 clusters, 20 iterations each.

use super::canonical::{self, ITEMS};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use policy::embeddings::Embeddings;
use policy::quantize::{
    LearnedConfig, Normalize, QuantizeConfig, QuantizeError, Quantized, Quantizer, SweepOrder, quantize,
};
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
    let vectors = vectors(ITEMS, VECTOR);
    let (seconds, fitted) = timing.steps(None, |_| Ok(Some(fit(&vectors)?)))?;
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

/// All levels.
pub(super) fn fit(vectors: &Embeddings) -> Result<Quantized, QuantizeError> {
    let config = QuantizeConfig {
        quantizer: Quantizer::ResidualKmeans,
        levels: LEVELS,
        codes: CLUSTERS,
        iterations: ITERATIONS,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
        rq_vae: LearnedConfig::default(),
    };
    quantize(vectors, &config, canonical::key().named("quantize"))
}

/// Mean squared norm of what the last level leaves.
fn residual(vectors: &Embeddings, fitted: &Quantized) -> f64 {
    let squares: f64 = vectors.values().iter().map(|&value| f64::from(value).powi(2)).sum();
    squares / vectors.rows() as f64 * fitted.residuals[LEVELS - 1]
}

/// Gaussian vectors of low rank, plus noise.
pub(super) fn vectors(items: usize, width: usize) -> Embeddings {
    let mut rng = canonical::key().named("vectors").rng();
    let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
    let scale = (DIRECTIONS as f32).sqrt().recip();
    let directions: Vec<f32> = (0..DIRECTIONS * width).map(|_| normal() * scale).collect();
    let mut values = Vec::with_capacity(items * width);
    for _ in 0..items {
        let mut row: Vec<f32> = (0..width).map(|_| NOISE * normal()).collect();
        for direction in directions.chunks(width) {
            let weight = normal();
            row.iter_mut().zip(direction).for_each(|(value, part)| *value += weight * part);
        }
        values.extend(row);
    }
    Embeddings::new(width, values)
}
