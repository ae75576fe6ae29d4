//! What can be wrong with a user's files. Every message names the file, the line, the value and a remedy.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Problems listed in one error; the rest are counted.
pub const MOST_PROBLEMS: usize = 20;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub at: At,
}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A line of text, from 1.
    Line(u64),
    /// A row of a Parquet file or a tensor, from 1.
    Row(u64),
}

impl At {
    /// Line or row number.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Line(number) | Self::Row(number) => number,
        }
    }
}

impl Place {
    pub(super) fn line(path: &Path, line: u64) -> Self {
        Self { path: path.into(), at: At::Line(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::Line(line) => write!(out, "{}, line {line}", self.path.display()),
            At::Row(row) => write!(out, "{}, row {row}", self.path.display()),
        }
    }
}

/// A defect of the input data, or several.
#[derive(Debug, Error)]
pub enum DataError {
    /// Several defects at once, in file order.
    #[error("{}", list(.problems, *.more))]
    Many {
        /// The first [`MOST_PROBLEMS`].
        problems: Vec<DataError>,
        /// How many others there are.
        more: u64,
    },
    /// A file cannot be opened or read.
    #[error("cannot read {}; check `{key}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The configuration key that names it.
        key: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A configuration key does not fit the data.
    #[error("`{key}` = {value} {problem}; {remedy}")]
    Setting {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// There is no data row.
    #[error("{}: the file has no data {unit}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was expected, for example `rows`.
        unit: &'static str,
    },
    /// A table lacks a column.
    #[error("{}: no column `{column}` (asked for by `{key}`){}; the columns are {}", path.display(), hint(.column, .found), names(.found))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The configuration key that asks for the column.
        key: String,
        /// The column.
        column: String,
        /// What the file has instead.
        found: Vec<String>,
    },
    /// Two columns have one name.
    #[error("{place}: the header has column `{column}` twice")]
    DuplicateColumn {
        /// The header.
        place: Place,
        /// The column.
        column: String,
    },
    /// A line has another number of fields than the header (or of gaps than items).
    #[error("{place}: {found} {unit}, expected {expected}")]
    Ragged {
        /// The line.
        place: Place,
        /// Number found.
        found: u64,
        /// Number expected.
        expected: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// A value cannot be used.
    #[error("{place}: {column} is `{value}`, expected {expected}")]
    Value {
        /// Where it stands.
        place: Place,
        /// The column or field.
        column: String,
        /// The value as text, shortened.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// An id that must be unique occurs again.
    #[error("{place}: {what} `{id}` occurs twice{}", first.map_or(String::new(), |line| format!(", first on line {line}")))]
    Repeated {
        /// The second occurrence.
        place: Place,
        /// `user`, `item`.
        what: &'static str,
        /// The id.
        id: String,
        /// Line of the first occurrence, where known.
        first: Option<u64>,
    },
    /// Text is not UTF-8.
    #[error("{place}: the line is not valid UTF-8; convert the file, for example with `iconv -t UTF-8`")]
    Utf8 {
        /// The line.
        place: Place,
    },
    /// Text cannot be parsed.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        problem: String,
    },
    /// A user cannot be split into training, validation and test.
    #[error(
        "{place}: user `{user}` has {found} interaction{}, leave-one-out needs 3; set `data.k_core = 3` to drop such users",
        if *.found == 1 { "" } else { "s" }
    )]
    TooFew {
        /// The user's first interaction.
        place: Place,
        /// The user's id.
        user: String,
        /// Interactions after filters.
        found: u64,
    },
    /// A Parquet file cannot be read or written.
    #[error("{}: {problem}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
        /// The cause, if another library found it.
        #[source]
        source: Option<polars::prelude::PolarsError>,
    },
    /// A safetensors file is broken.
    #[error("{}: not a complete safetensors file ({} bytes); it may be truncated, copy it again", path.display(), bytes)]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The cause.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Embeddings do not fit the items or cannot be used.
    #[error("{}: {problem}; {remedy}", path.display())]
    Embeddings {
        /// The file.
        path: PathBuf,
        /// What is wrong, with both numbers where two numbers disagree.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

fn list(problems: &[DataError], more: u64) -> String {
    let shown: Vec<String> = problems.iter().map(|problem| format!("\n  {}", chain(problem))).collect();
    let rest = if more == 0 { String::new() } else { format!("\n  and {more} more") };
    format!("{} problems in the data:{}{rest}", problems.len() as u64 + more, shown.concat())
}

/// A problem with its causes on one line, for a list.
fn chain(problem: &DataError) -> String {
    let causes = std::iter::successors(problem.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(problem.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn names(found: &[String]) -> String {
    found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn hint(column: &str, found: &[String]) -> String {
    found
        .iter()
        .map(|name| (strsim::jaro_winkler(&column.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, name)| format!(", did you mean `{name}`?"))
}

/// A value for a message: control characters escaped, at most 60 characters.
pub(super) fn shown(value: &str) -> String {
    let text: String = value.chars().take(60).flat_map(char::escape_debug).collect();
    if value.chars().nth(60).is_some() { text + "..." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_stranger_is_not() {
        let found = ["user_id".to_owned(), "rating".to_owned()];
        assert_eq!(hint("userid", &found), ", did you mean `user_id`?");
        assert_eq!(hint("zzz", &found), "");
    }

    #[test]
    fn values_in_messages_are_short_and_escaped() {
        assert_eq!(shown("a\tb\u{1b}[31m"), "a\\tb\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(61)), "x".repeat(60) + "...");
    }
}
