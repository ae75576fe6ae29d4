//! Residual k-means: every level clusters what the levels before it leave.

use super::distance::shifted;
use super::levels::Levels;
use super::means::column_means;
use super::{Clusters, Fit, QuantizeConfig, QuantizeError, Quantized, Quantizer, balanced, lloyd};
use crate::embeddings::Embeddings;
use crate::random::Key;

/// Residual k-means in progress; a step is a level.
pub(super) struct ResidualKmeans {
    config: QuantizeConfig,
    key: Key,
    levels: Levels,
}

impl ResidualKmeans {
    /// Before the first level; settings are checked by the caller.
    pub(super) fn new(vectors: Embeddings, config: &QuantizeConfig, key: Key) -> Self {
        Self { config: config.clone(), key, levels: Levels::new(vectors) }
    }
    fn cluster(&self) -> Clusters {
        let key = self.key.at(self.levels.count() as u64);
        around_mean(self.levels.residual(), |points| match self.config.quantizer {
            Quantizer::BalancedResidualKmeans => balanced::cluster(points, &self.config, key),
            _ => lloyd::cluster(points, &self.config, key),
        })
    }
}

impl Fit for ResidualKmeans {
    fn remaining(&self) -> usize {
        self.config.levels - self.levels.count()
    }
    fn step(&mut self) -> Result<(), QuantizeError> {
        let clusters = self.cluster();
        self.levels.push(clusters);
        Ok(())
    }
    fn finish(self: Box<Self>) -> Quantized {
        self.levels.finish()
    }
}

/// Clusters points around their mean: distances do not change, but in f32 they are computed from inner products, which
/// cancel when all vectors share a large offset.
pub(super) fn around_mean(points: &Embeddings, cluster: impl FnOnce(&Embeddings) -> Clusters) -> Clusters {
    let mean = column_means(points);
    let clusters = cluster(&shifted(points, &mean, -1.0));
    Clusters { centers: shifted(&clusters.centers, &mean, 1.0), ..clusters }
}
