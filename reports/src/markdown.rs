//! The document as Markdown: the same sections and numbers as the page, figures linked as files.

use crate::document::{Align, Block, Cell, Document, FigureBlock, Span, Style, Table};
use std::fmt::Write as _;

/// Renders the document.
pub fn render(document: &Document) -> String {
    let facts: Vec<_> =
        document.facts.iter().map(|fact| format!("{} {}", fact.label, escape(&fact.value))).collect();
    let mut text = format!("# {}\n\n{}\n", escape(&document.title), facts.join(" · "));
    for section in &document.sections {
        let _ = write!(text, "\n## {}\n", section.title);
        for block in &section.blocks {
            text.push('\n');
            push_block(&mut text, block);
        }
    }
    text
}

fn push_block(text: &mut String, block: &Block) {
    match block {
        Block::Paragraph { spans } => text.push_str(&line(spans)),
        Block::Callout { title, spans, evidence, .. } => push_callout(text, title, spans, evidence),
        Block::Table(table) => push_table(text, table),
        Block::Figure(figure) => push_figure(text, figure),
        Block::Code { label, text: code } => push_code(text, label, code),
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

fn push_callout(text: &mut String, title: &str, spans: &[Span], evidence: &[[Cell; 3]]) {
    let _ = writeln!(text, "> **{}.** {}", escape(title), line(spans));
    if !evidence.is_empty() {
        text.push_str(">\n");
    }
    for [what, amount, reading] in evidence {
        let _ = writeln!(text, "> - {}: {} {}", line(what), line(amount), line(reading));
    }
}

fn line(spans: &[Span]) -> String {
    spans.iter().map(span).collect()
}

fn span(span: &Span) -> String {
    match span.style {
        Style::Code => code(&span.text),
        Style::Strong | Style::Good | Style::Bad if !span.text.trim().is_empty() => {
            format!("**{}**", escape(&span.text))
        }
        _ => escape(&span.text),
    }
}

fn push_table(text: &mut String, table: &Table) {
    let _ = write!(text, "**{}**\n\n", escape(&table.caption));
    let labels: Vec<_> = table.columns.iter().map(|column| escape(&column.label)).collect();
    let rules: Vec<_> = table
        .columns
        .iter()
        .map(|column| if column.align == Align::Right { "---:" } else { "---" })
        .collect();
    let _ = writeln!(text, "| {} |\n| {} |", labels.join(" | "), rules.join(" | "));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(|cell| line(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn push_figure(text: &mut String, figure: &FigureBlock) {
    let title = escape(&figure.title);
    let _ = writeln!(text, "![{title}]({})\n", figure.svg);
    let _ = writeln!(text, "*{title}.* {} Data: [{csv}]({csv}).", escape(&figure.caption), csv = figure.csv);
}

/// A fenced block whose fence is longer than any run of backticks inside.
fn push_code(text: &mut String, label: &str, code: &str) {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = write!(text, "{fence}{label}\n{}\n{fence}\n", code.trim_end());
}

/// An inline code span; backticks and bars would end it or the table cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace(['`', '\n', '\r'], " ").replace('|', "\\|"))
}

/// Text that Markdown and HTML inside Markdown leave alone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
