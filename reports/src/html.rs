//! The document as one HTML file: style and pictures inline, nothing fetched, nothing that needs a script.

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
}

/// Renders the page. Every text of the document is data and is escaped.
///
/// # Errors
/// The template does not fit the document; a test renders every kind of block.
pub fn render(document: &Document) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template(PAGE, include_str!("html/page.html"))?;
    let page = Page { document, sheet: include_str!("html/page.css"), charts: chart::css() };
    Ok(environment.get_template(PAGE)?.render(Serde(&page))?)
}
