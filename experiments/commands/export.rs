//! `recalign export`.

mod assignment;
mod migration;

use super::exit::CheckFailed;
use super::output::print;
use crate::cli::{ExportArgs, Exported};
use crate::data::new_items::NewItemFiles;
use crate::device::DeviceChoice;
use crate::export::assign::{self, Assign};
use crate::export::description::Layout;
use crate::export::diff::{self, AnswerDifference, CatalogDifference, Difference};
use crate::export::migrate;
use crate::export::verify::{self, Drift};
use crate::export::{self, Export};
use crate::threads::in_pool;
use anyhow::Context as _;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn export(arguments: &ExportArgs) -> anyhow::Result<()> {
    match &arguments.exported {
        None => make(arguments),
        Some(Exported::Verify { dir }) => verify(dir),
        Some(Exported::Diff { a, b, json }) => {
            let difference = in_pool(|| diff::diff(a, b, &DeviceChoice::Cpu.open()?))?;
            print(&shown(&difference, *json, || difference_text(&difference))?)
        }
        Some(Exported::Migrate { old, new, json }) => {
            let migration = in_pool(|| migrate::migrate(old, new, &DeviceChoice::Cpu.open()?))?;
            print(&shown(&migration, *json, || migration::text(&migration))?)
        }
        Some(Exported::Assign { dir, items, vectors, tensor, to, json }) => {
            let (items, vectors, tensor) = (items.clone(), vectors.clone(), tensor.clone());
            let files = NewItemFiles { items, vectors, tensor };
            let request = Assign { dir: dir.clone(), files, to: to.clone() };
            let assignment = in_pool(|| assign::assign(&request, &DeviceChoice::Cpu.open()?))?;
            print(&shown(&assignment, *json, || assignment::text(&assignment, to))?)
        }
    }
}

/// For programs or for people.
fn shown(
    result: &impl serde::Serialize,
    json: bool,
    text: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    if json { Ok(serde_json::to_string(result)? + "\n") } else { text() }
}

fn make(arguments: &ExportArgs) -> anyhow::Result<()> {
    let missing = "checked when arguments are parsed";
    let request = Export {
        run: arguments.run.clone().context(missing)?,
        to: arguments.to.clone().context(missing)?,
        policy: arguments.policy.clone(),
        precision: arguments.precision,
        golden: arguments.golden,
        requests: arguments.requests,
    };
    let layout = in_pool(|| export::export(&request, &DeviceChoice::Cpu.open()?))?;
    let note = match layout {
        Layout::HuggingFace => "transformers loads it, `recalign serve` too",
        Layout::Native => {
            "a native bundle: Hugging Face's layouts cannot express this architecture; `recalign serve` loads it"
        }
    };
    print(&format!("exported: {} ({note})\n", request.to.display()))
}

fn verify(dir: &Path) -> anyhow::Result<()> {
    let verdict = in_pool(|| verify::verify(dir, &DeviceChoice::Cpu.open()?))?;
    let mut text = String::new();
    for problem in &verdict.problems {
        writeln!(text, "MISMATCH {problem}")?;
    }
    if let Some(Drift { requests, logits, log_prob, .. }) = verdict.replay {
        writeln!(
            text,
            "replayed {requests} requests: logits differ by {logits:.1e}, log-probabilities by {log_prob:.1e}"
        )?;
    }
    match verdict.problems.first() {
        None => {
            print(&(text + &format!("verified: {} files and the golden requests match\n", verdict.files)))
        }
        Some(first) => {
            print(&text)?;
            Err(CheckFailed(format!("{} does not verify; first mismatch: {first}", dir.display())).into())
        }
    }
}

fn catalog_text(catalog: &CatalogDifference) -> String {
    let CatalogDifference { kept, moved, removed, added } = catalog;
    format!("items: {kept} keep their semantic ID, {moved} moved, {removed} removed, {added} added")
}

fn answers_text(answers: &AnswerDifference) -> String {
    let AnswerDifference { requests, same_first, overlap, score_drift } = answers;
    format!(
        "{requests} requests: same first item {same_first:.3}, overlap of the lists {overlap:.3}, log-probabilities drift by \
         {score_drift:.2e}"
    )
}

fn difference_text(difference: &Difference) -> anyhow::Result<String> {
    let mut text = String::new();
    if difference.files.is_empty() {
        writeln!(text, "the files are the same")?;
    }
    for file in &difference.files {
        writeln!(text, "differs  {file}")?;
    }
    for (name, a, b) in &difference.settings {
        writeln!(text, "{name}: {a} -> {b}")?;
    }
    writeln!(text, "{}", catalog_text(&difference.catalog))?;
    writeln!(text, "{}", answers_text(&difference.answers))?;
    Ok(text)
}
