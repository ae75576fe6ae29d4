//! What a stage that is running says of itself, beside its scratch space: for people who watch, never for results.
//!
//! Curves are committed with their stage; until then `NN-<stage>.work/live.jsonl` has them, and `progress.json` how far it is.
//! Nothing that goes wrong here is a reason for a stage to fail.

use super::clock::Stopwatch;
use reports::schema::MetricRow;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const ROWS: &str = "live.jsonl";
const PROGRESS: &str = "progress.json";
/// Seconds between two writes.
const EVERY: f64 = 1.0;
/// Rows that are kept for whoever watches.
const MOST: usize = 200_000;

/// How far a piece of work is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct At {
    /// What is counted.
    pub label: String,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 is unknown.
    pub total: u64,
    /// Seconds since it began.
    pub seconds: f64,
}

impl At {
    /// Seconds that the rest will take at the same pace.
    pub fn left(&self) -> f64 {
        self.total.saturating_sub(self.done) as f64 * self.seconds / self.done.max(1) as f64
    }
}

/// A stage that is running.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its name.
    pub stage: String,
    /// Its curves so far.
    pub rows: Vec<MetricRow>,
    /// How far it is.
    pub progress: Option<At>,
}

/// A stage that has a scratch space, and where it says something of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its name.
    pub stage: String,
    /// Where its curves grow; not there before the first row.
    pub rows: PathBuf,
    /// Where it says how far it is.
    progress: PathBuf,
}

impl Work {
    fn of(work: &Path) -> Option<Self> {
        let name = work.file_name()?.to_str()?.strip_suffix(".work")?;
        let (_, stage) = name.split_once('-')?;
        Some(Self { stage: stage.to_owned(), rows: work.join(ROWS), progress: work.join(PROGRESS) })
    }

    /// How far it is.
    pub fn progress(&self) -> Option<At> {
        fs::read(&self.progress).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    fn read(self) -> Option<Live> {
        let rows = fs::read_to_string(&self.rows).unwrap_or_default();
        // The last line may be half-written.
        let rows: Vec<MetricRow> = rows.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let progress = self.progress();
        (progress.is_some() || !rows.is_empty()).then_some(Live { stage: self.stage, rows, progress })
    }
}

/// The stages of a run directory that have a scratch space, by name.
pub fn works(run_dir: &Path) -> Vec<Work> {
    let entries = fs::read_dir(run_dir.join("stages")).into_iter().flatten().flatten();
    let mut found: Vec<Work> = entries.filter_map(|entry| Work::of(&entry.path())).collect();
    found.sort_by(|a, b| a.stage.cmp(&b.stage));
    found
}

/// The stages of a run directory that say something of themselves. What cannot be read is not there yet.
pub fn read(run_dir: &Path) -> Vec<Live> {
    works(run_dir).into_iter().filter_map(Work::read).collect()
}

/// Writes now and then.
pub(crate) struct Broadcast {
    work: PathBuf,
    watch: Stopwatch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    rows: usize,
    /// Seconds at the last write of rows and of progress.
    written: [f64; 2],
}

impl Broadcast {
    /// Beside a scratch directory; what an earlier attempt said is forgotten.
    pub(super) fn beside(scratch: &Path) -> Self {
        let work = scratch.parent().unwrap_or(scratch).to_owned();
        for file in [ROWS, PROGRESS] {
            drop(fs::remove_file(work.join(file)));
        }
        Self { work, watch: Stopwatch::start(), state: Mutex::default() }
    }

    /// A row was measured.
    pub(super) fn row(&self, row: &MetricRow) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rows += 1;
        if state.rows > MOST || serde_json::to_writer(&mut state.pending, row).is_err() {
            return;
        }
        state.pending.push(b'\n');
        let now = self.watch.seconds();
        if now - state.written[0] >= EVERY {
            state.written[0] = now;
            let options = OpenOptions::new().append(true).create(true).open(self.work.join(ROWS));
            drop(options.and_then(|mut file| file.write_all(&state.pending)));
            state.pending.clear();
        }
    }

    /// Work has come this far.
    pub(crate) fn progress(&self, at: &At) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.watch.seconds();
        if now - state.written[1] >= EVERY {
            state.written[1] = now;
            drop(serde_json::to_vec(at).map(|bytes| fs::write(self.work.join(PROGRESS), bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back_and_half_a_line_is_left_out() {
        let run = tempfile::tempdir().unwrap();
        let work = run.path().join("stages/03-pretrain.work");
        fs::create_dir_all(work.join("scratch")).unwrap();
        assert_eq!(read(run.path()), []);
        let row = "{\"stage\":\"pretrain\",\"step\":1,\"key\":\"loss\",\"value\":2.5}";
        fs::write(work.join(ROWS), format!("{row}\n{{\"stage\":\"pre")).unwrap();
        let at = At { label: "steps".into(), done: 10, total: 40, seconds: 5.0 };
        fs::write(work.join(PROGRESS), serde_json::to_vec(&at).unwrap()).unwrap();
        let live = read(run.path());
        assert_eq!((live.len(), live[0].stage.as_str(), live[0].rows.len()), (1, "pretrain", 1));
        assert!((live[0].progress.as_ref().unwrap().left() - 15.0).abs() < 1e-12);
    }
}
