//! What a stage sees of the run it belongs to.

use super::clock::{Spent, Stopwatch};
use super::live::Broadcast;
use super::measured::Measured;
use super::memory::PeakMemory;
use super::stop::StopFlag;
use crate::progress::Progress;
use burn::prelude::Device;
use policy::random::Key;
use reports::schema::{Mark, MetricRow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// A measured value that is not a number: the stage stops before it can spread.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{stage}: metric {key} is {value} at step {step}")]
pub struct NonFiniteMetric {
    /// The stage that measured it.
    pub stage: String,
    /// Its step.
    pub step: u64,
    /// The metric's key.
    pub key: String,
    /// NaN or an infinity.
    pub value: f64,
}

/// Handed to a stage's function: where to write, what to report to, when to stop.
pub struct StageContext {
    stage: String,
    partial: PathBuf,
    scratch: PathBuf,
    key: Key,
    device: Device,
    stop: StopFlag,
    watch: Stopwatch,
    memory: PeakMemory,
    measured: Mutex<Measured>,
    live: Arc<Broadcast>,
}

impl StageContext {
    pub(super) fn new(
        stage: &str,
        (partial, scratch): (PathBuf, PathBuf),
        (key, device): (Key, Device),
        stop: StopFlag,
    ) -> Self {
        let (watch, memory) = (Stopwatch::start(), PeakMemory::start());
        let live = Arc::new(Broadcast::beside(&scratch));
        Self {
            stage: stage.into(),
            partial,
            scratch,
            key,
            device,
            stop,
            watch,
            memory,
            measured: Mutex::default(),
            live,
        }
    }

    /// Where to write the artifact `file`. Everything written there is hashed and committed when the stage ends;
    /// `manifest.json`, `metrics.jsonl` and `fingerprint.json` are written by the run itself.
    pub fn path(&self, file: &str) -> PathBuf {
        self.partial.join(file)
    }

    /// A directory that survives an interruption and is removed when the stage commits. It is empty unless an
    /// attempt with the same fingerprint left something.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Records a metric of the curves.
    ///
    /// # Errors
    /// [`NonFiniteMetric`].
    pub fn metric(&self, step: u64, key: &str, value: f64) -> anyhow::Result<()> {
        let (stage, key) = (self.stage.clone(), key.to_owned());
        if !value.is_finite() {
            return Err(NonFiniteMetric { stage, step, key, value }.into());
        }
        let row = MetricRow { stage, step, key, value };
        self.live.row(&row);
        self.measured().metrics.push(row);
        Ok(())
    }

    /// Records when `step` was reached. The manifest keeps it: no output of the stage may depend on the clock.
    pub fn mark(&self, step: u64) {
        self.measured().mark(step, &self.watch);
    }

    /// The metrics so far, for a stage that checkpoints, and the time they took.
    pub fn metrics(&self) -> Measured {
        self.measured().saved(&self.watch)
    }

    /// Replaces the metrics by those of a checkpoint; the clock goes on from there.
    pub fn restore_metrics(&self, metrics: Measured) {
        metrics.metrics.iter().for_each(|row| self.live.row(row));
        *self.measured() = metrics;
    }

    /// Starts to show progress over `total` units.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        Progress::new(label, total).told_to(self.live.clone())
    }

    /// The root of this stage's randomness: the run's seed and the stage's name.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Where tensors live (without autodiff).
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// To be called in long loops, where stopping is safe.
    ///
    /// # Errors
    /// [`super::stop::Interrupted`] after Ctrl-C or SIGTERM.
    pub fn check_stop(&self) -> anyhow::Result<()> {
        Ok(self.stop.check()?)
    }

    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// The metrics as JSON lines.
    pub(super) fn metric_lines(&self) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for row in &self.measured().metrics {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// When steps were reached.
    pub(super) fn marks(&self) -> Vec<Mark> {
        self.measured().marks.clone()
    }

    /// CPU seconds taken so far, earlier attempts up to the checkpoint included. Only for budgets of time, whose results
    /// depend on the machine; everything else a stage computes is a function of its inputs.
    pub fn cpu_seconds(&self) -> f64 {
        self.spent().cpu_seconds
    }

    /// Time taken so far, earlier attempts up to the checkpoint included.
    pub(super) fn spent(&self) -> Spent {
        self.measured().spent.and(&self.watch)
    }

    /// Most memory held so far.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        self.memory.bytes()
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().expect("nothing panics while holding the lock")
    }
}
