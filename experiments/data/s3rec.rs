//! S3-Rec text: `user item item ...` per line, chronological; with a tab and gaps in seconds there is a clock.

use super::error::{DataError, Place, shown};
use super::names::Numbering;
use super::problems::Problems;
use super::raw::{Clock, Locator, Moment, RawLog, Row};
use super::table::read_file;
use std::collections::HashMap;
use std::path::Path;

/// Reads the file.
///
/// # Errors
/// Every id that is no number, every list of gaps of another length than its items, every negative gap and every
/// user with two lines.
pub(super) fn read(path: &Path) -> Result<RawLog, DataError> {
    let bytes = read_file(path, "data.source.file")?;
    let mut reader = Reader::default();
    let mut problems = Problems::default();
    for (line, text) in (1u32..).zip(bytes.split(|byte| *byte == b'\n')) {
        let place = Place::line(path, u64::from(line));
        match std::str::from_utf8(text) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                problems.keep(reader.line(text.trim_end(), line, &place));
            }
            Err(_) => problems.add(|| DataError::Utf8 { place }),
        }
    }
    if !reader.with_gaps.is_empty() && !reader.without_gaps.is_empty() {
        let line = u64::from(reader.without_gaps[0]);
        problems.add(|| DataError::Syntax {
            place: Place::line(path, line),
            problem: format!(
                "no gaps, but line {} has them; give gaps for all users or for none",
                reader.with_gaps[0]
            ),
        });
    }
    problems.or(reader.log(path))
}

#[derive(Default)]
struct Reader<'a> {
    users: Numbering<'a>,
    items: Numbering<'a>,
    rows: Vec<Row>,
    lines: Vec<u32>,
    seen: HashMap<&'a str, u32>,
    with_gaps: Vec<u32>,
    without_gaps: Vec<u32>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, text: &'a str, line: u32, place: &Place) -> Result<(), DataError> {
        let (ids, gaps) = text.split_once('\t').map_or((text, None), |(ids, gaps)| (ids, Some(gaps)));
        let mut ids = ids.split_ascii_whitespace();
        let user = number(ids.next().unwrap_or_default(), "user id", place)?;
        if let Some(&first) = self.seen.get(user) {
            let first = Some(u64::from(first));
            return Err(DataError::Repeated { place: place.clone(), what: "user", id: user.into(), first });
        }
        let items = ids.map(|id| number(id, "item id", place)).collect::<Result<Vec<_>, _>>()?;
        let moments = moments(gaps, items.len(), place)?;
        let kind = if gaps.is_some() { &mut self.with_gaps } else { &mut self.without_gaps };
        kind.push(line);
        self.seen.insert(user, line);
        let user = self.users.number(user);
        for (item, moment) in items.into_iter().zip(moments) {
            self.rows.push(Row { user, item: self.items.number(item), moment });
            self.lines.push(line);
        }
        Ok(())
    }
    fn log(self, path: &Path) -> RawLog {
        let clock = if self.with_gaps.is_empty() { Clock::None } else { Clock::Timestamps };
        let locator = Locator::Lines(path.into(), self.lines);
        RawLog { clock, ..RawLog::new(self.users.names(), self.items.names(), self.rows, locator) }
    }
}

fn number<'a>(id: &'a str, column: &str, place: &Place) -> Result<&'a str, DataError> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(id);
    }
    Err(DataError::Value {
        place: place.clone(),
        column: column.into(),
        value: shown(id),
        expected: "a whole number (`user item item ...`, separated by blanks)",
    })
}

/// The running sum of the gaps, or one moment for all where there is no clock.
fn moments(gaps: Option<&str>, items: usize, place: &Place) -> Result<Vec<Moment>, DataError> {
    let Some(gaps) = gaps else {
        return Ok(vec![Moment::default(); items]);
    };
    let mut whole = 0i64;
    let gap = |text: &str| {
        let gap = text.parse::<u32>().map_err(|_| DataError::Value {
            place: place.clone(),
            column: "gap".into(),
            value: shown(text),
            expected: "seconds since the previous item, a whole number from 0 to 4294967295",
        })?;
        whole += i64::from(gap);
        Ok(Moment { whole, billionths: 0 })
    };
    let moments = gaps.split_ascii_whitespace().map(gap).collect::<Result<Vec<_>, _>>()?;
    if moments.len() == items {
        return Ok(moments);
    }
    let (found, expected) = (moments.len() as u64, items as u64);
    Err(DataError::Ragged { place: place.clone(), found, expected, unit: "gaps" })
}
