//! How codebooks are trained.

use super::super::QuantizeError;
use serde::{Deserialize, Serialize};

/// How the gradient passes the choice of codes, which has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// As if the encoding itself were decoded (Bengio et al. 2013; van den Oord et al. 2017).
    StraightThrough,
    /// As if the encoding were rotated and scaled onto its codes' sum (Fifty et al. 2024, 2410.06424).
    Rotation,
}

/// Training of `rq-vae` and `residual-vq`. Defaults take about a minute on two cores for 12,000 vectors of 384 numbers;
/// published settings (`MiniOneRec`: 10,000 epochs at 1e-3, hidden layers from 2048 down to 64) do not. In so few epochs a learning rate
/// of 3e-3 reconstructs better than 1e-3 (Amazon Beauty: .42 of the variance is left, against .47).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedConfig {
    /// Widths of the encoder's hidden layers; the decoder mirrors them. Not used by `residual-vq`.
    pub hidden: Vec<usize>,
    /// Width of an encoding. Not used by `residual-vq`.
    pub latent: usize,
    /// How the gradient passes the choice of codes. Not used by `residual-vq`, which has no encoder to reach.
    pub gradient: Gradient,
    /// Weight of the term that keeps encodings near their codes (beta, .25 in all papers). Not used by `residual-vq`.
    pub commitment: f64,
    /// Weight of the contrast between quantised and collaborative vectors (LETTER's alpha, .02 there); 0: none, and no
    /// collaborative vectors are needed. Not used by `residual-vq`.
    #[serde(skip_serializing_if = "is_zero")]
    pub collaborative_weight: f64,
    /// Weight of the spread of the codes (LETTER's beta, 1e-4 there). Not used by `residual-vq`.
    #[serde(skip_serializing_if = "is_zero")]
    pub diversity_weight: f64,
    /// Groups of like codes that stay together when codes are spread.
    #[serde(skip_serializing_if = "is_ten")]
    pub diversity_groups: usize,
    /// Passes over the items.
    pub epochs: usize,
    /// Items per step.
    pub batch_size: usize,
    /// Peak learning rate of AdamW, after one epoch of warm-up.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// LETTER's.
const GROUPS: usize = 10;

/// Keys that are newer than the file format are left out at their defaults: fingerprints of finished stages stay as they are.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_ten(value: &usize) -> bool {
    *value == GROUPS
}

impl Default for LearnedConfig {
    fn default() -> Self {
        Self {
            hidden: vec![256, 128],
            latent: 32,
            gradient: Gradient::StraightThrough,
            commitment: 0.25,
            collaborative_weight: 0.0,
            diversity_weight: 0.0,
            diversity_groups: GROUPS,
            epochs: 100,
            batch_size: 1024,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
        }
    }
}

impl LearnedConfig {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// With the first setting that is out of range.
    pub fn check(&self) -> Result<(), QuantizeError> {
        let narrowest = self.hidden.iter().copied().min().unwrap_or(1);
        let positive = [
            ("hidden", narrowest),
            ("latent", self.latent),
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("diversity_groups", self.diversity_groups),
        ];
        for (key, value) in positive {
            in_range(key, value as f64, value >= 1, "at least 1")?;
        }
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        in_range("commitment", self.commitment, not_negative(self.commitment), "at least 0 and finite")?;
        for (key, weight) in
            [("collaborative_weight", self.collaborative_weight), ("diversity_weight", self.diversity_weight)]
        {
            in_range(key, weight, not_negative(weight), "at least 0 and finite")?;
        }
        in_range("learning_rate", rate, rate > 0.0 && rate <= 1.0, "above 0 and at most 1")?;
        in_range("weight_decay", decay, not_negative(decay), "at least 0 and finite")
    }
}

fn in_range(key: &'static str, value: f64, holds: bool, allowed: &'static str) -> Result<(), QuantizeError> {
    if holds { Ok(()) } else { Err(QuantizeError::Training { key, value, allowed }) }
}
