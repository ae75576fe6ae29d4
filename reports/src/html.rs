//! The document as one HTML file: style, pictures and a small script inline, nothing fetched. Everything can be read without the
//! script; it adds values under the pointer, lines that can be hidden and a logarithmic axis.

use crate::chart;
use crate::document::{Block, Document};
use crate::error::ReportError;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

/// Name of the template; its extension switches escaping on.
const PAGE: &str = "index.html";
/// What a report's page adds to reading it; run again, it finds the figures that have come since.
pub const SCRIPT: &str = include_str!("html/page.js");

#[derive(Serialize)]
struct Page<'a> {
    document: &'a Document,
    sheet: &'a str,
    charts: String,
    script: &'a str,
}

#[derive(Serialize)]
struct Fragment<'a> {
    blocks: &'a [Block],
}

/// Renders the page. Every text of the document is data and is escaped.
///
/// # Errors
/// The template does not fit the document; a test renders every kind of block.
pub fn render(document: &Document) -> Result<String, ReportError> {
    let template = concat!(
        include_str!("html/head.html"),
        include_str!("html/block.html"),
        include_str!("html/tail.html")
    );
    fill(template, &Page { document, sheet: SHEET, charts: chart::css(), script: SCRIPT })
}

/// Blocks as they look in a page, for pages that are no reports.
///
/// # Errors
/// As [`render`].
pub fn fragment(blocks: &[Block]) -> Result<String, ReportError> {
    let template =
        concat!("{% for block in blocks -%}\n", include_str!("html/block.html"), "{% endfor -%}\n");
    fill(template, &Fragment { blocks })
}

/// The style of a report's page.
const SHEET: &str = include_str!("html/page.css");

/// The style of a report's page and of its pictures, as a file.
pub fn style() -> String {
    format!("{SHEET}{}", chart::css())
}

/// The text of a page's script element, byte for byte: what a content security policy hashes.
pub fn inline_script() -> String {
    format!("\n{SCRIPT}\n")
}

/// A template with its values, every one of them escaped.
pub(crate) fn fill(template: &str, values: &impl Serialize) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template(PAGE, template)?;
    Ok(environment.get_template(PAGE)?.render(Serde(values))?)
}
