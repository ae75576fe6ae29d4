//! From the sweep file to the runs it stands for, all of them checked before any starts.

use super::file::{self, SweepFile};
use super::grid::{self, Cell};
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
    /// Numbers of others.
    pub published: Vec<Reference>,
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
    let mut planned = Vec::new();
    let sweep = file::read(path, |sweep| {
        let base = path.parent().unwrap_or(Path::new(""));
        let (rows, mut problems) = expand(sweep);
        for row in &rows {
            match configure(sweep, row, (base, overrides)) {
                Ok(configs) => planned.extend(configs.into_iter().map(|config| (row.name.clone(), config))),
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(check_baseline(sweep, &rows));
        problems
    })?;
    let dir = dir.map_or_else(|| Path::new("runs").join(&sweep.name), Path::to_owned);
    let run = |(row, config): (String, Config)| {
        let dir = dir.join(&config.run.name);
        PlannedRun { row, dir, config }
    };
    let runs = planned.into_iter().map(run).collect();
    let published = published(&sweep);
    let SweepFile { name, until, baseline, .. } = sweep;
    Ok(Plan { name, dir, until, baseline, runs, published })
}

/// Every row with every combination of the grid.
fn expand(sweep: &SweepFile) -> (Vec<Expanded>, Vec<Problem>) {
    let (dimensions, mut problems) = sweep.grid.as_ref().map(grid::dimensions).unwrap_or_default();
    let cells = grid::cells(&dimensions);
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
