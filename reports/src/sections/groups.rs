//! Groups of users told apart, how recommendations spread, and the users whom alignment cost most.

use super::{Figures, evaluation, missing};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, estimate_cell, paragraph};
use crate::error::ReportError;
use crate::figures::SLICES;
use crate::glossary;
use crate::load::Run;
use crate::number;
use crate::schema::{Case, Comparison, Evaluation, ShownItem, SystemCases, SystemResult};
use crate::verdict::Change;

/// Metrics whose groups are listed.
const METRICS: [&str; 4] = ["recall@10", "ndcg@10", "judge/held-out", "judge/oracle"];
/// Characters of an item's text that a table has room for.
const TEXT: usize = 90;

pub(super) fn slices(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks: Vec<Block> = Vec::new();
    match &run.evaluation {
        None => blocks.push(missing(run, "evaluate")),
        Some(evaluation) if evaluation.slices.is_empty() => {
            blocks.push(paragraph("This run was evaluated by a version that told no groups of users apart."));
        }
        Some(evaluation) => {
            blocks.push(paragraph(
                "Means over all users hide who gains and who pays. A group of few users has a wide interval: read that, \
                 not the mean.",
            ));
            blocks.extend(figures.block("slices")?);
            blocks.extend(METRICS.iter().filter_map(|metric| table(evaluation, metric)));
            let in_groups = |found: &&Comparison| glossary::slice(&found.metric).is_some();
            let moved = |found: &Comparison| {
                !matches!(Change::of(&found.difference), Change::InsideNoise | Change::NoInterval)
            };
            let caption = "Groups that move by themselves; Holm's p is over all groups, metrics and policies";
            blocks.push(evaluation::compared(evaluation, (in_groups, moved), caption).unwrap_or_else(|| {
                paragraph("No group of users moves beyond noise from the pretrained to an aligned policy.")
            }));
        }
    }
    Ok(Section { id: "groups", title: "Groups of users", blocks })
}

fn table(evaluation: &Evaluation, metric: &str) -> Option<Block> {
    let mut columns = vec![Column::text("group"), Column::number("users")];
    columns.extend(evaluation.systems.iter().map(|system| Column::number(system.name.clone())));
    let groups = SLICES.iter().filter(|slice| evaluation.slices.contains_key(**slice));
    let rows = groups.map(|slice| row(evaluation, (metric, slice)));
    let rows: Vec<_> = rows.filter(|row| row.iter().skip(2).any(|cell| cell[0].text != "–")).collect();
    let caption = format!("{metric}: mean over the users of each group [95 % interval]");
    (!rows.is_empty()).then_some(Block::Table(Table { caption, columns, rows }))
}

fn row(evaluation: &Evaluation, (metric, slice): (&str, &str)) -> Vec<Cell> {
    let key = format!("{metric}/{slice}");
    let users = number::count(evaluation.slices[slice]);
    let cell = |system: &SystemResult| match system.metrics.get(&key) {
        Some(estimate) => {
            let source = format!("stage evaluate, key {key} (system {})", system.name);
            estimate_cell(&number::estimate(estimate), &source)
        }
        None => vec![Span::text("–")],
    };
    let head: [Cell; 2] = [
        vec![Span::text(slice)],
        vec![Span::number(users, "evaluate", &format!("evaluation.slices.{slice}"))],
    ];
    head.into_iter().chain(evaluation.systems.iter().map(cell)).collect()
}

/// The worst cases of every aligned policy.
pub(super) fn cases(run: &Run) -> Section {
    let mut blocks = Vec::new();
    match &run.cases {
        None if run.evaluation.is_none() => blocks.push(missing(run, "evaluate")),
        None => blocks.push(paragraph("The evaluation of this run kept no worst cases.")),
        Some(cases) => {
            blocks.push(paragraph(format!(
                "Users for whom {} fell most from the pretrained to the aligned policy, picked for that: they show how the \
                 policy fails, not how often. Item texts are data from the log, cut to {TEXT} characters.",
                cases.metric
            )));
            for system in &cases.systems {
                blocks.push(case_table(system, &cases.metric));
            }
        }
    }
    Section { id: "cases", title: "Worst cases", blocks }
}

fn case_table(system: &SystemCases, metric: &str) -> Block {
    if system.cases.is_empty() {
        return paragraph(format!("{}: no user's {metric} fell.", system.system));
    }
    let columns = vec![
        Column::text("user"),
        Column::number("before"),
        Column::number("after"),
        Column::text("known, most recent first"),
        Column::text("what the user did next"),
        Column::text("pretrained policy showed"),
        Column::text("aligned policy showed"),
    ];
    let row = |case: &Case| {
        let number = |value: f64, when: &str| {
            let key = format!("{metric} (system {}, user {}, {when})", system.system, case.user);
            vec![Span::number(number::decimal(value), "evaluate", &key)]
        };
        vec![
            vec![Span::number(
                case.user.to_string(),
                "evaluate",
                &format!("cases (system {}), user", system.system),
            )],
            number(case.before, "before"),
            number(case.after, "after"),
            items(&case.history),
            items(std::slice::from_ref(&case.target)),
            items(&case.shown_before),
            items(&case.shown_after),
        ]
    };
    let rows = system.cases.iter().map(row).collect();
    Block::Table(Table { caption: format!("Worst cases of {}", system.system), columns, rows })
}

fn items(items: &[ShownItem]) -> Cell {
    let mut cell = Vec::new();
    for item in items {
        cell.extend((!cell.is_empty()).then(|| Span::text(" · ").styled(Style::Quiet)));
        cell.push(Span::number(shown(item), "evaluate", &format!("cases, item {}", item.id)));
    }
    if cell.is_empty() { vec![Span::text("nothing").styled(Style::Quiet)] } else { cell }
}

/// The text of an item, or its id where it has none.
fn shown(item: &ShownItem) -> String {
    let text: String = item.text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.chars().count() {
        0 => format!("item {}", item.id),
        1..=TEXT => text,
        _ => text.chars().take(TEXT - 1).chain(['…']).collect(),
    }
}
