//! A judge compares the lists that policies showed to the same test users.

use super::Contest;
use crate::cli::ArenaJudge;
use crate::run::layout::Layout;
use crate::stages::evaluate::users::PerUser;
use anyhow::{Context as _, ensure};
use reports::arena::{Outcome, Vote};
use reports::schema::Evaluation;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Scores of one policy by user.
type Scores = BTreeMap<u32, f64>;

/// Every policy against every other on the users that all of them were evaluated on; scores that are equal are ties.
///
/// # Errors
/// A run is not evaluated, its judge has no scores, or the runs share no users.
pub(super) fn read(runs: &[PathBuf], judge: ArenaJudge) -> anyhow::Result<Contest> {
    let mut players: Vec<(String, Scores)> = Vec::new();
    same_judge(runs, judge)?;
    for run in runs {
        let prefix = if runs.len() == 1 { String::new() } else { format!("{}:", run_name(run)) };
        players
            .extend(policies(run, judge)?.into_iter().map(|(name, scores)| (prefix.clone() + &name, scores)));
    }
    let users: Vec<u32> = match players.first() {
        Some((_, first)) => {
            first.keys().filter(|user| players.iter().all(|(_, scores)| scores.contains_key(user))).copied()
        }
        .collect(),
        None => Vec::new(),
    };
    ensure!(!users.is_empty(), "the runs were not evaluated on the same users");
    let mut votes = Vec::new();
    for (unit, user) in users.iter().enumerate() {
        for (right, (_, of_right)) in players.iter().enumerate() {
            for (left, (_, of_left)) in players[..right].iter().enumerate() {
                votes.push(Vote { left, right, outcome: outcome(of_left[user], of_right[user]), unit });
            }
        }
    }
    let by = format!("{} over {} test users", judge.key(), users.len());
    Ok(Contest {
        players: players.into_iter().map(|(name, _)| name).collect(),
        votes,
        voters: Vec::new(),
        by,
    })
}

fn outcome(left: f64, right: f64) -> Outcome {
    match left.total_cmp(&right) {
        std::cmp::Ordering::Greater => Outcome::Left,
        std::cmp::Ordering::Less => Outcome::Right,
        std::cmp::Ordering::Equal => Outcome::Tie,
    }
}

/// Scores of different judges are no comparison: the files that make the judge must be the same in all runs.
fn same_judge(runs: &[PathBuf], judge: ArenaJudge) -> anyhow::Result<()> {
    let (stage, file) = match judge {
        ArenaJudge::Proxy => ("reward", "proxy.safetensors"),
        ArenaJudge::HeldOut => ("reward", "held-out.safetensors"),
        ArenaJudge::Oracle => ("ingest", "interactions.parquet"),
    };
    let identity = |run: &PathBuf| -> anyhow::Result<Option<String>> {
        let stages = Layout::existing(run)?.committed()?;
        let found = stages.iter().find(|committed| committed.manifest.stage == stage);
        Ok(found.and_then(|committed| Some(committed.manifest.outputs.get(file)?.sha256.clone())))
    };
    let identities = runs.iter().map(identity).collect::<anyhow::Result<Vec<_>>>()?;
    for (run, other) in runs.iter().zip(&identities) {
        ensure!(
            *other == identities[0],
            "{} and {} have different judges ({stage}/{file} differs), so their scores cannot be compared; runs of one sweep \
             that share the {stage} stage can",
            runs[0].display(),
            run.display()
        );
    }
    Ok(())
}

/// The pretrained policy and the aligned ones of a run.
fn policies(run: &Path, judge: ArenaJudge) -> anyhow::Result<Vec<(String, Scores)>> {
    let stages = Layout::existing(run)?.committed()?;
    let stage = stages.iter().find(|stage| stage.manifest.stage == "evaluate");
    let stage = stage.with_context(|| format!("{} has no finished evaluate stage", run.display()))?;
    let file = stage.path.join("evaluation.json");
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let evaluation: Evaluation =
        serde_json::from_slice(&text).with_context(|| format!("{} is not an evaluation", file.display()))?;
    let per_user = PerUser::read(&stage.path)?;
    let policies = evaluation.systems.iter().filter(|system| system.role != "baseline");
    policies
        .map(|system| {
            let scores = per_user.metric(&system.name, judge.key()).with_context(|| {
                format!("{} has no {} of {}: choose another --judge", run.display(), judge.key(), system.name)
            })?;
            Ok((system.name.clone(), scores))
        })
        .collect()
}

/// The last part of a run directory's path.
fn run_name(run: &Path) -> String {
    run.file_name().unwrap_or(run.as_os_str()).to_string_lossy().into_owned()
}
