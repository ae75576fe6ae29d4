//! What a stage has measured: curves, and when it reached their steps.

use super::clock::{Spent, Stopwatch};
use reports::schema::{Mark, MetricRow};

/// Curves and clock of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// The curves.
    pub(super) metrics: Vec<MetricRow>,
    /// When steps were reached.
    pub(super) marks: Vec<Mark>,
    /// Time taken by the attempts before this one.
    pub(super) spent: Spent,
}

impl Measured {
    /// As a checkpoint keeps it: the time on the watch is spent.
    pub(super) fn saved(&self, watch: &Stopwatch) -> Self {
        Self { spent: self.spent.and(watch), ..self.clone() }
    }

    /// Notes that `step` was reached now.
    pub(super) fn mark(&mut self, step: u64, watch: &Stopwatch) {
        let Spent { seconds, cpu_seconds } = self.spent.and(watch);
        self.marks.push(Mark { step, seconds, cpu_seconds: Some(cpu_seconds) });
    }

    /// The curves as JSON lines.
    pub(super) fn lines(&self) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for row in &self.metrics {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }
}
