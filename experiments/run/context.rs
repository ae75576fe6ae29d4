//! What a stage sees of the run it belongs to.

use super::stop::StopFlag;
use crate::progress::Progress;
use burn::prelude::Device;
use policy::random::Key;
use reports::schema::MetricRow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

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
    metrics: Mutex<Vec<MetricRow>>,
}

impl StageContext {
    pub(super) fn new(
        stage: &str,
        (partial, scratch): (PathBuf, PathBuf),
        (key, device): (Key, Device),
        stop: StopFlag,
    ) -> Self {
        Self { stage: stage.into(), partial, scratch, key, device, stop, metrics: Mutex::default() }
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
        self.rows().push(MetricRow { stage, step, key, value });
        Ok(())
    }

    /// The metrics so far, for a stage that checkpoints.
    pub fn metrics(&self) -> Vec<MetricRow> {
        self.rows().clone()
    }

    /// Replaces the metrics by those of a checkpoint.
    pub fn restore_metrics(&self, metrics: Vec<MetricRow>) {
        *self.rows() = metrics;
    }

    /// Starts to show progress over `total` units.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        Progress::new(label, total)
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
        for row in self.rows().iter() {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn rows(&self) -> MutexGuard<'_, Vec<MetricRow>> {
        self.metrics.lock().expect("nothing panics while holding the lock")
    }
}
