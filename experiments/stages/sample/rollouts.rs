//! `rollouts.parquet`: one row per candidate, with everything an objective needs to be recomputed from it.

use super::Judged;
use crate::stages::bench::{Bench, Shown};
use crate::stages::table;
use polars::prelude::Column;
use policy::checkpoint;
use policy::ids::{ItemId, UserId};
use policy::log_prob::LogProbSpace;
use policy::model::Policy;
use sampler::candidate::Candidate;
use std::path::Path;

/// The file's name.
pub const FILE: &str = "rollouts.parquet";

/// A user's candidates and the proxy's score of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The user.
    pub user: UserId,
    /// Interactions that were known; the next one is the observed target.
    pub known: usize,
    /// The candidates, most probable first.
    pub candidates: Vec<Candidate>,
    /// The proxy's fused scores, in the same order.
    pub scores: Vec<f64>,
}

impl Rollout {
    /// The candidates' items.
    pub fn items(&self) -> Vec<ItemId> {
        self.candidates.iter().map(|candidate| candidate.item).collect()
    }
    /// The candidates as a list that a judge can score.
    pub fn shown(&self) -> Shown {
        Shown { user: self.user, known: self.known, items: self.items() }
    }
}

/// Which policy sampled, over which support.
pub(super) struct PolicyVersion {
    sha256: String,
    space: &'static str,
}

impl PolicyVersion {
    pub(super) fn of(model: &Policy, space: LogProbSpace) -> Self {
        let space = match space {
            LogProbSpace::Trie => "trie",
            LogProbSpace::Full => "full",
        };
        Self { sha256: checkpoint::fingerprint(model), space }
    }
}

/// Writes the table: user, known, rank, item, codes, log-probabilities, policy, every head of every judge.
pub(super) fn write(
    path: &Path,
    (rollouts, judged, version): (&[Rollout], &Judged, &PolicyVersion),
    bench: &Bench,
) -> anyhow::Result<()> {
    let rows: Vec<(&Rollout, usize, &Candidate)> = rollouts
        .iter()
        .flat_map(|rollout| rollout.candidates.iter().enumerate().map(move |(rank, c)| (rollout, rank, c)))
        .collect();
    let integers = |name: &str, f: &dyn Fn(&(&Rollout, usize, &Candidate)) -> usize| {
        Column::new(name.into(), rows.iter().map(|row| f(row) as u32).collect::<Vec<_>>())
    };
    let mut columns = vec![
        integers("user", &|(rollout, ..)| rollout.user.index()),
        integers("known", &|(rollout, ..)| rollout.known),
        integers("rank", &|(_, rank, _)| *rank),
        integers("item", &|(.., candidate)| candidate.item.index()),
    ];
    let catalog = &bench.codebook.catalog;
    for level in 0..catalog.levels() {
        columns.push(integers(&format!("code_{level}"), &|(.., candidate)| {
            catalog.semantic_id(candidate.item).codes()[level] as usize
        }));
    }
    columns.push(Column::new("log_prob".into(), rows.iter().map(|(.., c)| c.log_prob()).collect::<Vec<_>>()));
    for level in 0..catalog.levels() {
        let values: Vec<f32> = rows.iter().map(|(.., c)| c.token_log_probs[level]).collect();
        columns.push(Column::new(format!("log_prob_{level}").into(), values));
    }
    columns.push(Column::new("policy".into(), vec![version.sha256.as_str(); rows.len()]));
    columns.push(Column::new("space".into(), vec![version.space; rows.len()]));
    columns.extend(score_columns(judged));
    table::write(path, columns)
}

/// `judge/proxy`, `judge/proxy/<head>`, ... of every candidate.
fn score_columns(judged: &Judged) -> Vec<Column> {
    let mut columns = Vec::new();
    for ((name, heads), scores) in judged.names.iter().zip(&judged.heads).zip(&judged.by_judge) {
        let all = || scores.iter().flatten();
        let fused: Vec<f64> = all().map(|score| f64::from(score.fused)).collect();
        columns.push(Column::new((*name).into(), fused));
        for (index, head) in heads.iter().enumerate() {
            let values: Vec<f32> = all().map(|score| score.heads[index]).collect();
            columns.push(Column::new(format!("{name}/{head}").into(), values));
        }
    }
    columns
}

/// The policy that sampled the rollouts in `dir`, as [`checkpoint::fingerprint`] names it.
///
/// # Errors
/// If the file is missing or damaged, or names no policy or several.
pub fn policy(dir: &Path) -> anyhow::Result<String> {
    table::read(&dir.join(FILE))?.constant("policy")
}

/// Rollouts with what else a judge said of each candidate.
pub struct Scored {
    /// The rollouts, users in file order.
    pub rollouts: Vec<Rollout>,
    /// `heads[rollout][head][candidate]`, the heads of the judge that gave the scores.
    pub heads: Vec<Vec<Vec<f64>>>,
}

/// Reads the rollouts back with the scores of `judge` (`judge/proxy`).
///
/// # Errors
/// If the file is missing, damaged, was not scored by this judge, or holds a number that is not finite.
pub fn read(dir: &Path, judge: &str) -> anyhow::Result<Scored> {
    let table = table::read(&dir.join(FILE))?;
    let rollouts = read_rollouts(&table, judge)?;
    let prefix = format!("{judge}/");
    let names = table.columns().into_iter().filter(|name| name.starts_with(&prefix));
    let columns = names.map(|name| table.numbers(&name)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut from = 0;
    let heads = rollouts
        .iter()
        .map(|rollout| {
            let rows = from..from + rollout.candidates.len();
            from = rows.end;
            columns.iter().map(|column| column[rows.clone()].to_vec()).collect()
        })
        .collect();
    Ok(Scored { rollouts, heads })
}

fn read_rollouts(table: &table::Table, judge: &str) -> anyhow::Result<Vec<Rollout>> {
    let (users, known) = (table.integers("user")?, table.integers("known")?);
    let (items, scores) = (table.integers("item")?, table.numbers(judge)?);
    let levels = table.columns().iter().filter(|name| name.starts_with("log_prob_")).count();
    let token_log_probs = (0..levels)
        .map(|level| table.numbers(&format!("log_prob_{level}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut rollouts: Vec<Rollout> = Vec::new();
    for row in 0..users.len() {
        let user = UserId::new(users[row]);
        let token_log_probs = token_log_probs.iter().map(|level| level[row] as f32).collect();
        let candidate = Candidate { item: ItemId::new(items[row]), token_log_probs };
        match rollouts.last_mut().filter(|last| last.user == user) {
            Some(rollout) => {
                rollout.candidates.push(candidate);
                rollout.scores.push(scores[row]);
            }
            None => rollouts.push(Rollout {
                user,
                known: known[row],
                candidates: vec![candidate],
                scores: vec![scores[row]],
            }),
        }
    }
    Ok(rollouts)
}
