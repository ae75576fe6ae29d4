//! A report before it is HTML or Markdown: sections of paragraphs, tables, figures and code. Every number carries
//! where it came from.

use serde::Serialize;

/// A whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// The run's name.
    pub title: String,
    /// Facts under the title.
    pub facts: Vec<Fact>,
    /// Sections in reading order.
    pub sections: Vec<Section>,
}

/// A labelled fact.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// What.
    pub label: &'static str,
    /// Value.
    pub value: String,
    /// Where the value came from.
    pub source: String,
}

/// A section with a heading that the table of contents links to.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Anchor.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Content.
    pub blocks: Vec<Block>,
}

/// One piece of a section.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Block {
    /// Running text.
    Paragraph {
        /// Its parts.
        spans: Vec<Span>,
    },
    /// A finding set apart.
    Callout {
        /// How it looks.
        tone: Tone,
        /// What it is about.
        title: String,
        /// What it says.
        spans: Vec<Span>,
        /// What that rests on: what, how much, how to read it.
        evidence: Vec<[Cell; 3]>,
    },
    /// A table.
    Table(Table),
    /// A figure.
    Figure(FigureBlock),
    /// Preformatted text.
    Code {
        /// What it is, for assistive technology and the Markdown fence.
        label: &'static str,
        /// The text.
        text: String,
    },
}

/// How a callout is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// A claim that holds.
    Good,
    /// Nothing to claim, or a limit to know.
    Neutral,
    /// Something to distrust.
    Alarm,
}

/// Text, or a number with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// What is printed.
    pub text: String,
    /// Stage and metric key the number came from.
    pub source: Option<String>,
    /// How it is printed.
    pub style: Style,
}

/// How a span is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// As running text.
    Plain,
    /// Emphasised.
    Strong,
    /// A key, a file, a hash.
    Code,
    /// A name that must not be broken over lines.
    Name,
    /// Good news, in words that do not depend on colour.
    Good,
    /// Bad news.
    Bad,
    /// Neither.
    Quiet,
}

impl Span {
    /// Running text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None, style: Style::Plain }
    }

    /// A number from `stage`, under `key`.
    pub fn number(text: String, stage: &str, key: &str) -> Self {
        Self { text, source: Some(format!("stage {stage}, key {key}")), style: Style::Plain }
    }

    /// A key, a file name, a hash.
    pub fn code(text: impl Into<String>) -> Self {
        Self { style: Style::Code, ..Self::text(text) }
    }

    /// The same span in another style.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// The same span with a source or a fuller form to show on demand.
    #[must_use]
    pub fn with_source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

/// A table; the first column heads its row.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Above the table.
    pub caption: String,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows of cells, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell: a few spans.
pub type Cell = Vec<Span>;

/// A column.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Heading.
    pub label: String,
    /// Alignment.
    pub align: Align,
}

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
    /// Sentences, which need room.
    Prose,
}

impl Column {
    /// A column of text.
    pub fn text(label: impl Into<String>) -> Self {
        Self { label: label.into(), align: Align::Left }
    }

    /// A column of sentences.
    pub fn prose(label: impl Into<String>) -> Self {
        Self { label: label.into(), align: Align::Prose }
    }

    /// A column of numbers.
    pub fn number(label: impl Into<String>) -> Self {
        Self { label: label.into(), align: Align::Right }
    }
}

/// A figure as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct FigureBlock {
    /// File stem under `figures/`.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// Inline SVG of every panel.
    pub panels: Vec<String>,
    /// Legend entries.
    pub legend: Vec<LegendItem>,
    /// Path of the data.
    pub csv: String,
    /// Path of the picture.
    pub svg: String,
}

/// A legend entry.
#[derive(Clone, Debug, Serialize)]
pub struct LegendItem {
    /// Inline SVG of the line or marker.
    pub swatch: String,
    /// Name.
    pub label: String,
}

/// A number with its interval, the interval less loudly, and where both came from.
pub fn estimate_cell(text: &str, source: &str) -> Cell {
    let number = |text: &str| Span::text(text).with_source(source);
    match text.split_once(' ') {
        Some((value, interval)) => {
            vec![number(value), Span::text(" "), number(interval).styled(Style::Quiet)]
        }
        None => vec![number(text)],
    }
}

/// A paragraph whose numbers all came from one place.
pub fn sourced_paragraph(text: impl Into<String>, source: impl Into<String>) -> Block {
    Block::Paragraph { spans: vec![Span::text(text).with_source(source)] }
}

/// A paragraph of plain text.
pub fn paragraph(text: impl Into<String>) -> Block {
    Block::Paragraph { spans: vec![Span::text(text)] }
}
