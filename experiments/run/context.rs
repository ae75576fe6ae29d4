//! What a stage sees of the run it belongs to.

use super::checkpoint::{Checkpoint, Checkpoints, Moment};
use super::clock::{Spent, Stopwatch};
use super::live::Broadcast;
use super::measured::Measured;
use super::memory::PeakMemory;
use super::stop::{Interrupted, StopFlag};
use crate::progress::Progress;
use anyhow::Context as _;
use burn::prelude::Device;
use policy::random::Key;
use reports::schema::{Mark, MetricRow};
use serde::Serialize;
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
    checkpoints: Mutex<Checkpoints>,
    live: Arc<Broadcast>,
}

impl StageContext {
    pub(super) fn new(
        (stage, fingerprint): (&str, &str),
        (partial, scratch): (PathBuf, PathBuf),
        (key, device): (Key, Device),
        stop: StopFlag,
    ) -> Self {
        let (watch, memory) = (Stopwatch::start(), PeakMemory::start());
        let live = Arc::new(Broadcast::beside(&scratch));
        Self {
            checkpoints: Mutex::new(Checkpoints::new(&scratch, stage, fingerprint)),
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

    /// The newest checkpoint of an interrupted attempt that verifies, if there is one; metrics and clock go on from there.
    /// To be asked before anything is measured.
    ///
    /// # Errors
    /// The scratch space cannot be read. A damaged checkpoint is no error: it is named in the log and skipped.
    pub fn resume(&self) -> anyhow::Result<Option<Checkpoint>> {
        let Some((checkpoint, measured)) = self.checkpoints().newest()? else { return Ok(None) };
        measured.metrics.iter().for_each(|row| self.live.row(row));
        *self.measured() = measured;
        Ok(Some(checkpoint))
    }

    /// [`StageContext::resume`] in the middle of an attempt: what was measured since the checkpoint is forgotten, the time it
    /// took is not.
    ///
    /// # Errors
    /// As there.
    pub fn roll_back(&self) -> anyhow::Result<Option<Checkpoint>> {
        let found = self.checkpoints().newest()?;
        let mut measured = self.measured();
        let spent = measured.spent;
        let (checkpoint, restored) = found.map_or((None, Measured::default()), |(c, m)| (Some(c), m));
        *measured = Measured { spent, ..restored };
        Ok(checkpoint)
    }

    /// Saves a checkpoint: the files that `write` makes in the directory it is given, `cursor`, and the metrics so far.
    /// Returns the directory of the checkpoint, which lives until two newer ones are complete.
    ///
    /// # Errors
    /// Something cannot be written; the earlier checkpoints are still there then.
    pub fn save(
        &self,
        (step, cursor): (u64, &impl Serialize),
        write: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let measured = self.measured().saved(&self.watch);
        let cursor = serde_json::to_value(cursor).context("cannot write the cursor as JSON")?;
        self.checkpoints()
            .save(&Moment { step, cursor, measured: &measured }, write)
            .with_context(|| format!("cannot save a checkpoint at step {step}"))
    }

    /// Whether a checkpoint now would keep what saving costs below two per cent of the time. When checkpoints are made
    /// has no influence on what a stage computes.
    pub fn save_due(&self) -> bool {
        self.checkpoints().due()
    }

    /// `outcome` as it is; if it is a request to stop, `save` goes first.
    ///
    /// # Errors
    /// Those of `outcome` and `save`.
    pub fn saving<T>(
        outcome: anyhow::Result<T>,
        save: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<T> {
        match outcome {
            Err(stop) if stop.is::<Interrupted>() => {
                save()?;
                Err(stop)
            }
            outcome => outcome,
        }
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
        self.measured().lines()
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

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().expect("nothing panics while holding the lock")
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().expect("nothing panics while holding the lock")
    }
}
