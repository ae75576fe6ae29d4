//! Item vectors from what is consumed near what, alone or together with text.
//!
//! [`counts`] weighs pairs of items that stand near each other in TRAINING histories; positive pointwise mutual information
//! `max(0, ln(m_ij m / (m_i m_j)))` takes popularity out; a truncated singular value decomposition makes vectors `U sqrt(S)` of it
//! (Levy, Goldberg and Dagan 2015; windows weighted by 1/distance as in `GloVe`, Pennington et al. 2014). Fused with text, an item is
//! its two parts side by side, each of unit length: `[unit(PCA(text - mean)), weight * unit(collaborative)]`.
//!
//! An item that no training history shows beside another one gets the collaborative part that ridge regression predicts from its text.
//!
//! The held-out items of a history are never read. Sums run over fixed shares of the rows: the vectors have the same bits for any
//! number of threads.

mod config;
pub mod contrastive;
pub mod counts;
mod dense;
mod eigen;
pub mod hit_rate;
mod ridge;
mod sparse;
mod text;

pub use config::{CollaborativeConfig, CollaborativeError, Weighting};

use crate::embeddings::Embeddings;
use crate::quantize::{Normalize, normalized};
use crate::random::Key;
use counts::CoOccurrence;
use dense::Dense;

/// What is known of every item, in two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// `[items, at most text_width]`: the principal components of the text vectors, rows of unit length.
    pub text: Embeddings,
    /// `[items, at most width]`: `U sqrt(S)`, predicted from the text where there are no neighbours.
    pub collaborative: Embeddings,
    /// Whether an item has neighbours in training.
    pub known: Vec<bool>,
}

impl Parts {
    /// Both parts of the items that `counts` is about, whose text vectors are `text`. All randomness comes from `key`.
    ///
    /// Widths are smaller than configured where there are not as many items or directions.
    ///
    /// # Errors
    /// If no training history has two different items near each other.
    ///
    /// # Panics
    /// If `text` has not one row per item.
    pub fn of(
        counts: &CoOccurrence,
        text: &Embeddings,
        config: &CollaborativeConfig,
        key: Key,
    ) -> Result<Self, CollaborativeError> {
        assert_eq!(text.rows(), counts.items().len(), "one text vector per item");
        let information = counts.information();
        if information.is_empty() {
            return Err(CollaborativeError::NoPairs { window: config.window });
        }
        let leading = eigen::leading(&information, config.width, key.named("collaborative"));
        let mut collaborative = leading.scaled_by_root();
        let text = text::principal(text, config.text_width, key.named("text"));
        let known: Vec<bool> = counts.items().map(|item| counts.has_neighbors(item)).collect();
        ridge::fill(&Dense::of(&text), &mut collaborative, &known);
        Ok(Self { text, collaborative: collaborative.to_embeddings(), known })
    }

    /// Both parts side by side, each of unit length, the collaborative one times `weight`.
    ///
    /// # Shapes
    /// `[items, text width + collaborative width]`.
    pub fn fused(&self, weight: f64) -> Embeddings {
        let collaborative = normalized(&self.collaborative, Normalize::Unit);
        let rows = (0..self.text.rows()).flat_map(|row| {
            let weighted = collaborative.row(row).iter().map(|value| value * weight as f32);
            self.text.row(row).iter().copied().chain(weighted)
        });
        Embeddings::new(self.text.width() + collaborative.width(), rows.collect())
    }
}

#[cfg(test)]
mod tests;
