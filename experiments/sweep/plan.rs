//! From the sweep file to the runs it stands for, all of them checked before any starts.

use super::file::{self, SweepFile};
use super::grid::{self, Cell};
use super::random::Random;
use crate::config::{self, Config, ConfigError, Problem};
use crate::pipeline;
use reports::sweep::Reference;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A sweep that can run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sweep's name.
    pub name: String,
    /// Where its run directories are.
    pub dir: PathBuf,
    /// The last stage of every run.
    pub until: Option<String>,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// In order, the seeds of a row one after the other.
    pub runs: Vec<PlannedRun>,
    /// What goes before them: the same rows with smaller budgets.
    pub rungs: Vec<Rung>,
    /// Numbers of others.
    pub published: Vec<Reference>,
}

/// All rows with a smaller budget, and who goes on.
#[derive(Clone, Debug)]
pub struct Rung {
    /// `key=value`.
    pub name: String,
    /// As [`Plan::runs`].
    pub runs: Vec<PlannedRun>,
    /// The last stage: the test users are for those who get through.
    pub until: Option<String>,
    /// What rows are ranked by.
    pub metric: String,
    /// Share of the rows that goes on.
    pub keep: f64,
}

/// A row with a seed.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The row.
    pub row: String,
    /// Its run directory.
    pub dir: PathBuf,
    /// What it runs.
    pub config: Config,
}

impl PlannedRun {
    /// The last part of the run directory.
    pub fn name(&self) -> &str {
        &self.config.run.name
    }
}

impl Plan {
    /// The same of these rows alone; without the row that others are compared with, the first takes its place.
    ///
    /// # Errors
    /// If the sweep does not have one of them.
    pub fn only(mut self, rows: &[String]) -> anyhow::Result<Self> {
        let mut known: Vec<&str> = self.runs.iter().map(|run| run.row.as_str()).collect();
        known.dedup();
        if let Some(row) = rows.iter().find(|row| !known.contains(&row.as_str())) {
            anyhow::bail!("--rows {row}: the sweep has no such row, its rows are {}", known.join(", "));
        }
        let kept = |row: &String| rows.contains(row);
        self.runs.retain(|run| kept(&run.row));
        for rung in &mut self.rungs {
            rung.runs.retain(|run| kept(&run.row));
        }
        self.published.retain(|reference| reference.row.as_ref().is_none_or(kept));
        self.baseline = self.baseline.filter(kept);
        Ok(self)
    }
}

/// Rows with their configurations, one per seed.
type Configured = Vec<(String, Config)>;

/// A row of the grid: the number of its `[[rows]]`, its name, its own changes.
struct Expanded {
    index: usize,
    name: String,
    sets: Vec<String>,
}

/// Reads a sweep file and every experiment file it names. `overrides` come last in every row; `dir` replaces
/// `runs/<name>`.
///
/// # Errors
/// [`ConfigError`] with all problems of the sweep file and of its rows.
pub fn load(path: &Path, overrides: &[String], dir: Option<&Path>) -> Result<Plan, ConfigError> {
    // One list of runs per budget; without halving there is one budget, which changes nothing.
    let mut planned: Vec<(Option<String>, Configured)> = Vec::new();
    let sweep = file::read(path, |sweep| {
        let base = path.parent().unwrap_or(Path::new(""));
        let (rows, mut problems) = expand(sweep);
        for budget in budgets(sweep) {
            let sets = [overrides, budget.as_slice()].concat();
            let mut runs = Vec::new();
            for row in &rows {
                match configure(sweep, row, (base, &sets)) {
                    Ok(configs) => runs.extend(configs.into_iter().map(|config| (row.name.clone(), config))),
                    // What is wrong with one budget is mostly wrong with all.
                    Err(problem) if planned.is_empty() => problems.push(problem),
                    Err(_) => {}
                }
            }
            planned.push((budget, runs));
        }
        problems.extend(check_baseline(sweep, &rows));
        problems
    })?;
    let dir = dir.map_or_else(|| Path::new("runs").join(&sweep.name), Path::to_owned);
    let runs = |below: &Path, runs: Configured| -> Vec<PlannedRun> {
        let run =
            |(row, config): (String, Config)| PlannedRun { row, dir: below.join(&config.run.name), config };
        runs.into_iter().map(run).collect()
    };
    let last = planned.pop().map(|(_, last)| runs(&dir, last)).unwrap_or_default();
    let rung = |(number, (name, planned)): (usize, (Option<String>, Configured))| {
        let halving = sweep.halving.as_ref()?;
        let runs = runs(&dir.join(format!("rung{}", number + 1)), planned);
        let until = sweep.until.clone().or_else(|| before_evaluation(runs.first()?));
        Some(Rung { name: name?, runs, until, metric: halving.metric.clone(), keep: halving.keep })
    };
    let rungs = planned.into_iter().enumerate().filter_map(rung).collect();
    let published = published(&sweep);
    let SweepFile { name, until, baseline, .. } = sweep;
    Ok(Plan { name, dir, until, baseline, runs: last, rungs, published })
}

/// The change that each budget makes, the last one the whole; one that changes nothing without halving.
fn budgets(sweep: &SweepFile) -> Vec<Option<String>> {
    match &sweep.halving {
        Some(halving) => halving.rungs.iter().map(|value| Some(format!("{}={value}", halving.key))).collect(),
        None => vec![None],
    }
}

fn before_evaluation(run: &PlannedRun) -> Option<String> {
    let mut names = pipeline::stage_names(&run.config);
    names.pop();
    names.pop()
}

/// Every row with every combination of the grid.
fn expand(sweep: &SweepFile) -> (Vec<Expanded>, Vec<Problem>) {
    let (dimensions, mut problems) = sweep.grid.as_ref().map(grid::dimensions).unwrap_or_default();
    let drawn = sweep.random.as_ref().filter(|random| random.problems().is_empty()).map(Random::cells);
    let cells = product(&grid::cells(&dimensions), &drawn.unwrap_or_else(|| vec![Cell::default()]));
    let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, row) in sweep.rows.iter().enumerate() {
        for Cell { suffix, sets } in &cells {
            let name = format!("{}{suffix}", row.name);
            if !seen.insert(name.clone()) {
                problems.push(repeated(index, &name));
            }
            rows.push(Expanded { index, name, sets: [row.set.clone(), sets.clone()].concat() });
        }
    }
    (rows, problems)
}

/// Every cell of the grid with every draw.
fn product(grid: &[Cell], drawn: &[Cell]) -> Vec<Cell> {
    let both = |cell: &Cell, draw: &Cell| Cell {
        suffix: format!("{}{}", cell.suffix, draw.suffix),
        sets: [cell.sets.clone(), draw.sets.clone()].concat(),
    };
    grid.iter().flat_map(|cell| drawn.iter().map(move |draw| both(cell, draw))).collect()
}

fn repeated(index: usize, name: &str) -> Problem {
    let key = format!("rows.{index}.name");
    let message =
        format!("`{key}`: there are two rows `{name}`; names become directories, give each row its own");
    Problem::new(key, message)
}

/// The configurations of a row, one per seed.
fn configure(
    sweep: &SweepFile,
    row: &Expanded,
    (base, overrides): (&Path, &[String]),
) -> Result<Vec<Config>, Problem> {
    let file = &sweep.rows[row.index];
    let key = format!("rows.{}.config", row.index);
    let sets = [sweep.set.as_slice(), &row.sets, overrides].concat();
    let config = config::load(&base.join(&file.config), &sets)
        .map_err(|error| Problem::new(&key, format!("row `{}`: {}", row.name, in_words(&error))))?;
    check_until(sweep.until.as_deref(), &row.name, &config)?;
    let seeds = file.seeds.clone().unwrap_or_else(|| vec![config.run.seed]);
    let seeded = |seed: u64| {
        let mut config = config.clone();
        config.run.name = format!("{}-seed{seed}", row.name);
        config.run.seed = seed;
        config
    };
    Ok(seeds.into_iter().map(seeded).collect())
}

/// An error with its cause, further lines indented below the first.
fn in_words(error: &ConfigError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}").replace('\n', "\n  ")
}

fn check_until(until: Option<&str>, row: &str, config: &Config) -> Result<(), Problem> {
    let names = pipeline::stage_names(config);
    match until {
        Some(until) if !names.iter().any(|name| name == until) => {
            let names = names.join(", ");
            let message = format!("`until` = \"{until}\" is no stage of row `{row}`; its stages are {names}");
            Err(Problem::new("until", message))
        }
        _ => Ok(()),
    }
}

fn check_baseline(sweep: &SweepFile, rows: &[Expanded]) -> Option<Problem> {
    let baseline = sweep.baseline.as_ref()?;
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    (!names.contains(&baseline.as_str())).then(|| {
        let message = format!("`baseline` = \"{baseline}\" is no row; the rows are {}", names.join(", "));
        Problem::new("baseline", message)
    })
}

/// Numbers of others: those of rows, then those of none. A row's numbers with one label and source are one reference.
fn published(sweep: &SweepFile) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    for row in &sweep.rows {
        for number in &row.published {
            let (label, source) = (&number.label, &number.source);
            let same = |found: &&mut Reference| {
                found.row.as_ref() == Some(&row.name) && found.label == *label && found.source == *source
            };
            let metric = (number.metric.clone(), number.value);
            match references.iter_mut().find(same) {
                Some(found) => {
                    found.metrics.insert(metric.0, metric.1);
                }
                None => references.push(Reference {
                    label: label.clone(),
                    row: Some(row.name.clone()),
                    metrics: [metric].into(),
                    source: source.clone(),
                }),
            }
        }
    }
    references.extend(sweep.published.iter().map(|found| Reference {
        label: found.name.clone(),
        row: None,
        metrics: found.metrics.clone(),
        source: found.source.clone(),
    }));
    references
}

/// The run directories of a sweep and of its rungs, but for `own`.
pub fn run_directories(sweep: &Path, own: &Path) -> Vec<PathBuf> {
    let children = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        found.sort();
        found
    };
    // A report has a run.json, too.
    let is_run =
        |dir: &PathBuf| ["run.json", "config.toml"].iter().all(|file| dir.join(file).is_file()) && dir != own;
    let direct = children(sweep);
    let below: Vec<PathBuf> = direct.iter().flat_map(|dir| children(dir)).collect();
    direct.into_iter().chain(below).filter(is_run).collect()
}
