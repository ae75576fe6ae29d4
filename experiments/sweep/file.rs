//! The sweep file: TOML, `version = 1`, as strict as an experiment file.

use super::random::Random;
use crate::config::{ConfigError, Problem, is_name, read_checked};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::Table;

/// A whole sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Format version, 1.
    pub version: u32,
    /// Name of the sweep; its directory is `runs/<name>`.
    pub name: String,
    /// The last stage of every run.
    #[serde(default)]
    pub until: Option<String>,
    /// The row that the others are compared with.
    #[serde(default)]
    pub baseline: Option<String>,
    /// `key=value` changes to the experiment files of all rows.
    #[serde(default)]
    pub set: Vec<String>,
    /// Keys of the experiment files, each with a list of values: every row becomes one row per combination.
    #[serde(default)]
    pub grid: Option<Table>,
    /// Keys of the experiment files with what to draw them from: every row becomes one row per draw.
    #[serde(default)]
    pub random: Option<Random>,
    /// Rows fight for the budget instead of all getting it.
    #[serde(default)]
    pub halving: Option<Halving>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Numbers of others that belong to no row.
    #[serde(default)]
    pub published: Vec<Published>,
}

/// Successive halving: all rows with the first value of a key, the better of them with the next, and so on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// The key that is the budget, for example `pretrain.epochs`.
    pub key: String,
    /// Its values, growing; the runs of the sweep have the last.
    pub rungs: Vec<toml::Value>,
    /// Share of the rows that goes on.
    #[serde(default = "half")]
    pub keep: f64,
    /// What rows are ranked by, larger is better: the last value along training, means over seeds.
    #[serde(default = "validation")]
    pub metric: String,
}

fn half() -> f64 {
    0.5
}

/// Measured along pretraining and alignment, on users whom the test does not see.
fn validation() -> String {
    "validation/ndcg@10".to_owned()
}

impl Halving {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |key: &str, what: String| problems.push(Problem::new(format!("halving.{key}"), what));
        if self.rungs.len() < 2 {
            say("rungs", "`halving.rungs` must be a list of at least two values".to_owned());
        }
        if !(self.keep > 0.0 && self.keep < 1.0) {
            say("keep", format!("`halving.keep` = {} is out of range, must be between 0 and 1", self.keep));
        }
        if reports::glossary::lookup(&self.metric).is_none() {
            say(
                "metric",
                format!(
                    "`halving.metric` = \"{}\" is no metric; for example validation/ndcg@10 or judge/held-out",
                    self.metric
                ),
            );
        }
        problems
    }
}

/// One `[[rows]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name in directories, tables and figures.
    pub name: String,
    /// The experiment file, relative to the sweep file.
    pub config: PathBuf,
    /// `key=value` changes to it, after those of the sweep.
    #[serde(default)]
    pub set: Vec<String>,
    /// A run for each; the experiment's own seed if there are none.
    #[serde(default)]
    pub seeds: Option<Vec<u64>>,
    /// Numbers of others to be read beside this row.
    #[serde(default)]
    pub published: Vec<RowPublished>,
}

/// A published number of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPublished {
    /// Whose.
    pub label: String,
    /// Which metric, for example `recall@10`.
    pub metric: String,
    /// The number.
    pub value: f64,
    /// Where it was published.
    pub source: String,
}

/// One `[[published]]`: numbers that have no run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Whose.
    pub name: String,
    /// Metric -> number.
    pub metrics: BTreeMap<String, f64>,
    /// Where they were published.
    pub source: String,
}

/// Reads a sweep file; what `check` finds beyond the file itself is reported with everything else.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read, is not TOML, or has problems - all of which it lists.
pub(super) fn read(
    path: &Path,
    check: impl FnOnce(&SweepFile) -> Vec<Problem>,
) -> Result<SweepFile, ConfigError> {
    read_checked(path, &[], |file: &SweepFile| [file.problems(), check(file)].concat())
}

impl SweepFile {
    /// What is wrong with the file by itself.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.version != 1 {
            let message = format!("`version` = {} is unknown, must be 1", self.version);
            problems.push(Problem::new("version", message));
        }
        if !is_name(&self.name) {
            problems.push(bad_name("name", &self.name));
        }
        if self.rows.is_empty() {
            problems.push(Problem::new("rows", "`rows` is empty, must have at least one row"));
        }
        problems.extend(self.random.iter().flat_map(Random::problems));
        problems.extend(self.halving.iter().flat_map(Halving::problems));
        for (index, row) in self.rows.iter().enumerate() {
            row.check(&format!("rows.{index}"), &mut problems);
        }
        for (index, published) in self.published.iter().enumerate() {
            let numbers = published.metrics.iter().map(|(metric, value)| (metric.as_str(), *value));
            check_numbers(&format!("published.{index}.metrics"), numbers, &mut problems);
        }
        problems
    }
}

impl Row {
    fn check(&self, key: &str, problems: &mut Vec<Problem>) {
        if !is_name(&self.name) {
            problems.push(bad_name(&format!("{key}.name"), &self.name));
        }
        if let Some(seeds) = &self.seeds {
            let distinct: BTreeSet<_> = seeds.iter().collect();
            if distinct.is_empty() || distinct.len() < seeds.len() {
                let key = format!("{key}.seeds");
                let message =
                    format!("`{key}` = {seeds:?} is out of range, must be a list of different numbers");
                problems.push(Problem::new(key, message));
            }
        }
        for (index, published) in self.published.iter().enumerate() {
            let number = (published.metric.as_str(), published.value);
            check_numbers(&format!("{key}.published.{index}"), std::iter::once(number), problems);
        }
    }
}

fn bad_name(key: &str, name: &str) -> Problem {
    let allowed = crate::config::NAME;
    Problem::new(key, format!("`{key}` = {name} is out of range, must be {allowed}"))
}

/// A number is compared with a column, so its metric must be one.
fn check_numbers<'a>(key: &str, numbers: impl Iterator<Item = (&'a str, f64)>, problems: &mut Vec<Problem>) {
    for (metric, value) in numbers {
        if reports::glossary::lookup(metric).is_none() {
            let message = format!("`{key}`: `{metric}` is no metric; for example recall@10 or ndcg@10");
            problems.push(Problem::new(key, message));
        }
        if !value.is_finite() {
            problems.push(Problem::new(key, format!("`{key}`: {metric} = {value} must be finite")));
        }
    }
}
