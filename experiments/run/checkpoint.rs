//! Checkpoints within a stage, in its scratch space: what an interrupted attempt continues from.
//!
//! ```text
//! STAGE.work/scratch/metrics.jsonl              the curves so far; a checkpoint names how much of it is its own
//! STAGE.work/scratch/checkpoint-NNNNNN/         files, and manifest.json, written last
//! STAGE.work/scratch/checkpoint-NNNNNN.partial  one that is being written
//! ```
//!
//! A checkpoint is written beside its name, flushed file by file, and renamed; the two newest are kept. An attempt
//! continues from the newest whose seal, files, metrics and identity (the fingerprint: configuration, data, program) all
//! verify, and says which it skipped. A number is never used twice, so no checkpoint is ever replaced.

use super::clock::{Spent, Stopwatch};
use super::hash::{self, Hashes};
use super::layout::{MANIFEST, METRICS, PARTIAL};
use super::measured::Measured;
use super::{commit, seal};
use anyhow::Context as _;
use reports::schema::Mark;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::{debug, info, warn};

/// Layout version of a checkpoint.
const SCHEMA: u32 = 1;
/// Checkpoints that are kept: one may turn out to be damaged.
const KEEP_LAST: usize = 2;
/// Share of the time that saving may take where a stage saves as often as time allows.
const MOST_SHARE: f64 = 0.02;
/// Seconds a save is taken to cost at least: the first one has not been timed.
const LEAST_COST: f64 = 0.02;

const PREFIX: &str = "checkpoint-";

/// `manifest.json` of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: u32,
    stage: String,
    /// SHA-256 of the attempt's fingerprint, which names configuration, data and program.
    fingerprint: String,
    /// Steps done.
    step: u64,
    /// Where the stage is, in its own terms.
    cursor: Value,
    metrics: Position,
    marks: Vec<Mark>,
    spent: Spent,
    files: Hashes,
}

/// How much of the metrics belongs to a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    bytes: u64,
    sha256: String,
}

/// A verified checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its directory.
    pub dir: PathBuf,
    /// Steps done.
    pub step: u64,
    cursor: Value,
}

impl Checkpoint {
    /// Where the stage was.
    ///
    /// # Errors
    /// If it was saved as something else.
    pub fn cursor<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_value(self.cursor.clone())
            .with_context(|| format!("the cursor of {} is not this stage's", self.dir.display()))
    }
}

/// Whether a scratch space holds a checkpoint, of whatever worth.
pub(super) fn any(scratch: &Path) -> bool {
    let names = super::layout::directories(scratch).unwrap_or_default();
    names.iter().any(|name| name.starts_with(PREFIX) && !name.ends_with(PARTIAL))
}

/// What goes into a checkpoint beside its files.
pub(super) struct Moment<'a> {
    pub(super) step: u64,
    pub(super) cursor: Value,
    pub(super) measured: &'a Measured,
}

/// The checkpoints of one attempt.
pub(super) struct Checkpoints {
    scratch: PathBuf,
    stage: String,
    fingerprint: String,
    /// Those that may be continued from, oldest first.
    good: Vec<PathBuf>,
    next: u64,
    /// Bytes of the metrics that are on disk.
    logged: u64,
    since_save: Stopwatch,
    cost: f64,
}

impl Checkpoints {
    pub(super) fn new(scratch: &Path, stage: &str, fingerprint: &str) -> Self {
        Self {
            scratch: scratch.to_owned(),
            stage: stage.into(),
            fingerprint: fingerprint.into(),
            good: Vec::new(),
            next: 1,
            logged: 0,
            since_save: Stopwatch::start(),
            cost: LEAST_COST,
        }
    }

    /// Whether enough time has passed for a save to be a small part of it.
    pub(super) fn due(&self) -> bool {
        self.since_save.seconds() * MOST_SHARE >= self.cost
    }

    /// The newest checkpoint that verifies, with what had been measured by then.
    pub(super) fn newest(&mut self) -> anyhow::Result<Option<(Checkpoint, Measured)>> {
        for name in super::layout::directories(&self.scratch)?.iter().filter(|name| name.ends_with(PARTIAL)) {
            commit::remove_directory(&self.scratch.join(name))?;
        }
        self.logged = 0;
        let mut found = self.numbered()?;
        self.next = found.last().map_or(0, |(number, _)| *number) + 1;
        while let Some((_, dir)) = found.pop() {
            match self.verified(&dir) {
                Ok((checkpoint, measured, logged)) => {
                    info!(step = checkpoint.step, "continues from {}", dir.display());
                    self.logged = logged;
                    self.good = found.into_iter().map(|(_, dir)| dir).chain([dir]).collect();
                    return Ok(Some((checkpoint, measured)));
                }
                Err(problem) => warn!("skips the checkpoint {}: {problem:#}", dir.display()),
            }
        }
        Ok(None)
    }

    fn verified(&self, dir: &Path) -> anyhow::Result<(Checkpoint, Measured, u64)> {
        let bytes = fs::read(dir.join(MANIFEST)).with_context(|| format!("no {MANIFEST} can be read"))?;
        let Manifest { schema, stage, fingerprint, step, cursor, metrics, marks, spent, files } =
            seal::unseal(&bytes).with_context(|| format!("{MANIFEST} cannot be believed"))?;
        anyhow::ensure!(schema == SCHEMA, "it has layout {schema}, this program writes {SCHEMA}");
        anyhow::ensure!(
            stage == self.stage && fingerprint == self.fingerprint,
            "it belongs to another attempt ({stage})"
        );
        if let Some(difference) = hash::differences(&files, &hash::of_tree(dir)?).first() {
            anyhow::bail!("{difference}");
        }
        let rows = self.logged_rows(&metrics)?;
        let measured = Measured { metrics: rows, marks, spent };
        Ok((Checkpoint { dir: dir.to_owned(), step, cursor }, measured, metrics.bytes))
    }

    fn logged_rows(&self, position: &Position) -> anyhow::Result<Vec<reports::schema::MetricRow>> {
        let path = self.scratch.join(METRICS);
        let lines = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let own = lines.get(..position.bytes as usize);
        let own = own.filter(|own| hash::of_bytes(own) == position.sha256);
        let own = own.with_context(|| format!("its part of {METRICS} has changed"))?;
        let rows = own.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        rows.map(|row| serde_json::from_slice(row).context("a metric row is damaged")).collect()
    }

    /// Saves a checkpoint whose files `write` makes in the directory it is given; returns the committed one.
    pub(super) fn save(
        &mut self,
        moment: &Moment<'_>,
        write: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let watch = Stopwatch::start();
        let metrics = self.log(moment.measured)?;
        let target = self.scratch.join(format!("{PREFIX}{:06}", self.next));
        let partial = target.with_extension(&PARTIAL[1..]);
        commit::fresh_directory(&partial)?;
        write(&partial)?;
        let Measured { marks, spent, .. } = moment.measured;
        let manifest = Manifest {
            schema: SCHEMA,
            stage: self.stage.clone(),
            fingerprint: self.fingerprint.clone(),
            step: moment.step,
            cursor: moment.cursor.clone(),
            metrics,
            marks: marks.clone(),
            spent: *spent,
            files: hash::of_tree(&partial)?,
        };
        commit::write_file(&partial.join(MANIFEST), &seal::seal(&manifest)?)?;
        commit::commit_directory(&partial, &target)?;
        self.next += 1;
        self.good.push(target.clone());
        self.prune()?;
        let seconds = watch.seconds();
        debug!(step = moment.step, seconds, "saved a checkpoint");
        self.cost = seconds.max(LEAST_COST);
        self.since_save = Stopwatch::start();
        Ok(target)
    }

    /// Appends the rows that are new; what an earlier attempt wrote beyond its checkpoint is cut off.
    fn log(&mut self, measured: &Measured) -> anyhow::Result<Position> {
        let (lines, path) = (measured.lines()?, self.scratch.join(METRICS));
        if !fs::metadata(&path).is_ok_and(|file| file.len() >= self.logged) {
            self.logged = 0;
        }
        commit::append(&path, self.logged, &lines[self.logged as usize..])?;
        self.logged = lines.len() as u64;
        Ok(Position { bytes: self.logged, sha256: hash::of_bytes(&lines) })
    }

    /// Removes all but the newest good checkpoints.
    fn prune(&mut self) -> anyhow::Result<()> {
        self.good.drain(..self.good.len().saturating_sub(KEEP_LAST));
        for (_, dir) in self.numbered()? {
            if !self.good.contains(&dir) {
                commit::discard_directory(&dir)?;
            }
        }
        Ok(())
    }

    /// Complete checkpoints by number, oldest first.
    fn numbered(&self) -> anyhow::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for name in super::layout::directories(&self.scratch)? {
            let number = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
            found.extend(number.map(|number| (number, self.scratch.join(&name))));
        }
        found.sort();
        Ok(found)
    }
}
