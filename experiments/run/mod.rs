//! The run directory: `run.json`, `config.toml`, `metrics.jsonl`, `tensorboard/`, `stages/NN-<stage>/`, `report/`.
//!
//! [`Run::stage`] does everything around a stage, so that stages stay plain functions: skip it when its fingerprint
//! matches, keep its scratch space over interruptions, hash and commit what it wrote, record what it read.
//! [`commit`] is the only module that makes files appear under their final names.

mod adopt;
pub mod checkpoint;
mod claim;
pub mod clock;
pub mod commit;
pub mod context;
pub(crate) mod drift;
pub mod fingerprint;
pub mod hash;
pub mod layout;
pub mod live;
pub mod lock;
mod measured;
pub mod memory;
pub mod publish;
pub mod recompute;
pub(crate) mod seal;
pub mod stage;
pub mod stop;
mod tensorboard;
pub mod verify;

pub use context::StageContext;

use crate::config::{Budget, Config};
use crate::device::DeviceChoice;
use anyhow::Context as _;
use burn::prelude::Device;
use layout::Layout;
use lock::Lock;
use policy::random::Key;
use reports::schema::RunRecord;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use stop::StopFlag;

/// Layout version of the run directory.
pub const SCHEMA: u32 = 1;

/// What to do with stages that are already committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Resume {
    /// Skip those whose fingerprint matches, run the others again.
    #[default]
    Auto,
    /// Refuse to touch a directory that has any.
    Never,
}

/// Whether results and attempts may be replaced by those of another configuration, other data or another program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// They are kept and the run refuses to go on.
    #[default]
    Refused,
    /// They are replaced; manifests record what differed.
    Allowed,
}

impl From<bool> for Drift {
    /// What a flag that allows it says.
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

/// A run directory, opened for writing; no one else can write to it meanwhile.
pub struct Run {
    layout: Layout,
    record: RunRecord,
    /// The resolved configuration, as `config.toml` has it.
    config: String,
    device: Device,
    stop: StopFlag,
    drift: Drift,
    /// The only stage that may be computed; `None`: any.
    only: Option<String>,
    /// Run directories whose stages may be taken over.
    others: Vec<PathBuf>,
    /// Where other processes say what they are computing.
    claims: Option<PathBuf>,
    /// Names of the stages of this session, in order; the position is the stage's number.
    visited: Mutex<Vec<String>>,
    _lock: Lock,
}

impl Run {
    /// Opens or creates the run directory `dir`. `run.json` and `config.toml` are written with the first change: a run
    /// that is refused leaves them as they are.
    ///
    /// # Errors
    /// Another process writes to the directory; `Resume::Never` and it holds committed stages; the device is not
    /// available; the directory cannot be written.
    pub fn open(dir: &Path, config: &Config, device: DeviceChoice, resume: Resume) -> anyhow::Result<Self> {
        let layout = Layout::new(dir);
        let opened = device.open()?;
        commit::create_directory(&layout.stages())?;
        let lock = Lock::acquire(&layout)?;
        if resume == Resume::Never {
            refuse_committed_stages(&layout)?;
        }
        layout.remove_leftovers()?;
        let run = Self {
            record: record(config, device),
            config: config.to_toml(),
            device: opened,
            stop: StopFlag::default(),
            drift: Drift::default(),
            only: None,
            others: Vec::new(),
            claims: None,
            visited: Mutex::default(),
            layout,
            _lock: lock,
        };
        if run.layout.is_begun()? {
            // A kill may have come between the commit of a stage and this.
            run.collect_metrics()?;
        } else {
            run.describe()?;
        }
        Ok(run)
    }

    /// Writes what is run: `config.toml` and `run.json`.
    fn describe(&self) -> anyhow::Result<()> {
        write_if_changed(&self.layout.config(), self.config.as_bytes())?;
        write_if_changed(&self.layout.record(), &to_json(&self.record)?)
    }

    /// What may happen to results of another configuration.
    #[must_use]
    pub fn with_drift(self, drift: Drift) -> Self {
        Self { drift, ..self }
    }

    /// The run directory.
    pub fn dir(&self) -> &Path {
        self.layout.root()
    }

    /// What `run.json` says.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The flag that asks this run to stop.
    pub fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Stops when this flag says so, which may belong to more than this run.
    #[must_use]
    pub fn stopped_by(self, stop: StopFlag) -> Self {
        Self { stop, ..self }
    }

    /// Directories of the stages that this session ran or found finished, in order.
    ///
    /// # Panics
    /// Never: no stage panics while it holds the lock.
    pub fn visited(&self) -> Vec<String> {
        self.visited.lock().expect("no stage panics while holding the lock").clone()
    }

    fn key(&self) -> Key {
        Key::new(self.record.seed)
    }
}

/// A finished stage: what a later stage takes as input.
#[derive(Clone, Debug)]
pub struct StageOutput {
    /// The stage's name.
    pub name: String,
    /// Its committed directory.
    pub dir: PathBuf,
    /// Whether this session found it finished instead of running it.
    pub reused: bool,
    files: hash::Hashes,
}

/// What a stage reads.
#[derive(Clone, Debug)]
pub enum Input {
    /// Everything another stage wrote.
    Stage(StageOutput),
    /// A file from outside the run directory.
    File(PathBuf),
}

impl From<&StageOutput> for Input {
    fn from(output: &StageOutput) -> Self {
        Self::Stage(output.clone())
    }
}

fn record(config: &Config, device: DeviceChoice) -> RunRecord {
    RunRecord {
        schema: SCHEMA,
        name: config.run.name.clone(),
        seed: config.run.seed,
        budget: match config.run.budget {
            Budget::Full => "full".into(),
            Budget::Smoke => "smoke".into(),
        },
        stages: config.run.stages,
        device: device.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        config_sha256: hash::of_bytes(config.to_toml().as_bytes()),
    }
}

/// Pretty JSON with a line end, as every JSON file of a run directory.
pub(crate) fn to_json(value: &impl serde::Serialize) -> anyhow::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).context("cannot write JSON")?;
    json.push(b'\n');
    Ok(json)
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    commit::write_file(path, bytes)
}

fn refuse_committed_stages(layout: &Layout) -> anyhow::Result<()> {
    let committed = layout.committed()?;
    anyhow::ensure!(
        committed.is_empty(),
        "{} already holds {} finished stage(s) and --resume never was given; use --resume auto to continue it or \
         --run-dir DIR to start in another directory",
        layout.root().display(),
        committed.len(),
    );
    Ok(())
}
