//! `[evaluate]`: what is measured.

use super::is_default;
use serde::{Deserialize, Serialize};

/// `[evaluate]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// Test users; 0 = all.
    pub users: usize,
    /// Beam width; at least the largest cut-off.
    pub beam_width: usize,
    /// Cut-offs of Recall and NDCG.
    pub cutoffs: Vec<usize>,
    /// Recommended items that the judges score.
    pub judged_items: usize,
    /// Bootstrap resamples behind every interval.
    pub resamples: usize,
    /// Whether policies also search without the trie.
    #[serde(skip_serializing_if = "is_default")]
    pub free_beams: FreeBeams,
    /// Policies also search with pruning (CORP, a reconstruction): paths whose consistency, in `(0, 1]`, is below it make room for others, and
    /// what that changes is measured ([`sampler::consistency`]). 0: not measured.
    #[serde(skip_serializing_if = "is_default")]
    pub min_consistency: f64,
    /// Numbers of candidates per request, rising, at which test-time scaling is measured: pass@K, beams of this width, and the
    /// proxy judge's choice among as many draws and beams. Empty: not measured. Per policy it takes about as long as one beam
    /// three times as wide as these together.
    #[serde(skip_serializing_if = "is_default")]
    pub scaling: Vec<usize>,
    /// Test users it is measured on, drawn at random; 0 = all that are evaluated.
    #[serde(skip_serializing_if = "is_default")]
    pub scaling_users: usize,
}

/// Whether policies also search without the trie: as many beams, of which those that are no item count as misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreeBeams {
    /// They do not.
    #[default]
    Off,
    /// They do: Recall, NDCG and the share of beams that are items.
    Measured,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            users: 0,
            beam_width: 50,
            cutoffs: vec![5, 10, 50],
            judged_items: 10,
            resamples: 1000,
            free_beams: FreeBeams::Off,
            min_consistency: 0.0,
            scaling: Vec::new(),
            scaling_users: 0,
        }
    }
}
