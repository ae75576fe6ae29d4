//! Pretraining, judges, alignment: curves first, then the numbers they end in.

use super::{Figures, missing};
use crate::arm::ArmStage;
use crate::document::{Block, Cell, Column, Section, Span, Table, paragraph};
use crate::error::ReportError;
use crate::figures::pairs::PROXY;
use crate::load::Run;
use crate::number;
use crate::schema::{HeadQuality, JudgeQuality, JudgeReport, PairMargins};
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

pub(super) fn judges(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = Vec::new();
    match &run.judges {
        None => blocks.push(missing(run, "reward")),
        Some(report) => {
            blocks.push(paragraph(
                "The proxy judge scores candidates during alignment. The held-out judge was trained on other users and is \
                 used only to check. Both are measured here on users neither was trained on.",
            ));
            blocks.push(head_table(report));
            blocks.push(agreement(report));
            blocks.extend(figures.block("reliability")?);
        }
    }
    blocks.extend(figures.block("judge-training")?);
    Ok(Section { id: "judges", title: "Judges", blocks })
}

fn head_table(report: &JudgeReport) -> Block {
    let mut columns = vec![Column::text("judge"), Column::text("head")];
    let numbers =
        ["AUC", "AUC within users", "ECE", "log loss", "base rate", "training users", "evaluation users"];
    columns.extend(numbers.map(Column::number));
    let rows = report.judges.iter().flat_map(|judge| judge.heads.iter().map(|head| head_row(judge, head)));
    Block::Table(Table { caption: "Judges on held-out users".into(), columns, rows: rows.collect() })
}

fn head_row(judge: &JudgeQuality, head: &HeadQuality) -> Vec<Cell> {
    let number = |text: String, name: &str| {
        vec![Span::number(text, "reward", &format!("judges.{}.{}.{name}", judge.name, head.head))]
    };
    let share =
        |auc: Option<f64>| auc.map_or_else(|| "one class only".to_owned(), |auc| number::fixed(auc, 3));
    vec![
        vec![Span::text(&judge.name)],
        vec![Span::text(&head.head)],
        number(share(head.auc), "auc"),
        number(share(head.user_auc), "user_auc"),
        number(number::fixed(head.ece, 3), "ece"),
        number(number::fixed(head.log_loss, 3), "log_loss"),
        number(number::fixed(head.base_rate, 3), "base_rate"),
        number(number::count(judge.train_users), "train_users"),
        number(number::count(judge.eval_users), "eval_users"),
    ]
}

fn agreement(report: &JudgeReport) -> Block {
    let mut spans = vec![match report.agreement {
        Some(_) => Span::text("Rank correlation (Spearman) between the judges' fused scores: "),
        None => Span::text("The agreement between the judges was not measured."),
    }];
    if let Some(agreement) = report.agreement {
        spans.push(Span::number(number::fixed(agreement, 3), "reward", "judges.agreement"));
        spans.push(Span::text("."));
    }
    for judge in &report.judges {
        spans.push(Span::text(format!(" The {} judge fuses its heads as ", judge.name)));
        spans.push(Span::code(&judge.fusion));
        spans.push(Span::text("."));
    }
    Block::Paragraph { spans }
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
