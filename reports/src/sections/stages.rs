//! The stage table: what every stage read and wrote, how long it took, its most telling numbers.

use crate::arm::{ArmStage, Phase};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, paragraph};
use crate::load::{Run, Stage, file_name};
use crate::number;

pub(super) fn section(run: &Run) -> Section {
    let mut blocks = vec![paragraph(
        "Every stage is a function of its configuration and of the files it read; its output was committed whole or not at all.",
    )];
    let columns = vec![
        Column::text("stage"),
        Column::text("read"),
        Column::number("wrote"),
        Column::number("wall time"),
        Column::number("CPU time"),
        Column::prose("key numbers"),
    ];
    let rows: Vec<_> = run.stages.iter().map(|stage| row(run, stage)).collect();
    if rows.is_empty() {
        blocks.push(paragraph("No stage of this run has been committed yet."));
    } else {
        blocks.push(Block::Table(Table { caption: "Stages in the order they ran".into(), columns, rows }));
    }
    if !run.unfinished.is_empty() {
        let names = run.unfinished.join(", ");
        blocks.push(paragraph(format!("Started but not committed when this report was rendered: {names}.")));
    }
    Section { id: "stages", title: "Stages", blocks }
}

fn row(run: &Run, stage: &Stage) -> Vec<Cell> {
    let (manifest, name) = (&stage.manifest, &stage.manifest.stage);
    let bytes = manifest.outputs.values().map(|file| file.bytes).sum();
    let files = manifest.outputs.len();
    let wrote = format!("{files} {}, {}", if files == 1 { "file" } else { "files" }, number::bytes(bytes));
    vec![
        vec![Span::text(name)],
        read(run, stage),
        vec![Span::number(wrote, name, "manifest.outputs")],
        vec![Span::number(number::seconds(manifest.seconds), name, "manifest.seconds")],
        vec![Span::number(number::seconds(manifest.cpu_seconds), name, "manifest.cpu_seconds")],
        key_numbers(run, name),
    ]
}

/// Where the inputs came from: stages by name, external files by file name.
fn read(run: &Run, stage: &Stage) -> Cell {
    let mut sources: Vec<&str> = Vec::new();
    for input in stage.manifest.inputs.keys() {
        let source = run.producer(input).map_or_else(|| file_name(input), |(stage, _)| &stage.manifest.stage);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let mut cell = Vec::new();
    for source in sources {
        cell.extend((!cell.is_empty()).then(|| Span::text(", ")));
        cell.push(Span::text(source).styled(Style::Name));
    }
    if cell.is_empty() { vec![Span::text("nothing")] } else { cell }
}

fn key_numbers(run: &Run, stage: &str) -> Cell {
    let numbers = match stage {
        "ingest" => data_numbers(run),
        "tokenize" => tokenizer_numbers(run),
        "reward" => judge_numbers(run),
        "evaluate" => evaluation_numbers(run),
        _ => metric_numbers(run, stage),
    };
    let mut cell = Vec::new();
    for (label, span) in numbers {
        cell.extend((!cell.is_empty()).then(|| Span::text(", ")));
        cell.push(Span::text(format!("{label} ")).styled(Style::Quiet));
        cell.push(span);
    }
    cell
}

type Numbers = Vec<(String, Span)>;

fn data_numbers(run: &Run) -> Numbers {
    let Some(card) = &run.data_card else {
        return Vec::new();
    };
    let counts = [("users", card.users), ("items", card.items), ("interactions", card.interactions)];
    let number = |(key, value): (&str, u64)| {
        (key.to_owned(), Span::number(number::count(value), "ingest", &format!("data_card.{key}")))
    };
    counts.into_iter().map(number).collect()
}

fn tokenizer_numbers(run: &Run) -> Numbers {
    let Some(quality) = &run.tokenizer else {
        return Vec::new();
    };
    let number = |key: &str, text: String| Span::number(text, "tokenize", &format!("quality.{key}"));
    vec![
        ("distinct IDs".into(), number("distinct_ids", number::count(quality.distinct_ids))),
        ("collisions".into(), number("collision_rate", number::percent(quality.collision_rate))),
    ]
}

fn judge_numbers(run: &Run) -> Numbers {
    let judges = run.judges.iter().flat_map(|report| &report.judges);
    let heads = judges.flat_map(|judge| judge.heads.iter().map(move |head| (judge, head)));
    let number = |(judge, head): (&crate::schema::JudgeQuality, &crate::schema::HeadQuality)| {
        let key = format!("judges.{}.{}.auc", judge.name, head.head);
        Some((
            format!("{} {} AUC", judge.name, head.head),
            Span::number(number::fixed(head.auc?, 3), "reward", &key),
        ))
    };
    // Two are telling, all of them are in the section on judges.
    heads.filter_map(number).take(2).collect()
}

fn evaluation_numbers(run: &Run) -> Numbers {
    let Some(evaluation) = &run.evaluation else {
        return Vec::new();
    };
    let number =
        |key: &str, value| Span::number(number::count(value), "evaluate", &format!("evaluation.{key}"));
    vec![
        ("users".into(), number("users", evaluation.users)),
        ("systems".into(), number("systems", evaluation.systems.len() as u64)),
        ("beam width".into(), number("beam_width", evaluation.beam_width)),
    ]
}

/// The last value of a stage's most telling metrics.
fn metric_numbers(run: &Run, stage: &str) -> Numbers {
    let keys: &[&str] = match ArmStage::parse(stage).map(|stage| stage.phase) {
        Some(Phase::Sample) => &["candidates", "pairs", "margin/mean", "reward", "legal_mass"],
        Some(Phase::Align) => &["loss", "kl", "rewards/accuracies", "reward"],
        None => &["loss", "validation/ndcg@10", "train/legal_mass"],
    };
    let last = |key: &&str| {
        let row = run.last(stage, key)?;
        let source = format!("{key} at step {}", row.step);
        Some(((*key).to_owned(), Span::number(number::measured(row.value), stage, &source)))
    };
    keys.iter().filter_map(last).collect()
}
