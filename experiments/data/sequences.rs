//! `{"user": [item, item, ...]}`: one JSON object, items chronological, ids numbers or text.

use super::error::{DataError, Place};
use super::names::Numbering;
use super::problems::Problems;
use super::raw::{Locator, Moment, RawLog, Row, line_of_key};
use super::table::read_file;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::path::Path;

/// Reads the file.
///
/// # Errors
/// If it is not such an object or names a user twice.
pub(super) fn read(path: &Path) -> Result<RawLog, DataError> {
    let bytes = read_file(path, "data.source.file")?;
    let text = String::from_utf8(bytes).map_err(|cause| {
        let valid = &cause.as_bytes()[..cause.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count() as u64;
        DataError::Utf8 { place: Place::line(path, line) }
    })?;
    let Sequences(sequences) = serde_json::from_str(&text).map_err(|cause| DataError::Syntax {
        place: Place::line(path, cause.line() as u64),
        problem: format!("not `{{\"user\": [item, item, ...]}}`: {cause}"),
    })?;
    let mut problems = Problems::default();
    let (mut users, mut items, mut rows) = (Numbering::default(), Numbering::default(), Vec::new());
    for (name, sequence) in &sequences {
        let known = users.len();
        let user = users.number(name);
        if (user as usize) < known {
            let place = Place::line(path, line_of_key(&text, &format!("\"{name}\"")));
            problems.add(|| DataError::Repeated { place, what: "user", id: name.clone(), first: None });
        }
        rows.extend(sequence.iter().map(|Id(id)| Row {
            user,
            item: items.number(id),
            moment: Moment::default(),
        }));
    }
    problems.or(RawLog::new(users.names(), items.names(), rows, Locator::Keys(path.into(), text)))
}

/// The pairs of the object in file order, repeated keys included (a map would keep the last only).
struct Sequences(Vec<(String, Vec<Id>)>);

impl<'de> Deserialize<'de> for Sequences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Sequences;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of item lists")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sequences, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Sequences(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// An item id: a whole number or text, kept as text.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an item id (a whole number or text)")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.into()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
