//! In what the rows' configurations differ.

use super::Sweep;
use crate::document::{Block, Column, Section, Span, Style, Table, paragraph};
use std::collections::BTreeSet;

/// Keys that name a run or differ by definition.
const NAMES: [&str; 2] = ["run.name", "run.seed"];

pub(super) fn section(sweep: &Sweep) -> Option<Section> {
    let rows = sweep.rows();
    let config = |row: &str| {
        sweep.runs.iter().find(|run| run.row == row && !run.config.is_empty()).map(|run| &run.config)
    };
    let configs: Vec<_> = rows.iter().filter_map(|row| Some((*row, config(row)?))).collect();
    let keys: BTreeSet<&String> = configs.iter().flat_map(|(_, config)| config.keys()).collect();
    let differs = |key: &&&String| {
        let mut values = configs.iter().map(|(_, config)| config.get(**key));
        let first = values.next();
        !NAMES.contains(&key.as_str()) && values.any(|value| Some(value) != first)
    };
    let mut columns = vec![Column::text("key")];
    columns.extend(configs.iter().map(|(row, _)| Column::text(*row)));
    let cell = |value: Option<&String>| match value {
        Some(value) => vec![Span::code(value)],
        None => vec![Span::text("not set").styled(Style::Quiet)],
    };
    let table: Vec<_> = keys
        .iter()
        .filter(differs)
        .map(|key| {
            let values = configs.iter().map(|(_, config)| cell(config.get(*key)));
            std::iter::once(vec![Span::code(*key)]).chain(values).collect()
        })
        .collect();
    if configs.len() < 2 {
        return None;
    }
    let blocks = if table.is_empty() {
        vec![paragraph("The rows have the same configuration but for names and seeds.")]
    } else {
        let caption = "Keys of the resolved configuration that are not the same in all rows".into();
        vec![Block::Table(Table { caption, columns, rows: table })]
    };
    Some(Section { id: "configurations", title: "Configurations", blocks })
}
