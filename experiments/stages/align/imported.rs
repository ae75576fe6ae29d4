//! Preferences from elsewhere: Parquet or JSON lines with `prompt`, `chosen` and `rejected`, the layout of Hugging Face's preference
//! trainers and of our own `pairs.parquet`. Items are code tokens (`<s0_17><s1_3>`), a prompt is a user's history.

use crate::stages::bench::Bench;
use crate::stages::sample::pairs::{codes, prompt};
use crate::stages::sample::rollouts::Rollout;
use crate::stages::table;
use anyhow::{Context as _, ensure};
use policy::ids::{Code, ItemId, SemanticId, UserId};
use sampler::candidate::Candidate;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// A row of the file.
#[derive(Debug, Deserialize)]
struct Row {
    prompt: String,
    chosen: String,
    rejected: String,
}

/// One rollout per row: the chosen item scored above the rejected one, log-probabilities not yet known.
///
/// # Errors
/// The file cannot be read or misses a column; a prompt is no user's history, or an answer no item. With the row.
pub(super) fn read(path: &Path, bench: &Bench) -> anyhow::Result<Vec<Rollout>> {
    let rows = if path.extension().is_some_and(|extension| extension == "parquet") {
        parquet(path)?
    } else {
        json_lines(path)?
    };
    ensure!(!rows.is_empty(), "{} holds no preferences", path.display());
    let users = histories(bench);
    let rollout = |(at, row): (usize, &Row)| {
        rollout(row, &users, bench).with_context(|| format!("{}:{}", path.display(), at + 1))
    };
    rows.iter().enumerate().map(rollout).collect()
}

fn parquet(path: &Path) -> anyhow::Result<Vec<Row>> {
    let table = table::read(path)?;
    let [prompts, chosen, rejected] = ["prompt", "chosen", "rejected"].map(|name| table.texts(name));
    let answers = chosen?.into_iter().zip(rejected?);
    let row = |(prompt, (chosen, rejected))| Row { prompt, chosen, rejected };
    Ok(prompts?.into_iter().zip(answers).map(row).collect())
}

fn json_lines(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |(at, line): (usize, &str)| -> anyhow::Result<Row> {
        serde_json::from_str(line).with_context(|| {
            format!("{}:{}: not an object with the texts prompt, chosen, rejected", path.display(), at + 1)
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

/// Every user who can be sampled for, by the text of what is known of them then. Users of one history are one.
fn histories(bench: &Bench) -> HashMap<String, (UserId, usize)> {
    let log = &bench.dataset.log;
    let known = log.users().filter_map(|user| Some((user, bench.known_to_sample(user)?)));
    known.map(|(user, known)| (prompt(&log.train_items(user)[..known], bench), (user, known))).collect()
}

fn rollout(row: &Row, users: &HashMap<String, (UserId, usize)>, bench: &Bench) -> anyhow::Result<Rollout> {
    let &(user, known) = users
        .get(&row.prompt)
        .context("`prompt` is the history of no user of this run when candidates are sampled")?;
    let [chosen, rejected] = [("chosen", &row.chosen), ("rejected", &row.rejected)]
        .map(|(name, text)| item(text, bench).with_context(|| format!("`{name}` = \"{text}\"")));
    let candidates = [chosen?, rejected?].map(|item| Candidate { item, token_log_probs: Vec::new() });
    ensure!(candidates[0].item != candidates[1].item, "`chosen` and `rejected` are the same item");
    Ok(Rollout { user, known, candidates: candidates.into(), scores: vec![1.0, 0.0] })
}

/// The item with this semantic ID.
fn item(text: &str, bench: &Bench) -> anyhow::Result<ItemId> {
    let catalog = &bench.codebook.catalog;
    let example =
        || format!("is not a semantic ID of this run, such as \"{}\"", codes(ItemId::new(0), bench));
    let levels: Option<Vec<Code>> = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .into_iter()
        .flat_map(|text| text.split("><").enumerate())
        .map(|(level, token)| {
            token.strip_prefix('s')?.strip_prefix(&level.to_string())?.strip_prefix('_')?.parse().ok()
        })
        .collect();
    let levels = levels.filter(|levels| levels.len() == catalog.levels()).with_context(example)?;
    catalog.items(&SemanticId::new(levels)).first().copied().context("names no item of the catalog")
}
