//! Pretraining and alignment: curves first, then the numbers they end in.

use super::{Figures, missing};
use crate::arm::ArmStage;
use crate::document::{Block, Cell, Column, Section, Span, Table};
use crate::error::ReportError;
use crate::load::Run;
use crate::number;

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

pub(super) fn alignment(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = Vec::new();
    for name in ["reward", "kl", "margins", "log-probs", "optimisation"] {
        blocks.extend(figures.block(name)?);
    }
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
