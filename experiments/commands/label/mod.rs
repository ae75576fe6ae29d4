//! `recalign label`: what nobody rated, told from behaviour, and how far that can be trusted.
//!
//! Of every user with both verdicts one approved and one disapproved impression, drawn by the seed, are kept for the
//! examination; all others teach. A second pair of what is left chooses the threshold of disapproval, on a model that did not
//! learn from it, before the model learns from all that is left.

mod examine;
mod write;

use super::output::print;
use super::table;
use crate::cli::LabelArgs;
use crate::config;
use crate::data;
use crate::threads::in_pool;
use anyhow::Context as _;
use burn::prelude::Device;
use examine::{Line, Paper};
use policy::random::Key;
use reports::schema::Estimate;
use reward::satisfaction::decision::Threshold;
use reward::satisfaction::features::{Features, Knowledge};
use reward::satisfaction::impressions::{Columns, Impressions, Names};
use reward::satisfaction::model::{Lessons, Satisfaction};
use serde::Serialize;

/// What is known when, and what came of it.
struct Answers {
    features: Features,
    /// For every impression.
    chances: Vec<f64>,
    threshold: Threshold,
    /// Of the model that chose the threshold, on the pairs that chose it.
    validation: Line,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    users: usize,
    impressions: usize,
    rated: usize,
    examined_users: usize,
    threshold: f64,
    lines: &'a [Line],
}

pub(super) fn label(arguments: &LabelArgs) -> anyhow::Result<()> {
    if let Some(dir) = &arguments.to {
        write::check(dir)?;
    }
    print(&in_pool(|| learn(arguments))?)
}

fn learn(arguments: &LabelArgs) -> anyhow::Result<String> {
    let (dataset, _) = data::build(&config::load(&arguments.config, &arguments.overrides)?.data)?;
    let shares = arguments.shares.iter().map(|share| halves(share)).collect::<anyhow::Result<Vec<_>>>()?;
    let (positive, negative) = (arguments.positive.as_str(), arguments.negative.as_deref());
    let columns = Columns::find(&dataset.log.signals, Names { positive, negative, shares: &shares })?;
    let impressions = Impressions::new(&dataset.log, &columns)?;
    let parts = Parts::draw(&impressions, Key::new(arguments.seed).named("label"));
    let behaviour = answers(&impressions, &parts, (Knowledge::Behaviour, arguments))?;
    let leaking = answers(&impressions, &parts, (Knowledge::ItemRate, arguments))?;
    let paper = |rows| Paper::new(&impressions, rows, arguments.resamples as usize);
    let lines = lines(&paper(&parts.test), &behaviour, &leaking);
    if let Some(dir) = &arguments.to {
        write::all(dir, (&dataset, &impressions), (&parts, &behaviour))?;
    }
    let rated = impressions.verdicts().iter().flatten().count();
    let (users, examined_users) = (impressions.num_users(), parts.test.len() / 2);
    if arguments.json {
        let threshold = behaviour.threshold.value();
        let impressions = impressions.len();
        let summary = Summary { users, impressions, rated, examined_users, threshold, lines: &lines };
        return Ok(serde_json::to_string(&summary)? + "\n");
    }
    let head = format!(
        "{} impressions of {users} users, {rated} rated; examined on one approved and one disapproved impression of each of {examined_users} users\n\n",
        impressions.len(),
    );
    Ok(head + &text(&lines))
}

/// `play_time / duration` as its two columns.
fn halves(share: &str) -> anyhow::Result<(String, String)> {
    let (part, whole) = share.split_once('/').with_context(|| {
        format!(
            "--share {share}: expected two feedback columns, PART/WHOLE, for example play_time_ms/duration_ms"
        )
    })?;
    Ok((part.trim().into(), whole.trim().into()))
}

/// Which impressions' verdicts are for what.
struct Parts {
    test: Vec<usize>,
    validation: Vec<usize>,
    /// Rated and not in the test.
    taught: Vec<bool>,
    key: Key,
}

impl Parts {
    fn draw(impressions: &Impressions<'_>, key: Key) -> Self {
        let mut taught: Vec<bool> = impressions.verdicts().iter().map(Option::is_some).collect();
        let test = impressions.draw_pairs(&taught, key.named("test"));
        for &at in &test {
            taught[at] = false;
        }
        let validation = impressions.draw_pairs(&taught, key.named("validation"));
        Self { test, validation, taught, key }
    }
}

/// Two models: one that chooses the threshold, and the one that answers.
fn answers(
    impressions: &Impressions<'_>,
    parts: &Parts,
    (knowledge, arguments): (Knowledge, &LabelArgs),
) -> anyhow::Result<Answers> {
    let device = Device::flex();
    let fit = |known: &[bool], purpose: &str| {
        let features = Features::of(impressions, known, knowledge);
        let lessons = Lessons { impressions, known, key: parts.key.named(purpose), device: &device };
        let model = Satisfaction::fit(&features, lessons).context("the model of satisfaction broke down")?;
        let chances = model.predict(&features);
        anyhow::Ok((features, chances))
    };
    let mut less = parts.taught.clone();
    for &at in &parts.validation {
        less[at] = false;
    }
    let (_, earlier) = fit(&less, "choose")?;
    let paper = Paper::new(impressions, &parts.validation, arguments.resamples as usize);
    let threshold = Threshold::fit(paper.rows(&paper.of(&earlier)));
    let name = match knowledge {
        Knowledge::Behaviour => "model, on validation pairs",
        Knowledge::ItemRate => "leak: model with the item's approval, on validation pairs",
    };
    let validation = paper.line(name, &paper.of(&earlier), Some(threshold));
    let (features, chances) = fit(&parts.taught, "answer")?;
    Ok(Answers { features, chances, threshold, validation })
}

/// The model, every column of behaviour alone, and the leak.
fn lines(paper: &Paper<'_>, behaviour: &Answers, leaking: &Answers) -> Vec<Line> {
    let of = |answers: &Answers, name| paper.line(name, &paper.of(&answers.chances), Some(answers.threshold));
    let column = |features: &Features, column: usize| {
        let values: Vec<f64> = features.column(column).map(f64::from).collect();
        paper.line(&features.names()[column], &paper.of(&values), None)
    };
    let mut lines = vec![of(behaviour, "model"), behaviour.validation.clone()];
    lines.extend((0..behaviour.features.plain()).map(|at| column(&behaviour.features, at)));
    lines.push(column(&leaking.features, leaking.features.width() - 1));
    lines.push(of(leaking, "leak: model with the item's approval"));
    lines
}

fn text(lines: &[Line]) -> String {
    let cell = |estimate: Option<Estimate>| {
        estimate.map_or_else(|| "-".into(), |e| format!("{:.3} [{:.3}, {:.3}]", e.value, e.low, e.high))
    };
    let row = |line: &Line| {
        let Line { name, auc, pair_accuracy, recall, f1 } = line;
        std::iter::once(name.clone()).chain([*auc, *pair_accuracy, *recall, *f1].map(cell)).collect()
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table::render(&["told from", "AUC", "pairs of a user", "recall of disapproval", "its F1"], &rows)
}
