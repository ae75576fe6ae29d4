//! The test split: every system beside the baselines, and every aligned policy against the pretrained one.

use super::{Figures, missing};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, estimate_cell, paragraph};
use crate::error::ReportError;
use crate::figures::judge_keys;
use crate::glossary;
use crate::load::Run;
use crate::number;
use crate::schema::{Comparison, Estimate, Evaluation, SystemResult};
use crate::statistics::means::{holm, of_interval};
use crate::verdict::Change;

pub(super) fn systems(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = Vec::new();
    match &run.evaluation {
        None => blocks.push(missing(run, "evaluate")),
        Some(evaluation) => {
            blocks.push(protocol(evaluation));
            blocks.extend(figures.block("ranking")?);
            let mut ranked = keys(evaluation);
            ranked.retain(|key| !key.starts_with("judge/") && glossary::slice(key).is_none());
            let judged = judge_keys(evaluation);
            blocks.extend(table(
                evaluation,
                &ranked,
                "Ranking and coverage, mean over test users [95 % interval]",
            ));
            blocks.extend(table(evaluation, &judged, "Judge scores, mean over test users [95 % interval]"));
        }
    }
    Ok(Section { id: "evaluation", title: "Evaluation", blocks })
}

fn protocol(evaluation: &Evaluation) -> Block {
    let number =
        |key: &str, value| Span::number(number::count(value), "evaluate", &format!("evaluation.{key}"));
    Block::Paragraph {
        spans: vec![
            Span::text("Leave-one-out over the whole catalogue on "),
            number("users", evaluation.users),
            Span::text(" test users, items already seen left out; policies decode with beam width "),
            number("beam_width", evaluation.beam_width),
            Span::text(" and probabilities over "),
            Span::code(&evaluation.log_prob_space),
            Span::text(". A metric without spread over users has no interval."),
        ],
    }
}

/// Metric keys: by name, then by cut-off as a number.
fn keys(evaluation: &Evaluation) -> Vec<String> {
    let rank = |key: &str| {
        let (name, cutoff) = key.split_once('@').unwrap_or((key, ""));
        let (cutoff, slice) = cutoff.split_once('/').unwrap_or((cutoff, ""));
        (slice.to_owned(), name.to_owned(), cutoff.parse::<u64>().unwrap_or(0))
    };
    let mut keys: Vec<_> =
        evaluation.systems.iter().flat_map(|system| system.metrics.keys()).cloned().collect();
    keys.sort_by_key(|key| rank(key));
    keys.dedup();
    keys
}

fn table(evaluation: &Evaluation, keys: &[String], caption: &str) -> Option<Block> {
    let mut columns = vec![Column::text("metric"), Column::text("better")];
    columns.extend(evaluation.systems.iter().map(|system| Column::number(system.name.clone())));
    let row = |key: &String| {
        let better = glossary::lookup(key).map_or("–", |entry| entry.better.word());
        let cells = evaluation.systems.iter().map(|system| cell(system, key));
        [vec![Span::code(key)], vec![Span::text(better)]].into_iter().chain(cells).collect()
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    (!rows.is_empty()).then(|| Block::Table(Table { caption: caption.to_owned(), columns, rows }))
}

fn cell(system: &SystemResult, key: &str) -> Cell {
    let Some(estimate) = system.metrics.get(key) else {
        return vec![Span::text("–")];
    };
    let source = format!("stage evaluate, key {key} (system {})", system.name);
    estimate_cell(&number::estimate(estimate), &source)
}

pub(super) fn comparisons(run: &Run) -> Section {
    let over_all = |found: &&Comparison| glossary::slice(&found.metric).is_none();
    let table = run.evaluation.as_ref().and_then(|evaluation| {
        compared(evaluation, (over_all, |_: &Comparison| true), "Aligned policies against the pretrained one")
    });
    let blocks = match table {
        _ if run.evaluation.is_none() => vec![missing(run, "evaluate")],
        None => vec![paragraph("The evaluation compares no aligned policy with the pretrained one.")],
        Some(table) => vec![paragraph(INTRODUCTION), table],
    };
    Section { id: "comparisons", title: "Comparisons", blocks }
}

const INTRODUCTION: &str = "Paired over users. A change is claimed only when its interval excludes zero; the others are inside \
    noise. Where many are compared, some exclude zero by chance: Holm's p, over all of them, says which hold together. \
    Detectable is the smallest true difference that a comparison finds four times in five. Both are normal approximations from \
    the interval.";

/// A table of the comparisons of a family that are worth a row, with Holm's adjustment over all of the family; `None` without a row.
pub(super) fn compared(
    evaluation: &Evaluation,
    (is_family, is_shown): (impl Fn(&&Comparison) -> bool, impl Fn(&Comparison) -> bool),
    caption: &str,
) -> Option<Block> {
    let family: Vec<&Comparison> = evaluation.comparisons.iter().filter(is_family).collect();
    let implied: Vec<_> = family.iter().map(|found| of_interval(&found.difference)).collect();
    let adjusted = holm(&implied.iter().flatten().map(|(p, _)| *p).collect::<Vec<_>>());
    let mut adjusted = adjusted.into_iter();
    let mut rows = Vec::new();
    for (found, implied) in family.into_iter().zip(implied) {
        let adjusted = implied.and_then(|(_, detectable)| Some((adjusted.next()?, detectable)));
        rows.extend(is_shown(found).then(|| comparison(found, adjusted)));
    }
    let columns = vec![
        Column::text("system"),
        Column::text("metric"),
        Column::number("aligned − pretrained [95 % interval]"),
        Column::text("reading"),
        Column::number("p, Holm"),
        Column::number("detectable"),
    ];
    (!rows.is_empty()).then(|| Block::Table(Table { caption: caption.to_owned(), columns, rows }))
}

fn comparison(comparison: &Comparison, implied: Option<(f64, f64)>) -> Vec<Cell> {
    let Estimate { value, .. } = comparison.difference;
    let change = Change::of(&comparison.difference);
    let better = glossary::lookup(&comparison.metric).map(|entry| entry.better);
    let style =
        match (change, better) {
            (Change::Rises, Some(glossary::Direction::Up))
            | (Change::Falls, Some(glossary::Direction::Down)) => Style::Good,
            (Change::Falls, Some(glossary::Direction::Up))
            | (Change::Rises, Some(glossary::Direction::Down)) => Style::Bad,
            _ => Style::Quiet,
        };
    let (metric, system) = (&comparison.metric, &comparison.system);
    let source = format!("stage evaluate, key {metric} (system {system}, unrounded difference {value})");
    vec![
        vec![Span::text(&comparison.system)],
        vec![Span::code(&comparison.metric)],
        estimate_cell(&number::difference(&comparison.difference), &source),
        vec![Span::text(change.words()).styled(style)],
        implied_cell(implied.map(|(p, _)| p_value(p)), &source),
        implied_cell(implied.map(|(_, detectable)| number::decimal(detectable)), &source),
    ]
}

fn implied_cell(text: Option<String>, source: &str) -> Cell {
    vec![text.map_or_else(
        || Span::text("–"),
        |text| Span::text(text).with_source(format!("{source}, from its interval")),
    )]
}

/// Three digits are enough of a p-value.
fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { number::fixed(p, 3) }
}
