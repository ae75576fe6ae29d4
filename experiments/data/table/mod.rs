//! Tables of text columns from delimited text, JSON lines and Parquet: every value stays text until its place is known.

mod delimited;
mod json_lines;
mod parquet;

use super::error::{At, DataError, Place};
use super::problems::Problems;
use polars::prelude::*;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text with a header and a separator.
    Delimited(Dialect),
    /// One JSON object per line.
    JsonLines,
    /// Parquet.
    Parquet,
}

/// The kind of delimited text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    pub(super) quotes: Quotes,
    pub(super) header: Header,
}

/// Whether `"` encloses fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// As in CSV.
    Enclose,
    /// `"` is a character like any other, as in tab-separated exports.
    Plain,
}

/// What a header field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A name.
    Names,
    /// `name:type`, as `RecBole` writes it.
    Typed,
}

impl Dialect {
    /// Tab-separated, no quotes.
    pub(super) const TABS: Self = Self { separator: b'\t', quotes: Quotes::Plain, header: Header::Names };

    fn quote(self) -> Option<u8> {
        (self.quotes == Quotes::Enclose).then_some(b'"')
    }
}

/// A column that somebody needs, and the configuration key that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) column: String,
    pub(super) key: String,
}

impl Wanted {
    pub(super) fn new(column: &str, key: impl Into<String>) -> Self {
        Self { column: column.into(), key: key.into() }
    }
}

/// A file and how to find a row in it again.
#[derive(Debug)]
pub(super) struct TableSource {
    path: PathBuf,
    format: Format,
    lines: OnceLock<Vec<u64>>,
}

impl TableSource {
    /// Where data row `row` stands.
    pub(super) fn place(&self, row: usize) -> Place {
        let line = |lines: Vec<u64>| self.lines.get_or_init(|| lines).get(row).copied().unwrap_or_default();
        let at = match self.format {
            Format::Parquet => At::Row(row as u64 + 1),
            _ if self.lines.get().is_some() => At::Line(line(Vec::new())),
            // The file was read a moment ago; if it is gone now, line 0 says that the place is unknown.
            Format::Delimited(dialect) => At::Line(line(
                std::fs::read(&self.path).map_or(Vec::new(), |bytes| delimited::lines(&bytes, dialect)),
            )),
            Format::JsonLines => At::Line(line(
                std::fs::read(&self.path)
                    .map_or(Vec::new(), |bytes| json_lines::filled(&bytes).map(|(line, _)| line).collect()),
            )),
        };
        Place { path: self.path.clone(), at }
    }
}

/// Columns of text.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) source: TableSource,
    frame: DataFrame,
}

impl Table {
    /// Reads the wanted columns.
    ///
    /// # Errors
    /// Every missing or doubled column, ragged line and invalid byte, with its place.
    pub(super) fn read(path: &Path, format: Format, wanted: &[Wanted]) -> Result<Self, DataError> {
        let bytes = read_file(path, "data.source.file")?;
        let frame = match format {
            Format::Delimited(dialect) => delimited::read(path, &bytes, dialect, wanted)?,
            Format::JsonLines => json_lines::read(path, &bytes, wanted)?,
            Format::Parquet => parquet::read(path, &bytes, wanted)?,
        };
        if frame.height() == 0 {
            return Err(DataError::Empty { path: path.into(), unit: "rows" });
        }
        Ok(Self { source: TableSource { path: path.into(), format, lines: OnceLock::new() }, frame })
    }
    /// Number of data rows.
    pub(super) fn height(&self) -> usize {
        self.frame.height()
    }
    /// The values of a wanted column; `None` where there is none.
    ///
    /// # Panics
    /// If the column was not wanted.
    pub(super) fn texts(&self, column: &str) -> impl Iterator<Item = Option<&str>> {
        let column = self.frame.column(column).expect("the column was asked for when the table was read");
        column.str().expect("tables hold text").iter()
    }
}

/// A whole file.
pub(super) fn read_file(path: &Path, key: &'static str) -> Result<Vec<u8>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.into(), key, source })?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::Empty { path: path.into(), unit: "rows" });
    }
    Ok(bytes)
}

/// One problem per wanted column that is not among the columns found.
fn check_columns(path: &Path, wanted: &[Wanted], found: &[String]) -> Result<(), DataError> {
    let mut problems = Problems::default();
    for Wanted { column, key } in wanted.iter().filter(|wanted| !found.contains(&wanted.column)) {
        problems.add(|| DataError::MissingColumn {
            path: path.into(),
            key: key.clone(),
            column: column.clone(),
            found: found.to_vec(),
        });
    }
    problems.or(())
}

/// Names without repeats, for readers that are told what to read.
fn distinct(wanted: &[Wanted]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Wanted { column, .. } in wanted {
        if !names.contains(column) {
            names.push(column.clone());
        }
    }
    names
}

/// A frame of text columns of equal length.
fn frame(columns: Vec<(String, Vec<Option<String>>)>) -> DataFrame {
    let height = columns.first().map_or(0, |(_, values)| values.len());
    let columns = columns.into_iter().map(|(name, values)| Column::new(name.into(), values)).collect();
    DataFrame::new(height, columns).expect("columns have distinct names and one length")
}
