//! What a stage has measured: curves, and when it reached their steps.

use super::clock::{Spent, Stopwatch};
use reports::schema::{Mark, MetricRow};
use serde::{Deserialize, Serialize};

/// Curves and clock of a stage, for its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The curves.
    pub(super) metrics: Vec<MetricRow>,
    /// When steps were reached.
    #[serde(default)]
    pub(super) marks: Vec<Mark>,
    /// Time taken by the attempts before this one.
    #[serde(default)]
    pub(super) spent: Spent,
}

impl Measured {
    /// As a checkpoint keeps it: the time on the watch is spent.
    pub(super) fn saved(&self, watch: &Stopwatch) -> Self {
        Self { spent: self.spent.and(watch), ..self.clone() }
    }

    /// Notes that `step` was reached now.
    pub(super) fn mark(&mut self, step: u64, watch: &Stopwatch) {
        let Spent { seconds, .. } = self.spent.and(watch);
        self.marks.push(Mark { step, seconds });
    }
}
