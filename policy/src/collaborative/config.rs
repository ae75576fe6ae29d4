//! What the vectors are made from, and why there may be none.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How much a pair of items counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// One over their distance in the history (`GloVe`).
    InverseDistance,
    /// The same for all pairs of the window.
    Uniform,
}

impl Weighting {
    /// The weight of a pair `distance` positions apart.
    pub(super) fn at(self, distance: usize) -> f64 {
        match self {
            Self::InverseDistance => 1.0 / distance as f64,
            Self::Uniform => 1.0,
        }
    }
}

/// How collaborative vectors are made and fused with text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollaborativeConfig {
    /// Most columns of the collaborative part, at least 1.
    pub width: usize,
    /// Two items are a pair if they stand at most this many positions apart.
    pub window: usize,
    /// How much a pair counts.
    pub weighting: Weighting,
    /// Length of the collaborative part where that of the text part is 1.
    pub weight: f64,
    /// Most principal components of the text vectors, at least 1.
    pub text_width: usize,
}

impl Default for CollaborativeConfig {
    fn default() -> Self {
        Self { width: 128, window: 10, weighting: Weighting::InverseDistance, weight: 1.0, text_width: 128 }
    }
}

/// Why there are no collaborative vectors.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CollaborativeError {
    /// Nothing says which items belong together.
    #[error(
        "no training history has two different items within {window} positions; use vectors = \"text\", or longer histories"
    )]
    NoPairs {
        /// Largest distance of a pair.
        window: usize,
    },
}
