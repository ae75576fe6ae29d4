//! The document as one HTML file: style, pictures and a small script inline, nothing fetched. Everything can be read without the
//! script; it adds values under the pointer, lines that can be hidden and a logarithmic axis.

use crate::chart;
use crate::document::Document;
use crate::error::ReportError;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

/// Name of the template; its extension switches escaping on.
const PAGE: &str = "index.html";

#[derive(Serialize)]
struct Page<'a> {
    document: &'a Document,
    sheet: &'a str,
    charts: String,
    script: &'a str,
}

/// Renders the page. Every text of the document is data and is escaped.
///
/// # Errors
/// The template does not fit the document; a test renders every kind of block.
pub fn render(document: &Document) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template(PAGE, include_str!("html/page.html"))?;
    let (sheet, script) = (include_str!("html/page.css"), include_str!("html/page.js"));
    let page = Page { document, sheet, charts: chart::css(), script };
    Ok(environment.get_template(PAGE)?.render(Serde(&page))?)
}
