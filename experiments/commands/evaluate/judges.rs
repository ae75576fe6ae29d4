//! `recalign evaluate --judges`: how far the judges themselves can be trusted, on their own log and on another.

use super::Finished;
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::config;
use crate::data::{self, Dataset};
use crate::stages::reward::{Statistic, bootstrap};
use crate::stages::{ingest, reward};
use ::reward::ensemble::Ensemble;
use ::reward::judge::Judge as _;
use ::reward::model_judge::ModelJudge;
use ::reward::quality::Examination;
use ::reward::statistics::{HeadStatistics, Rows};
use policy::history::{History, Log};
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use reports::schema::Estimate;
use serde::Serialize;
use std::collections::HashMap;

/// One head of a judge on one log.
#[derive(Serialize)]
struct Line {
    judge: String,
    head: String,
    log: String,
    base_rate: f64,
    /// Absent when one class is missing.
    auc: Option<Estimate>,
    ece: Option<Estimate>,
}

/// The table, or one JSON object per line of it.
pub(super) fn examine(arguments: &EvaluateArgs) -> anyhow::Result<String> {
    let device = arguments.device.open()?;
    let run = Finished::open(&arguments.run)?;
    let own = ingest::load(&run.stage("ingest")?.path)?;
    let judges = reward::load(&run.stage("reward")?.path, &own, &device)?;
    let (users, context) = (&judges.split.evaluation, judges.proxy.context());
    let negatives = run.config.reward.negatives;
    let biased = Examination::new(context, users, negatives, Key::new(0).named("evaluate"));
    let mut papers = vec![Paper { log: "own".into(), weights: None, examination: &biased }];
    if let Some(weights) = biased.weights(context) {
        papers.push(Paper { log: "own, corrected".into(), weights: Some(weights), examination: &biased });
    }
    let elsewhere = other(arguments, &own)?;
    let elsewhere = elsewhere.map(|(name, log)| (name, Examination::elsewhere(context, &log, users)));
    papers.extend(elsewhere.iter().map(|(name, examination)| Paper {
        log: name.clone(),
        weights: None,
        examination,
    }));
    let members = judges.ensemble.iter().flat_map(Ensemble::members);
    let all: Vec<&ModelJudge> = [&judges.proxy, &judges.held_out].into_iter().chain(members).collect();
    let resamples = run.config.evaluate.resamples;
    let lines: Vec<Line> =
        all.iter().flat_map(|judge| papers.iter().flat_map(|paper| paper.lines(judge, resamples))).collect();
    if arguments.json {
        return lines.iter().map(|line| Ok(serde_json::to_string(line)? + "\n")).collect();
    }
    Ok(text(&lines))
}

/// Questions, and how much each counts.
struct Paper<'a> {
    log: String,
    weights: Option<Vec<f64>>,
    examination: &'a Examination,
}

impl Paper<'_> {
    fn lines(&self, judge: &ModelJudge, resamples: usize) -> Vec<Line> {
        let result = self.examination.examine(judge);
        let line = |(index, head): (usize, &String)| {
            let truth = self.examination.truth(index);
            let rows = truth.rows(&result.predictions[index]);
            let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; rows.labels.len()]);
            // Every row on its own, so that it can have its own weight; its user decides how often it is drawn.
            let alone: Vec<usize> = (0..rows.labels.len()).collect();
            let statistics = HeadStatistics::new(Rows { users: &alone, ..rows });
            let drawn = |draws: &[f64]| -> Vec<f64> {
                weights.iter().zip(rows.users).map(|(weight, &user)| weight * draws[user]).collect()
            };
            let estimate = |statistic: &Statistic<'_>| bootstrap(rows.num_users(), resamples, statistic);
            let positive: f64 = weights.iter().zip(rows.labels).map(|(weight, label)| weight * label).sum();
            Line {
                judge: judge.name().into(),
                head: head.clone(),
                log: self.log.clone(),
                base_rate: positive / weights.iter().sum::<f64>().max(f64::MIN_POSITIVE),
                auc: estimate(&|draws| statistics.auc(&drawn(draws))),
                ece: estimate(&|draws| statistics.ece(&drawn(draws))),
            }
        };
        judge.heads().iter().enumerate().map(line).collect()
    }
}

/// The log of `--data` in the run's users and items, and its name. What the run does not know is left out.
fn other(arguments: &EvaluateArgs, own: &Dataset) -> anyhow::Result<Option<(String, Log)>> {
    let Some(path) = &arguments.data else { return Ok(None) };
    let (found, _) = data::build(&config::load(path, &arguments.overrides)?.data)?;
    anyhow::ensure!(
        found.log.signals == own.log.signals && !own.log.signals.is_empty(),
        "--data {}: its feedback columns are [{}], the judges were trained on [{}]; examining judges needs the same ones",
        path.display(),
        found.log.signals.join(", "),
        own.log.signals.join(", ")
    );
    let items: HashMap<&str, usize> =
        own.items.iter().enumerate().map(|(row, item)| (item.raw_id.as_str(), row)).collect();
    let users: HashMap<&str, usize> =
        found.users.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    let signals = own.log.signals.len();
    let history = |id: &String| {
        let mut known = History::default();
        let Some(&row) = users.get(id.as_str()) else { return known };
        let theirs = found.log.history(UserId::new(row));
        for (position, item) in theirs.items.iter().enumerate() {
            let Some(&item) = items.get(found.items[item.index()].raw_id.as_str()) else { continue };
            known.items.push(ItemId::new(item));
            known.timestamps.push(theirs.timestamps[position]);
            known.feedback.extend(&theirs.feedback[position * signals..][..signals]);
        }
        // Leave-one-out logs hold two interactions back; fewer than three say nothing.
        if known.items.len() < 3 { History::default() } else { known }
    };
    let histories: Vec<History> = own.users.iter().map(history).collect();
    anyhow::ensure!(
        histories.iter().any(|history| !history.items.is_empty()),
        "--data {}: none of its users has three items of the run's catalog",
        path.display()
    );
    let name = path.file_stem().map_or_else(|| "other".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Some((name, Log { histories, num_items: own.log.num_items, signals: own.log.signals.clone() })))
}

fn text(lines: &[Line]) -> String {
    let cell = |estimate: Option<Estimate>| {
        estimate
            .map_or_else(|| "one class".into(), |e| format!("{:.4} [{:.4}, {:.4}]", e.value, e.low, e.high))
    };
    let row = |line: &Line| {
        let Line { judge, head, log, base_rate, auc, ece } = line;
        vec![judge.clone(), head.clone(), log.clone(), format!("{base_rate:.4}"), cell(*auc), cell(*ece)]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table::render(&["judge", "head", "log", "base rate", "AUC", "ECE"], &rows)
}
