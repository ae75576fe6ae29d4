//! `recalign export`.

use super::exit::CheckFailed;
use super::output::print;
use super::table;
use crate::cli::{ExportArgs, Exported};
use crate::data::new_items::NewItemFiles;
use crate::device::DeviceChoice;
use crate::export::assign::{self, Added, Assign, Assignment};
use crate::export::description::Layout;
use crate::export::diff::{self, AnswerDifference, Difference};
use crate::export::verify::{self, Drift};
use crate::export::{self, Export};
use crate::threads::in_pool;
use anyhow::Context as _;
use policy::ids::Code;
use std::fmt::Write as _;
use std::path::Path;

/// Added items in the printed table.
const MOST_SHOWN: usize = 20;
/// Characters of a text in it.
const LONGEST_TEXT: usize = 30;

pub(super) fn export(arguments: &ExportArgs) -> anyhow::Result<()> {
    match &arguments.exported {
        None => make(arguments),
        Some(Exported::Verify { dir }) => verify(dir),
        Some(Exported::Diff { a, b, json }) => {
            let difference = in_pool(|| diff::diff(a, b, &DeviceChoice::Cpu.open()?))?;
            print(&if *json {
                serde_json::to_string(&difference)? + "\n"
            } else {
                difference_text(&difference)?
            })
        }
        Some(Exported::Assign { dir, items, vectors, tensor, to, json }) => {
            let (items, vectors, tensor) = (items.clone(), vectors.clone(), tensor.clone());
            let files = NewItemFiles { items, vectors, tensor };
            let request = Assign { dir: dir.clone(), files, to: to.clone() };
            let assignment = in_pool(|| assign::assign(&request, &DeviceChoice::Cpu.open()?))?;
            print(&if *json {
                serde_json::to_string(&assignment)? + "\n"
            } else {
                assignment_text(&assignment, to)?
            })
        }
    }
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

fn assignment_text(assignment: &Assignment, to: &Path) -> anyhow::Result<String> {
    let Assignment { assigned, items, not_nearest, collisions, added, answers, .. } = assignment;
    let mut text = String::new();
    writeln!(text, "added {assigned} items, {items} in all: {}", to.display())?;
    writeln!(
        text,
        "distance to their codes: mean {:.4}, largest {:.4}; {not_nearest} have other codes than the nearest, {collisions} share \
         theirs with an item before them",
        assignment.mean_distance, assignment.largest_distance
    )?;
    writeln!(text, "golden requests, old beside new: {}\n", answers_text(answers))?;
    let rows: Vec<Vec<String>> = added.iter().take(MOST_SHOWN).map(added_row).collect();
    text += &table::render(&["item", "semantic ID", "distance", "nearest", "beside"], &rows);
    if added.len() > MOST_SHOWN {
        writeln!(text, "... and {} more (--json has all)", added.len() - MOST_SHOWN)?;
    }
    Ok(text)
}

fn added_row(item: &Added) -> Vec<String> {
    let codes = |codes: &[Code]| codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let named = |id: &str, text: &str| match short(text) {
        text if text.is_empty() => id.to_owned(),
        text => format!("{id} ({text})"),
    };
    let beside = item.neighbours.first().map_or_else(|| "nothing".into(), |near| named(&near.id, &near.text));
    vec![
        named(&item.id, &item.text),
        codes(&item.semantic_id),
        format!("{:.4}", item.distance),
        item.nearest_codes
            .as_deref()
            .map_or_else(|| "yes".into(), |nearest| format!("no: {}", codes(nearest))),
        beside,
    ]
}

/// The beginning of a text.
fn short(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_TEXT).collect();
    if short.len() < text.len() { short + "..." } else { short }
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
    let catalog = &difference.catalog;
    writeln!(
        text,
        "items: {} keep their semantic ID, {} moved, {} removed, {} added",
        catalog.kept, catalog.moved, catalog.removed, catalog.added
    )?;
    writeln!(text, "{}", answers_text(&difference.answers))?;
    Ok(text)
}
