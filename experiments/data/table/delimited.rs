//! Delimited text. polars reads it; when something is missing or wrong the `csv` crate reads it again, slower, and
//! says which line it was.

use super::super::error::{DataError, Place};
use super::super::problems::Problems;
use super::{Dialect, Header, Wanted, check_columns, frame};
use crate::guarded::guarded;
use csv::{ByteRecord, ReaderBuilder};
use polars::prelude::*;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

/// Reads the wanted columns.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    dialect: Dialect,
    wanted: &[Wanted],
) -> Result<DataFrame, DataError> {
    let names = header(path, bytes, dialect)?;
    check_columns(path, wanted, &names)?;
    match fast(bytes, dialect, &names) {
        // A short line shows as missing values, and so does a blank one.
        Ok(frame) if frame.columns().iter().all(|column| column.null_count() == 0) => Ok(frame),
        _ => careful(path, bytes, dialect, names),
    }
}

/// Line of every data row.
pub(super) fn lines(bytes: &[u8], dialect: Dialect) -> Vec<u64> {
    let mut reader = reader(bytes, dialect);
    let mut record = ByteRecord::new();
    let mut lines = Vec::new();
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        lines.push(line(bytes, &record));
    }
    lines
}

fn header(path: &Path, bytes: &[u8], dialect: Dialect) -> Result<Vec<String>, DataError> {
    let place = || Place::line(path, 1);
    let mut reader = reader(bytes, dialect);
    let fields = reader.headers().map_err(|_| DataError::Utf8 { place: place() })?;
    let names: Vec<String> = fields.iter().map(|field| name(field, dialect.header)).collect();
    let mut problems = Problems::default();
    for (_, column) in names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name)) {
        problems.add(|| DataError::DuplicateColumn { place: place(), column: column.clone() });
    }
    problems.or(names)
}

fn name(field: &str, header: Header) -> String {
    let field = field.trim();
    match header {
        Header::Names => field.into(),
        Header::Typed => field.split_once(':').map_or(field, |(name, _)| name).into(),
    }
}

fn fast(bytes: &[u8], dialect: Dialect, names: &[String]) -> PolarsResult<DataFrame> {
    let schema: Schema =
        names.iter().map(|name| Field::new(name.as_str().into(), DataType::String)).collect();
    let options = CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(Arc::new(schema)))
        .map_parse_options(|options| {
            options.with_separator(dialect.separator).with_quote_char(dialect.quote())
        });
    guarded(|| options.into_reader_with_file_handle(Cursor::new(bytes)).finish())
}

fn careful(path: &Path, bytes: &[u8], dialect: Dialect, names: Vec<String>) -> Result<DataFrame, DataError> {
    let mut reader = reader(bytes, dialect);
    let mut record = ByteRecord::new();
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    let mut problems = Problems::default();
    // Reading from memory with flexible lengths has no errors of its own.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let place = || Place::line(path, line(bytes, &record));
        let (found, expected) = (record.len() as u64, names.len() as u64);
        let fields: Vec<_> = record.iter().map(std::str::from_utf8).collect();
        if fields.iter().any(Result::is_err) {
            problems.add(|| DataError::Utf8 { place: place() });
        } else if found != expected {
            problems.add(|| DataError::Ragged { place: place(), found, expected, unit: "fields" });
        }
        for (column, field) in columns.iter_mut().zip(fields) {
            column.push(field.ok().filter(|field| !field.is_empty()).map(String::from));
        }
    }
    problems.or(())?;
    Ok(frame(names.into_iter().zip(columns).collect()))
}

fn reader(bytes: &[u8], dialect: Dialect) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(dialect.separator)
        .quoting(dialect.quote().is_some())
        .flexible(true)
        .from_reader(bytes)
}

/// The line a record starts on; the reader's own position lies before the blank lines that it skips.
fn line(bytes: &[u8], record: &ByteRecord) -> u64 {
    let position = record.position().expect("the record was read");
    let rest = &bytes[(position.byte() as usize).min(bytes.len())..];
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}
