//! `evaluate/scaling.json`: what more computing per request buys (`evaluate.scaling`).

use super::Estimate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every policy at every number of candidates, and the pretrained one with a judge's choice against the aligned ones at equal cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Test users it was measured on.
    pub users: u64,
    /// Most items shown of the candidates.
    pub shown: u64,
    /// Draws per user behind every pass@K.
    pub draws: u64,
    /// The metric of the judge that chooses; absent in a run without judges, where nothing is chosen.
    pub selector: Option<String>,
    /// By policy, the pretrained one first; then by way and number of candidates.
    pub points: Vec<ScalingPoint>,
    /// The pretrained policy's choices against beams of aligned policies.
    pub comparisons: Vec<EqualCost>,
}

/// How a request's computing is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Independent draws under the trie at temperature 1, all of them counted.
    Draws,
    /// The first items of a beam.
    Beam,
    /// The proxy judge's first items of different draws.
    SelectedDraws,
    /// The proxy judge's first items of a beam.
    SelectedBeam,
}

/// One policy, one way, one number of candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingPoint {
    /// The policy.
    pub system: String,
    /// The way.
    pub way: Way,
    /// Candidates: draws, or the beam's width.
    pub candidates: u64,
    /// Sequences that a request decodes.
    pub decoded: u64,
    /// Sequences that the judge scores for it.
    pub scored: u64,
    /// Metric -> mean over users with its 95 % bootstrap interval: `pass@K` of draws, `recall@K` of the whole beam,
    /// `distinct@K` of either; `recall`, `ndcg` and the judges' scores of what is shown.
    pub metrics: BTreeMap<String, Estimate>,
}

impl ScalingPoint {
    /// Sequences decoded and scored per request: a cost that no clock is asked about. The history, read once whatever the way,
    /// is not counted, and a sequence that is scored counts as much as one that is decoded.
    pub const fn cost(&self) -> u64 {
        self.decoded + self.scored
    }
}

/// The pretrained policy with the judge's choice, less an aligned policy's beam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EqualCost {
    /// The aligned policy.
    pub system: String,
    /// What the pretrained policy's judge chose from.
    pub way: Way,
    /// How many candidates these were.
    pub candidates: u64,
    /// Width of the aligned policy's beam: the cost that both have.
    pub width: u64,
    /// The metric; never the score of the judge that chose.
    pub metric: String,
    /// Mean difference over users with its 95 % paired bootstrap interval.
    pub difference: Estimate,
}

impl EqualCost {
    /// Whether the beam is as wide as there were candidates, so that the judge's scores cost nothing.
    pub const fn scores_are_free(&self) -> bool {
        self.width == self.candidates
    }
}
