//! `recalign verify`.

use super::exit::CheckFailed;
use super::output::print;
use crate::run::verify as check;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn verify(run: &Path) -> anyhow::Result<()> {
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
