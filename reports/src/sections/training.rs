//! Pretraining and alignment: curves first, then the numbers they end in.

use super::{Figures, missing};
use crate::arm::ArmStage;
use crate::document::{Block, Cell, Column, Section, Span, Table};
use crate::error::ReportError;
use crate::figures::pairs::PROXY;
use crate::load::Run;
use crate::number;
use crate::schema::PairMargins;
use crate::statistics::mean;

pub(super) fn pretraining(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks: Vec<_> = figures.block("pretraining")?.into_iter().collect();
    if blocks.is_empty() {
        blocks.push(missing(run, "pretrain"));
    } else {
        blocks.push(final_values(
            run,
            &["pretrain".to_owned()],
            "Pretraining metrics: last value of each key",
        ));
    }
    Ok(Section { id: "pretraining", title: "Pretraining", blocks })
}

/// One row per metric key with its last value in each of `stages`.
fn final_values(run: &Run, stages: &[String], caption: &str) -> Block {
    let mut keys: Vec<_> =
        run.metrics.iter().filter(|row| stages.contains(&row.stage)).map(|row| &row.key).collect();
    keys.sort();
    keys.dedup();
    let mut columns = vec![Column::text("key")];
    columns.extend(stages.iter().map(|stage| Column::number(stage.clone())));
    let rows = keys.iter().map(|key| {
        let values = stages.iter().map(|stage| last_value(run, stage, key));
        std::iter::once(vec![Span::code(key.as_str())]).chain(values).collect()
    });
    Block::Table(Table { caption: caption.to_owned(), columns, rows: rows.collect() })
}

fn last_value(run: &Run, stage: &str, key: &str) -> Cell {
    let row = run.last(stage, key);
    let number = |row: &crate::schema::MetricRow| {
        Span::number(number::measured(row.value), stage, &format!("{key} at step {}", row.step))
    };
    vec![row.map_or_else(|| Span::text("–"), number)]
}

/// Figures of the section: what was gained, what it cost, how it came about.
const FIGURES: [&str; 10] = [
    "reward",
    "efficiency",
    "goodhart",
    "frontier",
    "kl",
    "margins",
    "log-probs",
    "exploration",
    "optimisation",
    "pairs",
];

pub(super) fn alignment(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = Vec::new();
    for name in FIGURES {
        blocks.extend(figures.block(name)?);
    }
    blocks.extend(pairs(run));
    for arm in run.arms() {
        let stages = arm_stages(run, arm);
        if !stages.is_empty() {
            blocks.push(final_values(run, &stages, &format!("Arm {arm}: last value of each key per stage")));
        }
    }
    if blocks.is_empty() {
        blocks.push(missing(run, "align"));
    }
    Ok(Section { id: "alignment", title: "Alignment", blocks })
}

/// The stages of an arm that measured something, as they ran.
fn arm_stages(run: &Run, arm: &str) -> Vec<String> {
    let mut stages: Vec<String> = Vec::new();
    for row in &run.metrics {
        if ArmStage::parse(&row.stage).is_some_and(|stage| stage.arm == arm) && !stages.contains(&row.stage) {
            stages.push(row.stage.clone());
        }
    }
    stages
}

/// How many pairs a round kept, how far apart they are, and how often other judges agree.
fn pairs(run: &Run) -> Option<Block> {
    let columns = vec![
        Column::text("stage"),
        Column::number("pairs"),
        Column::number("mean margin"),
        Column::number("held-out agrees"),
        Column::number("oracle agrees"),
    ];
    let row = |pairs: &PairMargins| {
        let number = |text: Option<String>, key: &str| match text {
            Some(text) => vec![Span::number(text, &pairs.stage, key)],
            None => vec![Span::text("–")],
        };
        let margins = |judge: &str| pairs.margins.get(judge).filter(|values| !values.is_empty());
        let agrees = |judge: &str| {
            margins(judge).map(|values| {
                let positive = values.iter().filter(|value| **value > 0.0).count();
                number::percent(positive as f64 / values.len() as f64)
            })
        };
        vec![
            vec![Span::text(&pairs.stage)],
            number(margins(PROXY).map(|values| number::count(values.len() as u64)), "pairs.parquet, rows"),
            number(margins(PROXY).map(|values| number::decimal(mean(values))), "pairs.parquet, margin"),
            number(agrees("held-out"), "pairs.parquet, margin/held-out"),
            number(agrees("oracle"), "pairs.parquet, margin/oracle"),
        ]
    };
    let rows: Vec<_> = run.pairs.iter().map(row).collect();
    let caption =
        "Preference pairs by sampling stage; a judge agrees when it orders the pair as the proxy does".into();
    (!rows.is_empty()).then_some(Block::Table(Table { caption, columns, rows }))
}
