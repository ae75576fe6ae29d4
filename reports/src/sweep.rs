//! A sweep: rows of runs side by side, their differences, what they cost, and published numbers to read them against.
//!
//! The caller gathers a [`Sweep`] from run directories (per-user results are Parquet, which this crate does not read)
//! and pools it with [`pool`]; [`render`] makes the page, its Markdown twin, the figures and `sweep.json` of it.

mod configs;
mod cost;
pub mod curves;
mod figures;
pub mod pool;
mod prediction;
mod quality;
mod sections;
mod seeds;

use crate::chart;
use crate::error::ReportError;
use crate::schema::{Estimate, TokenizerQuality};
use crate::{html, markdown};
use serde::Serialize;
use std::collections::BTreeMap;

/// Layout version of `sweep.json`.
pub const SCHEMA: u32 = 1;

/// Everything a sweep knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The sweep's name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// The last stage of every run; absent when all stages ran.
    pub until: Option<String>,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// Every run, row by row.
    pub runs: Vec<RunResult>,
    /// Every recommender that was evaluated.
    pub lines: Vec<Line>,
    /// Numbers of others.
    pub published: Vec<Reference>,
}

/// One run: a row with a seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// The row.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// The run directory within the sweep's.
    pub directory: String,
    /// `full` or `smoke`.
    pub budget: String,
    /// How it ended.
    #[serde(flatten)]
    pub state: State,
    /// What its stages cost, in their order; a stage taken over from another run counts as if it had run.
    pub stages: Vec<StageCost>,
    /// Weights of the pretrained policy.
    pub parameters: Option<u64>,
    /// Validation NDCG@10 over the training.
    pub validation: Vec<Validation>,
    /// The semantic IDs.
    pub tokenizer: Option<TokenizerQuality>,
    /// Arm -> key -> points by step ([`curves::of_run`]).
    #[serde(skip)]
    pub curves: BTreeMap<String, BTreeMap<String, Vec<(f64, f64)>>>,
    /// The resolved configuration ([`crate::config::flatten`]); empty when it is not known.
    #[serde(skip)]
    pub config: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// All its stages are there.
    Finished,
    /// It failed; the sweep went on.
    Failed {
        /// The chain of errors.
        error: String,
    },
    /// A loss or metric was not finite; the sweep went on.
    Diverged {
        /// The chain of errors.
        error: String,
    },
    /// A search left it behind.
    Dropped {
        /// Why.
        reason: String,
    },
    /// The sweep was interrupted before or in it, or its budget was spent.
    Unfinished,
}

/// A stage: what it was a function of, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageCost {
    /// Its name.
    pub stage: String,
    /// That of its manifest: its configuration, inputs, seed and program.
    pub fingerprint: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// Most bytes held in memory.
    pub peak_memory: Option<u64>,
}

/// A validation during training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Optimizer step.
    pub step: u64,
    /// CPU seconds since pretraining began, validations included; absent in runs of older versions.
    pub cpu_seconds: Option<f64>,
    /// NDCG@10.
    pub ndcg: f64,
}

/// One recommender, over the seeds of its row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What tables call it: the row, and the system where a row has several.
    pub label: String,
    /// The row.
    pub row: String,
    /// The system's name in the row's evaluations.
    pub system: String,
    /// `baseline`, `base` or `aligned`.
    pub role: String,
    /// Seeds it was evaluated with.
    pub seeds: Vec<u64>,
    /// Test users.
    pub users: u64,
    /// Metric -> result.
    pub metrics: BTreeMap<String, Pooled>,
    /// Metric -> this line minus the baseline row's, paired over users.
    pub differences: BTreeMap<String, Estimate>,
}

/// A metric over users and seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pooled {
    /// Mean of the seeds' means, with its 95 % bootstrap interval over users.
    pub estimate: Estimate,
    /// The mean over users of every seed, in the order of [`Line::seeds`].
    pub by_seed: Vec<f64>,
}

/// A published number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// Whose.
    pub label: String,
    /// The row it is to be read beside; absent when it belongs to none.
    pub row: Option<String>,
    /// Metric -> value.
    pub metrics: BTreeMap<String, f64>,
    /// Where it was published.
    pub source: String,
}

impl Sweep {
    /// Names of the rows, in order.
    pub fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = self.runs.iter().map(|run| run.row.as_str()).collect();
        rows.dedup();
        rows
    }

    /// The finished runs of a row.
    pub fn finished<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a RunResult> + Clone {
        self.runs.iter().filter(move |run| run.row == row && run.state == State::Finished)
    }

    /// Lines that are no baselines.
    fn trained(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.role != "baseline")
    }

    /// Lines that are compared with the baseline. One that differs from it in nothing is the same policy: rows that differ in what
    /// comes later share it.
    fn compared(&self) -> impl Iterator<Item = &Line> {
        let differs = |difference: &Estimate| difference.low.abs().max(difference.high.abs()) > 0.0;
        self.trained().filter(move |line| line.differences.values().any(differs))
    }

    /// Ranking metrics that were evaluated: by name, then by cut-off.
    fn ranking_keys(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self.keys().into_iter().filter(|key| cutoff(key).is_some()).collect();
        keys.sort_by_key(|key| (key.starts_with("ndcg@"), cutoff(key)));
        keys
    }

    /// All metrics that were evaluated, sorted.
    fn keys(&self) -> Vec<&str> {
        let keys = self.lines.iter().flat_map(|line| line.metrics.keys().map(String::as_str));
        keys.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The metric that rows are ordered and compared by: NDCG@10 where it was measured.
    fn main_metric(&self) -> Option<&str> {
        let keys = self.ranking_keys();
        keys.iter().find(|key| **key == "ndcg@10").or(keys.last()).copied()
    }
}

/// `K` of `recall@K` and `ndcg@K`.
fn cutoff(key: &str) -> Option<u64> {
    let digits = key.strip_prefix("recall@").or_else(|| key.strip_prefix("ndcg@"))?;
    digits.parse().ok()
}

impl RunResult {
    /// CPU seconds of pretraining.
    pub fn training_seconds(&self) -> Option<f64> {
        self.stages.iter().find(|cost| cost.stage == "pretrain").map(|cost| cost.cpu_seconds)
    }

    /// CPU seconds of pretraining until the checkpoint that was kept.
    pub fn selected_after(&self) -> Option<f64> {
        let best = self.validation.iter().max_by(|a, b| a.ndcg.total_cmp(&b.ndcg));
        best.and_then(|validation| validation.cpu_seconds)
    }

    /// CPU seconds of all stages.
    pub fn cpu_seconds(&self) -> f64 {
        self.stages.iter().map(|cost| cost.cpu_seconds).sum()
    }

    /// Most bytes that any stage held in memory.
    pub fn peak_memory(&self) -> Option<u64> {
        self.stages.iter().filter_map(|cost| cost.peak_memory).max()
    }

    /// Validation NDCG@10 of the checkpoint that was kept: the best.
    pub fn selected(&self) -> Option<f64> {
        self.validation.iter().map(|validation| validation.ndcg).reduce(f64::max)
    }
}

/// Renders a sweep: `(relative path, content)` of every file, sorted by path. A function of `sweep` alone.
///
/// # Errors
/// A figure could not be drawn.
pub fn render(sweep: &Sweep) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let figures = figures::all(sweep);
    let document = sections::document(sweep, &figures)?;
    let mut json = serde_json::to_string_pretty(sweep).map_err(ReportError::Summary)?;
    json.push('\n');
    let mut files = vec![
        ("index.html".to_owned(), html::render(&document)?.into_bytes()),
        ("report.md".to_owned(), markdown::render(&document).into_bytes()),
        ("sweep.json".to_owned(), json.into_bytes()),
    ];
    for figure in &figures {
        files.push((figure.csv_path(), figure.csv().into_bytes()));
        files.push((figure.svg_path(), chart::standalone(figure)?.into_bytes()));
    }
    files.sort();
    Ok(files)
}
