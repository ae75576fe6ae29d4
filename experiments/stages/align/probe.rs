//! What the judges and the validation targets say of a policy between updates, always on the same users.

use crate::run::StageContext;
use crate::stages::bench::{Bench, Shown, mean};
use policy::history::Split;
use policy::ids::UserId;
use policy::model::Policy;
use rand::seq::SliceRandom as _;
use reward::ranking::{ndcg, rank_in_list};
use sampler::recommend::Seen;

/// Users probed, none of whom trained a judge.
const USERS: usize = 256;
/// Items shown to each.
const SHOWN: usize = 10;
/// Hypotheses kept.
const BEAM: usize = 20;

pub(super) struct Probe<'a> {
    bench: &'a Bench,
    ctx: &'a StageContext,
    users: Vec<UserId>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(bench: &'a Bench, ctx: &'a StageContext) -> Self {
        let judges = bench.judges.as_ref().expect("alignment comes after the judges, see pipeline");
        let mut users = judges.split.evaluation.clone();
        // The same users in every arm and round, so that curves can be compared.
        users.shuffle(&mut policy::random::Key::new(0).named("probe").rng());
        users.truncate(USERS);
        Self { bench, ctx, users }
    }

    /// Records `judge/*` and `validation/ndcg@10` at `step`.
    pub(super) fn measure(&self, model: &Policy, step: u64) -> anyhow::Result<()> {
        let model = burn::module::Module::valid(model);
        let log = &self.bench.dataset.log;
        let contexts: Vec<_> = self.users.iter().map(|&u| log.context(u, Split::Validation)).collect();
        let candidates =
            self.bench
                .recommender(&model)
                .candidates(&contexts, BEAM, Seen::Excluded, |_| self.ctx.check_stop())?;
        let shown: Vec<Shown> = self
            .users
            .iter()
            .zip(&contexts)
            .zip(candidates)
            .map(|((&user, context), candidates)| Shown {
                user,
                known: context.items.len(),
                items: candidates.into_iter().take(SHOWN).map(|candidate| candidate.item).collect(),
            })
            .collect();
        for (key, judge) in self.bench.judges() {
            self.ctx.metric(step, key, mean(Bench::list_scores(judge, &shown).into_iter()))?;
        }
        let found = shown
            .iter()
            .map(|list| ndcg(rank_in_list(&list.items, log.target(list.user, Split::Validation)), SHOWN));
        self.ctx.metric(step, "validation/ndcg@10", mean(found))
    }
}
