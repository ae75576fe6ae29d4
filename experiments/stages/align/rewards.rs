//! What the candidates of a group are rewarded for, where it is not what a judge has said of them already.

use super::scoring::{actions, observed};
use crate::data::Dataset;
use crate::stages::bench::Bench;
use crate::stages::sample::rollouts::Rollout;
use align::rewarding::Reward;
use anyhow::Context as _;
use policy::collaborative::counts::CoOccurrence;
use policy::collaborative::{CollaborativeConfig, Parts};
use policy::embeddings::Embeddings;
use policy::ids::ItemId;
use policy::random::Key;
use reward::reasoning::{msra, pars};
use reward::rule::{rank_aware, rule};
use reward::similarity::cosine;
use std::borrow::Cow;

/// The reward of a rollout's candidates.
type Rewarder<'a> = Box<dyn Fn(&Rollout) -> Vec<f64> + 'a>;

/// The reward of every candidate of every rollout.
///
/// # Errors
/// The training histories tell nothing of which items belong together.
pub(super) fn rewards(reward: Reward, rollouts: &[Rollout], bench: &Bench) -> anyhow::Result<Vec<Vec<f64>>> {
    let (catalog, dataset) = (&bench.codebook.catalog, &bench.dataset);
    let target = |rollout: &Rollout| observed(rollout, bench);
    let of: Rewarder<'_> = match reward {
        Reward::Judge => Box::new(|rollout| rollout.scores.clone()),
        Reward::Rule => Box::new(|rollout| rule(&rollout.items(), target(rollout))),
        Reward::RankAware => Box::new(|rollout| ranked(&rollout.items(), target(rollout))),
        Reward::Semantic => near(Cow::Borrowed(&dataset.embeddings), bench),
        Reward::Collaborative => near(Cow::Owned(collaborative(dataset)?), bench),
        Reward::Pars => Box::new(|rollout| pars(catalog, &rollout.items(), target(rollout))),
        Reward::Msra { later, discount } => Box::new(move |rollout| {
            msra(catalog, &rollout.items(), (actions(rollout, later, &dataset.log), discount))
        }),
    };
    Ok(rollouts.iter().map(of).collect())
}

/// Nearness to what the user took next.
fn near<'a>(vectors: Cow<'a, Embeddings>, bench: &'a Bench) -> Rewarder<'a> {
    Box::new(move |rollout| cosine(&vectors, &rollout.items(), observed(rollout, bench)))
}

/// The hit and, with it, what ranks cost the others.
fn ranked(group: &[ItemId], target: ItemId) -> Vec<f64> {
    let both = rule(group, target).into_iter().zip(rank_aware(group, target));
    both.map(|(hit, penalty)| hit + penalty).collect()
}

/// Vectors of what is taken near what in training histories: the same in every arm, round and seed.
fn collaborative(dataset: &Dataset) -> anyhow::Result<Embeddings> {
    let config = CollaborativeConfig::default();
    let counts = CoOccurrence::of(&dataset.log, &config);
    let parts = Parts::of(&counts, &dataset.embeddings, &config, Key::new(0).named("reward"));
    Ok(parts.context("reward = { kind = \"collaborative\" }")?.collaborative)
}
