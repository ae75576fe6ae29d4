//! Candidates of the current policy, scored by every judge, and the pairs of the best and the worst.

mod batches;
pub(crate) mod pairs;
pub mod rollouts;
pub mod shards;

use super::bench::{Bench, mean};
use crate::config::Sample;
use crate::run::StageContext;
use align::pairs::{Pair, ScoredCandidates, best_and_worst};
use batches::Batches;
use policy::history::Context;
use policy::ids::UserId;
use policy::model::Policy;
use policy::random::Key;
use rand::seq::SliceRandom as _;
use reward::judge::Score;
use rollouts::{PolicyVersion, Rollout};
use sampler::candidate::Candidate;
use sampler::rollout::{Batch, Rollouts, Shard};
use shards::{Found, Request};
use std::collections::BTreeMap;
use std::path::Path;

/// The file of pairs.
pub(super) const PAIRS: &str = pairs::FILE;

/// What `pairs.parquet` of a stage directory says of its pairs, per judge.
///
/// # Errors
/// The table is missing or is not what this stage writes.
pub(super) fn margins(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    pairs::margins(dir)
}

/// Samples candidates for random users, each from a history whose last training item (with `later`, an earlier one) is left to be
/// predicted, and writes `rollouts.parquet` and `pairs.parquet` (also readable as Hugging Face `prompt/chosen/rejected`).
///
/// Metrics are recorded at `step`, the steps the policy has behind it in its arm. Candidates that other processes found are taken
/// from `shards`.
///
/// A user for whom fewer than `beam_width` unseen items are found is left out: groups have one size.
///
/// # Errors
/// If no user can be sampled, a score is not finite, the run is stopped, or a file cannot be written.
pub fn sample(
    section: &Sample,
    (model, step, shards): (&Policy, u64, &Path),
    bench: &Bench,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    let request = Request { section, key: ctx.key(), model };
    let users = users(section, bench, request.key);
    let found = match shards::gathered(&request, (shards, &users), bench)? {
        Some(found) => found,
        None => searched(&request, &users, bench, ctx)?,
    };
    let mut rollouts: Vec<Rollout> = users
        .iter()
        .zip(found)
        .filter_map(|(&user, found)| Some((user, found?)))
        .filter(|(_, candidates)| candidates.len() >= section.beam_width)
        .map(|(user, candidates)| Rollout {
            user,
            known: context(bench, user).items.len(),
            candidates,
            scores: Vec::new(),
        })
        .collect();
    anyhow::ensure!(
        !rollouts.is_empty(),
        "no user has {} unseen candidates; lower sample.beam_width",
        section.beam_width
    );
    let judged = Judged::new(bench, &rollouts);
    for (rollout, scores) in rollouts.iter_mut().zip(&judged.by_judge[0]) {
        rollout.scores = fused(scores);
    }
    let pairs = pairs(&rollouts, section)?;
    report((&rollouts, &pairs), step, ctx)?;
    let version = PolicyVersion::of(model, bench.space);
    rollouts::write(&ctx.path(rollouts::FILE), (&rollouts, &judged, &version), bench)?;
    pairs::write(&ctx.path(pairs::FILE), (&rollouts, &judged, &pairs), bench)
}

/// The sampled users: those with at least two training items, drawn without replacement.
fn users(section: &Sample, bench: &Bench, key: Key) -> Vec<UserId> {
    let log = &bench.dataset.log;
    let mut users: Vec<UserId> = log.users().filter(|&user| bench.known_to_sample(user).is_some()).collect();
    users.shuffle(&mut key.named("users").rng());
    users.truncate(section.users);
    users.sort_unstable();
    users
}

/// The candidates of all users, found here.
fn searched(
    request: &Request<'_>,
    users: &[UserId],
    bench: &Bench,
    ctx: &StageContext,
) -> anyhow::Result<Found> {
    let mut batches = Batches::resume(ctx, users.len() as u64)?;
    find(request, users, (bench, Shard::WHOLE), |batch| batches.next(batch))
}

/// The candidates of the shard's users; `None` for the others.
fn find(
    request: &Request<'_>,
    users: &[UserId],
    (bench, shard): (&Bench, Shard),
    each: impl FnMut(&Batch<'_>) -> anyhow::Result<Vec<Vec<Candidate>>>,
) -> anyhow::Result<Found> {
    let Request { section, key, model } = *request;
    let contexts: Vec<Context<'_>> = users.iter().map(|&user| context(bench, user)).collect();
    let draws = key.named("draws");
    let keys: Vec<Key> = users.iter().map(|user| draws.at(user.index() as u64)).collect();
    let wanted = Rollouts { method: section.method, group: section.beam_width, keys: &keys, shard };
    bench.recommender(model).rollouts(&contexts, &wanted, each)
}

/// Training items before the one to be predicted.
fn context(bench: &Bench, user: UserId) -> Context<'_> {
    let known = bench.known_to_sample(user).expect("users of whom nothing is known are left out");
    bench.dataset.log.read(user, 0..known)
}

/// Scores of every judge: `by_judge[j][rollout][candidate]`, the proxy first.
struct Judged {
    names: Vec<&'static str>,
    heads: Vec<Vec<String>>,
    by_judge: Vec<Vec<Vec<Score>>>,
}

impl Judged {
    fn new(bench: &Bench, rollouts: &[Rollout]) -> Self {
        let shown: Vec<_> = rollouts.iter().map(Rollout::shown).collect();
        let requests: Vec<_> = shown.iter().map(super::bench::Shown::request).collect();
        let judges = bench.judges();
        Self {
            names: judges.iter().map(|(name, _)| *name).collect(),
            heads: judges.iter().map(|(_, judge)| judge.heads().to_vec()).collect(),
            by_judge: judges.iter().map(|(_, judge)| judge.score(&requests)).collect(),
        }
    }
}

fn fused(scores: &[Score]) -> Vec<f64> {
    scores.iter().map(|score| f64::from(score.fused)).collect()
}

fn pairs(rollouts: &[Rollout], section: &Sample) -> anyhow::Result<Vec<(usize, Pair)>> {
    let mut pairs = Vec::new();
    for (index, rollout) in rollouts.iter().enumerate() {
        let items = rollout.items();
        let scored = ScoredCandidates { user: rollout.user, items: &items, scores: &rollout.scores };
        pairs.extend(best_and_worst(scored, section.min_margin)?.map(|pair| (index, pair)));
    }
    Ok(pairs)
}

fn report(
    (rollouts, pairs): (&[Rollout], &[(usize, Pair)]),
    step: u64,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    let candidates: usize = rollouts.iter().map(|rollout| rollout.candidates.len()).sum();
    ctx.metric(step, "candidates", candidates as f64)?;
    ctx.metric(step, "pairs", pairs.len() as f64)?;
    ctx.metric(step, "margin/mean", mean(pairs.iter().map(|(_, pair)| pair.margin)))?;
    for (key, value) in
        align::advantage::reward_metrics(rollouts.iter().map(|rollout| rollout.scores.as_slice()))
    {
        ctx.metric(step, key, value)?;
    }
    Ok(())
}
