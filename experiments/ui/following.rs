//! Runs that are looked at: what has come since the last look is read, no more.

use super::listing::State;
use super::tail::{Tail, stamp};
use crate::commands::watch::stage_rows;
use crate::run::hash;
use crate::run::live::{Live, works};
use reports::load::{Run, load_with};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Runs whose rows are kept.
const MOST: usize = 8;

/// The runs that were looked at last, oldest first.
#[derive(Debug, Default)]
pub(super) struct Following {
    runs: Mutex<Vec<(PathBuf, Tails)>>,
}

/// The files of a run that grow.
type Tails = BTreeMap<PathBuf, Tail>;

/// A run at one moment.
pub(super) struct Seen {
    /// What is committed, and the curves of what is not.
    pub(super) run: Run,
    state: State,
    /// Stages that are being computed; their rows are in `run`.
    live: Vec<Live>,
}

impl Seen {
    /// The page's content.
    pub(super) fn content(&self) -> anyhow::Result<String> {
        let words = self.state.words();
        Ok(reports::ui::live(&self.run, &words, stage_rows(&self.run, &self.live))?)
    }
}

impl Following {
    /// Reads a run.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub(super) fn look(&self, dir: &Path) -> anyhow::Result<Seen> {
        let mut tails = self.take(dir);
        let seen = read(dir, &mut tails);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push((dir.to_owned(), tails));
        let surplus = runs.len().saturating_sub(MOST);
        runs.drain(..surplus);
        seen
    }

    fn take(&self, dir: &Path) -> Tails {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let place = runs.iter().position(|(known, _)| known == dir);
        place.map(|place| runs.remove(place).1).unwrap_or_default()
    }
}

fn read(dir: &Path, tails: &mut Tails) -> anyhow::Result<Seen> {
    let works = works(dir);
    let mut run = load_with(dir, |path| {
        let tail = tails.entry(path.to_owned()).or_default();
        tail.advance(path)?;
        Ok(tail.metrics.clone())
    })?;
    let mut live = Vec::new();
    for work in &works {
        let tail = tails.entry(work.rows.clone()).or_default();
        tail.advance(&work.rows)?;
        run.metrics.extend_from_slice(&tail.metrics.rows);
        let progress = work.progress();
        if progress.is_some() || !tail.metrics.rows.is_empty() {
            live.push(Live { stage: work.stage.clone(), rows: Vec::new(), progress });
        }
    }
    let committed = dir.join("metrics.jsonl");
    tails.retain(|path, _| *path == committed || works.iter().any(|work| work.rows == *path));
    Ok(Seen { state: State::of(&run, dir), run, live })
}

/// A version of what a run's page shows, cheap to ask for: it changes with the files, and by the minute for who waits.
pub(super) fn version(dir: &Path) -> String {
    let own = ["run.json", "metrics.jsonl", "stages", "report/index.html"].map(|name| dir.join(name));
    let works = works(dir)
        .into_iter()
        .flat_map(|work| [work.rows.clone(), work.rows.with_file_name("progress.json")]);
    let minute = (crate::run::clock::unix_seconds() / 60.0).floor();
    tag(&format!("{}{minute}", stamp(own.into_iter().chain(works))))
}

/// A text as an entity tag.
pub(super) fn tag(text: &str) -> String {
    format!("\"{}\"", &hash::of_bytes(text.as_bytes())[..32])
}
