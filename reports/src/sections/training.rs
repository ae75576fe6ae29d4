//! Pretraining and alignment: curves first, then the numbers they end in.

use super::{Figures, missing};
use crate::arm::ArmStage;
use crate::config;
use crate::document::{Block, Cell, Column, Section, Span, Style, Table};
use crate::error::ReportError;
use crate::figures::goodhart::parting;
use crate::figures::pairs::PROXY;
use crate::load::Run;
use crate::number;
use crate::schema::{MetricRow, PairMargins};
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
    blocks.extend(run.arms().into_iter().map(|arm| Block::Paragraph { spans: gauge(run, arm) }));
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

/// Which policy the arm ends with, where its judges part, and what raised an alarm.
fn gauge(run: &Run, arm: &str) -> Vec<Span> {
    let mut spans = vec![Span::text(format!("{arm}: ")).styled(Style::Strong)];
    let systems = run.evaluation.iter().flat_map(|evaluation| &evaluation.systems);
    let kept = systems.filter(|system| system.name == arm).find_map(|system| system.checkpoint.as_deref());
    let last = config::flatten(&run.config).get("align.keep").is_some_and(|rule| rule.contains("last"));
    if let Some(kept) = kept {
        let why = if last {
            "the last policy"
        } else {
            "the policy that the held-out judge scored highest after a round"
        };
        spans.extend([Span::code(kept), Span::text(format!(" is evaluated, {why}. "))]);
    }
    for judge in
        ["held-out", "oracle"].into_iter().filter(|judge| measures(run, arm, &format!("goodhart/{judge}")))
    {
        let Some((stage, step, errors)) = parting(run, arm, judge) else {
            spans.push(Span::text(format!("Proxy and {judge} judge do not part beyond noise. ")));
            continue;
        };
        let source = format!("goodhart/{judge} at step {step}");
        spans.push(Span::text(format!("Proxy and {judge} judge part at step ")).styled(Style::Bad));
        spans.push(Span::number(number::count(step), &stage, &source));
        spans.push(Span::text(": the one gains, the other loses, by at least "));
        spans.push(Span::number(number::fixed(errors, 1), &stage, &source));
        spans.push(Span::text(" standard errors. "));
    }
    let own = |row: &&MetricRow| ArmStage::parse(&row.stage).is_some_and(|stage| stage.arm == arm);
    let alarms =
        run.metrics.iter().filter(own).filter_map(|row| Some((row.key.strip_prefix("alarm/")?, row)));
    let mut quiet = true;
    for (name, row) in alarms {
        quiet = false;
        let source = format!("{} at step {}", row.key, row.step);
        spans.push(Span::text(format!("Alarm {name} at step ")).styled(Style::Bad));
        spans.push(Span::number(number::count(row.step), &row.stage, &source));
        spans.push(Span::text(": "));
        spans.push(Span::number(number::measured(row.value), &row.stage, &source));
        spans.push(Span::text(". "));
    }
    spans.extend(quiet.then(|| Span::text("No alarm was raised.")));
    spans
}

fn measures(run: &Run, arm: &str, key: &str) -> bool {
    let own = |stage: &str| ArmStage::parse(stage).is_some_and(|stage| stage.arm == arm);
    run.metrics.iter().any(|row| row.key == key && own(&row.stage))
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
