//! Tables with one interaction per row: generic ones by column mapping, `KuaiRand`'s by its own names.

use super::error::{DataError, shown};
use super::problems::Problems;
use super::raw::{Clock, Duplicates, Locator, Moment, Names, RawAttributes, RawLog, Row};
use super::table::{Format, Table, Wanted};
use crate::config::Columns;
use std::path::Path;

/// Reads a table by its column mapping.
///
/// # Errors
/// Every defect of the table: see [`Table::read`], and every missing id and every value that is no finite number.
pub(super) fn read(path: &Path, format: Format, columns: &Columns) -> Result<RawLog, DataError> {
    let table = Table::read(path, format, &wanted(columns))?;
    let mut problems = Problems::default();
    let users = ids(&table, &columns.user, &mut problems);
    let items = ids(&table, &columns.item, &mut problems);
    let moments = match &columns.timestamp {
        Some(column) => moments(&table, column, &mut problems),
        None => vec![Moment::default(); table.height()],
    };
    let signals: Vec<_> =
        columns.feedback.iter().map(|column| numbers(&table, column, &mut problems)).collect();
    let clock = if columns.timestamp.is_some() { Clock::Timestamps } else { Clock::None };
    problems.or(())?;
    let raw = raw_log(users, items, moments, table);
    Ok(RawLog { signals: columns.feedback.clone(), feedback: interleave(&signals), clock, ..raw })
}

fn wanted(columns: &Columns) -> Vec<Wanted> {
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
/// Watching longer than this many times the duration (replays) counts as this much.
const MOST_WATCHED: f32 = 5.0;

/// Reads `KuaiRand`'s feedback table: `label` is like, and the share of the video that was watched is a signal.
///
/// # Errors
/// As [`read`].
pub(super) fn read_kuairand(path: &Path) -> Result<RawLog, DataError> {
    let others = ["user_id", "video_id", "time_ms", "play_time_ms", "duration_ms"];
    let columns = others.into_iter().chain(KUAIRAND_SIGNALS.map(|(_, column)| column));
    let wanted: Vec<_> =
        columns.map(|column| Wanted::new(column, "data.source.kind = \"kuairand\"")).collect();
    let table = Table::read(path, Format::Delimited(super::table::Dialect::TABS), &wanted)?;
    let mut problems = Problems::default();
    let users = ids(&table, "user_id", &mut problems);
    let items = ids(&table, "video_id", &mut problems);
    let times = moments(&table, "time_ms", &mut problems);
    let mut signals: Vec<_> =
        KUAIRAND_SIGNALS.iter().map(|(_, column)| numbers(&table, column, &mut problems)).collect();
    let played = numbers(&table, "play_time_ms", &mut problems);
    let durations = numbers(&table, "duration_ms", &mut problems);
    problems.or(())?;
    signals.push(
        played.iter().zip(&durations).map(|(played, duration)| watch_ratio(*played, *duration)).collect(),
    );
    let raw = raw_log(users, items, times.into_iter().map(Moment::milliseconds_to_seconds).collect(), table);
    let attributes = Some(durations_by_item(&raw, &durations));
    let names = KUAIRAND_SIGNALS.iter().map(|(name, _)| *name).chain(["watch_ratio"]);
    Ok(RawLog {
        signals: names.map(String::from).collect(),
        feedback: interleave(&signals),
        clock: Clock::Timestamps,
        attributes,
        ..raw
    })
}

/// Played over duration, within `[0, 5]`; 0 where the duration is unknown.
fn watch_ratio(played: f32, duration: f32) -> f32 {
    if duration > 0.0 { (played / duration).clamp(0.0, MOST_WATCHED) } else { 0.0 }
}

/// `ln(1 + milliseconds)` of the median known duration, and whether there is one.
fn durations_by_item(raw: &RawLog, durations: &[f32]) -> RawAttributes {
    let mut known = vec![Vec::new(); raw.items.len()];
    for (row, duration) in raw.rows.iter().zip(durations).filter(|(_, duration)| **duration > 0.0) {
        known[row.item as usize].push(*duration);
    }
    let values = known.iter_mut().flat_map(|durations| {
        durations.sort_by(f32::total_cmp);
        match durations.get(durations.len() / 2) {
            Some(median) => [median.ln_1p(), 1.0],
            None => [0.0, 0.0],
        }
    });
    RawAttributes { names: vec!["log_duration".into(), "duration_known".into()], values: values.collect() }
}

/// Text ids and the number of every row's id.
type Ids = (Names, Vec<u32>);

fn raw_log((users, user_rows): Ids, (items, item_rows): Ids, moments: Vec<Moment>, table: Table) -> RawLog {
    let rows = user_rows.into_iter().zip(item_rows).zip(moments);
    let rows = rows.map(|((user, item), moment)| Row { user, item, moment }).collect();
    RawLog { duplicates: Duplicates::Drop, ..RawLog::new(users, items, rows, Locator::Table(table.source)) }
}

fn ids(table: &Table, column: &str, problems: &mut Problems) -> Ids {
    let mut names = Names::default();
    let text = |(row, text): (usize, Option<&str>)| {
        let text = text.map_or("", str::trim);
        if text.is_empty() {
            problems.add(|| bad(table, row, column, text, "an id"));
        }
        names.number(text)
    };
    let rows = table.texts(column).enumerate().map(text).collect();
    (names, rows)
}

fn moments(table: &Table, column: &str, problems: &mut Problems) -> Vec<Moment> {
    let moment = |(row, text): (usize, Option<&str>)| {
        let text = text.unwrap_or_default();
        Moment::parse(text).unwrap_or_else(|| {
            problems.add(|| bad(table, row, column, text, "a time as a number"));
            Moment::default()
        })
    };
    table.texts(column).enumerate().map(moment).collect()
}

fn numbers(table: &Table, column: &str, problems: &mut Problems) -> Vec<f32> {
    let number = |(row, text): (usize, Option<&str>)| {
        let text = text.unwrap_or_default();
        parse(text).unwrap_or_else(|| {
            problems.add(|| bad(table, row, column, text, "a finite number"));
            0.0
        })
    };
    table.texts(column).enumerate().map(number).collect()
}

fn parse(text: &str) -> Option<f32> {
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
fn interleave(columns: &[Vec<f32>]) -> Vec<f32> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}
