//! Pages of a browser over run directories: lists, a run that grows, preference pairs. They look like reports and are read like them,
//! without a script; `ui/ui.js` replaces what has changed, no more.
//!
//! Names, item texts and paths are data: the template escapes all of them. Whoever serves the pages makes the links.

use crate::chart::Plot;
use crate::document::{Block, Column, Span, Style, Table, Tone, paragraph};
use crate::error::ReportError;
use crate::load::Run;
use crate::sections::{Figures, verdict as words};
use crate::{figures, html, number, verdict};
use serde::Serialize;

/// The script that keeps a page up to date. It fetches [`html::SCRIPT`] from beside itself, as `report.js`.
pub const SCRIPT: &str = include_str!("ui/ui.js");

/// The style of the pages.
pub fn style() -> String {
    html::style() + include_str!("ui/ui.css")
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it says.
    pub text: String,
    /// Where it leads, percent-encoded.
    pub href: String,
}

impl Link {
    /// A link.
    pub fn new(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self { text: text.into(), href: href.into() }
    }
}

/// How a page is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Follow {
    /// Where the content can be asked for.
    pub href: String,
    /// The entity tag of the content that the page has.
    pub tag: String,
}

/// A page.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Where it belongs, outermost first.
    pub trail: Vec<Link>,
    /// What is near it.
    pub links: Vec<Link>,
    /// How its content is asked for again; absent when it does not change.
    pub follow: Option<Follow>,
    /// The content, as [`listing`], [`live`] or [`blocks`] wrote it.
    pub content: String,
}

/// The runs below a directory.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// Directories of several runs with a page of their own.
    pub sweeps: Vec<SweepLine>,
    /// Runs.
    pub runs: Vec<RunLine>,
    /// What the list leaves out.
    pub note: Option<String>,
}

/// A sweep in the list.
#[derive(Clone, Debug, Serialize)]
pub struct SweepLine {
    /// Its comparison.
    pub link: Link,
    /// Runs below it.
    pub runs: usize,
}

/// A run in the list.
#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    /// Its page.
    pub link: Link,
    /// What chooses it for a comparison.
    pub value: String,
    /// The seed; empty when it is not known.
    pub seed: String,
    /// `running`, `finished`, ...
    pub state: String,
    /// Whether it is being written.
    pub running: bool,
    /// The stage it is in, or the last one.
    pub stage: String,
    /// The last telling metric: key and value.
    pub metric: Option<[String; 2]>,
    /// Alarms, and what is wrong with the directory.
    pub alarms: Vec<String>,
    /// Its report.
    pub report: Option<String>,
}

/// Renders a page.
///
/// # Errors
/// The template does not fit; a test renders every part of it.
pub fn render(page: &Page) -> Result<String, ReportError> {
    html::fill(include_str!("ui/page.html"), page)
}

/// The content of the list's page.
///
/// # Errors
/// As [`render`].
pub fn listing(listing: &Listing) -> Result<String, ReportError> {
    html::fill(include_str!("ui/list.html"), listing)
}

/// Blocks as content.
///
/// # Errors
/// As [`render`].
pub fn blocks(blocks: &[Block]) -> Result<String, ReportError> {
    html::fragment(blocks)
}

/// The content of a run's page: how it is in a word, what may be claimed, the stages, and every curve that was measured so far.
///
/// # Errors
/// A figure could not be drawn.
pub fn live(run: &Run, state: &str, stages: Vec<Vec<String>>) -> Result<String, ReportError> {
    let record = &run.record;
    let facts = format!("; seed {}, budget {}, device {}.", record.seed, record.budget, record.device);
    let spans = vec![Span::text(state).styled(Style::Strong), Span::text(facts)];
    let mut content = vec![Block::Paragraph { spans }];
    content.extend(verdict::judge(run).systems.iter().map(words::system));
    content.extend(not_finite(run));
    content.push(stage_table(stages));
    let figures = figures::all(run);
    let curves = |figure: &&crate::chart::Figure| {
        figure.panels.iter().all(|panel| matches!(panel.plot, Plot::Curves(_)))
    };
    let shown = Figures(&figures);
    let before = content.len();
    for figure in figures.iter().filter(curves) {
        content.extend(shown.block(figure.name)?);
    }
    if content.len() == before {
        content.push(paragraph("No curve has been measured yet."));
    }
    blocks(&content)
}

/// The alarms of a run's evaluation, in sentences.
pub fn alarms(run: &Run) -> Vec<String> {
    let systems = verdict::judge(run).systems;
    let alarm = |system: &verdict::SystemVerdict| {
        let (alarm, judge) = system.alarm.as_ref()?;
        Some(format!("{}: {}", system.system, words::alarm_words(*alarm, judge.as_deref())))
    };
    systems.iter().filter_map(alarm).collect()
}

/// What an evaluated run comes to: the headline ranking metric of its last policy, named with the policy.
pub fn headline(run: &Run) -> Option<[String; 2]> {
    let evaluation = run.evaluation.as_ref()?;
    let key = verdict::headline_ranking(evaluation)?;
    let system = evaluation.systems.iter().rev().find(|system| system.role != "baseline")?;
    let value = number::estimate(system.metrics.get(&key)?);
    Some([format!("{key} {}", system.name), value])
}

fn not_finite(run: &Run) -> Option<Block> {
    let first = run.not_finite.first()?;
    let text = format!(
        "{} measurements are no finite number, the first of them {} of {} at step {}.",
        run.not_finite.len(),
        first.key,
        first.stage,
        first.step
    );
    let title = "Not finite".to_owned();
    Some(Block::Callout { tone: Tone::Alarm, title, spans: vec![Span::text(text)], evidence: Vec::new() })
}

fn stage_table(rows: Vec<Vec<String>>) -> Block {
    if rows.is_empty() {
        return paragraph("No stage has begun.");
    }
    let columns =
        vec![Column::text("stage"), Column::text("state"), Column::number("time"), Column::number("left")];
    let cell = |text: String| vec![Span::text(text).styled(Style::Name)];
    let rows = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    Block::Table(Table { caption: "Stages".into(), columns, rows })
}

#[cfg(test)]
mod tests;
