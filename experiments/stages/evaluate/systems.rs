//! What each recommender shows to the test users, and what that is worth.

use super::NamedPolicy;
use super::users::TestUsers;
use crate::config::Evaluate;
use crate::run::StageContext;
use crate::stages::bench::{Bench, Shown};
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy};
use reports::schema::{Estimate, SystemResult};
use reports::statistics::bootstrap_mean;
use reward::ranking::{ndcg, rank_in_list, recall};
use sampler::baselines::{Baseline, BaselineKind};
use sampler::recommend::{Recommender, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// Items counted for coverage.
const COVERAGE: usize = 10;
/// Users scored together when legality is measured.
const USERS_PER_BATCH: usize = 64;

/// A recommender's results, user by user.
pub(super) struct System {
    pub(super) name: String,
    role: &'static str,
    /// Metric -> one value per test user.
    pub(super) per_user: BTreeMap<String, Vec<f64>>,
    /// Share of the catalog among the first recommendations of all users.
    coverage: f64,
}

/// What all systems are evaluated with.
pub(super) type Setting<'a> = (&'a Evaluate, &'a TestUsers<'a>, &'a Bench);

impl System {
    pub(super) fn new(name: &str, role: &'static str, lists: &[Vec<ItemId>], setting: Setting<'_>) -> Self {
        let (section, users, bench) = setting;
        let mut per_user = BTreeMap::new();
        let ranks: Vec<_> =
            lists.iter().zip(&users.targets).map(|(list, &target)| rank_in_list(list, target)).collect();
        for &cutoff in &section.cutoffs {
            let column =
                |f: fn(Option<usize>, usize) -> f64| ranks.iter().map(|&rank| f(rank, cutoff)).collect();
            per_user.insert(format!("recall@{cutoff}"), column(recall));
            per_user.insert(format!("ndcg@{cutoff}"), column(ndcg));
        }
        let shown: Vec<Shown> = lists
            .iter()
            .zip(&users.users)
            .zip(&users.contexts)
            .map(|((list, &user), context)| Shown {
                user,
                known: context.len(),
                items: list.iter().copied().take(section.judged_items).collect(),
            })
            .collect();
        for (key, judge) in bench.judges() {
            per_user.insert(key.to_string(), Bench::list_scores(judge, &shown));
        }
        if let Some(disagreement) = bench.disagreement(&shown) {
            per_user.insert("ensemble/disagreement".to_string(), disagreement);
        }
        let distinct: BTreeSet<_> = lists.iter().flat_map(|list| list.iter().take(COVERAGE)).collect();
        let coverage = distinct.len() as f64 / bench.dataset.log.num_items as f64;
        Self { name: name.into(), role, per_user, coverage }
    }

    /// Means with intervals.
    pub(super) fn result(&self, resamples: usize, seed: u64) -> SystemResult {
        let mut metrics: BTreeMap<String, Estimate> = self
            .per_user
            .iter()
            .map(|(metric, values)| (metric.clone(), bootstrap_mean(values, resamples, seed)))
            .collect();
        let coverage = Estimate { value: self.coverage, low: self.coverage, high: self.coverage };
        metrics.insert(format!("coverage@{COVERAGE}"), coverage);
        SystemResult { name: self.name.clone(), role: self.role.into(), metrics }
    }
}

/// Popularity, first-order Markov and item-item co-occurrence, fitted on the training items.
pub(super) fn baselines(
    section: &Evaluate,
    users: &TestUsers<'_>,
    bench: &Bench,
    ctx: &StageContext,
) -> anyhow::Result<Vec<System>> {
    let kinds = [
        ("popularity", BaselineKind::Popularity),
        ("markov", BaselineKind::Markov),
        ("co-occurrence", BaselineKind::CoOccurrence),
    ];
    let most =
        section.cutoffs.iter().copied().max().unwrap_or(section.judged_items).max(section.judged_items);
    let progress = ctx.progress("baselines", (kinds.len() * users.len()) as u64);
    let mut systems = Vec::new();
    for (name, kind) in kinds {
        let baseline = Baseline::fit(kind, &bench.dataset.log);
        let mut lists = Vec::with_capacity(users.len());
        for context in &users.contexts {
            ctx.check_stop()?;
            lists.push(baseline.recommend(context, most));
            progress.inc(1);
        }
        systems.push(System::new(name, "baseline", &lists, (section, users, bench)));
    }
    Ok(systems)
}

/// A policy's beams, with the probability it gives to legal continuations.
pub(super) fn policy_system(
    policy: &NamedPolicy,
    role: &'static str,
    setting: Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<System> {
    let (section, users, bench) = setting;
    let progress = ctx.progress(&policy.name, users.len() as u64);
    let recommender = bench.recommender(&policy.model);
    let candidates = recommender.candidates(&users.contexts, section.beam_width, Seen::Excluded, |done| {
        progress.inc(done);
        ctx.check_stop()
    })?;
    let lists: Vec<Vec<ItemId>> = candidates
        .into_iter()
        .map(|list| list.into_iter().map(|candidate| candidate.item).collect())
        .collect();
    let mut system = System::new(&policy.name, role, &lists, setting);
    system.per_user.insert("legal_mass".into(), legal_mass(&policy.model, &lists, users, bench));
    Ok(system)
}

/// `p_full / p_trie` of each user's first item: the product, over its codes, of the probability that an unconstrained
/// policy gives to legal codes. A trie hides illegality; this shows it.
fn legal_mass(model: &Policy, lists: &[Vec<ItemId>], users: &TestUsers<'_>, bench: &Bench) -> Vec<f64> {
    let mut masses = vec![0.0; lists.len()];
    let with_list: Vec<usize> = (0..lists.len()).filter(|&user| !lists[user].is_empty()).collect();
    for batch in with_list.chunks(USERS_PER_BATCH) {
        let contexts: Vec<&[ItemId]> = batch.iter().map(|&user| users.contexts[user]).collect();
        let first: Vec<&SemanticId> =
            batch.iter().map(|&user| bench.codebook.catalog.semantic_id(lists[user][0])).collect();
        let encoded = bench.recommender(model).encode(&contexts, Dropout::Off);
        let log_probs = |space| {
            let recommender = Recommender { space, ..bench.recommender(model) };
            recommender.scorer().token_log_probs(&encoded, &first, Dropout::Off).sum_dim(1)
        };
        let ratio = (log_probs(LogProbSpace::Full) - log_probs(LogProbSpace::Trie)).exp().into_data();
        for (&user, mass) in batch.iter().zip(ratio.iter::<f64>()) {
            masses[user] = mass.min(1.0);
        }
    }
    masses
}
