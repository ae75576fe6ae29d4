//! What the numbers say about people besides the average user: exposure, popularity, disparity, resources.

use super::Figures;
use crate::document::{Block, Column, Section, Span, Table, paragraph};
use crate::error::ReportError;
use crate::load::Run;
use crate::number;
use crate::schema::{Comparison, Evaluation, SystemResult};
use crate::verdict::Change;

/// Metrics of exposure, with what a rise means.
const EXPOSURE: [(&str, &str); 4] = [
    ("gini@10", "exposure is less equal among items"),
    ("head_share@10", "the most popular items take more places"),
    ("popularity@10", "what is shown is more popular"),
    ("diversity@10", "lists are more varied"),
];
/// Metrics whose spread between groups of users is reported.
const DISPARITY: [&str; 3] = ["recall@10", "judge/held-out", "judge/oracle"];
/// Groups of people; the others are groups of items.
const PEOPLE: [&str; 3] = ["short-history", "medium-history", "long-history"];

pub(super) fn section(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = vec![paragraph(
        "Filled from this run alone. What a recommender does to people and to those who make the items depends on where it is \
         used; nothing here measures that.",
    )];
    match &run.evaluation {
        None => blocks.push(super::missing(run, "evaluate")),
        Some(evaluation) => {
            blocks.extend(figures.block("exposure")?);
            blocks.push(exposure(evaluation));
            blocks.push(disparity(evaluation));
        }
    }
    blocks.push(paragraph(
        "Groups are made of the log: no attribute of a person (age, sex, place) is read, so disparity between such groups is \
         not known. Of business scenarios only items that flood the platform are told apart, where `align.flooding` names them. Items \
         of the log may name people; item texts are shown in the worst cases as they are.",
    ));
    Ok(Section { id: "society", title: "Societal impact", blocks })
}

fn exposure(evaluation: &Evaluation) -> Block {
    let value = |system: &SystemResult, key: &str| system.metrics.get(key).map(|estimate| estimate.value);
    let base = evaluation.systems.iter().find(|system| system.role == "base");
    let mut rows = Vec::new();
    for system in evaluation.systems.iter().filter(|system| system.role == "aligned") {
        for (key, meaning) in EXPOSURE {
            let (Some(before), Some(after)) = (base.and_then(|base| value(base, key)), value(system, key))
            else {
                continue;
            };
            let number = |value, name: &str| {
                vec![Span::number(number::decimal(value), "evaluate", &format!("{key} (system {name})"))]
            };
            let change = reading(evaluation, (&system.name, key), after - before);
            rows.push(vec![
                vec![Span::text(&system.name)],
                vec![Span::code(key)],
                number(before, "pretrained"),
                number(after, &system.name),
                vec![Span::text(format!("{change}; a rise means: {meaning}"))],
            ]);
        }
    }
    if rows.is_empty() {
        return paragraph("Exposure and popularity bias of aligned policies were not measured in this run.");
    }
    let columns = vec![
        Column::text("policy"),
        Column::text("metric"),
        Column::number("pretrained"),
        Column::number("aligned"),
        Column::prose("change"),
    ];
    Block::Table(Table {
        caption: "Exposure and popularity bias before and after alignment".into(),
        columns,
        rows,
    })
}

/// What may be said of a change: by its interval where it has one.
fn reading(evaluation: &Evaluation, (system, key): (&str, &str), change: f64) -> String {
    let found = |comparison: &&Comparison| comparison.system == system && comparison.metric == key;
    match evaluation.comparisons.iter().find(found).map(|found| Change::of(&found.difference)) {
        Some(change) => change.words().to_owned(),
        None if change == 0.0 => "unchanged".to_owned(),
        None => format!("{} (no interval)", if change > 0.0 { "higher" } else { "lower" }),
    }
}

/// Best minus worst group of people.
fn disparity(evaluation: &Evaluation) -> Block {
    let mut rows = Vec::new();
    for system in &evaluation.systems {
        for metric in DISPARITY {
            let of =
                |group: &'static str| Some((group, system.metrics.get(&format!("{metric}/{group}"))?.value));
            let mut values: Vec<(&str, f64)> = PEOPLE.into_iter().filter_map(of).collect();
            values.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (Some(worst), Some(best)) = (values.first(), values.last()) else { continue };
            let key = format!("{metric}/<group> (system {})", system.name);
            let number = |value: f64| vec![Span::number(number::decimal(value), "evaluate", &key)];
            rows.push(vec![
                vec![Span::text(&system.name)],
                vec![Span::code(metric)],
                vec![Span::text(worst.0)],
                number(worst.1),
                vec![Span::text(best.0)],
                number(best.1),
                number(best.1 - worst.1),
            ]);
        }
    }
    if rows.is_empty() {
        return paragraph("Differences between groups of users were not measured in this run.");
    }
    let columns = vec![
        Column::text("system"),
        Column::text("metric"),
        Column::text("worst served"),
        Column::number("mean"),
        Column::text("best served"),
        Column::number("mean"),
        Column::number("difference"),
    ];
    Block::Table(Table { caption: "Who is served how well, by length of history".into(), columns, rows })
}
