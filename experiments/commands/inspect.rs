//! `recalign inspect`: the artifacts as small tables.

mod sids;

use super::output::print;
use super::table;
use crate::cli::{InspectArgs, Inspected};
use crate::run::layout::{Committed, Layout};
use anyhow::Context as _;
use polars::prelude::{AnyValue, DataFrame};
use reports::schema::RunRecord;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

pub(super) fn inspect(arguments: &InspectArgs) -> anyhow::Result<()> {
    if arguments.what != Inspected::Sids {
        anyhow::ensure!(arguments.prefix.is_none(), "--prefix is an option of sids");
        anyhow::ensure!(!arguments.json, "--json is an option of sids");
    }
    let layout = Layout::existing(&arguments.run)?;
    let text = match arguments.what {
        Inspected::Run => stages(&layout)?,
        Inspected::Sids => sids::sids(&layout, arguments)?,
        Inspected::Pairs => parquet(&layout, "pairs.parquet", arguments.rows)?,
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

/// The first rows of every stage's `file`.
fn parquet(layout: &Layout, file: &str, rows: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    for stage in layout.committed()?.iter().filter(|stage| stage.manifest.outputs.contains_key(file)) {
        let frame = read(&stage.path.join(file))?;
        let shown = rows.min(frame.height());
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(
            text,
            "{}/{file}: {shown} of {} rows
",
            stage.directory,
            frame.height()
        )?;
        text += &head(&frame, shown)?;
    }
    anyhow::ensure!(!text.is_empty(), "no finished stage of {} has a {file}", layout.root().display());
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<DataFrame> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    crate::guarded::parquet(file).with_context(|| format!("{} is not valid Parquet", path.display()))
}

fn head(frame: &DataFrame, rows: usize) -> anyhow::Result<String> {
    let columns = frame.columns();
    let header: Vec<&str> = columns.iter().map(|column| column.name().as_str()).collect();
    let row = |index| -> anyhow::Result<Vec<String>> {
        columns.iter().map(|column| Ok(cell(&column.get(index)?))).collect()
    };
    let rows = (0..rows).map(row).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(table::render(&header, &rows))
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
