//! What a round holds the policy against: the log-probabilities of its candidates under the policy that sampled them and under the
//! reference.

use super::Round;
use super::average::MovingReference;
use super::scoring::{Rows, observed, tabulated};
use crate::config::{Reference, Stale};
use crate::run::StageContext;
use crate::stages::bench::{Bench, mean};
use crate::stages::sample::rollouts::Rollout;
use policy::ids::ItemId;
use policy::model::Policy;
use tracing::warn;

/// Recomputed and stored log-probabilities differ by rounding only: beams decode step by step, losses all at once.
const MOST_BEHAVIOR_GAP: f64 = 1e-2;
/// Rollouts that are compared.
const COMPARED: usize = 8;

/// The policies a round starts with, none of them trained.
pub(super) struct Anchor<'a> {
    start: &'a Policy,
    pretrained: &'a Policy,
    reference: Reference,
    stale: Stale,
    /// The moving reference, as the round finds it.
    pub(super) average: Option<MovingReference>,
}

/// Log-probabilities of every rollout's candidates, and of the observed item after them where it was asked for.
pub(super) struct Held {
    /// Under the policy that ratios are taken to.
    pub(super) behavior: Vec<Rows>,
    /// Under the reference at the start of the round.
    pub(super) reference: Vec<Rows>,
    /// Truncated importance weight of every candidate; absent if all are 1.
    pub(super) weights: Option<Vec<Vec<f32>>>,
}

impl Held {
    /// The mean importance weight, where there are any.
    pub(super) fn mean_weight(&self) -> Option<f64> {
        let weights = self.weights.as_ref()?;
        let all: Vec<f64> = weights.iter().flatten().map(|&weight| f64::from(weight)).collect();
        Some(mean(all.into_iter()))
    }
}

/// Whether the observed item is scored beside the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    /// It is.
    Scored,
    /// It is not.
    LeftOut,
}

/// Where importance weights are truncated.
const MOST_WEIGHT: f64 = 2.0;

impl<'a> Anchor<'a> {
    /// Reads what the arm asks for.
    ///
    /// # Errors
    /// A checkpoint cannot be read.
    pub(super) fn new(
        round: &Round<'_>,
        (start, pretrained): (&'a Policy, &'a Policy),
    ) -> anyhow::Result<Self> {
        let average = match round.arm.reference {
            Reference::Ema { decay } => Some(MovingReference::of(round.policy, decay, &start.device())?),
            Reference::Round | Reference::Pretrained => None,
        };
        Ok(Self { start, pretrained, reference: round.arm.reference, stale: round.section.stale, average })
    }

    /// The policy that enters the round.
    pub(super) fn start(&self) -> &Policy {
        self.start
    }

    /// The pretrained policy.
    pub(super) fn pretrained(&self) -> &Policy {
        self.pretrained
    }

    /// Scores the rollouts.
    ///
    /// # Errors
    /// They are of another policy or probability space, and that is not allowed; the run is stopped.
    pub(super) fn hold(
        &self,
        rollouts: &[Rollout],
        extra: Observed,
        (bench, ctx): (&Bench, &StageContext),
    ) -> anyhow::Result<Held> {
        let stored: Vec<Rows> = rollouts.iter().map(stored).collect();
        let fresh = self.is_fresh(rollouts, &stored, (bench, ctx))?;
        let lists: Vec<Vec<ItemId>> = rollouts.iter().map(|rollout| listed(rollout, extra, bench)).collect();
        let score = |model: &Policy| tabulated(model, (rollouts, &lists), (bench, ctx));
        let behavior = match (fresh, extra) {
            (true, Observed::LeftOut) => stored.clone(),
            _ => score(self.start)?,
        };
        let reference = match (self.reference, &self.average) {
            (Reference::Pretrained, _) => score(self.pretrained())?,
            (_, Some(average)) => score(average.model())?,
            _ => behavior.clone(),
        };
        let weights = (!fresh).then(|| behavior.iter().zip(&stored).map(importance).collect());
        Ok(Held { behavior, reference, weights })
    }

    /// Whether the stored log-probabilities are those of the policy that enters the round.
    fn is_fresh(
        &self,
        rollouts: &[Rollout],
        stored: &[Rows],
        (bench, ctx): (&Bench, &StageContext),
    ) -> anyhow::Result<bool> {
        let first = &rollouts[..rollouts.len().min(COMPARED)];
        let lists: Vec<_> = first.iter().map(|rollout| listed(rollout, Observed::LeftOut, bench)).collect();
        let recomputed = tabulated(self.start, (first, &lists), (bench, ctx))?;
        let gap = largest_gap(&recomputed, stored);
        if gap <= MOST_BEHAVIOR_GAP {
            return Ok(true);
        }
        anyhow::ensure!(
            self.stale == Stale::Weights,
            "the rollouts are not of this policy and probability space: log-probabilities differ by {gap:.3}; \
             remove the sample stage and run again, or allow older policies with align.stale = \"weights\""
        );
        warn!("the rollouts are of an older policy: log-probabilities differ by up to {gap:.3}; weighted");
        Ok(false)
    }
}

fn stored(rollout: &Rollout) -> Rows {
    rollout.candidates.iter().map(|candidate| candidate.token_log_probs.clone()).collect()
}

/// Items whose log-probabilities a sample holds.
fn listed(rollout: &Rollout, extra: Observed, bench: &Bench) -> Vec<ItemId> {
    let extra = (extra == Observed::Scored).then(|| observed(rollout, bench));
    rollout.items().into_iter().chain(extra).collect()
}

fn largest_gap(recomputed: &[Rows], stored: &[Rows]) -> f64 {
    let flat = |tables: &[Rows]| tables.iter().flatten().flatten().copied().collect::<Vec<f32>>();
    let pairs = flat(recomputed).into_iter().zip(flat(stored));
    pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

/// `min(entering / sampling, 2)` of every stored candidate.
fn importance((entering, sampling): (&Rows, &Rows)) -> Vec<f32> {
    let total = |row: &Vec<f32>| row.iter().map(|&value| f64::from(value)).sum::<f64>();
    let weight = |(e, s): (&Vec<f32>, &Vec<f32>)| (total(e) - total(s)).min(MOST_WEIGHT.ln()).exp() as f32;
    entering.iter().zip(sampling).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_weights_are_ratios_of_whole_ids_and_truncated() {
        let entering = vec![vec![-1.0, -1.0], vec![-3.0, -2.0], vec![0.0, 0.0]];
        let sampling = vec![vec![-0.5, -1.5], vec![-2.0, -2.0], vec![-9.0, 0.0]];
        let expected = [1.0, (-1.0f32).exp(), 2.0];
        for (found, expected) in importance((&entering, &sampling)).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn the_largest_gap_is_over_all_tokens() {
        let rows = |value: f32| vec![vec![vec![-1.0, -2.0], vec![value, -1.0]]];
        assert!((largest_gap(&rows(-1.0), &rows(-1.5)) - 0.5).abs() < 1e-7);
    }
}
