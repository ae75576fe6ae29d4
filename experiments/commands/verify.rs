//! `recalign verify`.

use super::exit::CheckFailed;
use super::output::print;
use super::signals;
use crate::pipeline;
use crate::run::layout::Layout;
use crate::run::recompute::{Recomputation, report_differences};
use crate::run::{commit, verify as check};
use crate::threads::in_pool;
use anyhow::Context as _;
use reports::schema::RunRecord;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn verify(run: &Path, recompute: Option<&str>) -> anyhow::Result<()> {
    verify_hashes(run)?;
    let Some(stage) = recompute else { return Ok(()) };
    let differences = match stage {
        "report" => report_differences(run)?,
        stage => stage_differences(run, stage)?,
    };
    match differences.as_slice() {
        [] => print(&format!("recomputed: every byte of {stage} is the same\n")),
        [first, ..] => Err(CheckFailed(format!(
            "{stage} of {} is not what is computed now, {} file(s) differ; first: {first}",
            run.display(),
            differences.len()
        ))
        .into()),
    }
}

/// Computes the stage in a temporary directory and removes that again.
fn stage_differences(run: &Path, stage: &str) -> anyhow::Result<Vec<String>> {
    let layout = Layout::existing(run)?;
    let config = crate::config::load(&layout.config(), &[])?;
    let record: RunRecord =
        serde_json::from_slice(&std::fs::read(layout.record()).context("cannot read run.json")?)
            .context("run.json is not a run record")?;
    let scratch = std::env::temp_dir().join(format!("recalign-recompute-{}", std::process::id()));
    commit::remove_directory(&scratch)?;
    let recomputation = Recomputation::open((run, stage), (&config, record.device.parse()?), &scratch)?;
    let (stop, last) = (recomputation.run().stop_flag(), stage.to_owned());
    let outcome = signals::supervise(&stop, move || {
        in_pool(|| pipeline::run(recomputation.run(), &config, Some(&last)))?;
        recomputation.differences()
    });
    commit::remove_directory(&scratch)?;
    outcome
}

fn verify_hashes(run: &Path) -> anyhow::Result<()> {
    let verdicts = check::verify(run)?;
    let mut text = String::new();
    for verdict in &verdicts {
        let state = if verdict.problems.is_empty() { "ok" } else { "MISMATCH" };
        writeln!(text, "{state:<8} {} ({} files, {} bytes)", verdict.part, verdict.files, verdict.bytes)?;
        for problem in &verdict.problems {
            writeln!(text, "         {}: {problem}", verdict.part)?;
        }
        for note in &verdict.notes {
            writeln!(text, "         note: {note}")?;
        }
    }
    let broken: Vec<_> = verdicts.iter().filter(|verdict| !verdict.problems.is_empty()).collect();
    if broken.is_empty() {
        writeln!(text, "verified: every hash and every input matches")?;
        return print(&text);
    }
    print(&text)?;
    let first = format!("{}: {}", broken[0].part, broken[0].problems[0]);
    Err(CheckFailed(format!("{} does not verify; first mismatch: {first}", run.display())).into())
}
