//! `recalign inspect`: the artifacts as small tables.

pub(crate) mod pairs;
mod sids;

use super::output::print;
use super::table;
use crate::cli::{InspectArgs, Inspected};
use crate::run::layout::{Committed, Layout};
use anyhow::Context as _;
use polars::prelude::{AnyValue, DataFrame};
use reports::schema::RunRecord;
use std::fs::{self, File};
use std::path::Path;

pub(super) fn inspect(arguments: &InspectArgs) -> anyhow::Result<()> {
    if arguments.what != Inspected::Sids {
        anyhow::ensure!(arguments.prefix.is_none(), "--prefix is an option of sids");
    }
    anyhow::ensure!(
        !arguments.json || arguments.what != Inspected::Run,
        "--json is an option of sids and pairs"
    );
    let layout = Layout::existing(&arguments.run)?;
    let text = match arguments.what {
        Inspected::Run => stages(&layout)?,
        Inspected::Sids => sids::sids(&layout, arguments)?,
        Inspected::Pairs if arguments.json => pairs::json_lines(&layout)?,
        Inspected::Pairs => pairs::text(&layout, arguments.rows)?,
    };
    print(&text)
}

fn stages(layout: &Layout) -> anyhow::Result<String> {
    let text = fs::read(layout.record()).context("cannot read run.json")?;
    let record: RunRecord = serde_json::from_slice(&text).context("run.json is not a run record")?;
    let rows: Vec<_> = layout.committed()?.iter().map(stage_row).collect();
    let header = ["stage", "seconds", "cpu s", "inputs", "files", "bytes"];
    let RunRecord { name, seed, budget, device, version, .. } = record;
    let head = format!("run {name}: seed {seed}, budget {budget}, device {device}, recalign {version}\n\n");
    Ok(head + &table::render(&header, &rows))
}

fn stage_row(stage: &Committed) -> Vec<String> {
    let manifest = &stage.manifest;
    let bytes: u64 = manifest.outputs.values().map(|file| file.bytes).sum();
    vec![
        stage.directory.clone(),
        format!("{:.1}", manifest.seconds),
        format!("{:.1}", manifest.cpu_seconds),
        manifest.inputs.len().to_string(),
        manifest.outputs.len().to_string(),
        bytes.to_string(),
    ]
}

fn read(path: &Path) -> anyhow::Result<DataFrame> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    crate::guarded::parquet(file).with_context(|| format!("{} is not valid Parquet", path.display()))
}

/// The widest a text cell gets: a row should fit a terminal.
const MOST_CHARACTERS: usize = 40;

fn cell(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::List(values) => values.iter().map(|value| cell(&value)).collect::<Vec<_>>().join(" "),
        AnyValue::Float32(number) => format!("{number:.4}"),
        AnyValue::Float64(number) => format!("{number:.4}"),
        AnyValue::Null => "-".into(),
        other => shortened(&other.str_value(), MOST_CHARACTERS),
    }
}

/// The first `most` characters.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
