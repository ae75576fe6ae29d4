//! Which runs and sweeps lie below the directory, and how each of them is.

use super::place::Place;
use super::tail::last_rows;
use super::url::encode;
use crate::commands::import::write::IMPORTED;
use crate::commands::watch::{KEYS, is_complete};
use crate::progress::duration;
use crate::run::clock;
use crate::run::live::{At, Work, works};
use reports::load::{Metrics, Run, load_with};
use reports::number;
use reports::ui::{Link, Listing, RunLine, SweepLine};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Levels of directories that are looked through.
const DEPTH: usize = 4;
/// Runs that are listed.
const MOST: usize = 1000;
/// A run that has written nothing for this many seconds is not said to be running.
const SILENT: f64 = 60.0;

/// Everything below the directory, running runs first.
pub(super) fn list(place: &Place) -> Listing {
    let mut found = Found::default();
    found.walk(place.root(), DEPTH);
    let note = (found.runs.len() > MOST).then(|| {
        format!(
            "Only the first {MOST} of {} runs are listed; open a directory below this one.",
            found.runs.len()
        )
    });
    let sweeps = found.sweeps.iter().filter_map(|sweep| sweep_line(place, sweep, &found.runs)).collect();
    let mut runs: Vec<RunLine> =
        found.runs.iter().take(MOST).filter_map(|dir| run_line(place, dir)).collect();
    runs.sort_by_key(|run| !run.running);
    Listing { sweeps, runs, note }
}

#[derive(Default)]
struct Found {
    runs: Vec<PathBuf>,
    /// Directories with the page of a sweep or of a comparison.
    sweeps: Vec<PathBuf>,
}

impl Found {
    /// Symbolic links and hidden directories are not entered.
    fn walk(&mut self, dir: &Path, depth: usize) {
        let has = |file: &str| dir.join(file).is_file();
        // A report has a run.json, too.
        if has("run.json") && has("config.toml") {
            return self.runs.push(dir.to_owned());
        }
        if has("sweep.json") && has("index.html") {
            return self.sweeps.push(dir.to_owned());
        }
        if depth == 0 {
            return;
        }
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut below: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
        below.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
        below.sort();
        for path in below {
            self.walk(&path, depth - 1);
        }
    }
}

fn sweep_line(place: &Place, page: &Path, runs: &[PathBuf]) -> Option<SweepLine> {
    // `recalign sweep` writes its page to DIR/sweep, beside the runs.
    let sweep = if page.ends_with("sweep") { page.parent().unwrap_or(page) } else { page };
    let link = Link::new(
        title(place, &place.name(sweep)?),
        format!("/sweeps/{}/index.html", encode(&place.name(page)?)),
    );
    Some(SweepLine { link, runs: runs.iter().filter(|run| run.starts_with(sweep)).count() })
}

/// A name as a person reads it.
pub(super) fn title(place: &Place, name: &str) -> String {
    let own = place.root().file_name().unwrap_or_default().to_string_lossy();
    if name == super::place::ITSELF { own.into_owned() } else { name.to_owned() }
}

fn run_line(place: &Place, dir: &Path) -> Option<RunLine> {
    let name = place.name(dir)?;
    place.run(&name)?;
    let mut line = RunLine {
        link: Link::new(title(place, &name), format!("/runs/{}/", encode(&name))),
        value: name.clone(),
        seed: String::new(),
        state: "unreadable".into(),
        running: false,
        stage: String::new(),
        metric: None,
        alarms: Vec::new(),
        report: None,
    };
    line.report = place.file(dir, "report/index.html").map(|_| report_link(&name));
    match load_with(dir, |_| Ok(Metrics::default())) {
        Ok(run) => describe(&mut line, &run, dir),
        Err(error) => line.alarms.push(error.to_string()),
    }
    Some(line)
}

/// Where the report of a run is.
pub(super) fn report_link(name: &str) -> String {
    format!("/runs/{}/report/index.html", encode(name))
}

fn describe(line: &mut RunLine, run: &Run, dir: &Path) {
    let (works, state) = (works(dir), State::of(run, dir));
    line.seed = run.record.seed.to_string();
    line.running = state == State::Running;
    line.state = state.words();
    line.stage =
        works.last().map_or_else(|| last_stage(run), |work| stage_words(&work.stage, work.progress()));
    line.metric = reports::ui::headline(run).or_else(|| last_metric(dir, &works));
    line.alarms = reports::ui::alarms(run);
}

fn last_stage(run: &Run) -> String {
    run.stages.last().map_or_else(String::new, |stage| stage.manifest.stage.clone())
}

fn stage_words(stage: &str, at: Option<At>) -> String {
    match at {
        Some(at) => format!("{stage}: {} {}/{}, {} left", at.label, at.done, at.total, duration(at.left())),
        None => stage.to_owned(),
    }
}

/// The most telling key of the last stage that measured something, and its last value.
fn last_metric(dir: &Path, works: &[Work]) -> Option<[String; 2]> {
    let live = works.iter().rev().map(|work| last_rows(&work.rows)).find(|rows| !rows.is_empty());
    let rows = live.unwrap_or_else(|| last_rows(&dir.join("metrics.jsonl")));
    let stage = &rows.last()?.stage;
    let telling = |key: &str| KEYS.iter().position(|known| *known == key).unwrap_or(KEYS.len());
    let own = rows.iter().rev().filter(|row| row.stage == *stage);
    let row = own.min_by_key(|row| telling(&row.key))?;
    Some([row.key.clone(), number::decimal(row.value)])
}

/// How a run is, as far as its directory tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// It was made by another program.
    Imported,
    /// It has its report.
    Finished,
    /// It was written to just now.
    Running,
    /// It was not, for this many seconds: it was stopped, or a stage takes long without a word.
    Silent(f64),
}

impl State {
    pub(super) fn of(run: &Run, dir: &Path) -> Self {
        if run.record.budget == IMPORTED {
            return Self::Imported;
        }
        if is_complete(run, dir) {
            return Self::Finished;
        }
        let seconds = (clock::unix_seconds() - last_sign(dir)).max(0.0);
        if seconds < SILENT { Self::Running } else { Self::Silent(seconds) }
    }

    pub(super) fn words(self) -> String {
        match self {
            Self::Imported => "imported".into(),
            Self::Finished => "finished".into(),
            Self::Running => "running".into(),
            Self::Silent(seconds) => format!("silent for {}", age(seconds)),
        }
    }
}

/// Coarse, for what is hours old.
fn age(seconds: f64) -> String {
    match seconds {
        ..3600.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        3600.0..172_800.0 => format!("{:.0} h", (seconds / 3600.0).floor()),
        _ => format!("{:.0} days", (seconds / 86400.0).floor()),
    }
}

/// When anything of a run was last written, in seconds since 1970.
fn last_sign(dir: &Path) -> f64 {
    let children = |dir: PathBuf| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let stages = children(dir.join("stages"));
    let open =
        stages.iter().filter(|stage| stage.extension().is_some()).flat_map(|stage| children(stage.clone()));
    let own = ["run.json", "metrics.jsonl", "stages"].map(|name| dir.join(name));
    own.into_iter()
        .chain(open.collect::<Vec<_>>())
        .chain(stages)
        .map(|path| modified(&path))
        .fold(0.0, f64::max)
}

fn modified(path: &Path) -> f64 {
    let at = path.metadata().and_then(|data| data.modified()).ok();
    at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_in_the_unit_a_reader_expects() {
        let words = [90.0, 7300.0, 260_000.0].map(|seconds| State::Silent(seconds).words());
        assert_eq!(words, ["silent for 1 min", "silent for 2 h", "silent for 3 days"]);
    }
}
