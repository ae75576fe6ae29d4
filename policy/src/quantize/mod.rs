//! From item vectors to semantic IDs: residual k-means, balanced (`OneRec`, 2502.18965, Alg. 1) or plain.
//!
//! Level by level, the vectors are clustered, each item takes its cluster's number as a code, and its cluster's
//! centre is subtracted before the next level. So an item is approximately the sum of its codes' vectors.
//! [`balanced`] and [`lloyd`] say how one level is clustered, [`collision`] how items with equal codes are
//! told apart, [`quality`] what the result is worth, [`new_items`] how later items get codes.

pub mod balanced;
mod bounds;
pub mod collision;
mod config;
mod directions;
mod distance;
mod error;
pub mod lloyd;
mod means;
mod nearest;
pub mod new_items;
pub mod quality;
mod rows;
mod seeding;

pub use config::{Collisions, NewItems, Normalize, QuantizeConfig, Quantizer, SweepOrder};
pub use error::QuantizeError;

use crate::embeddings::Embeddings;
use crate::ids::Code;
use crate::random::Key;
use distance::{mean_square, shifted};
use means::column_means;
use rayon::prelude::*;

/// One level's clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// Cluster of each point.
    pub assignment: Vec<usize>,
    /// One row per cluster.
    pub centers: Embeddings,
}

/// A finished quantisation, before collisions are dealt with.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The codes of each item, coarsest first.
    pub codes: Vec<Vec<Code>>,
    /// One row per code, for each level.
    pub codebooks: Vec<Embeddings>,
    /// Mean squared norm of what is left after each level, relative to that of the input vectors.
    pub residuals: Vec<f64>,
}

impl Quantized {
    /// The sum of each item's code vectors.
    pub fn reconstruct(&self) -> Embeddings {
        let width = self.codebooks[0].width();
        let mut values = vec![0.0; self.codes.len() * width];
        for (row, codes) in values.chunks_exact_mut(width).zip(&self.codes) {
            for (codebook, &code) in self.codebooks.iter().zip(codes) {
                for (value, part) in row.iter_mut().zip(codebook.row(code as usize)) {
                    *value += part;
                }
            }
        }
        Embeddings::new(width, values)
    }
}

/// A quantisation in progress, one level at a time, so that a caller can show progress and stop between levels.
#[derive(Debug)]
pub struct Quantization {
    config: QuantizeConfig,
    key: Key,
    residual: Embeddings,
    input: f64,
    quantized: Quantized,
}

impl Quantization {
    /// Checks the settings and the vectors and prepares the first level. All randomness comes from `key`.
    ///
    /// # Errors
    /// If a setting is out of range, there are more codes than items, or a value is not a usable number.
    pub fn begin(embeddings: &Embeddings, config: &QuantizeConfig, key: Key) -> Result<Self, QuantizeError> {
        error::check(embeddings, config)?;
        let residual = normalized(embeddings, config.normalize);
        let quantized = Quantized {
            codes: vec![Vec::new(); embeddings.rows()],
            codebooks: Vec::new(),
            residuals: Vec::new(),
        };
        Ok(Self { config: config.clone(), key, input: mean_square(&residual), residual, quantized })
    }
    /// Levels that are not fitted yet.
    pub fn remaining(&self) -> usize {
        self.config.levels - self.quantized.codebooks.len()
    }
    /// Fits the next level.
    ///
    /// # Panics
    /// If no level remains.
    pub fn fit_level(&mut self) {
        assert!(self.remaining() > 0, "all levels are fitted");
        let Clusters { assignment, centers } = self.cluster();
        self.quantized
            .codes
            .iter_mut()
            .zip(&assignment)
            .for_each(|(codes, cluster)| codes.push(*cluster as Code));
        let width = self.residual.width();
        let residuals = self.residual.values_mut().par_chunks_exact_mut(width).zip(&assignment);
        residuals.for_each(|(residual, cluster)| subtract(residual, centers.row(*cluster)));
        let left = mean_square(&self.residual);
        self.quantized.residuals.push(if self.input > 0.0 { left / self.input } else { 0.0 });
        self.quantized.codebooks.push(centers);
    }
    /// The codes and codebooks.
    ///
    /// # Panics
    /// If a level remains.
    pub fn finish(self) -> Quantized {
        assert!(self.remaining() == 0, "{} levels are not fitted", self.remaining());
        self.quantized
    }

    /// Clusters the residuals around their mean: distances do not change, but in f32 they are computed from inner
    /// products, which cancel when all vectors share a large offset.
    fn cluster(&self) -> Clusters {
        let key = self.key.at(self.quantized.codebooks.len() as u64);
        let mean = column_means(&self.residual);
        let points = shifted(&self.residual, &mean, -1.0);
        let clusters = match self.config.quantizer {
            Quantizer::BalancedResidualKmeans => balanced::cluster(&points, &self.config, key),
            Quantizer::ResidualKmeans => lloyd::cluster(&points, &self.config, key),
        };
        Clusters { centers: shifted(&clusters.centers, &mean, 1.0), ..clusters }
    }
}

/// All levels at once.
///
/// # Errors
/// As [`Quantization::begin`].
pub fn quantize(
    embeddings: &Embeddings,
    config: &QuantizeConfig,
    key: Key,
) -> Result<Quantized, QuantizeError> {
    let mut quantization = Quantization::begin(embeddings, config, key)?;
    while quantization.remaining() > 0 {
        quantization.fit_level();
    }
    Ok(quantization.finish())
}

/// The vectors that the first level sees.
pub fn normalized(embeddings: &Embeddings, normalize: Normalize) -> Embeddings {
    let mut result = embeddings.clone();
    if normalize == Normalize::Unit {
        for row in result.values_mut().chunks_exact_mut(embeddings.width()) {
            let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                for value in row {
                    *value = (f64::from(*value) / norm) as f32;
                }
            }
        }
    }
    result
}

/// Subtracts `vector` from a row.
fn subtract(row: &mut [f32], vector: &[f32]) {
    for (value, part) in row.iter_mut().zip(vector) {
        *value -= part;
    }
}

#[cfg(test)]
mod tests;
