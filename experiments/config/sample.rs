//! `[sample]`: rollouts.

use super::is_default;
use sampler::method::Method;
use serde::{Deserialize, Serialize};

/// `[sample]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Users whose candidates are sampled, per round and arm.
    pub users: usize,
    /// Candidates per user: the beam width.
    pub beam_width: usize,
    /// Over which continuations probabilities are normalised, everywhere.
    pub log_prob_space: policy::log_prob::LogProbSpace,
    /// Least difference of judge scores within a pair.
    pub min_margin: f64,
    /// How candidates are found; always under the trie.
    #[serde(skip_serializing_if = "is_default")]
    pub method: Method,
    /// Training interactions of every user that are left after the one to be predicted, for rewards that look further ahead (`reward` =
    /// `msra`); fewer where the history has fewer.
    #[serde(skip_serializing_if = "is_default")]
    pub later: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            users: 1000,
            beam_width: 16,
            log_prob_space: policy::log_prob::LogProbSpace::Trie,
            min_margin: 0.0,
            method: Method::Beam,
            later: 0,
        }
    }
}
