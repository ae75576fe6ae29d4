//! Tables of what the rows cost, and of their semantic IDs.

use super::{RunResult, State, Sweep};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, paragraph};
use crate::number;
use crate::schema::TokenizerQuality;
use crate::statistics::mean;

/// Columns of [`table`] after the row's name.
const COLUMNS: [&str; 6] = [
    "validation ndcg@10",
    "reached after CPU min",
    "training CPU min",
    "all CPU h",
    "peak MiB",
    "parameters",
];

/// Keys behind [`COLUMNS`], for the glossary.
pub(super) const KEYS: [&str; 6] = [
    "validation/ndcg@10",
    "training/selected_after",
    "training/cpu_minutes",
    "cost/cpu_hours",
    "cost/peak_memory",
    "parameters",
];

/// Keys behind [`semantic_ids`].
pub(super) const TOKENIZER_KEYS: [&str; 6] = [
    "sids/collision_rate",
    "sids/usage/<level>",
    "sids/entropy/<level>",
    "sids/gini",
    "sids/embedding_hit_rate",
    "sids/cooccurrence_hit_rate",
];

/// What the rows cost.
pub(super) fn table(sweep: &Sweep) -> Block {
    let columns = std::iter::once(Column::text("row")).chain(COLUMNS.map(Column::number)).collect();
    let row =
        |row: &str| std::iter::once(vec![Span::text(row)]).chain(cells(sweep, row)).collect::<Vec<Cell>>();
    let rows = sweep.rows().into_iter().map(row).collect();
    let caption =
        "Selected checkpoint on the validation items, and cost per run: means over seeds, the peak of all";
    Block::Table(Table { caption: caption.into(), columns, rows })
}

/// What the finished runs of a row cost: means over seeds, the peak of all.
fn cells(sweep: &Sweep, row: &str) -> [Cell; 6] {
    let runs: Vec<&RunResult> = sweep.finished(row).collect();
    let collect = |value: &dyn Fn(&RunResult) -> Option<f64>| -> Vec<f64> {
        runs.iter().filter_map(|run| value(run)).collect()
    };
    let average = |values: Vec<f64>| (!values.is_empty()).then(|| mean(&values));
    let peak = runs.iter().filter_map(|run| run.peak_memory()).max();
    let numbers = [
        average(collect(&RunResult::selected)).map(number::decimal),
        average(collect(&RunResult::selected_after)).map(|seconds| small(seconds / 60.0)),
        average(collect(&RunResult::training_seconds)).map(|seconds| small(seconds / 60.0)),
        average(collect(&|run| Some(run.cpu_seconds()))).map(|seconds| small(seconds / 3600.0)),
        peak.map(|bytes| number::count(bytes >> 20)),
        average(collect(&|run| run.parameters.map(|count| count as f64)))
            .map(|count| number::count(count.round() as u64)),
    ];
    let mut keys = KEYS.iter();
    numbers.map(|text| {
        let key = keys.next().copied().unwrap_or_default();
        let source = format!("row {row}, key {key}");
        vec![text.map_or_else(|| Span::text("–"), |text| Span::text(text).with_source(source))]
    })
}

/// Two digits are enough of a time.
fn small(value: f64) -> String {
    match value {
        ..1.0 => number::fixed(value, 3),
        1.0..10.0 => number::fixed(value, 2),
        _ => number::fixed(value, 1),
    }
}

/// What the semantic IDs are worth, per row.
pub(super) fn semantic_ids(sweep: &Sweep) -> Option<Section> {
    let columns = ["vectors", "quantiser", "collisions by"].map(Column::text).into_iter();
    let numbers = [
        "IDs",
        "items that share one",
        "codes used",
        "entropy (nats)",
        "Gini",
        "neighbours kept",
        "co-occurring kept",
    ];
    let columns = std::iter::once(Column::text("row")).chain(columns).chain(numbers.map(Column::number));
    let rows: Vec<Vec<Cell>> =
        sweep.rows().into_iter().filter_map(|row| semantic_id_row(sweep, row)).collect();
    let intro = "Means over seeds. Codes used and their entropy are per level, coarsest first; neighbours kept is the share \
                 of an item's ten nearest by embedding that stay nearest by ID, co-occurring kept that of the ten items it \
                 occurs with most in training.";
    (!rows.is_empty()).then(|| Section {
        id: "semantic-ids",
        title: "Semantic IDs",
        blocks: vec![
            paragraph(intro),
            Block::Table(Table {
                caption: "Semantic IDs of the rows".into(),
                columns: columns.collect(),
                rows,
            }),
        ],
    })
}

fn semantic_id_row(sweep: &Sweep, row: &str) -> Option<Vec<Cell>> {
    let found: Vec<&TokenizerQuality> =
        sweep.finished(row).filter_map(|run| run.tokenizer.as_ref()).collect();
    let first = found.first()?;
    let average = |value: fn(&TokenizerQuality) -> f64| {
        mean(&found.iter().map(|quality| value(quality)).collect::<Vec<_>>())
    };
    let co_occurrence: Vec<f64> = found.iter().filter_map(|quality| quality.cooccurrence_hit_rate).collect();
    let co_occurrence =
        if co_occurrence.is_empty() { "-".into() } else { number::percent(mean(&co_occurrence)) };
    let levels = found.iter().map(|quality| quality.levels.len()).min().unwrap_or(0);
    let by_level = |text: &dyn Fn(usize) -> String| (0..levels).map(text).collect::<Vec<_>>().join(" / ");
    let level = |index: usize, value: fn(&crate::schema::LevelQuality) -> f64| {
        mean(&found.iter().map(|quality| value(&quality.levels[index])).collect::<Vec<_>>())
    };
    let cell = |text: String, key: &str| {
        vec![Span::text(text).with_source(format!("row {row}, stage tokenize, key {key}"))]
    };
    Some(vec![
        vec![Span::text(row)],
        vec![Span::text(first.vectors.as_deref().unwrap_or("-"))],
        vec![Span::text(&first.quantizer)],
        vec![Span::text(&first.collisions)],
        cell(number::count(average(|quality| quality.distinct_ids as f64).round() as u64), "sids/distinct"),
        cell(number::percent(average(|quality| quality.collision_rate)), "sids/collision_rate"),
        cell(by_level(&|index| number::percent(level(index, |level| level.usage))), "sids/usage/<level>"),
        cell(
            by_level(&|index| number::fixed(level(index, |level| level.entropy), 2)),
            "sids/entropy/<level>",
        ),
        cell(number::fixed(average(|quality| quality.gini), 3), "sids/gini"),
        cell(number::percent(average(|quality| quality.embedding_hit_rate)), "sids/embedding_hit_rate"),
        cell(co_occurrence, "sids/cooccurrence_hit_rate"),
    ])
}

/// Every run with its state.
pub(super) fn runs(sweep: &Sweep) -> Section {
    let columns = vec![
        Column::text("run"),
        Column::number("seed"),
        Column::text("state"),
        Column::number("wall time"),
        Column::number("CPU time"),
        Column::number("peak MiB"),
        Column::prose("why"),
    ];
    let rows = sweep.runs.iter().map(run_row).collect();
    let intro = "Each run is a run directory of its own with its own report. A stage that an earlier run of the sweep had \
                 computed from the same inputs was taken over; its cost counts as if it had run.";
    let table = Table { caption: "Runs of the sweep".into(), columns, rows };
    Section { id: "runs", title: "Runs", blocks: vec![paragraph(intro), Block::Table(table)] }
}

fn run_row(run: &RunResult) -> Vec<Cell> {
    let cell = |text: String, key: &str| {
        vec![Span::text(text).with_source(format!("run {}, key {key}", run.directory))]
    };
    let (state, error) = match &run.state {
        State::Finished => (Span::text("finished"), ""),
        State::Failed { error } => (Span::text("failed").styled(Style::Bad), error.as_str()),
        State::Diverged { error } => (Span::text("diverged").styled(Style::Bad), error.as_str()),
        State::Dropped { reason } => (Span::text("dropped").styled(Style::Quiet), reason.as_str()),
        State::Unfinished => (Span::text("unfinished").styled(Style::Quiet), ""),
    };
    let wall: f64 = run.stages.iter().map(|cost| cost.seconds).sum();
    let peak = run.peak_memory().map_or_else(|| "–".to_owned(), |bytes| number::count(bytes >> 20));
    vec![
        vec![Span::code(&run.directory)],
        cell(run.seed.to_string(), "run.seed"),
        vec![state],
        cell(number::seconds(wall), "manifest.seconds"),
        cell(number::seconds(run.cpu_seconds()), "manifest.cpu_seconds"),
        cell(peak, "manifest.peak_memory"),
        vec![Span::text(error)],
    ]
}
