//! The report's sections, in reading order: what may be claimed first, what it rests on after.

mod checklist;
mod cost;
mod data;
mod evaluation;
mod groups;
mod judges;
pub(crate) mod provenance;
mod scaling;
mod society;
mod stages;
mod training;
pub(crate) mod verdict;

use crate::chart::{self, Figure};
use crate::document::{Block, Cell, Document, Fact, FigureBlock, LegendItem, Span, Style, paragraph};
use crate::error::ReportError;
use crate::load::Run;
use crate::schema::Stages;
use crate::verdict::Verdict;

/// Lays out the whole report.
pub(crate) fn document(run: &Run, verdict: &Verdict, figures: &[Figure]) -> Result<Document, ReportError> {
    let shown = Figures(figures);
    let mut sections = vec![
        verdict::section(run, verdict, &shown)?,
        stages::section(run),
        data::card(run),
        data::tokenizer(run),
        training::pretraining(run, &shown)?,
    ];
    // A run that ends with pretraining has neither judges nor anything to compare with the pretrained policy.
    let aligned = run.record.stages == Stages::Alignment;
    if aligned {
        sections.extend([judges::judges(run, &shown)?, training::alignment(run, &shown)?]);
    }
    sections.push(evaluation::systems(run, &shown)?);
    sections.extend(aligned.then(|| evaluation::comparisons(run)));
    sections.extend(scaling::section(run, &shown)?);
    sections.push(groups::slices(run, &shown)?);
    sections.extend(aligned.then(|| groups::cases(run)));
    sections.push(society::section(run, &shown)?);
    sections.extend([
        cost::section(run),
        checklist::absent(run),
        provenance::config(run),
        provenance::lineage(run, &shown)?,
        provenance::reproducibility(run),
        provenance::glossary(run),
    ]);
    Ok(Document { title: run.record.name.clone(), facts: facts(run), sections })
}

fn facts(run: &Run) -> Vec<Fact> {
    let fact = |label, value: &str| {
        let key = if label == "recalign" { "version" } else { label };
        Fact { label, value: value.to_owned(), source: format!("run.json, key {key}") }
    };
    let record = &run.record;
    vec![
        fact("seed", &record.seed.to_string()),
        fact("budget", &record.budget),
        fact("device", &record.device),
        fact("recalign", &record.version),
        fact("config", &record.config_sha256.chars().take(12).collect::<String>()),
    ]
}

/// The figures a section may show.
pub(crate) struct Figures<'a>(pub(crate) &'a [Figure]);

impl Figures<'_> {
    /// The figure called `name`, when the run has the data for it.
    pub(crate) fn block(&self, name: &str) -> Result<Option<Block>, ReportError> {
        let Some(figure) = self.0.iter().find(|figure| figure.name == name) else {
            return Ok(None);
        };
        let legend = figure.legend.iter();
        Ok(Some(Block::Figure(FigureBlock {
            name: figure.name.to_owned(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            panels: chart::panels(figure)?,
            legend: legend
                .map(|(label, look)| LegendItem { swatch: chart::swatch(*look), label: label.clone() })
                .collect(),
            csv: figure.csv_path(),
            svg: figure.svg_path(),
        })))
    }
}

/// A section whose stage has not run says so instead of showing nothing.
fn missing(run: &Run, stage: &str) -> Block {
    let text = if run.unfinished.iter().any(|name| name == stage) {
        format!("The {stage} stage was started but not finished, so there is nothing to show here.")
    } else {
        format!("The {stage} stage has not run, so there is nothing to show here.")
    };
    paragraph(text)
}

/// A row of a table of facts: what, the number, its key.
fn fact_row(what: &str, value: String, stage: &str, key: &str) -> Vec<Cell> {
    vec![vec![Span::text(what)], vec![Span::number(value, stage, key)], vec![Span::code(key)]]
}

/// The first twelve digits of a hash; the whole of it on demand.
fn short_hash(hash: &str) -> Span {
    let short: String = hash.chars().take(12).collect();
    Span { style: Style::Code, ..Span::text(short).with_source(format!("sha256 {hash}")) }
}
