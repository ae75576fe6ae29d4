//! Tables with one interaction per row: generic ones by column mapping, `KuaiRand`'s by its own names.

use super::durations::Durations;
use super::error::{DataError, shown};
use super::names::{Names, Numbering};
use super::problems::Problems;
use super::raw::{Clock, Duplicates, Locator, Moment, RawLog, Row};
use super::table::{Format, Table, Wanted};
use crate::config::{Columns, Watched};
use rayon::prelude::*;
use std::path::Path;

/// Reads a table by its column mapping.
///
/// # Errors
/// Every defect of the table: see [`Table::read`], and every missing id and every value that is no finite number.
pub(super) fn read(path: &Path, format: Format, columns: &Columns) -> Result<RawLog, DataError> {
    let table = Table::read(path, format, &wanted(columns))?;
    let Parsed { ids, moments, numbers } = parsed(&table, columns, NUMBER)?;
    let clock = if columns.timestamp.is_some() { Clock::Timestamps } else { Clock::None };
    let raw = raw_log(ids, moments, table);
    Ok(RawLog { signals: columns.feedback.clone(), feedback: interleave(&numbers), clock, ..raw })
}

pub(super) fn wanted(columns: &Columns) -> Vec<Wanted> {
    let key = |name: &str| format!("data.source.columns.{name}");
    let mut wanted = vec![Wanted::new(&columns.user, key("user")), Wanted::new(&columns.item, key("item"))];
    wanted.extend(columns.timestamp.iter().map(|column| Wanted::new(column, key("timestamp"))));
    wanted.extend(columns.feedback.iter().map(|column| Wanted::new(column, key("feedback"))));
    wanted
}

/// The columns that become signals under shorter names.
const KUAIRAND_SIGNALS: [(&str, &str); 7] = [
    ("like", "label"),
    ("follow", "is_follow"),
    ("comment", "is_comment"),
    ("forward", "is_forward"),
    ("click", "is_click"),
    ("long_view", "long_view"),
    ("profile_enter", "is_profile_enter"),
];

/// Reads `KuaiRand`'s feedback table: `label` is like, and the share of the video that was watched, or the time, is a
/// signal.
///
/// # Errors
/// As [`read`].
pub(super) fn read_kuairand(path: &Path, watched: Watched) -> Result<RawLog, DataError> {
    let signals = KUAIRAND_SIGNALS.map(|(_, column)| column);
    let columns = Columns {
        user: "user_id".into(),
        item: "video_id".into(),
        timestamp: Some("time_ms".into()),
        feedback: signals.into_iter().chain(["play_time_ms", "duration_ms"]).map(String::from).collect(),
    };
    let mut wanted = wanted(&columns);
    for wanted in &mut wanted {
        wanted.key = "data.source.kind = \"kuairand\"".into();
    }
    let table = Table::read(path, Format::Delimited(super::table::Dialect::TABS), &wanted)?;
    let Parsed { ids, moments, mut numbers } = parsed(&table, &columns, NUMBER)?;
    let raw = raw_log(ids, moments.into_iter().map(Moment::milliseconds_to_seconds).collect(), table);
    let durations = numbers.pop().expect("the last column asked for");
    let durations = Durations::new((&raw.rows, raw.items.len()), durations);
    let (name, mended) = durations.watched(&raw.rows, numbers.last_mut().expect("the last but one"), watched);
    let attributes = Some(durations.attributes());
    let names = KUAIRAND_SIGNALS.iter().map(|(name, _)| *name).chain([name]);
    Ok(RawLog {
        signals: names.map(String::from).collect(),
        feedback: interleave(&numbers),
        clock: Clock::Timestamps,
        attributes,
        mended,
        ..raw
    })
}

/// The columns of a log, by row.
pub(super) struct Parsed {
    pub(super) ids: [Ids; 2],
    pub(super) moments: Vec<Moment>,
    pub(super) numbers: Vec<Vec<f32>>,
}

/// How times are written.
#[derive(Clone, Copy)]
pub(super) struct TimeFormat {
    pub(super) parse: fn(&str) -> Option<Moment>,
    /// For messages.
    pub(super) expected: &'static str,
}

const NUMBER: TimeFormat = TimeFormat { parse: Moment::parse, expected: "a time as a number" };

/// Text ids and the number of every row's id.
pub(super) type Ids = (Names, Vec<u32>);

pub(super) fn raw_log(
    [(users, user_rows), (items, item_rows)]: [Ids; 2],
    moments: Vec<Moment>,
    table: Table,
) -> RawLog {
    let rows = user_rows.into_iter().zip(item_rows).zip(moments);
    let rows = rows.map(|((user, item), moment)| Row { user, item, moment }).collect();
    RawLog { duplicates: Duplicates::Drop, ..RawLog::new(users, items, rows, Locator::Table(table.source)) }
}

/// Parses the columns side by side.
pub(super) fn parsed(table: &Table, columns: &Columns, format: TimeFormat) -> Result<Parsed, DataError> {
    let times = || match &columns.timestamp {
        Some(column) => values(table, column, |text| (format.parse)(text).ok_or(format.expected)),
        None => (vec![Moment::default(); table.height()], Problems::default()),
    };
    let numbers = || columns.feedback.par_iter().map(|column| numbers(table, column)).collect::<Vec<_>>();
    let ((users, items), (times, numbers)) = rayon::join(
        || rayon::join(|| ids(table, &columns.user), || ids(table, &columns.item)),
        || rayon::join(times, numbers),
    );
    let mut problems = Problems::default();
    let parsed = Parsed {
        ids: [problems.of(users), problems.of(items)],
        moments: problems.of(times),
        numbers: numbers.into_iter().map(|column| problems.of(column)).collect(),
    };
    problems.or(parsed)
}

fn ids(table: &Table, column: &str) -> (Ids, Problems) {
    let mut problems = Problems::default();
    let mut ids = Numbering::default();
    let mut rows = Vec::with_capacity(table.height());
    for (row, text) in table.texts(column).enumerate() {
        let text = text.map_or("", str::trim);
        if text.is_empty() {
            problems.add(|| bad(table, row, column, text, "an id"));
        }
        rows.push(ids.number(text));
    }
    ((ids.names(), rows), problems)
}

fn numbers(table: &Table, column: &str) -> (Vec<f32>, Problems) {
    values(table, column, |text| number(text).ok_or("a finite number"))
}

/// The values of a column; what `parse` expected of bad ones.
fn values<T: Default>(
    table: &Table,
    column: &str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> (Vec<T>, Problems) {
    let mut problems = Problems::default();
    let value = |(row, text): (usize, Option<&str>)| {
        let text = text.unwrap_or_default();
        parse(text).unwrap_or_else(|expected| {
            problems.add(|| bad(table, row, column, text, expected));
            T::default()
        })
    };
    (table.texts(column).enumerate().map(value).collect(), problems)
}

fn number(text: &str) -> Option<f32> {
    match text.trim() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        number => number.parse().ok().filter(|value: &f32| value.is_finite()),
    }
}

fn bad(table: &Table, row: usize, column: &str, value: &str, expected: &'static str) -> DataError {
    let (place, value) = (table.source.place(row), shown(value));
    DataError::Value { place, column: format!("column `{column}`"), value, expected }
}

/// Columns to rows.
pub(super) fn interleave(columns: &[Vec<f32>]) -> Vec<f32> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}
