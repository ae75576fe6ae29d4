//! A user's candidates as a group: what each is rewarded for, and how much better than the others it is.

use super::anchor::Held;
use super::rewards::rewards;
use crate::stages::bench::Bench;
use crate::stages::sample::rollouts::Rollout;
use align::advantage::{batch_advantages, reward_metrics};
use align::grpo::{CandidateLogProbs, Grpo, rewards_with_kl};
use align::objective::Objective;
use align::rewarding::Reward;

/// What policy gradients on groups learn from.
pub(super) struct Groups {
    /// `advantages[term][rollout]`, empty for terms that are no policy gradient on groups.
    pub(super) advantages: Vec<Vec<Vec<f32>>>,
    /// How a judge's scores differ within groups, for the first term that learns from them; sampling has recorded it.
    pub(super) spread: Vec<(&'static str, f64)>,
    /// The same of the first term with a reward of its own, not recorded yet.
    pub(super) own_spread: Vec<(&'static str, f64)>,
}

impl Groups {
    /// The groups of all terms.
    ///
    /// # Errors
    /// A reward is not finite, or the training histories tell nothing of which items belong together.
    pub(super) fn new(
        terms: &[(f64, &Objective)],
        (rollouts, held): (&[Rollout], &Held),
        bench: &Bench,
    ) -> anyhow::Result<Self> {
        let mut groups = Self { advantages: Vec::new(), spread: Vec::new(), own_spread: Vec::new() };
        for (_, term) in terms {
            groups.advantages.push(if let Objective::Grpo(config) = term {
                let rewards = rewards(config.reward, rollouts, bench)?;
                let spread =
                    if config.reward == Reward::Judge { &mut groups.spread } else { &mut groups.own_spread };
                if spread.is_empty() {
                    *spread = reward_metrics(rewards.iter().map(Vec::as_slice));
                }
                advantages(config, &rewards, held)?
            } else {
                vec![Vec::new(); rollouts.len()]
            });
        }
        Ok(groups)
    }
}

fn advantages(config: &Grpo, rewards: &[Vec<f64>], held: &Held) -> anyhow::Result<Vec<Vec<f32>>> {
    let logs = held.behavior.iter().zip(&held.reference);
    let rewards: Vec<Vec<f64>> = rewards
        .iter()
        .zip(logs)
        .map(|(rewards, (behavior, reference))| {
            let rows = behavior.iter().zip(reference).take(rewards.len());
            let candidates: Vec<_> =
                rows.map(|(behavior, reference)| CandidateLogProbs { behavior, reference }).collect();
            rewards_with_kl(rewards, &candidates, config)
        })
        .collect();
    let groups: Vec<&[f64]> = rewards.iter().map(Vec::as_slice).collect();
    let mut advantages = batch_advantages(&groups, config.advantage)?;
    for (advantages, weights) in advantages.iter_mut().zip(held.weights.iter().flatten()) {
        advantages.iter_mut().zip(weights).for_each(|(advantage, weight)| *advantage *= weight);
    }
    Ok(advantages)
}
