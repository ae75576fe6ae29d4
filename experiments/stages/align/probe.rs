//! What the judges and the validation targets say of a policy between updates, always on the same users.

use super::gauge::Gauge;
use crate::run::StageContext;
use crate::stages::bench::{Bench, Shown, mean};
use crate::stages::evaluate::groups::Popularity;
use policy::history::{Context, Split};
use policy::ids::{ItemId, UserId};
use policy::model::Policy;
use rand::seq::SliceRandom as _;
use reports::statistics::means::paired_t;
use reward::ranking::{ndcg, rank_in_list};
use sampler::recommend::Seen;
use std::collections::BTreeSet;

/// Users probed, none of whom trained a judge.
const USERS: usize = 256;
/// Items shown to each.
const SHOWN: usize = 10;
/// Hypotheses kept.
const BEAM: usize = 20;

/// The users, and what they were shown before.
pub(super) struct Probe<'a> {
    bench: &'a Bench,
    ctx: &'a StageContext,
    users: Vec<UserId>,
    popularity: Popularity,
    pretrained: &'a Policy,
    /// The judges' scores of the pretrained policy's lists and of those of the policy that entered the round.
    before: [Scores; 2],
}

/// `scores[judge][user]`, in the order of [`Bench::judges`].
type Scores = Vec<Vec<f64>>;

impl<'a> Probe<'a> {
    /// Looks at the two policies that others will be held against; `entered` is absent where the pretrained one enters the round.
    ///
    /// # Errors
    /// The run is stopped.
    pub(super) fn new(
        (bench, ctx): (&'a Bench, &'a StageContext),
        (pretrained, entered): (&'a Policy, Option<&Policy>),
    ) -> anyhow::Result<Self> {
        let judges = bench.judges.as_ref().expect("alignment comes after the judges, see pipeline");
        let mut users = judges.split.evaluation.clone();
        // The same users in every arm and round, so that curves can be compared.
        users.shuffle(&mut policy::random::Key::new(0).named("probe").rng());
        users.truncate(USERS);
        let popularity = Popularity::new(&bench.dataset.log);
        let before = [Vec::new(), Vec::new()];
        let mut probe = Self { bench, ctx, users, popularity, pretrained, before };
        let of = |policy: &Policy| anyhow::Ok(probe.scores(&probe.shown(policy)?));
        let first = of(pretrained)?;
        let second = entered.map_or_else(|| Ok(first.clone()), of)?;
        probe.before = [first, second];
        Ok(probe)
    }

    /// What is to be recorded of `model`, which has autodiff: `judge/*`, what they gained since the pretrained policy (`gain/*`),
    /// whether they part (`goodhart/*`), what the lists are like, and what [`Gauge::look`] says.
    ///
    /// # Errors
    /// The run is stopped.
    pub(super) fn measure(&self, model: &Policy) -> anyhow::Result<Vec<(String, f64)>> {
        let model = burn::module::Module::valid(model);
        let shown = self.shown(&model)?;
        let scores = self.scores(&shown);
        let mut metrics = self.judged(&scores);
        metrics.extend(self.lists(&shown));
        metrics.extend(self.gauge().look(&model, self.pretrained));
        Ok(metrics)
    }

    /// What choosing among draws of the pretrained policy gains, by the number of draws.
    pub(super) fn best_of(&self) -> Vec<(u64, String, f64)> {
        self.gauge().best_of(self.pretrained)
    }

    fn gauge(&self) -> Gauge<'_> {
        Gauge { bench: self.bench, users: &self.users }
    }

    fn shown(&self, model: &Policy) -> anyhow::Result<Vec<Shown>> {
        let log = &self.bench.dataset.log;
        let contexts: Vec<_> = self.users.iter().map(|&u| log.context(u, Split::Validation)).collect();
        let recommender = self.bench.recommender(model);
        let found =
            recommender.candidates(&contexts, BEAM, Seen::Excluded, |_| self.ctx.check_stop())?.into_iter();
        let users = self.users.iter().zip(&contexts).zip(found);
        let list = |((&user, context), found): ((&UserId, &Context<'_>), Vec<_>)| Shown {
            user,
            known: context.items.len(),
            items: found
                .into_iter()
                .take(SHOWN)
                .map(|candidate: sampler::candidate::Candidate| candidate.item)
                .collect(),
        };
        Ok(users.map(list).collect())
    }

    fn scores(&self, shown: &[Shown]) -> Scores {
        self.bench.judges().into_iter().map(|(_, judge)| Bench::list_scores(judge, shown)).collect()
    }

    fn judged(&self, scores: &Scores) -> Vec<(String, f64)> {
        let mut metrics = Vec::new();
        for (index, (key, _)) in self.bench.judges().into_iter().enumerate() {
            let (now, name) = (&scores[index], key.trim_start_matches("judge/"));
            metrics.push((key.to_owned(), mean(now.iter().copied())));
            if let Some(gained) = paired_t(now, &self.before[0][index]) {
                let gain = gained.difference;
                metrics.push((format!("gain/{name}"), gain.value));
                metrics.push((format!("gain/{name}/low"), gain.low));
                metrics.push((format!("gain/{name}/high"), gain.high));
            }
            if ["held-out", "oracle"].contains(&name) {
                metrics.push((format!("goodhart/{name}"), self.parted(scores, index)));
            }
        }
        metrics
    }

    /// By how many standard errors the proxy has gained and this judge lost: the lesser of the two, since the policy before for which
    /// it is larger. Below zero where they agree.
    fn parted(&self, now: &Scores, judge: usize) -> f64 {
        let since = |before: &Scores| {
            let errors = |index: usize| paired_t(&now[index], &before[index]).map_or(0.0, |tested| tested.t);
            errors(0).min(-errors(judge))
        };
        self.before.iter().map(since).fold(f64::NEG_INFINITY, f64::max)
    }

    fn lists(&self, shown: &[Shown]) -> Vec<(String, f64)> {
        let log = &self.bench.dataset.log;
        let target = |list: &Shown| log.target(list.user, Split::Validation);
        let quality = shown.iter().map(|list| ndcg(rank_in_list(&list.items, target(list)), SHOWN));
        let items: Vec<ItemId> = shown.iter().flat_map(|list| list.items.iter().copied()).collect();
        let distinct = items.iter().collect::<BTreeSet<_>>().len() as f64 / items.len().max(1) as f64;
        let head = items.iter().map(|&item| f64::from(u8::from(self.popularity.is_head(item))));
        let mut metrics = vec![
            ("validation/ndcg@10".to_owned(), mean(quality)),
            ("lists/distinct".to_owned(), distinct),
            ("lists/head_share".to_owned(), mean(head)),
        ];
        let disagreement = self.bench.disagreement(shown).map(|values| mean(values.into_iter()));
        metrics.extend(disagreement.map(|value| ("ensemble/disagreement".to_owned(), value)));
        metrics
    }
}
