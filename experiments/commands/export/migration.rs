//! What `recalign export migrate` prints.

use super::super::table;
use super::catalog_text;
use crate::export::migrate::{AnswerMove, Change, Migration};
use std::fmt::Write as _;

/// Items, levels, answers.
pub(super) fn text(migration: &Migration) -> anyhow::Result<String> {
    let Migration { level_sizes: [before, after], catalog, levels, answers, .. } = migration;
    let sizes = |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
    let mut text = String::new();
    writeln!(text, "codes: {} -> {}", sizes(before), sizes(after))?;
    writeln!(text, "{}\n", catalog_text(catalog))?;
    let share = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows: Vec<Vec<String>> = (1..)
        .zip(levels)
        .map(|(number, level)| {
            let jaccard = level.jaccard.map_or_else(|| "-".into(), |jaccard| format!("{jaccard:.3}"));
            vec![number.to_string(), share(level.moved), share(level.prefix_moved), jaccard]
        })
        .collect();
    text += &table::render(&["level", "another code", "another prefix", "same neighbours (Jaccard)"], &rows);
    text += &answers_text(answers)?;
    Ok(text)
}

fn answers_text(answers: &AnswerMove) -> anyhow::Result<String> {
    let AnswerMove { requests, same_first, overlap, gone, log_probs } = answers;
    let mut text = format!(
        "\n{requests} golden requests, each policy under its own IDs: same first item {same_first:.3}, overlap of the ten best \
         {overlap:.3}, {gone} of the old ten best are gone\n"
    );
    if let Some(Change { count, mean, mean_absolute, least, most }) = log_probs {
        writeln!(
            text,
            "log-probabilities of the old ten best ({count}): {mean:+.3} on average, {mean_absolute:.3} in size, from {least:+.3} to \
             {most:+.3}"
        )?;
    }
    Ok(text)
}
