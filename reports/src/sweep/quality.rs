//! Tables of what the rows are worth: ranking, differences, other metrics.

use super::{Line, Pooled, Reference, State, Sweep, cost, cutoff};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, estimate_cell, paragraph};
use crate::glossary::{self, Direction};
use crate::number;
use crate::schema::Estimate;
use crate::verdict::Change;

/// Cut-offs of the first table; others have their own.
const MOST: u64 = 10;
/// Longest name of a row in the heading of a column.
const LONGEST: usize = 12;

/// The comparison: one line per row, baselines and published numbers below; then what the rows cost.
pub(super) fn comparison(sweep: &Sweep) -> Vec<Block> {
    let keys: Vec<&str> = first_keys(sweep);
    let compared = sweep.main_metric().filter(|_| sweep.baseline.is_some());
    let mut columns = vec![Column::text("row"), Column::number("seeds")];
    columns.extend(keys.iter().map(|key| Column::number(*key)));
    columns.extend(compared.map(|key| Column::number(difference_label(sweep, key))));
    let mut rows = Vec::new();
    for row in sweep.rows() {
        let mut lines: Vec<_> = sweep.trained().filter(|line| line.row == row).map(Some).collect();
        // A row without an evaluation is still a row.
        if lines.is_empty() {
            lines.push(None);
        }
        rows.extend(lines.into_iter().map(|line| trained_row(sweep, (row, line), &keys, compared)));
    }
    let others = sweep.lines.iter().filter(|line| line.role == "baseline");
    rows.extend(others.map(|line| baseline_row(line, &keys, compared)));
    rows.extend(sweep.published.iter().map(|found| published_row(found, &keys, compared)));
    let caption =
        "Test split, full ranking: mean over users and seeds [95 % interval over users], range of the seeds";
    vec![Block::Table(Table { caption: caption.into(), columns, rows }), cost::table(sweep)]
}

/// Ranking metrics of the first table.
fn first_keys(sweep: &Sweep) -> Vec<&str> {
    let keys = sweep.ranking_keys();
    let first: Vec<&str> = keys.iter().copied().filter(|key| cutoff(key) <= Some(MOST)).collect();
    if first.is_empty() { keys } else { first }
}

/// A long name would make the column wider than its numbers; the page's head tells it, too.
fn difference_label(sweep: &Sweep, key: &str) -> String {
    match base(sweep) {
        name if name.len() <= LONGEST => format!("{key} − {name}"),
        _ => format!("{key}, difference"),
    }
}

fn base(sweep: &Sweep) -> &str {
    sweep.baseline.as_deref().unwrap_or_default()
}

fn trained_row(
    sweep: &Sweep,
    (row, line): (&str, Option<&Line>),
    keys: &[&str],
    compared: Option<&str>,
) -> Vec<Cell> {
    let mut cells = vec![vec![Span::text(line.map_or(row, |line| &line.label))], vec![seeds(sweep, row)]];
    cells.extend(keys.iter().map(|key| line.map_or_else(nothing, |line| metric(line, key))));
    cells.extend(compared.map(|key| line.map_or_else(nothing, |line| difference(line, key))));
    cells
}

/// Finished runs, and of how many.
fn seeds(sweep: &Sweep, row: &str) -> Span {
    let (finished, all) =
        (sweep.finished(row).count(), sweep.runs.iter().filter(|run| run.row == row).count());
    if finished == all {
        Span::text(all.to_string()).with_source(format!("row {row}, finished runs"))
    } else {
        let text = format!("{finished} of {all}");
        Span::text(text).styled(Style::Bad).with_source(format!("row {row}, finished runs"))
    }
}

fn baseline_row(line: &Line, keys: &[&str], compared: Option<&str>) -> Vec<Cell> {
    let mut cells = vec![vec![Span::text(&line.label).styled(Style::Quiet)], nothing()];
    cells.extend(keys.iter().map(|key| metric(line, key)));
    cells.extend(compared.map(|key| difference(line, key)));
    cells
}

fn published_row(found: &Reference, keys: &[&str], compared: Option<&str>) -> Vec<Cell> {
    let value = |key: &&str| match found.metrics.get(*key) {
        Some(value) => {
            vec![Span::text(number::decimal(*value)).with_source(format!("published: {}", found.source))]
        }
        None => nothing(),
    };
    let label = format!("{}, published", found.label);
    let mut cells = vec![vec![Span::text(label).styled(Style::Quiet)], nothing()];
    cells.extend(keys.iter().map(value));
    cells.extend(compared.map(|_| nothing()));
    cells
}

fn nothing() -> Cell {
    vec![Span::text("–")]
}

/// A metric with its interval and, for several seeds, their range.
fn metric(line: &Line, key: &str) -> Cell {
    let Some(Pooled { estimate, by_seed }) = line.metrics.get(key) else {
        return nothing();
    };
    let source = source(line, key);
    let mut cell = estimate_cell(&number::estimate(estimate), &source);
    if by_seed.len() > 1 {
        let least = by_seed.iter().copied().fold(f64::INFINITY, f64::min);
        let most = by_seed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = format!("{} to {}", number::decimal(least), number::decimal(most));
        cell.push(Span::text(" "));
        cell.push(
            Span::text(range).styled(Style::Quiet).with_source(format!("{source}, range of the seeds")),
        );
    }
    cell
}

fn difference(line: &Line, key: &str) -> Cell {
    let Some(estimate) = line.differences.get(key) else {
        return nothing();
    };
    let mut cell = estimate_cell(
        &number::difference(estimate),
        &format!("{}, minus the baseline row, paired over users", source(line, key)),
    );
    if let Some(number) = cell.first_mut() {
        number.style = reading(key, estimate);
    }
    cell
}

fn source(line: &Line, key: &str) -> String {
    let seeds: Vec<_> = line.seeds.iter().map(u64::to_string).collect();
    format!("row {}, seeds {}, stage evaluate, key {key} (system {})", line.row, seeds.join(" "), line.system)
}

/// Good or bad beyond noise, or neither.
fn reading(key: &str, difference: &Estimate) -> Style {
    let better = glossary::lookup(key).map(|entry| entry.better);
    match (Change::of(difference), better) {
        (Change::Rises, Some(Direction::Up)) | (Change::Falls, Some(Direction::Down)) => Style::Good,
        (Change::Falls, Some(Direction::Up)) | (Change::Rises, Some(Direction::Down)) => Style::Bad,
        _ => Style::Quiet,
    }
}

/// Every difference to the baseline row.
pub(super) fn differences(sweep: &Sweep) -> Option<Section> {
    let keys: Vec<&str> = sweep.keys().into_iter().filter(|key| differs(sweep, key)).collect();
    let lines = sweep.lines.iter().filter(|line| !line.differences.is_empty());
    let mut columns = vec![Column::text("row")];
    columns.extend(keys.iter().map(|key| Column::number(*key)));
    let row = |line: &Line| {
        let cells = keys.iter().map(|key| difference(line, key));
        std::iter::once(vec![Span::text(&line.label)]).chain(cells).collect()
    };
    let rows: Vec<Vec<Cell>> = lines.map(row).collect();
    let intro = format!(
        "Each line minus {}, paired over the users both evaluated, each user's values averaged over seeds first. One in \
         twenty of these intervals excludes zero by chance.",
        base(sweep)
    );
    let caption = format!("Differences to {} [95 % interval]", base(sweep));
    (!rows.is_empty()).then(|| Section {
        id: "differences",
        title: "Differences",
        blocks: vec![paragraph(intro), Block::Table(Table { caption, columns, rows })],
    })
}

fn differs(sweep: &Sweep, key: &str) -> bool {
    sweep.lines.iter().any(|line| line.differences.contains_key(key))
}

/// Metrics that the first table has no room for.
pub(super) fn others(sweep: &Sweep) -> Option<Section> {
    let first = first_keys(sweep);
    let keys: Vec<&str> = sweep.keys().into_iter().filter(|key| !first.contains(key)).collect();
    let mut columns = vec![Column::text("row")];
    columns.extend(keys.iter().map(|key| Column::number(*key)));
    let row = |line: &Line| {
        let cells = keys.iter().map(|key| metric(line, key));
        std::iter::once(vec![Span::text(&line.label)]).chain(cells).collect()
    };
    let rows: Vec<Vec<Cell>> = sweep.lines.iter().map(row).collect();
    (!keys.is_empty() && !rows.is_empty()).then(|| Section {
        id: "metrics",
        title: "Further metrics",
        blocks: vec![Block::Table(Table {
            caption: "Test split: mean over users and seeds [95 % interval]; what has no value per user has no interval"
                .into(),
            columns,
            rows,
        })],
    })
}

/// Numbers of others with their sources.
pub(super) fn published(sweep: &Sweep) -> Option<Section> {
    let columns = vec![
        Column::text("label"),
        Column::text("beside"),
        Column::prose("numbers"),
        Column::prose("source"),
    ];
    let row = |found: &Reference| {
        let numbers = found.metrics.iter().map(|(key, value)| format!("{key} {}", number::decimal(*value)));
        vec![
            vec![Span::text(&found.label)],
            vec![Span::text(found.row.as_deref().unwrap_or("–"))],
            vec![
                Span::text(numbers.collect::<Vec<_>>().join(", "))
                    .with_source(format!("published: {}", found.source)),
            ],
            vec![Span::text(&found.source).with_source("sweep file, key published")],
        ]
    };
    let rows: Vec<Vec<Cell>> = sweep.published.iter().map(row).collect();
    let intro =
        "As the sweep file quotes them; nothing here checked them, and splits and filters may differ.";
    (!rows.is_empty()).then(|| Section {
        id: "published",
        title: "Published numbers",
        blocks: vec![
            paragraph(intro),
            Block::Table(Table { caption: "Numbers of others, and their sources".into(), columns, rows }),
        ],
    })
}

/// What is to be said first.
pub(super) fn headline(sweep: &Sweep) -> Vec<String> {
    let all = sweep.runs.len();
    let finished = sweep.runs.iter().filter(|run| run.state == State::Finished).count();
    let mut sentences = vec![format!("{finished} of {all} runs are finished.")];
    let Some(metric) = sweep.main_metric() else {
        sentences.push("Nothing was evaluated on the test split.".to_owned());
        return sentences;
    };
    let value = |line: &Line| line.metrics.get(metric).map(|pooled| pooled.estimate);
    let best = |role: fn(&str) -> bool| {
        let lines = sweep.lines.iter().filter(|line| role(&line.role));
        let measured = lines.filter_map(|line| Some((line.label.as_str(), value(line)?)));
        measured.max_by(|left, right| left.1.value.total_cmp(&right.1.value))
    };
    if let Some((row, estimate)) = best(|role| role != "baseline") {
        sentences.push(format!("Highest {metric}: {row}, {}.", number::estimate(&estimate)));
    }
    if let Some((name, estimate)) = best(|role| role == "baseline") {
        sentences.push(format!("The best baseline, {name}, has {}.", number::estimate(&estimate)));
    }
    sentences.extend(against_baseline(sweep, metric));
    sentences
}

/// How many rows move beyond noise.
fn against_baseline(sweep: &Sweep, metric: &str) -> Option<String> {
    let changes: Vec<_> =
        sweep.compared().filter_map(|line| line.differences.get(metric).map(Change::of)).collect();
    let count = |wanted| changes.iter().filter(|change| **change == wanted).count();
    (!changes.is_empty()).then(|| {
        format!(
            "Against {}, paired over users: {} above, {} below, {} inside noise.",
            base(sweep),
            count(Change::Rises),
            count(Change::Falls),
            count(Change::InsideNoise) + count(Change::NoInterval)
        )
    })
}
