//! From rollouts to what the terms of an objective learn from them.

use super::anchor::{Anchor, Held, Observed};
use super::completions::{self, Picked};
use super::scoring::{observed, tabulated};
use super::{Round, downstream, imported};
use crate::run::StageContext;
use crate::stages::bench::{Bench, mean};
use crate::stages::sample::rollouts::{self, Rollout, Scored};
use align::objective::{Objective, Source};
use align::pair_rule::{Contrast, Evidence, Label, PreferenceSet};
use align::pairs::ScoredCandidates;
use policy::ids::ItemId;
use std::path::Path;

/// A round before its first step.
pub(super) struct Preparation<'a> {
    pub(super) round: &'a Round<'a>,
    pub(super) anchor: &'a Anchor<'a>,
    pub(super) bench: &'a Bench,
    pub(super) ctx: &'a StageContext,
}

/// Completions of every term, `picked[term][rollout]`; empty for terms that are no format reward.
pub(super) struct Completions {
    pub(super) picked: Vec<Vec<Vec<Picked>>>,
    /// Share of all that name an item, where any were drawn.
    pub(super) legality: Option<f64>,
}

impl Preparation<'_> {
    /// The rollouts, with their sets of preferences where a term compares candidates; those without one are left out then.
    ///
    /// # Errors
    /// The rollouts cannot be read, or no set can be made.
    pub(super) fn compared(&self) -> anyhow::Result<(Vec<Rollout>, Vec<Option<PreferenceSet>>)> {
        let objective = &self.round.arm.objective;
        let Scored { rollouts, heads } = self.labelled()?;
        if !objective.learns_from(Source::Pairs) && !objective.learns_from(Source::Sets) {
            let none = vec![None; rollouts.len()];
            return Ok((rollouts, none));
        }
        let mut compared = (Vec::new(), Vec::new());
        for (rollout, heads) in rollouts.into_iter().zip(heads) {
            if let Some(set) = self.set(&rollout, &heads)? {
                compared.0.push(rollout);
                compared.1.push(Some(set));
            }
        }
        anyhow::ensure!(
            !compared.0.is_empty(),
            "no rollout gives a pair; lower sample.min_margin or loosen the arm's pairs"
        );
        Ok(compared)
    }

    /// Log-probabilities to hold the policy against.
    ///
    /// # Errors
    /// As [`Anchor::hold`].
    pub(super) fn held(&self, rollouts: &[Rollout]) -> anyhow::Result<Held> {
        let extra = match self.round.arm.pairs.contrast {
            Contrast::SelfPlay => Observed::Scored,
            Contrast::BestWorst | Contrast::Hard => Observed::LeftOut,
        };
        self.anchor.hold(rollouts, extra, (self.bench, self.ctx))
    }

    /// The rollouts with the scores that label them.
    fn labelled(&self) -> anyhow::Result<Scored> {
        let arm = self.round.arm;
        if let Some(path) = &arm.imported {
            return self.imported(path);
        }
        let judge = match arm.pairs.label {
            Label::Proxy | Label::Downstream => "judge/proxy",
            Label::Oracle => {
                anyhow::ensure!(
                    self.bench.oracle.is_some(),
                    "arm `{}`: pairs.label = \"oracle\" needs the built-in world, where the truth is known",
                    arm.name
                );
                "judge/oracle"
            }
        };
        let mut scored = rollouts::read(self.round.rollouts, judge)?;
        if arm.pairs.label == Label::Downstream {
            let policy = self.anchor.pretrained();
            let scores = downstream::scores(policy, &scored.rollouts, (self.bench, self.ctx))?;
            for (rollout, scores) in scored.rollouts.iter_mut().zip(scores) {
                rollout.scores = scores;
            }
        }
        if let (Some(scenario), Some(flooding)) = (arm.scenario, &self.bench.flooding) {
            for rollout in &mut scored.rollouts {
                let floods: Vec<bool> = rollout.items().iter().map(|item| flooding[item.index()]).collect();
                scenario.apply(&mut rollout.scores, &floods);
            }
        }
        Ok(scored)
    }

    /// Preferences from elsewhere, with the log-probabilities that sampling would have stored.
    fn imported(&self, path: &Path) -> anyhow::Result<Scored> {
        let mut rollouts = imported::read(path, self.bench)?;
        let items: Vec<Vec<ItemId>> = rollouts.iter().map(Rollout::items).collect();
        let tables = tabulated(self.anchor.start(), (&rollouts, &items), (self.bench, self.ctx))?;
        for (rollout, rows) in rollouts.iter_mut().zip(tables) {
            for (candidate, row) in rollout.candidates.iter_mut().zip(rows) {
                candidate.token_log_probs = row;
            }
        }
        let heads = vec![Vec::new(); rollouts.len()];
        Ok(Scored { rollouts, heads })
    }

    fn set(&self, rollout: &Rollout, heads: &[Vec<f64>]) -> anyhow::Result<Option<PreferenceSet>> {
        let (items, arm) = (rollout.items(), self.round.arm);
        let scored = ScoredCandidates { user: rollout.user, items: &items, scores: &rollout.scores };
        // What somebody else preferred has no margin.
        let min_margin = if arm.imported.is_some() { 0.0 } else { self.bench.min_margin };
        let evidence = Evidence { observed: observed(rollout, self.bench), heads, min_margin };
        Ok(arm.pairs.set(scored, &evidence)?)
    }

    /// Completions for format rewards.
    ///
    /// # Errors
    /// The run is stopped.
    pub(super) fn completions(
        &self,
        terms: &[(f64, &Objective)],
        rollouts: &[Rollout],
    ) -> anyhow::Result<Completions> {
        let (mut picked, mut legalities) = (Vec::with_capacity(terms.len()), Vec::new());
        for (_, term) in terms {
            picked.push(if let Objective::Format(format) = term {
                let policy = (self.anchor.start(), rollouts);
                let drawn = completions::draw(format, policy, (self.bench, self.ctx))?;
                legalities.push(drawn.legality);
                drawn.picked
            } else {
                rollouts.iter().map(|_| Vec::new()).collect()
            });
        }
        let legality = (!legalities.is_empty()).then(|| mean(legalities.into_iter()));
        Ok(Completions { picked, legality })
    }
}
