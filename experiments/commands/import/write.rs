//! Curves as a run directory: `run.json`, `config.toml` and `metrics.jsonl`, no stages.

use super::history::Curves;
use crate::cli::ImportArgs;
use crate::run::{commit, hash};
use anyhow::Context as _;
use reports::schema::{MetricRow, RunRecord, Stages};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// What `budget` says of runs that were not made here.
pub(crate) const IMPORTED: &str = "imported";

/// Where curves come from and where they go.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) arguments: &'a ImportArgs,
}

#[derive(Serialize)]
struct Config<'a> {
    run: Run<'a>,
    imported: Imported,
    settings: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    seed: u64,
}

#[derive(Serialize)]
struct Imported {
    tool: String,
    file: String,
    sha256: String,
    values_left_out: usize,
}

/// Writes the directory, whole or not at all.
///
/// # Errors
/// It exists and is not empty, or cannot be written.
pub(super) fn run(source: &Source<'_>, curves: &Curves) -> anyhow::Result<()> {
    let to = &source.arguments.to;
    let empty = std::fs::read_dir(to).map_or(true, |mut entries| entries.next().is_none());
    anyhow::ensure!(empty, "{} is not empty; choose another --to", to.display());
    let config = config(source, curves)?;
    let record = RunRecord {
        schema: crate::run::SCHEMA,
        name: curves.name.clone(),
        seed: seed(&curves.config),
        budget: IMPORTED.into(),
        stages: if source.arguments.stage == "pretrain" { Stages::Pretraining } else { Stages::Alignment },
        device: "unknown".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        config_sha256: hash::of_bytes(config.as_bytes()),
    };
    let mut partial = to.file_name().context("--to needs the name of a directory")?.to_owned();
    partial.push(".partial");
    let partial = to.with_file_name(partial);
    commit::fresh_directory(&partial)?;
    commit::create_directory(&partial.join("stages"))?;
    commit::write_file(&partial.join("run.json"), &serde_json::to_vec_pretty(&record)?)?;
    commit::write_file(&partial.join("config.toml"), config.as_bytes())?;
    commit::write_file(&partial.join("metrics.jsonl"), &metrics(curves, &source.arguments.stage)?)?;
    commit::commit_directory(&partial, to)
}

fn config(source: &Source<'_>, curves: &Curves) -> anyhow::Result<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let settings = super::table::flat(curves.config.clone());
    let file = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let config = Config {
        run: Run { name: &curves.name, seed: seed(&curves.config) },
        imported: Imported {
            tool: source.arguments.tool.to_string(),
            file,
            sha256: hash::of_bytes(source.bytes),
            values_left_out: curves.left_out,
        },
        settings: settings.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
    };
    toml::to_string(&config).context("the settings have no TOML form")
}

/// The run's own seed; 0 when it tells none.
fn seed(config: &Map<String, Value>) -> u64 {
    let seed = config.get("seed");
    seed.and_then(|seed| seed.as_u64().or_else(|| seed.as_f64().map(|seed| seed as u64))).unwrap_or(0)
}

/// In the order of keys, then steps; what is no number is `null`, which reports count and name.
fn metrics(curves: &Curves, stage: &str) -> anyhow::Result<Vec<u8>> {
    let mut points: Vec<_> = curves.points.iter().collect();
    points.sort_by(|a, b| (&a.key, a.step).cmp(&(&b.key, b.step)));
    let mut lines = Vec::new();
    for point in points {
        let row =
            MetricRow { stage: stage.into(), step: point.step, key: point.key.clone(), value: point.value };
        serde_json::to_writer(&mut lines, &row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
