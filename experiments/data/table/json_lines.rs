//! One JSON object per line. polars reads it; when something is missing or wrong the lines are parsed one by one.

use super::super::error::{DataError, Place, shown};
use super::super::problems::Problems;
use super::{Wanted, check_columns, distinct, frame};
use crate::guarded::guarded;
use polars::prelude::*;
use serde_json::{Map, Value};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

/// Reads the wanted fields.
pub(super) fn read(path: &Path, bytes: &[u8], wanted: &[Wanted]) -> Result<DataFrame, DataError> {
    let names = distinct(wanted);
    match fast(bytes, &names) {
        Ok(frame) if frame.columns().iter().all(is_plain) => Ok(frame),
        _ => careful(path, bytes, wanted, &names),
    }
}

/// Lines that are not blank, with their numbers.
pub(super) fn filled(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(line, text)| (line as u64 + 1, text))
        .filter(|(_, text)| !text.iter().all(u8::is_ascii_whitespace))
}

fn fast(bytes: &[u8], names: &[String]) -> PolarsResult<DataFrame> {
    let schema: Schema =
        names.iter().map(|name| Field::new(name.as_str().into(), DataType::String)).collect();
    let reader = JsonReader::new(Cursor::new(bytes)).with_json_format(JsonFormat::JsonLines);
    guarded(|| reader.with_schema(Arc::new(schema)).finish())
}

/// Every value is there and none is a list or an object in disguise.
fn is_plain(column: &Column) -> bool {
    let nested = |text: &str| text.starts_with(['[', '{']);
    column.null_count() == 0 && column.str().is_ok_and(|texts| !texts.iter().flatten().any(nested))
}

fn careful(path: &Path, bytes: &[u8], wanted: &[Wanted], names: &[String]) -> Result<DataFrame, DataError> {
    let mut problems = Problems::default();
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    let mut found = Vec::new();
    for (number, text) in filled(bytes) {
        let place = Place::line(path, number);
        let Some(object) = problems.keep(object(text, &place)) else {
            continue;
        };
        for (column, name) in columns.iter_mut().zip(names) {
            let value = object.get(name).unwrap_or(&Value::Null);
            column.push(problems.keep(scalar(value, name, &place)).flatten());
        }
        found.extend(
            object.into_iter().map(|(name, _)| name).filter(|name| !found.contains(name)).collect::<Vec<_>>(),
        );
    }
    if !found.is_empty() {
        problems.keep(check_columns(path, wanted, &found));
    }
    problems.or(())?;
    Ok(frame(names.iter().cloned().zip(columns).collect()))
}

fn object(text: &[u8], place: &Place) -> Result<Map<String, Value>, DataError> {
    let text = std::str::from_utf8(text).map_err(|_| DataError::Utf8 { place: place.clone() })?;
    serde_json::from_str(text).map_err(|cause| DataError::Syntax {
        place: place.clone(),
        problem: format!("not a JSON object, column {}: `{}`", cause.column(), shown(text)),
    })
}

fn scalar(value: &Value, column: &str, place: &Place) -> Result<Option<String>, DataError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(DataError::Value {
            place: place.clone(),
            column: column.into(),
            value: shown(&value.to_string()),
            expected: "text or a number",
        }),
    }
}
