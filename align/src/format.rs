//! The format reward (`OneRec` report, 2506.13695): completions drawn over the whole vocabulary are rewarded for naming an item.
//!
//! Of the drawn completions `selected` are picked uniformly at random; a legal one has advantage 1, an illegal one is dropped. The
//! pick must not look at probabilities: a policy rewarded for its most probable completions alone learns to make only those
//! legal. Where completions are drawn and picked is the caller's business; this is what a pick is worth.

use crate::surrogate::Surrogate;
use serde::{Deserialize, Serialize};

/// `kind = "format"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Format {
    /// Completions drawn per user. The report draws 128.
    pub drawn: usize,
    /// Of these, completions picked; at most `drawn`. 5 is the report's.
    pub selected: usize,
    /// How they are picked.
    pub selection: Selection,
    /// What is maximised; the report uses `ecpo`.
    pub surrogate: Surrogate,
}

/// Which completions are rewarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Any.
    #[default]
    Random,
    /// The most probable ones: the report's negative result.
    Top,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            drawn: 128,
            selected: 5,
            selection: Selection::Random,
            surrogate: Surrogate::Ecpo { delta: 0.1 },
        }
    }
}
