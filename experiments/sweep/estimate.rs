//! What a plan will cost, from the manifests of stages that were finished before.

use super::execute::directories;
use super::plan::{Plan, PlannedRun};
use crate::run::drift::older_program;
use crate::run::layout::{Committed, Layout};
use reports::config::flatten;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Wall-clock seconds that a run will take, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Of the stages that are known.
    pub seconds: f64,
    /// Stages to run whose like was never finished.
    pub unknown: usize,
    /// Stages that are done, or that an earlier run of the plan computes.
    pub shared: usize,
}

/// A finished stage of some run.
struct Known {
    stage: String,
    config: BTreeMap<String, String>,
    seconds: f64,
}

/// Estimates every run of the plan, in its order: a stage with the configuration of a finished one takes as long, else as long as
/// the mean of its namesakes over the same data, and no pretraining longer than its budget of CPU time. Run directories are looked
/// for in the sweep's and beside it.
pub fn estimate(plan: &Plan) -> Vec<Estimate> {
    let known = known(plan);
    let mut computed = BTreeSet::new();
    plan.runs.iter().map(|run| one(run, plan.until.as_deref(), (&known, &mut computed))).collect()
}

fn one(
    run: &PlannedRun,
    until: Option<&str>,
    (known, computed): (&[Known], &mut BTreeSet<String>),
) -> Estimate {
    let config = flatten(&run.config.to_toml());
    let done = committed(&run.dir);
    let mut found = Estimate::default();
    for directory in directories(run, until) {
        let stage = directory.split_once('-').map_or(directory.as_str(), |(_, stage)| stage);
        let part = relevant(stage, &config);
        let shared = !computed.insert(format!("{stage} {} {part:?}", run.config.run.seed));
        let done = done.iter().find(|done| done.directory == directory);
        if shared || done.is_some_and(|done| older_program(done).is_none()) {
            found.shared += 1;
        } else if let Some(seconds) = seconds(stage, &part, known) {
            found.seconds += seconds;
        } else {
            found.unknown += 1;
        }
    }
    found
}

/// The part of a configuration that a stage depends on; arms are told apart by their stage names.
fn relevant(stage: &str, config: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let sections: &[&str] = match stage {
        "ingest" => &["data."],
        "tokenize" => &["data.", "tokenize."],
        "pretrain" => &["data.", "tokenize.", "model.", "pretrain."],
        "reward" => &["data.", "reward."],
        _ => &["data.", "tokenize.", "model.", "pretrain.", "reward.", "sample.", "align.", "evaluate."],
    };
    let wanted = |key: &str| key == "run.budget" || sections.iter().any(|section| key.starts_with(section));
    config.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn seconds(stage: &str, part: &BTreeMap<String, String>, known: &[Known]) -> Option<f64> {
    let namesakes = || known.iter().filter(|known| known.stage == stage);
    if let Some(equal) = namesakes().find(|known| relevant(stage, &known.config) == *part) {
        return Some(equal.seconds);
    }
    let own = data(part);
    let alike: Vec<f64> =
        namesakes().filter(|known| data(&known.config) == own).map(|known| known.seconds).collect();
    let mean = (!alike.is_empty()).then(|| alike.iter().sum::<f64>() / alike.len() as f64);
    let budget = if stage == "pretrain" { budget(part) } else { None };
    mean.into_iter().chain(budget).reduce(f64::min)
}

/// CPU seconds that pretraining may take; on one core or more it is no longer by the clock.
fn budget(part: &BTreeMap<String, String>) -> Option<f64> {
    let minutes: f64 = part.get("pretrain.max_cpu_minutes")?.parse().ok()?;
    (minutes > 0.0).then_some(minutes * 60.0)
}

/// What says how much there is to do: the log, and how much of it.
fn data(config: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let wanted = |key: &str| key == "run.budget" || key.starts_with("data.");
    config.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Finished stages of the run directories in the sweep's directory and beside it.
fn known(plan: &Plan) -> Vec<Known> {
    let beside = plan.dir.parent().map(children).unwrap_or_default();
    let mut found = Vec::new();
    for dir in children(&plan.dir).into_iter().chain(beside) {
        let Ok(text) = fs::read_to_string(dir.join("config.toml")) else { continue };
        let config = flatten(&text);
        found.extend(committed(&dir).into_iter().map(|stage| Known {
            stage: stage.manifest.stage,
            config: config.clone(),
            seconds: stage.manifest.seconds,
        }));
    }
    found
}

/// What cannot be read is not known.
fn committed(dir: &Path) -> Vec<Committed> {
    Layout::new(dir).committed().unwrap_or_default()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_stage_takes_as_long_as_its_like_over_the_same_data_and_no_other_log_is_guessed_from() {
        let small = [("data.path", "small"), ("run.budget", "full")];
        let of = |rate: &'static str, seconds| Known {
            stage: "pretrain".into(),
            config: config(&[small[0], small[1], ("pretrain.learning_rate", rate)]),
            seconds,
        };
        let known = [of("1e-3", 10.0), of("3e-3", 20.0)];
        let asked = |more| relevant("pretrain", &config(&[small[0], small[1], more]));
        assert_eq!(seconds("pretrain", &asked(("pretrain.learning_rate", "3e-3")), &known), Some(20.0));
        assert_eq!(seconds("pretrain", &asked(("pretrain.learning_rate", "9e-3")), &known), Some(15.0));
        assert_eq!(seconds("pretrain", &asked(("data.path", "large")), &known), None);
        assert_eq!(seconds("pretrain", &asked(("run.budget", "smoke")), &known), None);
        assert_eq!(seconds("evaluate", &asked(("align.rounds", "1")), &known), None);
        assert_eq!(seconds("pretrain", &asked(("pretrain.max_cpu_minutes", "0.1")), &known), Some(6.0));
        assert_eq!(seconds("pretrain", &asked(("pretrain.max_cpu_minutes", "5.0")), &known), Some(15.0));
    }
}
