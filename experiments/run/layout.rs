//! Where things are in a run directory.

use anyhow::Context as _;
use reports::schema::Manifest;
use std::fs;
use std::path::{Path, PathBuf};

/// File that makes a directory a committed stage.
pub const MANIFEST: &str = "manifest.json";
/// A stage's metric rows, one JSON object per line.
pub const METRICS: &str = "metrics.jsonl";
/// What a stage's fingerprint is the hash of.
pub const FINGERPRINT: &str = "fingerprint.json";

/// Suffix of a stage directory that is being written.
const PARTIAL: &str = ".partial";
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
        for directory in directories(&self.stages())? {
            let path = self.stage(&directory);
            let Some(number) = number(&directory).filter(|_| path.join(MANIFEST).is_file()) else {
                continue;
            };
            let manifest = read_manifest(&path)?;
            stages.push(Committed { number, directory, path, manifest });
        }
        stages.sort_by(|a, b| (a.number, &a.directory).cmp(&(b.number, &b.directory)));
        Ok(stages)
    }

    /// Removes what an interrupted session left half-written; scratch directories stay.
    ///
    /// # Errors
    /// A directory cannot be read or removed.
    pub(super) fn remove_leftovers(&self) -> anyhow::Result<()> {
        for parent in [self.root.clone(), self.stages()] {
            for directory in directories(&parent)? {
                if directory.ends_with(PARTIAL) || directory.ends_with(REPLACED) {
                    super::commit::remove_directory(&parent.join(directory))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the manifest of the stage directory `dir`.
///
/// # Errors
/// It cannot be read or is not a manifest.
pub fn read_manifest(dir: &Path) -> anyhow::Result<Manifest> {
    let path = dir.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a stage manifest", path.display()))
}

/// The number of a committed stage's directory; `None` under a temporary name.
fn number(directory: &str) -> Option<usize> {
    if [PARTIAL, WORK, REPLACED].iter().any(|suffix| directory.ends_with(suffix)) {
        return None;
    }
    directory.split_once('-')?.0.parse().ok()
}

/// Names of the directories in `dir`, sorted.
fn directories(dir: &Path) -> anyhow::Result<Vec<String>> {
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
