//! The judges: how far each can be trusted, on users that none was trained on.

use super::{Figures, missing};
use crate::document::{Block, Cell, Column, Section, Span, Table, paragraph};
use crate::error::ReportError;
use crate::load::Run;
use crate::number;
use crate::schema::{
    DriftStep, Estimate, HeadQuality, InferredHead, JudgeQuality, JudgeReport, JudgeTrial, TrialHead,
};

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
            blocks.extend(problems(report));
            blocks.push(agreement(report));
            blocks.extend(interval_table(report));
            blocks.extend(attainable_table(report));
            blocks.extend(inferred_table(report));
            blocks.extend(watch_table(report));
            blocks.extend(watch_baseline(report));
            blocks.extend(trial_table(report));
            blocks.extend(drift_table(report));
            blocks.extend(figures.block("judge-data")?);
            blocks.extend(figures.block("reliability")?);
        }
    }
    blocks.extend(figures.block("judge-training")?);
    Ok(Section { id: "judges", title: "Judges", blocks })
}

/// What is wrong with the log, one sentence each.
fn problems(report: &JudgeReport) -> Option<Block> {
    let told = |(index, problem): (usize, &String)| {
        Span::text(format!(" {problem}.")).with_source(format!("judges.problems.{index}"))
    };
    let told = report.problems.iter().enumerate().map(told);
    let spans = [Span::text("Of the log that they learnt from:")].into_iter().chain(told).collect();
    (!report.problems.is_empty()).then_some(Block::Paragraph { spans })
}

fn number_cell(text: String, path: &str) -> Cell {
    vec![Span::number(text, "reward", path)]
}

fn table(caption: &str, words: &[&str], numbers: &[&str], rows: Vec<Vec<Cell>>) -> Option<Block> {
    let words = words.iter().map(|name| Column::text(*name));
    let columns = words.chain(numbers.iter().map(|name| Column::number(*name))).collect();
    (!rows.is_empty()).then(|| Block::Table(Table { caption: caption.into(), columns, rows }))
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
    let number =
        |text: String, name: &str| number_cell(text, &format!("judges.{}.{}.{name}", judge.name, head.head));
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

fn share(auc: Option<f64>) -> String {
    auc.map_or_else(|| "one class only".to_owned(), |auc| number::fixed(auc, 3))
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
    if let Some(disagreement) = report.disagreement {
        spans.push(Span::text(" Mean standard deviation within the ensemble: "));
        spans.push(Span::number(number::fixed(disagreement, 4), "reward", "judges.disagreement"));
        spans.push(Span::text("."));
    }
    for judge in &report.judges {
        spans.push(Span::text(format!(" The {} judge fuses its heads as ", judge.name)));
        spans.push(Span::code(&judge.fusion));
        spans.push(Span::text("."));
    }
    Block::Paragraph { spans }
}

/// One row per judge and head that has intervals.
fn interval_table(report: &JudgeReport) -> Option<Block> {
    const KEYS: [&str; 5] = ["auc", "user_auc", "pair_accuracy", "ndcg", "ece"];
    let heads = report.judges.iter().flat_map(|judge| judge.heads.iter().map(move |head| (judge, head)));
    let row = |(judge, head): (&JudgeQuality, &HeadQuality)| {
        let mut cells = vec![vec![Span::text(&judge.name)], vec![Span::text(&head.head)]];
        cells.extend(KEYS.map(|key| {
            let path = format!("judges.{}.{}.intervals.{key}", judge.name, head.head);
            estimate_cell(head.intervals.get(key), &path)
        }));
        cells
    };
    let rows = heads.filter(|(_, head)| !head.intervals.is_empty()).map(row).collect();
    let numbers = ["AUC", "AUC within users", "pair accuracy", "NDCG", "ECE"];
    table("Judges with 95 % bootstrap intervals over users", &["judge", "head"], &numbers, rows)
}

/// One row per head and judge whose distance from the Bayes-optimal prediction was measured.
fn attainable_table(report: &JudgeReport) -> Option<Block> {
    let heads = report.attainable.iter();
    let pairs = heads.flat_map(|best| report.judges.iter().map(move |judge| (best, judge)));
    let row = |(best, judge): (&TrialHead, &JudgeQuality)| {
        let head = judge.heads.iter().find(|head| head.head == best.head)?;
        let path = |key: &str| format!("judges.{}.{}.intervals.{key}", judge.name, best.head);
        let interval = |key: &str| estimate_cell(head.intervals.get(key), &path(key));
        Some(vec![
            vec![Span::text(&best.head)],
            vec![Span::text(&judge.name)],
            number_cell(share(best.expected_auc), &format!("judges.attainable.{}.expected_auc", best.head)),
            interval("expected_auc"),
            interval("auc_gap"),
        ])
    };
    let caption = "What could be known at best, by somebody who knows the users' hidden state and not the dice, and how far below \
                   it the judges are; AUCs are expected over the dice";
    let numbers = ["Bayes-optimal AUC", "AUC", "gap"];
    table(caption, &["head", "judge"], &numbers, pairs.filter_map(row).collect())
}

/// One row per head for which it was inferred what the log tells.
fn inferred_table(report: &JudgeReport) -> Option<Block> {
    let row = |head: &InferredHead| {
        let path = |key: &str| format!("judges.inferred.{}.{key}", head.head);
        let estimate = |estimate, key| estimate_cell(Some(estimate), &path(key));
        vec![
            vec![Span::text(&head.head)],
            number_cell(number::count(head.users), &path("users")),
            estimate(&head.auc, "auc"),
            estimate(&head.proxy, "proxy"),
            estimate(&head.gap, "gap"),
        ]
    };
    let caption = "What can be inferred from the log alone, by somebody who knows the world's laws and items: no judge that learns \
                   from logs is better. The proxy on the same impressions; AUCs are expected over the dice";
    let numbers = ["users", "inferred: AUC", "proxy: AUC", "gap"];
    table(caption, &["head"], &numbers, report.inferred.iter().map(row).collect())
}

fn estimate_cell(estimate: Option<&Estimate>, path: &str) -> Cell {
    match estimate {
        Some(estimate) => number_cell(number::estimate(estimate), path),
        None => vec![Span::text("one class only")],
    }
}

fn watch_table(report: &JudgeReport) -> Option<Block> {
    let row = |judge: &JudgeQuality| {
        let watch = judge.watch_time.as_ref()?;
        let path = |name: &str| format!("judges.{}.watch_time.{name}", judge.name);
        Some(vec![
            vec![Span::text(&judge.name)],
            vec![Span::text(&watch.kind)],
            estimate_cell(Some(&watch.mae), &path("mae")),
            estimate_cell(watch.xauc.as_ref(), &path("xauc")),
        ])
    };
    let rows = report.judges.iter().filter_map(row).collect();
    table("Predicted watch time, in the log's unit", &["judge", "kind"], &["MAE", "XAUC"], rows)
}

/// The proxy's head for watch time against another one.
fn watch_baseline(report: &JudgeReport) -> Option<Block> {
    let baseline = report.watch_baseline.as_ref()?;
    let estimate = |estimate, name| estimate_cell(estimate, &format!("judges.watch_baseline.{name}"));
    let row = vec![
        vec![Span::text(&baseline.quality.kind)],
        estimate(Some(&baseline.quality.mae), "quality.mae"),
        estimate(baseline.quality.xauc.as_ref(), "quality.xauc"),
        estimate(Some(&baseline.mae_gain), "mae_gain"),
        estimate(baseline.xauc_gain.as_ref(), "xauc_gain"),
    ];
    let caption = "The same judge with another head for watch time, and how far the proxy is better on the same users (paired; \
                   above 0: the proxy is)";
    table(caption, &["other head"], &["its MAE", "its XAUC", "gain in MAE", "gain in XAUC"], vec![row])
}

/// One row per trial and head.
fn trial_table(report: &JudgeReport) -> Option<Block> {
    let row = |(index, trial, head): (usize, &JudgeTrial, &TrialHead)| {
        let number = |text: String, name: &str| number_cell(text, &format!("judges.trials.{index}.{name}"));
        vec![
            vec![Span::text(&head.head)],
            number(number::count(trial.train_users), "train_users"),
            number(number::fixed(trial.label_noise, 2), "label_noise"),
            number(share(head.auc), &format!("{}.auc", head.head)),
            number(number::fixed(head.log_loss, 3), &format!("{}.log_loss", head.head)),
        ]
    };
    let trials = report.trials.iter().enumerate();
    let rows = trials.flat_map(|(index, trial)| trial.heads.iter().map(move |head| (index, trial, head)));
    let numbers = ["training users", "labels turned over", "AUC", "log loss"];
    table(
        "The proxy with less data, or with labels turned over",
        &["head"],
        &numbers,
        rows.map(row).collect(),
    )
}

/// One row per fifth of the sampled items.
fn drift_table(report: &JudgeReport) -> Option<Block> {
    let names: Vec<&String> = report.drift.first().map_or(Vec::new(), |step| step.scores.keys().collect());
    let spread = report.disagreement.is_some();
    let row = |(index, step): (usize, &DriftStep)| {
        let number = |value: Option<f64>, name: &str| {
            let text = value.map_or_else(|| "–".to_owned(), |value| number::fixed(value, 3));
            number_cell(text, &format!("judges.drift.{index}.{name}"))
        };
        let mut cells = vec![number(Some(step.distance), "distance")];
        cells.extend(
            names.iter().map(|name| number(step.scores.get(*name).copied(), &format!("scores.{name}"))),
        );
        cells.push(number(Some(step.gap), "gap"));
        cells.push(number(step.agreement, "agreement"));
        cells.extend(spread.then(|| number(step.disagreement, "disagreement")));
        cells
    };
    let rows: Vec<_> = report.drift.iter().enumerate().map(row).collect();
    let scores: Vec<String> = names.iter().map(|name| format!("{name} score")).collect();
    let mut numbers = vec!["distance"];
    numbers.extend(scores.iter().map(String::as_str));
    numbers.extend(["gap", "agreement"]);
    numbers.extend(spread.then_some("disagreement"));
    let caption = "Random items by their distance from what users chose, nearest fifth first: where the gap between the \
                   judges grows and their agreement falls, they extrapolate";
    table(caption, &[], &numbers, rows)
}
