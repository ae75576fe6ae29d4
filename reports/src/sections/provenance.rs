//! Configuration, lineage, how to run it again, and what the metric keys mean.

use super::{Figures, checklist, short_hash};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, paragraph};
use crate::error::ReportError;
use crate::glossary::{self, Entry};
use crate::load::{Run, Stage, file_name};
use crate::number;

pub(super) fn config(run: &Run) -> Section {
    let intro = "The resolved configuration: defaults filled in, overrides applied.";
    let blocks = vec![paragraph(intro), Block::Code { label: "toml", text: run.config.clone() }];
    Section { id: "config", title: "Configuration", blocks }
}

pub(super) fn lineage(run: &Run, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let columns = vec![
        Column::text("stage"),
        Column::text("input"),
        Column::text("sha256"),
        Column::text("produced by"),
    ];
    let rows: Vec<_> = run.stages.iter().flat_map(|stage| inputs(run, stage)).collect();
    let intro = vec![
        Span::text(
            "Which file every stage read, and whether the stage that wrote it recorded the same hash. ",
        ),
        Span::code("recalign verify"),
        Span::text(" recomputes the hashes themselves."),
    ];
    let mut blocks = vec![Block::Paragraph { spans: intro }];
    blocks.extend(figures.block("lineage")?);
    if rows.is_empty() {
        blocks.push(paragraph("No committed stage of this run read a file."));
    } else {
        blocks.push(Block::Table(Table { caption: "Inputs by stage".into(), columns, rows }));
    }
    let outputs: Vec<_> = run.stages.iter().flat_map(outputs).collect();
    if !outputs.is_empty() {
        let columns =
            vec![Column::text("stage"), Column::text("file"), Column::number("size"), Column::text("sha256")];
        blocks.push(Block::Table(Table { caption: "Outputs by stage".into(), columns, rows: outputs }));
    }
    Ok(Section { id: "lineage", title: "Lineage", blocks })
}

fn inputs(run: &Run, stage: &Stage) -> Vec<Vec<Cell>> {
    let row = |(input, hash): (&String, &String)| {
        vec![
            vec![Span::text(&stage.manifest.stage)],
            vec![Span::code(shown(run, input))],
            vec![short_hash(hash)],
            vec![origin(run, input, hash)],
        ]
    };
    stage.manifest.inputs.iter().map(row).collect()
}

/// `stage/file`, or the name of a file from outside the run.
fn shown<'a>(run: &Run, input: &'a str) -> &'a str {
    if run.producer(input).is_some() { input } else { file_name(input) }
}

/// The stage whose manifest lists the input, and whether the hashes agree.
fn origin(run: &Run, input: &str, hash: &str) -> Span {
    let producer = run.producer(input).map(|(stage, file)| (stage, stage.manifest.outputs.get(file)));
    match producer {
        None => Span::text("outside this run").styled(Style::Quiet),
        Some((stage, Some(file))) if file.sha256 == hash => {
            Span::text(format!("{}, same hash", stage.manifest.stage))
        }
        Some((stage, Some(_))) => {
            Span::text(format!("{}, hash differs", stage.manifest.stage)).styled(Style::Bad)
        }
        Some((stage, None)) => {
            Span::text(format!("{}, file not listed", stage.manifest.stage)).styled(Style::Bad)
        }
    }
}

fn outputs(stage: &Stage) -> Vec<Vec<Cell>> {
    let row = |(file, record): (&String, &crate::schema::FileRecord)| {
        vec![
            vec![Span::text(&stage.manifest.stage)],
            vec![Span::code(file)],
            vec![Span::number(
                number::bytes(record.bytes),
                &stage.manifest.stage,
                &format!("manifest.outputs.{file}"),
            )],
            vec![short_hash(&record.sha256)],
        ]
    };
    stage.manifest.outputs.iter().map(row).collect()
}

pub(super) fn reproducibility(run: &Run) -> Section {
    let record = &run.record;
    let (wall, cpu) = run.stages.iter().fold((0.0, 0.0), |(wall, cpu), stage| {
        (wall + stage.manifest.seconds, cpu + stage.manifest.cpu_seconds)
    });
    let row = |what: &str, value: String, key: &str| {
        vec![
            vec![Span::text(what)],
            vec![Span::text(value).with_source(format!("run.json, key {key}"))],
            vec![Span::code(key)],
        ]
    };
    let command = "recalign run config.toml (the configuration above, saved in the run directory)";
    let rows = vec![
        row("command", command.into(), "config.toml"),
        row("version of recalign", record.version.clone(), "run.version"),
        row("seed", record.seed.to_string(), "run.seed"),
        row("budget", record.budget.clone(), "run.budget"),
        row("device", record.device.clone(), "run.device"),
        row("sha256 of the configuration", record.config_sha256.clone(), "run.config_sha256"),
        row("runs behind every number", "1".into(), "run.seed"),
        row("error bars", "95 % percentile bootstrap over test users".into(), "evaluate.resamples"),
        row("wall time of all stages", number::seconds(wall), "manifest.seconds"),
        row("CPU time of all stages", number::seconds(cpu), "manifest.cpu_seconds"),
    ];
    let columns = vec![Column::text("fact"), Column::prose("value"), Column::text("key")];
    let table = Block::Table(Table { caption: "What it takes to run this again".into(), columns, rows });
    let intro = "Randomness is a function of the seed, the stage and the step; the same version, configuration, data and \
                 device class give the same numbers. The report is a function of the run directory alone.";
    Section {
        id: "reproducibility",
        title: "Reproducibility",
        blocks: vec![paragraph(intro), table, checklist::checklist(run)],
    }
}

pub(super) fn glossary(run: &Run) -> Section {
    glossary_of(&used_keys(run))
}

/// What these keys mean.
pub(crate) fn glossary_of(used: &[&str]) -> Section {
    let entries = glossary::ENTRIES.iter().filter(|entry| {
        used.iter().any(|key| glossary::lookup(key).is_some_and(|found| found.pattern == entry.pattern))
    });
    let mut rows: Vec<_> = entries.map(glossary_row).collect();
    for key in used.iter().filter(|key| glossary::lookup(key).is_none()) {
        let unknown = Span::text("not documented: this program does not know the key").styled(Style::Bad);
        rows.push(vec![vec![Span::code(*key)], vec![unknown], vec![Span::text("–")], vec![Span::text("–")]]);
    }
    let blocks = if rows.is_empty() {
        vec![paragraph("Nothing was measured yet.")]
    } else {
        let columns =
            vec![Column::text("key"), Column::prose("meaning"), Column::text("unit"), Column::text("better")];
        let caption =
            "Every metric key of this report; @K stands for any cut-off, <name> for any part".to_owned();
        vec![Block::Table(Table { caption, columns, rows })]
    };
    Section { id: "glossary", title: "Glossary", blocks }
}

fn glossary_row(entry: &Entry) -> Vec<Cell> {
    vec![
        vec![Span::code(entry.pattern)],
        vec![Span::text(entry.meaning)],
        vec![Span::text(entry.unit)],
        vec![Span::text(entry.better.word())],
    ]
}

/// Keys of the metrics and of the evaluation, sorted.
fn used_keys(run: &Run) -> Vec<&str> {
    let systems = run.evaluation.iter().flat_map(|evaluation| &evaluation.systems);
    let evaluated = systems.flat_map(|system| system.metrics.keys());
    let compared =
        run.evaluation.iter().flat_map(|evaluation| &evaluation.comparisons).map(|found| &found.metric);
    let scaled =
        run.scaling.iter().flat_map(|scaling| &scaling.points).flat_map(|point| point.metrics.keys());
    let measured = run.metrics.iter().map(|row| &row.key);
    let mut keys: Vec<_> =
        measured.chain(evaluated).chain(compared).chain(scaled).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
