//! What a tracker logged, and the curves in it.

use reports::glossary;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Where a row says its step, the most telling first: a trainer's own count, W&B's count of log calls, trackio's, an exported chart's.
pub(super) const STEPS: [&str; 4] = ["train/global_step", "_step", "step", "Step"];
/// Where a row says which run it is of.
const RUN: &str = "run_name";
/// Columns that say how a row was kept, not what was measured.
const KEPT: [&str; 8] = ["id", "run_id", "timestamp", "run_name", "log_id", "space_id", "run", "project"];
/// What W&B adds to a chart's columns when it is exported.
const EXTREMES: [&str; 2] = ["__MIN", "__MAX"];

/// Rows as they were logged, and the run's settings.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The run's name, where the file has one.
    pub(super) name: Option<String>,
    /// Settings by run; files of a single run keep theirs under no name.
    pub(super) config: BTreeMap<String, Map<String, Value>>,
    /// Keys and values.
    pub(super) rows: Vec<Map<String, Value>>,
}

/// A value of a curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) step: u64,
    pub(super) key: String,
    /// Not a number where none was measured.
    pub(super) value: f64,
}

/// The curves of one run.
#[derive(Debug)]
pub(super) struct Curves {
    pub(super) name: String,
    pub(super) config: Map<String, Value>,
    pub(super) points: Vec<Point>,
    /// Texts, lists and other things that are no curve.
    pub(super) left_out: usize,
}

impl Curves {
    /// Those of the run called `wanted`.
    ///
    /// # Errors
    /// There is no such run, or there are several and none was chosen.
    pub(super) fn of(history: History, wanted: Option<&str>) -> anyhow::Result<Self> {
        let History { name, mut config, rows } = history;
        let rows: Vec<(String, Map<String, Value>)> = rows.into_iter().flat_map(by_run).collect();
        let names: BTreeSet<&str> =
            rows.iter().map(|(run, _)| run.as_str()).filter(|run| !run.is_empty()).collect();
        let chosen = choose(&names, wanted)?;
        let settings = config.remove(&chosen).or_else(|| config.remove("")).unwrap_or_default();
        let mut curves = Self { name: String::new(), config: settings, points: Vec::new(), left_out: 0 };
        for (run, row) in &rows {
            if *run == chosen {
                curves.add(row);
            }
        }
        curves.name = match (wanted, name) {
            (Some(wanted), _) => wanted.to_owned(),
            (None, Some(name)) => name,
            (None, None) if chosen.is_empty() => "imported".into(),
            (None, None) => chosen,
        };
        Ok(curves)
    }

    fn add(&mut self, row: &Map<String, Value>) {
        let Some((_, step)) = step(row) else { return };
        for (key, value) in row {
            let own = key.starts_with('_') || KEPT.contains(&key.as_str()) || STEPS.contains(&key.as_str());
            if own || value.is_null() {
                continue;
            }
            match number(value) {
                Some(value) => self.points.push(Point { step, key: known(key), value }),
                None => self.left_out += 1,
            }
        }
    }
}

fn step(row: &Map<String, Value>) -> Option<(&str, u64)> {
    STEPS.iter().find_map(|key| {
        let step = row.get(*key).and_then(number).filter(|step| *step >= 0.0 && step.fract() == 0.0)?;
        Some((*key, step as u64))
    })
}

/// Numbers, and the words that trackers write for what JSON cannot.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The glossary's name of a key: trainers log `train/` before what is ours without it.
fn known(key: &str) -> String {
    let ours = glossary::ENTRIES.iter().any(|entry| entry.pattern == key);
    let bare = key.strip_prefix("train/").filter(|bare| !ours && glossary::lookup(bare).is_some());
    bare.unwrap_or(key).to_owned()
}

/// A row by the runs that it is of: a column names one, or the columns of a chart are `RUN - KEY`.
fn by_run(row: Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    if let Some(run) = row.get(RUN).and_then(Value::as_str) {
        return vec![(run.to_owned(), row)];
    }
    if !row.contains_key("Step") || !row.keys().any(|key| key.contains(" - ")) {
        return vec![(String::new(), row)];
    }
    let step = row["Step"].clone();
    let mut runs: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (column, value) in row {
        let Some((run, key)) = column.rsplit_once(" - ") else { continue };
        if !key.starts_with('_') && !EXTREMES.iter().any(|extreme| key.ends_with(extreme)) {
            let own = runs.entry(run.to_owned()).or_default();
            own.insert("Step".into(), step.clone());
            own.insert(key.to_owned(), value);
        }
    }
    runs.into_iter().collect()
}

fn choose(names: &BTreeSet<&str>, wanted: Option<&str>) -> anyhow::Result<String> {
    let list = || names.iter().copied().collect::<Vec<_>>().join(", ");
    match (wanted, names.len()) {
        (_, 0) => Ok(String::new()),
        (None, 1) => Ok(list()),
        (None, _) => anyhow::bail!("there are several runs; choose one with --run: {}", list()),
        (Some(wanted), _) if names.contains(wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => anyhow::bail!("there is no run {wanted}; there are {}", list()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn history(rows: &[Value]) -> History {
        History {
            rows: rows.iter().map(|row| row.as_object().unwrap().clone()).collect(),
            ..History::default()
        }
    }

    fn point(step: u64, key: &str, value: f64) -> Point {
        Point { step, key: key.into(), value }
    }

    #[test]
    fn a_trainers_step_goes_before_the_number_of_log_calls_and_keys_get_their_names() {
        let rows = [
            json!({"_step": 1, "_runtime": 2.5, "train/global_step": 40, "train/loss": 0.5, "train/legal_mass": 1, "eval/x": 1, "note": "hi"}),
        ];
        let curves = Curves::of(history(&rows), None).unwrap();
        let expected = [("eval/x", 1.0), ("train/legal_mass", 1.0), ("loss", 0.5)];
        assert_eq!(curves.points, expected.map(|(key, value)| point(40, key, value)));
        assert_eq!((curves.left_out, curves.name.as_str()), (1, "imported"));
    }

    #[test]
    fn one_of_several_runs_must_be_chosen() {
        let rows =
            [json!({"run_name": "a", "step": 1, "loss": 1}), json!({"run_name": "b", "step": 1, "loss": 2})];
        let error = Curves::of(history(&rows), None).unwrap_err().to_string();
        assert!(error.contains("--run: a, b"), "{error}");
        assert_eq!(Curves::of(history(&rows), Some("b")).unwrap().points, [point(1, "loss", 2.0)]);
        assert!(Curves::of(history(&rows), Some("c")).is_err());
    }

    #[test]
    fn the_columns_of_an_exported_chart_are_runs_and_keys() {
        let rows = [
            json!({"Step": "3", "big - run - loss": "0.5", "big - run - loss__MIN": "0.4", "other - loss": "NaN"}),
        ];
        assert_eq!(Curves::of(history(&rows), Some("big - run")).unwrap().points, [point(3, "loss", 0.5)]);
        assert!(Curves::of(history(&rows), Some("other")).unwrap().points[0].value.is_nan());
    }
}
