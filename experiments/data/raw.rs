//! A log as it stands in a file, before filters: ids as text, rows in file order.

use super::error::Place;
use super::names::Names;
use super::table::TableSource;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A point in time: whole units and billionths, so that milliseconds and fractions keep their order exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Moment {
    pub(super) whole: i64,
    pub(super) billionths: u32,
}

impl Moment {
    /// A decimal number; `None` if it is none or does not fit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(whole) = text.parse() {
            return Some(Self { whole, billionths: 0 });
        }
        let value: f64 = text.parse().ok().filter(|value: &f64| value.abs() < 9e18)?;
        let whole = value.floor();
        Some(Self { whole: whole as i64, billionths: ((value - whole) * 1e9) as u32 })
    }
    /// `YYYY-MM-DD HH:MM:SS[.fraction]`, a `T` for the space allowed, in UTC, with or without `+00:00` or `Z`; `None` if it is none.
    pub(super) fn parse_utc(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
        let (date, clock) = text.split_once([' ', 'T'])?;
        let whole = |text: &str| text.parse::<u16>().ok().map(i64::from);
        let mut date = date.splitn(3, '-').map(whole);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let mut clock = clock.splitn(3, ':');
        let (hour, minute) = (whole(clock.next()?)?, whole(clock.next()?)?);
        let seconds = Self::parse(clock.next()?)?;
        let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
        (valid && (0..=60).contains(&seconds.whole)).then(|| Self {
            whole: ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + seconds.whole,
            billionths: seconds.billionths,
        })
    }
    /// Milliseconds as seconds.
    pub(super) fn milliseconds_to_seconds(self) -> Self {
        let billionths = self.whole.rem_euclid(1000) as u32 * 1_000_000;
        Self { whole: self.whole.div_euclid(1000), billionths: billionths + self.billionths / 1000 }
    }
}

/// Of the Gregorian calendar, years counted from March so that leap days come last (Hinnant, `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// One interaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) user: u32,
    pub(super) item: u32,
    /// Equal for all rows of a log without a clock.
    pub(super) moment: Moment,
}

/// Whether the log says when things happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Rows are chronological; there is no time.
    None,
    /// Every row has a time.
    Timestamps,
}

/// What happens to rows that repeat an earlier row's user, item and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// Logging artefacts: counted and dropped.
    Drop,
    /// Part of the published data: counted and kept.
    Keep,
}

/// Numeric attributes of the source's own, per raw item.
#[derive(Debug)]
pub(super) struct RawAttributes {
    pub(super) names: Vec<String>,
    /// `[items, names]`, row-major, by raw item number.
    pub(super) values: Vec<f32>,
}

/// A log before filters.
#[derive(Debug)]
pub(super) struct RawLog {
    pub(super) users: Names,
    pub(super) items: Names,
    pub(super) rows: Vec<Row>,
    pub(super) signals: Vec<String>,
    /// `[rows, signals]`, row-major.
    pub(super) feedback: Vec<f32>,
    pub(super) clock: Clock,
    pub(super) duplicates: Duplicates,
    pub(super) attributes: Option<RawAttributes>,
    /// Values that could not be as they stood, and what they count as.
    pub(super) mended: Mended,
    pub(super) locator: Locator,
}

/// Interactions by what was done to them.
pub(super) type Mended = BTreeMap<String, u64>;

/// Finds the place of a row when there is something to say about it.
#[derive(Debug)]
pub(super) enum Locator {
    /// One line per row, known from reading.
    Lines(PathBuf, Vec<u32>),
    /// A table, scanned again when asked.
    Table(TableSource),
    /// JSON keys: the line of the user's key, searched when asked.
    Keys(PathBuf, String),
}

impl RawLog {
    /// A log without clock, feedback and attributes that keeps every row.
    pub(super) fn new(users: Names, items: Names, rows: Vec<Row>, locator: Locator) -> Self {
        Self {
            users,
            items,
            rows,
            signals: Vec::new(),
            feedback: Vec::new(),
            clock: Clock::None,
            duplicates: Duplicates::Keep,
            attributes: None,
            mended: Mended::new(),
            locator,
        }
    }
    /// Where a row stands.
    pub(super) fn place(&self, row: usize) -> Place {
        match &self.locator {
            Locator::Lines(path, lines) => Place::line(path, u64::from(lines[row])),
            Locator::Table(source) => source.place(row),
            Locator::Keys(path, text) => {
                let key = serde_json::to_string(self.users.name(self.rows[row].user)).unwrap_or_default();
                Place::line(path, line_of_key(text, &key))
            }
        }
    }
}

/// The line of the first `key` that is followed by a colon; 1 if it is written in another way.
pub(super) fn line_of_key(text: &str, key: &str) -> u64 {
    let is_key = |&(at, _): &(usize, &str)| text[at + key.len()..].trim_start().starts_with(':');
    let at = text.match_indices(key).find(is_key).map_or(0, |(at, _)| at);
    1 + text[..at].matches('\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_the_order_of_fractions_and_of_negative_times() {
        let moments: Vec<_> = ["-1.5", "-1", "0", "0.25", "1", "9007199254740993"]
            .map(|text| Moment::parse(text).unwrap())
            .into();
        assert!(moments.is_sorted());
        assert_eq!(moments[0], Moment { whole: -2, billionths: 500_000_000 });
        assert_eq!(moments[5].whole, 9_007_199_254_740_993);
    }

    #[test]
    fn what_is_no_finite_number_is_no_moment() {
        for text in ["", "abc", "NaN", "inf", "1e30", "2020-01-01"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_become_seconds_since_1970() {
        let seconds = |text: &str| Moment::parse_utc(text).map(|moment| moment.whole);
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2000-02-29T12:30:15Z"), Some(951_827_415));
        assert_eq!(seconds("2023-11-14 22:13:20+00:00"), Some(1_700_000_000));
        assert_eq!(seconds("1969-12-31 23:59:59.5"), Some(-1));
        for text in
            ["", "2023-11-14", "2023-13-01 00:00:00", "2023-01-01 24:00:00", "2023-01-01 0:0", "x-y-z 1:2:3"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_become_seconds_without_losing_order() {
        let [a, b] =
            ["1649581149287", "1649581149288"].map(|t| Moment::parse(t).unwrap().milliseconds_to_seconds());
        assert_eq!((a.whole, a.billionths), (1_649_581_149, 287_000_000));
        assert!(a < b);
    }

    #[test]
    fn json_keys_are_found_on_their_line() {
        assert_eq!(line_of_key("{\"1\": [\"7\"],\n\"7\" : [1]}", "\"7\""), 2);
    }
}
