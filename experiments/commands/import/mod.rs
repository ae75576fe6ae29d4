//! `recalign import`: the curves of another tracker's run as a run directory, to be laid over our own.
//!
//! A [`history`] is what a tracker logged: rows of keys and values. [`wandb`] reads W&B's own offline file, [`trackio`] that tool's
//! database; tables (JSON lines, CSV, Parquet) are read by [`table`], exports of both among them. [`write`] makes the directory.

mod history;
mod table;
mod trackio;
mod wandb;
mod wire;
pub(crate) mod write;

use super::output::print;
use crate::cli::ImportArgs;
use anyhow::Context as _;
use history::{Curves, History};
use std::path::Path;
use tracing::warn;

pub(super) fn import(arguments: &ImportArgs) -> anyhow::Result<()> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let history =
        read(path, &bytes, arguments).with_context(|| format!("cannot import {}", path.display()))?;
    let curves = Curves::of(history, arguments.run.as_deref())?;
    anyhow::ensure!(
        !curves.points.is_empty(),
        "{} has no row with a step and a number; the step is looked for in {}",
        path.display(),
        history::STEPS.join(", ")
    );
    if curves.left_out > 0 {
        warn!("{} values are neither numbers nor empty, and are left out", curves.left_out);
    }
    let source = write::Source { path, bytes: &bytes, arguments };
    write::run(&source, &curves)?;
    print(&format!("{}: {} values of {}\n", arguments.to.display(), curves.points.len(), curves.name))
}

fn read(path: &Path, bytes: &[u8], arguments: &ImportArgs) -> anyhow::Result<History> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "wandb" => wandb::read(bytes),
        "jsonl" | "ndjson" | "json" => table::json(bytes),
        "csv" => table::csv(bytes),
        "parquet" => table::parquet(path),
        "db" => trackio::read(path),
        _ => anyhow::bail!(
            "{} reads files that end with .wandb, .db, .jsonl, .json, .csv or .parquet, not `{extension}`",
            arguments.tool
        ),
    }
}
