//! Runs side by side: the page of `recalign compare`, made on demand and kept until another is asked for.

use super::reply::{Missing, Unclear};
use super::tail::stamp;
use crate::commands::compare::side_by_side;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Runs that are compared at most.
const MOST: usize = 24;

/// Files of a page by name.
type Files = Vec<(String, Vec<u8>)>;

/// The last comparison.
#[derive(Default)]
pub(super) struct Compared {
    /// What was compared, when its files were as they were.
    last: Mutex<Option<(String, Files)>>,
}

impl Compared {
    /// A file of the comparison of these runs. One at a time is made: the machine has other work.
    ///
    /// # Errors
    /// The runs cannot be compared, or the comparison has no such file.
    pub(super) fn file(&self, runs: &[PathBuf], name: &str) -> anyhow::Result<Vec<u8>> {
        if !(2..=MOST).contains(&runs.len()) {
            return Err(Unclear(format!("choose 2 to {MOST} runs to compare, not {}", runs.len())).into());
        }
        let key = key(runs);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(known, _)| *known != key) {
            *last = Some((key, reports::sweep::render(&side_by_side(runs, None)?)?));
        }
        let files = last.iter().flat_map(|(_, files)| files);
        let found = files.filter(|(file, _)| file == name).map(|(_, bytes)| bytes.clone()).next();
        found.ok_or_else(|| Missing(format!("a comparison has no file {name}")).into())
    }
}

fn key(runs: &[PathBuf]) -> String {
    stamp(runs.iter().flat_map(|run| ["run.json", "metrics.jsonl", "stages"].map(|file| run.join(file))))
}
