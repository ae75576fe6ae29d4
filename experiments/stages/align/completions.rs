//! Completions over the whole vocabulary, for the format reward.

use super::scoring::context;
use crate::run::StageContext;
use crate::stages::bench::Bench;
use crate::stages::sample::rollouts::Rollout;
use align::format::{Format, Selection};
use policy::ids::SemanticId;
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy};
use policy::random::Key;
use rand::seq::SliceRandom as _;
use sampler::recommend::Recommender;
use sampler::sampling::{Completion, Draws, sample};

/// Users whose completions are drawn together.
const USERS: usize = 32;

/// A picked completion: what it names, and with which probability it was drawn.
pub(super) struct Picked {
    /// The semantic ID; absent if no item has it.
    pub(super) id: Option<SemanticId>,
    pub(super) token_log_probs: Vec<f32>,
}

/// What was drawn.
pub(super) struct Drawn {
    /// `picked[rollout]`, `format.selected` each.
    pub(super) picked: Vec<Vec<Picked>>,
    /// Share of all completions, picked or not, that name an item.
    pub(super) legality: f64,
}

/// Draws completions of every rollout's user from `model` and picks some.
///
/// # Errors
/// The run is stopped.
pub(super) fn draw(
    format: &Format,
    (model, rollouts): (&Policy, &[Rollout]),
    (bench, ctx): (&Bench, &StageContext),
) -> anyhow::Result<Drawn> {
    let (draws, picks) = (ctx.key().named("completions"), ctx.key().named("format"));
    let free = Recommender { space: LogProbSpace::Full, ..bench.recommender(model) };
    let (mut picked, mut legal) = (Vec::with_capacity(rollouts.len()), 0);
    for rollouts in rollouts.chunks(USERS) {
        ctx.check_stop()?;
        let contexts: Vec<_> = rollouts.iter().map(|rollout| context(rollout, bench)).collect();
        let user = |rollout: &Rollout| rollout.user.index() as u64;
        let keys: Vec<Key> = rollouts.iter().map(|rollout| draws.at(user(rollout))).collect();
        let draws = Draws { group: format.drawn, temperature: 1.0, keys: &keys };
        let encoded = free.encode(&contexts, Dropout::Off);
        let drawn = sample(&free.scorer(), &bench.codebook.trie, &encoded, &draws);
        for (rollout, completions) in rollouts.iter().zip(drawn) {
            legal += completions.iter().filter(|one| named(one, bench).is_some()).count();
            picked.push(pick(completions, format, (picks.at(user(rollout)), bench)));
        }
    }
    let all = (rollouts.len() * format.drawn).max(1);
    Ok(Drawn { picked, legality: legal as f64 / all as f64 })
}

fn pick(mut completions: Vec<Completion>, format: &Format, (key, bench): (Key, &Bench)) -> Vec<Picked> {
    match format.selection {
        Selection::Random => completions.shuffle(&mut key.rng()),
        Selection::Top => completions.sort_by(|a, b| log_prob(b).total_cmp(&log_prob(a))),
    }
    completions.truncate(format.selected);
    let picked = |completion: Completion| Picked {
        id: named(&completion, bench),
        token_log_probs: completion.token_log_probs,
    };
    completions.into_iter().map(picked).collect()
}

fn log_prob(completion: &Completion) -> f64 {
    completion.token_log_probs.iter().map(|&value| f64::from(value)).sum()
}

fn named(completion: &Completion, bench: &Bench) -> Option<SemanticId> {
    let item = completion.items(&bench.codebook.trie).first()?;
    Some(bench.codebook.catalog.semantic_id(*item).clone())
}
