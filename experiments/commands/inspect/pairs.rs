//! `recalign inspect pairs`: what is compared, with everything that is known of both sides.

use super::{cell, read, shortened};
use crate::commands::table;
use crate::run::layout::{Committed, Layout};
use anyhow::Context as _;
use polars::prelude::{AnyValue, DataFrame, PlSmallStr};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

const PAIRS: &str = "pairs.parquet";
const ROLLOUTS: &str = "rollouts.parquet";

/// The widest an item's text gets in the table.
const TEXT: usize = 32;

/// Every stage's pairs: two lines each, the preferred item first.
///
/// # Errors
/// No stage has pairs, or a table is damaged.
pub(super) fn text(layout: &Layout, rows: usize) -> anyhow::Result<String> {
    let stages = stages(layout)?;
    let parts = stages.iter().map(|stage| Stage::read(stage)?.text(rows));
    Ok(parts.collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
}

/// Every stage's pairs as JSON lines, all columns: `prompt`, `chosen` and `rejected` are what preference trainers read.
///
/// # Errors
/// As [`text`].
pub(super) fn json_lines(layout: &Layout) -> anyhow::Result<String> {
    let mut lines = String::new();
    for stage in stages(layout)? {
        let frame = read(&stage.path.join(PAIRS))?;
        for row in 0..frame.height() {
            let values = frame.columns().iter().map(|column| {
                let value = json(&column.get(row)?);
                Ok((column.name().to_string(), value))
            });
            let mut object = values.collect::<anyhow::Result<Map<_, _>>>()?;
            object.insert("stage".into(), stage.manifest.stage.clone().into());
            writeln!(lines, "{}", Value::Object(object))?;
        }
    }
    Ok(lines)
}

fn json(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::UInt32(number) => (*number).into(),
        AnyValue::Float32(number) => finite(f64::from(*number)),
        AnyValue::Float64(number) => finite(*number),
        other => other.str_value().into(),
    }
}

fn finite(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// The finished stages that have pairs.
///
/// # Errors
/// There are none, or the run directory cannot be read.
pub(crate) fn stages(layout: &Layout) -> anyhow::Result<Vec<Committed>> {
    let mut stages = layout.committed()?;
    stages.retain(|stage| stage.manifest.outputs.contains_key(PAIRS));
    anyhow::ensure!(!stages.is_empty(), "no finished stage of {} has a {PAIRS}", layout.root().display());
    Ok(stages)
}

/// The pairs of a stage with the candidates they were made of.
pub(crate) struct Stage {
    directory: String,
    pairs: DataFrame,
    rollouts: DataFrame,
    /// Row of a user's candidate of this rank in `rollouts`.
    rows: BTreeMap<(u32, u32), usize>,
}

impl Stage {
    /// Reads both tables.
    ///
    /// # Errors
    /// One of them is missing or damaged.
    pub(crate) fn read(stage: &Committed) -> anyhow::Result<Self> {
        let [pairs, rollouts] = [PAIRS, ROLLOUTS].map(|file| read(&stage.path.join(file)));
        let rollouts = rollouts?;
        let [users, ranks] = ["user", "rank"].map(|name| integers(&rollouts, name));
        let rows = users?.into_iter().zip(ranks?).enumerate().map(|(row, key)| (key, row)).collect();
        Ok(Self { directory: stage.directory.clone(), pairs: pairs?, rollouts, rows })
    }

    fn text(&self, rows: usize) -> anyhow::Result<String> {
        let shown = rows.min(self.len());
        let mut lines = self.lines(0..shown)?;
        for text in lines.iter_mut().filter_map(|line| line.last_mut()) {
            *text = shortened(text, TEXT);
        }
        let mut text = format!("{}: {shown} of {} pairs", self.directory, self.len());
        text += &self.verdicts()?;
        text += "\n\n";
        text += &table::render(&self.header(), &lines);
        Ok(text)
    }

    /// Pairs.
    pub(crate) fn len(&self) -> usize {
        self.pairs.height()
    }

    /// What the cells of a line are: the scores of all judges between margin and item text.
    pub(crate) fn header(&self) -> Vec<&str> {
        let mut header = vec!["user", "side", "rank", "item", "log_prob", "margin"];
        header.extend(self.scores().map(|name| name.trim_start_matches("judge/")));
        header.push("text");
        header
    }

    /// Two lines for each of these pairs, the preferred item first; texts in full.
    ///
    /// # Errors
    /// A table is damaged.
    pub(crate) fn lines(&self, rows: Range<usize>) -> anyhow::Result<Vec<Vec<String>>> {
        let sides = rows.flat_map(|row| ["chosen", "rejected"].map(|side| (row, side)));
        sides.map(|side| self.side(side)).collect()
    }

    fn scores(&self) -> impl Iterator<Item = &str> {
        let names = self.rollouts.get_column_names().into_iter().map(PlSmallStr::as_str);
        names.filter(|name| name.starts_with("judge/"))
    }

    /// One side of a pair; the reference of the round is the policy whose log-probability is stored.
    fn side(&self, (row, side): (usize, &str)) -> anyhow::Result<Vec<String>> {
        let value = |name: &str| -> anyhow::Result<String> { Ok(cell(&self.pairs.column(name)?.get(row)?)) };
        let number = |name: &str| -> anyhow::Result<u32> {
            let column = self.pairs.column(name)?.u32()?;
            column.get(row).with_context(|| format!("{}: {name} is empty in row {}", self.directory, row + 1))
        };
        let (user, rank) = (number("user")?, number(&format!("{side}_rank"))?);
        let candidate = self.rows.get(&(user, rank)).with_context(|| {
            format!("{}: {ROLLOUTS} has no candidate {rank} of user {user}", self.directory)
        })?;
        let mut cells = vec![user.to_string(), side.to_owned(), rank.to_string()];
        cells.push(value(&format!("{side}_item"))?);
        cells.push(value(&format!("{side}_log_prob"))?);
        cells.push(if side == "chosen" { value("margin")? } else { String::new() });
        for name in self.scores() {
            cells.push(cell(&self.rollouts.column(name)?.get(*candidate)?));
        }
        let text = self.pairs.column(&format!("{side}_text"))?.get(row)?;
        cells.push(text.str_value().into_owned());
        Ok(cells)
    }

    /// How many of the pairs the other judges order alike, the truth among them where it is known.
    pub(crate) fn verdicts(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for name in self.pairs.get_column_names() {
            let Some(judge) = name.strip_prefix("margin/") else { continue };
            let margins = self.pairs.column(name)?.f64()?;
            let alike = margins.iter().flatten().filter(|margin| *margin > 0.0).count();
            let share = 100.0 * alike as f64 / self.pairs.height().max(1) as f64;
            write!(text, "; {judge} agrees with {share:.0} %")?;
        }
        Ok(text)
    }
}

fn integers(frame: &DataFrame, name: &str) -> anyhow::Result<Vec<u32>> {
    let values: Option<Vec<u32>> = frame.column(name)?.u32()?.iter().collect();
    values.with_context(|| format!("{ROLLOUTS}: column {name} has empty cells"))
}
