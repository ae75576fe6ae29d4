//! `run.json` of the report: the record, the verdict and the evaluation for machines, with the numbers unrounded.

use crate::error::ReportError;
use crate::load::Run;
use crate::schema::{Evaluation, RunRecord};
use crate::verdict::Verdict;
use serde::Serialize;

#[derive(Serialize)]
struct Summary<'a> {
    run: &'a RunRecord,
    verdict: &'a Verdict,
    evaluation: Option<&'a Evaluation>,
}

/// The summary as indented JSON.
///
/// # Errors
/// A value cannot be represented in JSON.
pub fn render(run: &Run, verdict: &Verdict) -> Result<String, ReportError> {
    let summary = Summary { run: &run.record, verdict, evaluation: run.evaluation.as_ref() };
    let mut text = serde_json::to_string_pretty(&summary).map_err(ReportError::Summary)?;
    text.push('\n');
    Ok(text)
}
