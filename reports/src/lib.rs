//! Reads run directories and renders them: HTML, Markdown, SVG and CSV. Links no tensor library.
//!
//! [`load`] reads a run directory (its types are in [`schema`]), [`verdict`] decides what may be claimed,
//! `sections` lay out one [`document`] that [`html`] and [`markdown`] print with the same numbers, and [`chart`]
//! draws the figures. [`render`] does all of it and touches nothing but the run directory it reads. [`sweep`] puts several
//! runs side by side; [`ui`] has the pages of a browser over many of them.

pub mod arena;
pub mod arm;
pub mod cards;
pub mod chart;
pub mod config;
pub mod document;
pub mod error;
pub mod figures;
pub mod glossary;
pub mod html;
pub mod load;
pub mod markdown;
pub mod number;
pub mod schema;
mod sections;
pub mod statistics;
pub mod summary;
pub mod sweep;
pub mod tensorboard;
pub mod ui;
pub mod verdict;

use error::ReportError;
use std::path::Path;

/// Renders the report of a run directory: `(relative path, content)` of every file, sorted by path.
///
/// The content depends on nothing but the files read (no clock, no location of the directory, no environment), so
/// rendering the same run again gives the same bytes. Writing them is the caller's business.
///
/// # Errors
/// A required file is missing or malformed (see [`load::load`]), or a figure could not be drawn.
pub fn render(run_dir: &Path) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    render_run(&load::load(run_dir)?)
}

/// [`render`] of a run that is already read, to which the caller may have added what is Parquet ([`load::Run::pairs`]).
///
/// # Errors
/// A figure could not be drawn.
pub fn render_run(run: &load::Run) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let verdict = verdict::judge(run);
    let figures = figures::all(run);
    let document = sections::document(run, &verdict, &figures)?;
    let mut files = vec![
        ("index.html".to_owned(), html::render(&document)?.into_bytes()),
        ("report.md".to_owned(), markdown::render(&document).into_bytes()),
        ("run.json".to_owned(), summary::render(run, &verdict)?.into_bytes()),
    ];
    for figure in &figures {
        files.push((figure.csv_path(), figure.csv().into_bytes()));
        files.push((figure.svg_path(), chart::standalone(figure)?.into_bytes()));
    }
    files.extend(cards::all(run)?);
    files.sort();
    Ok(files)
}
