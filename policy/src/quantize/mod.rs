//! From items to semantic IDs.
//!
//! Most quantisers are residual: level by level, the vectors are clustered, each item takes its cluster's number as a
//! code, and its cluster's centre is subtracted before the next level. So an item is approximately the sum of its codes'
//! vectors. The others keep that form: whoever gives the codes, a code has a vector, and an item's vectors add up to what
//! its ID says of it ([`Quantized::reconstruct`]).
//!
//! | quantiser | codes come from | file |
//! |---|---|---|
//! | `balanced-residual-kmeans`, `residual-kmeans` | clusters of residuals | [`balanced`], [`lloyd`] |
//! | `residual-vq`, `rq-vae` | codebooks trained by gradients | [`learned`] |
//! | `optimized-product` | clusters of rotated sub-vectors | [`product`] |
//! | `item-id`, `random`, `sequential`, `collaborative`, `semantic`, `hybrid` | the item's number, histories, trees | [`indexing`] |
//!
//! [`collision`] says how items with equal codes are told apart ([`sinkhorn`]: moved apart), [`quality`] what the result
//! is worth, [`new_items`] how later items get codes.

pub mod balanced;
mod bounds;
pub mod collision;
mod config;
mod directions;
mod distance;
mod error;
mod factorization;
pub mod indexing;
pub mod learned;
mod levels;
pub mod lloyd;
mod means;
mod nearest;
pub mod new_items;
pub mod product;
pub mod quality;
mod residual;
mod rows;
mod seeding;
pub mod sinkhorn;

pub use config::{Collisions, NewItems, Normalize, QuantizeConfig, Quantizer, SweepOrder};
pub use error::{QuantizeError, check_values};
pub use learned::{Gradient, LearnedConfig};

use crate::embeddings::Embeddings;
use crate::history::Log;
use crate::ids::Code;
use crate::random::Key;
use indexing::Indexing;
use learned::{Autoencoder, Training};
use product::Product;
use residual::ResidualKmeans;

/// One level's clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// Cluster of each point.
    pub assignment: Vec<usize>,
    /// One row per cluster.
    pub centers: Embeddings,
}

/// What a quantiser may look at.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    /// One row per item.
    pub vectors: &'a Embeddings,
    /// Who interacted with which items. Only the training part is read ([`Log::train_items`]), and only by quantisers that
    /// need it ([`Quantizer::needs_histories`]).
    pub log: Option<&'a Log>,
    /// One row per item: what is consumed near what. Only for [`LearnedConfig::collaborative_weight`].
    pub collaborative: Option<&'a Embeddings>,
}

impl<'a> From<&'a Embeddings> for Items<'a> {
    fn from(vectors: &'a Embeddings) -> Self {
        Self { vectors, log: None, collaborative: None }
    }
}

/// A finished quantisation, before collisions are dealt with.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The codes of each item, coarsest first.
    pub codes: Vec<Vec<Code>>,
    /// One row per code, for each level.
    pub codebooks: Vec<Embeddings>,
    /// Mean squared norm of what is left after each level, relative to that of the vectors that were quantised: the
    /// normalised ones, or their encodings.
    pub residuals: Vec<f64>,
    /// Where the codebooks are of encodings: what leads there and back.
    pub autoencoder: Option<Autoencoder>,
}

impl Quantized {
    /// What each item's codes say of its vector: the sum of the codes' vectors, decoded where they are of encodings.
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
        let sums = Embeddings::new(width, values);
        self.autoencoder.as_ref().map_or_else(|| sums.clone(), |autoencoder| autoencoder.decode(&sums))
    }
    /// The vectors that the codes' vectors add up to: the items' own, or their encodings.
    fn encoded(&self, vectors: &Embeddings) -> Embeddings {
        self.autoencoder.as_ref().map_or_else(|| vectors.clone(), |autoencoder| autoencoder.encode(vectors))
    }
}

/// A quantiser at work.
trait Fit {
    /// Steps that are not done yet.
    fn remaining(&self) -> usize;
    /// Does the next one.
    fn step(&mut self) -> Result<(), QuantizeError>;
    /// The result, when no step remains.
    fn finish(self: Box<Self>) -> Quantized;
}

/// A quantisation in progress, step by step, so that a caller can show progress and stop between steps. A step is a level
/// of residual k-means, an epoch of training, or everything.
pub struct Quantization<'a> {
    fit: Box<dyn Fit + 'a>,
}

impl<'a> Quantization<'a> {
    /// Checks the settings and the items and prepares the first step. All randomness comes from `key`.
    ///
    /// # Errors
    /// If a setting is out of range, there are more codes than items or more items than IDs, histories are needed and
    /// absent, or a value is not a usable number.
    pub fn begin(
        items: impl Into<Items<'a>>,
        config: &QuantizeConfig,
        key: Key,
    ) -> Result<Self, QuantizeError> {
        let items = items.into();
        error::check(items, config)?;
        let vectors = normalized(items.vectors, config.normalize);
        let fit: Box<dyn Fit + 'a> = match config.quantizer {
            Quantizer::BalancedResidualKmeans | Quantizer::ResidualKmeans => {
                Box::new(ResidualKmeans::new(vectors, config, key))
            }
            Quantizer::OptimizedProduct => Box::new(Product::new(vectors, config, key)),
            Quantizer::ResidualVq | Quantizer::RqVae => {
                let collaborative = items.collaborative.filter(|_| config.needs_collaborative());
                Box::new(Training::new(vectors, collaborative, config, key))
            }
            Quantizer::ItemId
            | Quantizer::Random
            | Quantizer::Sequential
            | Quantizer::Collaborative
            | Quantizer::Semantic
            | Quantizer::Hybrid => Box::new(Indexing::new(vectors, items.log, config, key)),
        };
        Ok(Self { fit })
    }
    /// Steps that are not done yet.
    pub fn remaining(&self) -> usize {
        self.fit.remaining()
    }
    /// Does the next step.
    ///
    /// # Errors
    /// If training meets a number that is not finite.
    ///
    /// # Panics
    /// If no step remains.
    pub fn step(&mut self) -> Result<(), QuantizeError> {
        assert!(self.remaining() > 0, "all steps are done");
        self.fit.step()
    }
    /// The codes and codebooks.
    ///
    /// # Panics
    /// If a step remains.
    pub fn finish(self) -> Quantized {
        assert!(self.remaining() == 0, "{} steps are not done", self.remaining());
        self.fit.finish()
    }
}

/// All steps at once.
///
/// # Errors
/// As [`Quantization::begin`] and [`Quantization::step`].
pub fn quantize<'a>(
    items: impl Into<Items<'a>>,
    config: &QuantizeConfig,
    key: Key,
) -> Result<Quantized, QuantizeError> {
    let mut quantization = Quantization::begin(items, config, key)?;
    while quantization.remaining() > 0 {
        quantization.step()?;
    }
    Ok(quantization.finish())
}

/// The vectors that the quantiser sees.
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
