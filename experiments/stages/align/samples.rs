//! What a round trains on.

use super::Round;
use super::anchor::{Anchor, Held};
use super::completions::Picked;
use super::exposures::Exposures;
use super::groups::Groups;
use super::preparation::Preparation;
use super::scoring::{Rows, observed};
use crate::run::StageContext;
use crate::stages::bench::Bench;
use crate::stages::pretrain::examples::{Example, examples};
use crate::stages::pretrain::sessions::Rule;
use crate::stages::sample::rollouts::Rollout;
use align::objective::Objective;
use align::pair_rule::{Position, PreferenceSet};
use policy::ids::ItemId;
use policy::random::Key;

/// What a round trains on, in fixed batches of users.
pub(super) struct Samples<'a> {
    /// The objective's terms with their weights.
    pub(super) terms: Vec<(f64, &'a Objective)>,
    batch_size: usize,
    all: Vec<Sample>,
    /// Pool of next-token examples.
    pub(super) examples: Vec<Example>,
    /// Where a term asks for them.
    pub(super) exposures: Option<Exposures<'a>>,
    metrics: Vec<(&'static str, f64)>,
    spread: Vec<(&'static str, f64)>,
}

/// A rollout with what the objective derives from it.
pub(super) struct Sample {
    pub(super) rollout: Rollout,
    /// Log-probabilities of the candidates under the policy that ratios are taken to.
    pub(super) behavior: Rows,
    /// Log-probabilities under the reference: of the candidates, then of the observed item where a set has it.
    pub(super) reference: Rows,
    /// For preference objectives.
    pub(super) set: Option<PreferenceSet>,
    /// One list per term; empty for terms that are no policy gradient.
    pub(super) advantages: Vec<Vec<f32>>,
    /// One list per term; empty for terms that are no format reward.
    pub(super) completions: Vec<Vec<Picked>>,
}

impl Sample {
    /// Items of the set, the preferred one first.
    pub(super) fn set_items(&self, bench: &Bench) -> Vec<ItemId> {
        let item = |at: usize| self.rollout.candidates[at].item;
        let set = self.known_set();
        let chosen = match set.chosen {
            Position::Candidate(at) => item(at),
            Position::Observed => observed(&self.rollout, bench),
        };
        std::iter::once(chosen).chain(set.rejected.iter().map(|&at| item(at))).collect()
    }

    /// Log-probabilities of whole IDs of the set under the reference.
    pub(super) fn set_reference(&self) -> Vec<f32> {
        let set = self.known_set();
        let chosen = match set.chosen {
            Position::Candidate(at) => at,
            Position::Observed => self.rollout.candidates.len(),
        };
        let total = |at: usize| self.reference[at].iter().map(|&value| f64::from(value)).sum::<f64>() as f32;
        std::iter::once(chosen).chain(set.rejected.iter().copied()).map(total).collect()
    }

    fn known_set(&self) -> &PreferenceSet {
        self.set.as_ref().expect("samples without a set were left out")
    }
}

impl<'a> Samples<'a> {
    /// Prepares rollouts for the arm's objective; users without a set of preferences are left out where a term compares candidates.
    ///
    /// # Errors
    /// The rollouts cannot be read, are of another policy, or give nothing to learn from; the run is stopped.
    pub(super) fn new(
        round: &'a Round<'a>,
        anchor: &Anchor,
        bench: &'a Bench,
        ctx: &StageContext,
    ) -> anyhow::Result<Self> {
        let terms = round.arm.objective.terms();
        let preparation = Preparation { round, anchor, bench, ctx };
        let (rollouts, sets) = preparation.compared()?;
        let held = preparation.held(&rollouts)?;
        let Groups { advantages, spread, own_spread } = Groups::new(&terms, (&rollouts, &held), bench)?;
        let drawn = preparation.completions(&terms, &rollouts)?;
        let weight = held.mean_weight().map(|mean| ("sampling/importance_sampling_ratio/mean", mean));
        let legality = drawn.legality.map(|share| ("legality", share));
        // Sampling has recorded what the judge said, not what a scenario made of it.
        let lowered = round.arm.scenario.iter().flat_map(|_| spread.clone());
        let metrics = weight.into_iter().chain(legality).chain(own_spread).chain(lowered).collect();
        let batch_size = round.section.batch_size;
        let pool =
            || examples((&bench.dataset.log, &Rule::point_wise()), round.pretrain.targets, Key::new(0));
        let draws = terms.iter().any(|(_, term)| further_samples(term, batch_size) > 0);
        let examples = if draws { pool() } else { Vec::new() };
        let shown = terms.iter().any(|(_, term)| matches!(term, Objective::DurationAware(_)));
        let exposures = shown.then(|| Exposures::new(bench)).transpose()?;
        let all = assembled(rollouts, held, (sets, advantages, drawn.picked));
        Ok(Self { terms, batch_size, all, examples, exposures, metrics, spread })
    }

    /// What was measured on the way.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.metrics.iter().copied()
    }
    /// How the judge's scores differ within groups, if a term learns from them.
    pub(super) fn spread(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.spread.iter().copied()
    }
    pub(super) fn batches(&self) -> usize {
        self.all.len().div_ceil(self.batch_size)
    }
    pub(super) fn batch(&self, index: usize) -> &[Sample] {
        let start = index * self.batch_size;
        &self.all[start..(start + self.batch_size).min(self.all.len())]
    }
    pub(super) fn describe(&self, batch: usize) -> String {
        self.batch(batch).iter().map(|s| s.rollout.user.index().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Samples of the log that a step over `users` users adds to the observed targets of these.
pub(super) fn further_samples(term: &Objective, users: usize) -> usize {
    match term {
        // A pair's own observed target is one of the samples.
        Objective::Ipa(ipa) => ((users as f64 / ipa.dpo_share).round() as usize).max(users) - users,
        Objective::Ntp(ntp) => ntp.further * users,
        Objective::DurationAware(config) => config.further * users,
        _ => 0,
    }
}

type Derived = (Vec<Option<PreferenceSet>>, Vec<Vec<Vec<f32>>>, Vec<Vec<Vec<Picked>>>);

/// Transposes what was derived per term.
fn assembled(rollouts: Vec<Rollout>, held: Held, (sets, advantages, picked): Derived) -> Vec<Sample> {
    let mut advantages: Vec<_> = advantages.into_iter().map(Vec::into_iter).collect();
    let mut picked: Vec<_> = picked.into_iter().map(Vec::into_iter).collect();
    let logs = held.behavior.into_iter().zip(held.reference);
    let sample = |((rollout, set), (behavior, reference))| Sample {
        rollout,
        behavior,
        reference,
        set,
        advantages: advantages.iter_mut().filter_map(Iterator::next).collect(),
        completions: picked.iter_mut().filter_map(Iterator::next).collect(),
    };
    rollouts.into_iter().zip(sets).zip(logs).map(sample).collect()
}
