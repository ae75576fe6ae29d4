//! What can go wrong between a run directory and its report.

use plotters::drawing::DrawingAreaErrorKind;
use std::path::PathBuf;

/// A report that cannot be rendered; every variant names the file or figure at fault.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The directory has no `run.json`.
    #[error(
        "{0} is not a run directory: it has no run.json; pass the directory `recalign run` wrote to (runs/<name>)"
    )]
    NotARun(PathBuf),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what its schema says.
    #[error(
        "{path}, line {line}: not a valid {what}; the file was changed or written by another version, re-run that stage"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line the parser stopped at, from 1.
        line: usize,
        /// What was expected.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A figure could not be drawn.
    #[error("cannot draw figure {figure}")]
    Chart {
        /// Its name.
        figure: String,
        /// Why.
        #[source]
        source: DrawingAreaErrorKind<std::io::Error>,
    },
    /// The page template failed.
    #[error("cannot render the page")]
    Template(#[from] minijinja::Error),
    /// The summary could not be written as JSON.
    #[error("cannot write the summary as JSON")]
    Summary(#[source] serde_json::Error),
}
