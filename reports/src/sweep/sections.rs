//! The page of a sweep: what was found first, what it rests on after.

use super::{State, Sweep, configs, cost, prediction, quality, seeds};
use crate::chart::Figure;
use crate::document::{Block, Cell, Document, Fact, Section, Span, Style, Tone};
use crate::error::ReportError;
use crate::sections::{Figures, provenance};

pub(super) fn document(sweep: &Sweep, figures: &[Figure]) -> Result<Document, ReportError> {
    let shown = Figures(figures);
    let mut sections = vec![result(sweep, &shown)?];
    sections.extend(quality::differences(sweep));
    let seeds = seeds::section(sweep).map(|mut section| {
        shown.block("profile").map(|block| {
            section.blocks.extend(block);
            section
        })
    });
    sections.extend(seeds.transpose()?);
    sections.extend(quality::others(sweep));
    sections.extend(training(&shown)?);
    sections.extend(configs::section(sweep));
    sections.extend(cost::semantic_ids(sweep));
    sections.extend(prediction::section(sweep));
    sections.extend(quality::published(sweep));
    sections.push(cost::runs(sweep));
    sections.push(provenance::glossary_of(&keys(sweep)));
    Ok(Document { title: sweep.name.clone(), facts: facts(sweep), sections })
}

fn facts(sweep: &Sweep) -> Vec<Fact> {
    let fact = |label, value: String| Fact { label, value, source: format!("sweep.json, {label}") };
    let mut facts = vec![
        fact("rows", sweep.rows().len().to_string()),
        fact("runs", sweep.runs.len().to_string()),
        fact("recalign", sweep.version.clone()),
    ];
    facts.extend(sweep.baseline.clone().map(|row| fact("compared with", row)));
    facts.extend(sweep.until.clone().map(|stage| fact("until", stage)));
    facts
}

fn result(sweep: &Sweep, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let words = Span::text(quality::headline(sweep).join(" "))
        .styled(Style::Strong)
        .with_source("sweep.json, runs and lines of the rows that are named");
    let mut blocks = vec![Block::Paragraph { spans: vec![words] }];
    blocks.extend(failures(sweep));
    blocks.extend(seeds::verdicts(sweep));
    blocks.extend(quality::comparison(sweep));
    blocks.extend(figures.block("ranking")?);
    blocks.push(limits(sweep));
    Ok(Section { id: "result", title: "Result", blocks })
}

/// Runs that failed or never ran.
fn failures(sweep: &Sweep) -> Option<Block> {
    let failed = sweep.runs.iter().filter_map(|run| match &run.state {
        State::Failed { error } => Some(failure(&run.directory, error, "failed")),
        State::Diverged { error } => Some(failure(&run.directory, error, "diverged")),
        State::Finished | State::Dropped { .. } | State::Unfinished => None,
    });
    let evidence: Vec<_> = failed.collect();
    (!evidence.is_empty()).then(|| Block::Callout {
        tone: Tone::Alarm,
        title: "Failed runs".to_owned(),
        spans: vec![Span::text("They are left out of every number; the same command tries them again.")],
        evidence,
    })
}

fn failure(run: &str, error: &str, how: &str) -> [Cell; 3] {
    [vec![Span::code(run)], vec![Span::text(error)], vec![Span::text(how).styled(Style::Bad)]]
}

/// What the numbers cannot say.
fn limits(sweep: &Sweep) -> Block {
    let mut sentences = vec![
        "Intervals cover the choice of test users, not the spread between training runs: the range of the seeds shows that, \
         where there are several. Who compares many rows on the test split finds a best one by chance alone: choose by the \
         validation items.",
    ];
    let smoke = sweep.runs.iter().any(|run| run.budget == "smoke");
    if smoke {
        let words = "The budget was smoke: every stage was shrunk to check that it works, and no number here is a result.";
        sentences.push(words);
    }
    let tone = if smoke { Tone::Alarm } else { Tone::Neutral };
    let spans = vec![Span::text(sentences.join(" "))];
    Block::Callout { tone, title: "Limits".to_owned(), spans, evidence: Vec::new() }
}

fn training(figures: &Figures<'_>) -> Result<Option<Section>, ReportError> {
    let blocks: Vec<Block> =
        [figures.block("training")?, figures.block("alignment")?].into_iter().flatten().collect();
    Ok((!blocks.is_empty()).then_some(Section { id: "training", title: "Training", blocks }))
}

/// Metric keys of the page.
fn keys(sweep: &Sweep) -> Vec<&str> {
    let mut keys = sweep.keys();
    keys.extend(cost::KEYS);
    if sweep.runs.iter().any(|run| run.tokenizer.is_some()) {
        keys.extend(cost::TOKENIZER_KEYS);
        keys.push("sids/gini_of_all_ids");
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}
