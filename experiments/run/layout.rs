//! Where things are in a run directory.

use super::seal::{Broken, unseal};
use anyhow::Context as _;
use reports::schema::Manifest;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::warn;

/// File that makes a directory a committed stage.
pub const MANIFEST: &str = "manifest.json";
/// A stage's metric rows, one JSON object per line.
pub const METRICS: &str = "metrics.jsonl";
/// What a stage's fingerprint is the hash of.
pub const FINGERPRINT: &str = "fingerprint.json";
/// Below an attempt's directory: what survives an interruption.
pub(super) const SCRATCH: &str = "scratch";

/// Suffix of a stage directory that is being written.
pub(super) const PARTIAL: &str = ".partial";
/// Suffix of a stage's scratch directory.
const WORK: &str = ".work";
/// Suffix of a directory that is being replaced.
pub const REPLACED: &str = ".replaced";

/// Paths below a run directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// A stage directory with a manifest.
#[derive(Clone, Debug)]
pub struct Committed {
    /// `NN` of the directory.
    pub number: usize,
    /// `NN-<stage>`.
    pub directory: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Layout {
    /// The layout of the run directory `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The layout of a run directory that exists.
    ///
    /// # Errors
    /// There is no `run.json`.
    pub fn existing(root: &Path) -> anyhow::Result<Self> {
        let layout = Self::new(root);
        let message = "is not a run directory: it has no run.json";
        anyhow::ensure!(layout.record().is_file(), "{} {message}", root.display());
        Ok(layout)
    }

    /// The run directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// `run.json`.
    pub fn record(&self) -> PathBuf {
        self.root.join("run.json")
    }
    /// `config.toml`, resolved.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }
    /// `metrics.jsonl` of all committed stages.
    pub fn metrics(&self) -> PathBuf {
        self.root.join(METRICS)
    }
    /// `tensorboard/`, one directory of event files per stage.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }
    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }
    /// `report/`.
    pub fn report(&self) -> PathBuf {
        self.root.join("report")
    }
    /// `report.partial/`, while a report is being written.
    pub fn report_partial(&self) -> PathBuf {
        self.root.join(format!("report{PARTIAL}"))
    }
    /// `stages/`.
    pub fn stages(&self) -> PathBuf {
        self.root.join("stages")
    }
    /// `stages/<directory>`, committed.
    pub fn stage(&self, directory: &str) -> PathBuf {
        self.stages().join(directory)
    }
    /// `stages/<directory>.partial`, while the stage runs.
    pub fn partial(&self, directory: &str) -> PathBuf {
        self.stages().join(format!("{directory}{PARTIAL}"))
    }
    /// `stages/<directory>.work`, the scratch space that survives an interruption.
    pub fn work(&self, directory: &str) -> PathBuf {
        self.stages().join(format!("{directory}{WORK}"))
    }

    /// All committed stages, by number. A directory under a temporary name is never one.
    ///
    /// # Errors
    /// A directory or manifest cannot be read.
    pub fn committed(&self) -> anyhow::Result<Vec<Committed>> {
        let mut stages = Vec::new();
        for (number, directory) in self.numbered()? {
            let path = self.stage(&directory);
            if path.join(MANIFEST).is_file() {
                let manifest = read_manifest(&path)?;
                stages.push(Committed { number, directory, path, manifest });
            }
        }
        Ok(stages)
    }

    /// The directories that have a stage's final name, by number.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn numbered(&self) -> anyhow::Result<Vec<(usize, String)>> {
        let names = directories(&self.stages())?.into_iter();
        let mut numbered: Vec<_> = names.filter_map(|name| Some((number(&name)?, name))).collect();
        numbered.sort();
        Ok(numbered)
    }

    /// Directories of the stages whose scratch space is there.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn attempts(&self) -> anyhow::Result<Vec<String>> {
        let names = directories(&self.stages())?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(WORK)).map(String::from).collect())
    }

    /// Whether a stage or an attempt at one is here.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn is_begun(&self) -> anyhow::Result<bool> {
        Ok(!directories(&self.stages())?.is_empty())
    }

    /// Removes what an interrupted session left half-written, and stages whose manifest is damaged: nothing tells any more
    /// what they are. What was about to be replaced gets its name back. Scratch directories stay.
    ///
    /// # Errors
    /// A directory cannot be read, renamed or removed.
    pub(super) fn remove_leftovers(&self) -> anyhow::Result<()> {
        for parent in [self.root.clone(), self.stages()] {
            for directory in directories(&parent)? {
                let path = parent.join(&directory);
                if directory.ends_with(PARTIAL) {
                    super::commit::remove_directory(&path)?;
                }
                if let Some(name) = directory.strip_suffix(REPLACED) {
                    super::commit::restore_directory(&path, &parent.join(name))?;
                }
            }
        }
        for (_, directory) in self.numbered()? {
            let path = self.stage(&directory);
            if let Err(error) = read_manifest(&path)
                && error.is::<Broken>()
            {
                warn!("runs again: {error:#}");
                super::commit::discard_directory(&path)?;
            }
        }
        Ok(())
    }
}

/// Reads the manifest of the stage directory `dir`.
///
/// # Errors
/// It cannot be read, is not a manifest, or has changed since it was written.
pub fn read_manifest(dir: &Path) -> anyhow::Result<Manifest> {
    let path = dir.join(MANIFEST);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    unseal(&bytes).with_context(|| format!("{} is no stage manifest", path.display()))
}

/// The number of a committed stage's directory; `None` under a temporary name.
fn number(directory: &str) -> Option<usize> {
    if [PARTIAL, WORK, REPLACED].iter().any(|suffix| directory.ends_with(suffix)) {
        return None;
    }
    directory.split_once('-')?.0.parse().ok()
}

/// Names of the directories in `dir`, sorted.
pub(super) fn directories(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}
