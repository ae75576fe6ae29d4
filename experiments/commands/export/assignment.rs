//! What `recalign export assign` prints.

use super::super::table;
use super::answers_text;
use crate::export::assign::{Added, Assignment};
use policy::ids::Code;
use std::fmt::Write as _;
use std::path::Path;

/// Added items in the printed table.
const MOST_SHOWN: usize = 20;
/// Characters of a text in it.
const LONGEST_TEXT: usize = 30;

/// Totals, then the first items.
pub(super) fn text(assignment: &Assignment, to: &Path) -> anyhow::Result<String> {
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
