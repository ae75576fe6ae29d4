//! What each recommender shows to the test users, and what that is worth.

use super::NamedPolicy;
use super::groups::Slice;
use super::pruning::pruning;
use super::users::TestUsers;
use crate::config::{Evaluate, FreeBeams};
use crate::run::StageContext;
use crate::stages::bench::{Bench, mean};
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy};
use policy::quantize::quality::gini_over;
use reports::schema::{Estimate, SystemResult};
use reports::statistics::bootstrap_mean;
use reward::ranking::{ndcg, rank_in_list, recall};
use sampler::baselines::{Baseline, BaselineKind};
use sampler::free::Free;
use sampler::recommend::{Recommender, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// Items of a list that count for coverage, exposure and diversity.
const SHOWN: usize = 10;
/// Users scored together when legality is measured.
const USERS_PER_BATCH: usize = 64;

/// A recommender's results, user by user.
pub(super) struct System {
    pub(super) name: String,
    role: &'static str,
    /// The stage whose policy it is.
    checkpoint: Option<String>,
    /// Metric -> one value per test user.
    pub(super) per_user: BTreeMap<String, Vec<f64>>,
    /// Numbers of all lists together.
    flat: BTreeMap<String, f64>,
    /// What every user is shown first.
    pub(super) shown: Vec<Vec<ItemId>>,
}

/// What all systems are evaluated with.
pub(super) type Setting<'a> = (&'a Evaluate, &'a TestUsers<'a>, &'a Bench);

impl System {
    pub(super) fn new(name: &str, role: &'static str, lists: &[Vec<ItemId>], setting: Setting<'_>) -> Self {
        let (section, users, bench) = setting;
        let mut per_user: BTreeMap<_, _> = ranking(&ranks(lists, users), &section.cutoffs).collect();
        per_user.extend(judged(lists, setting));
        per_user.extend(regret(&per_user, setting));
        let shown: Vec<Vec<ItemId>> =
            lists.iter().map(|list| list.iter().copied().take(SHOWN).collect()).collect();
        let of_lists = |f: &dyn Fn(&[ItemId]) -> f64| shown.iter().map(|list| f(list)).collect::<Vec<f64>>();
        let head = |item: &ItemId| f64::from(u8::from(users.popularity.is_head(*item)));
        let percentile = |item: &ItemId| users.popularity.percentile(*item);
        per_user.insert(format!("diversity@{SHOWN}"), of_lists(&|list| diversity(list, bench)));
        per_user.insert(format!("head_share@{SHOWN}"), of_lists(&|list| mean(list.iter().map(head))));
        per_user.insert(format!("popularity@{SHOWN}"), of_lists(&|list| mean(list.iter().map(percentile))));
        if let Some(flooding) = &bench.flooding {
            let floods = |item: &ItemId| f64::from(u8::from(flooding[item.index()]));
            let share = of_lists(&|list| mean(list.iter().map(floods)));
            per_user.insert(format!("flooding_share@{SHOWN}"), share);
        }
        let flat = exposure(&shown, bench.dataset.log.num_items);
        Self { name: name.into(), role, checkpoint: None, per_user, flat, shown }
    }

    /// One value per user of all metrics, and of the main ones over every group of users.
    pub(super) fn columns(&self, slices: &[Slice]) -> BTreeMap<String, Vec<f64>> {
        let mut columns = self.per_user.clone();
        for (metric, values) in self.per_user.iter().filter(|(metric, _)| is_sliced(metric)) {
            for slice in slices {
                let own = slice.users.iter().map(|&user| values[user]).collect();
                columns.insert(format!("{metric}/{}", slice.name), own);
            }
        }
        columns
    }

    /// Means with intervals.
    pub(super) fn result(&self, slices: &[Slice], (resamples, seed): (usize, u64)) -> SystemResult {
        let estimated = self.columns(slices).into_iter();
        let mut metrics: BTreeMap<String, Estimate> =
            estimated.map(|(metric, values)| (metric, bootstrap_mean(&values, resamples, seed))).collect();
        for (metric, &value) in &self.flat {
            metrics.insert(metric.clone(), Estimate { value, low: value, high: value });
        }
        let (name, checkpoint) = (self.name.clone(), self.checkpoint.clone());
        SystemResult { name, role: self.role.into(), checkpoint, metrics }
    }
}

/// What every judge says of each user's list, cut to the items that are judged.
pub(super) fn judged(
    lists: &[Vec<ItemId>],
    (section, users, bench): Setting<'_>,
) -> BTreeMap<String, Vec<f64>> {
    let shown = users.shown(lists, section.judged_items);
    let scores =
        bench.judges().into_iter().map(|(key, judge)| (key.to_string(), Bench::list_scores(judge, &shown)));
    let disagreement = bench.disagreement(&shown).map(|spread| ("ensemble/disagreement".to_string(), spread));
    scores.chain(disagreement).collect()
}

/// How much less the lists are worth than the best there are, where the truth is known.
fn regret(
    per_user: &BTreeMap<String, Vec<f64>>,
    (section, users, bench): Setting<'_>,
) -> Option<(String, Vec<f64>)> {
    let (worth, best) = (per_user.get("judge/oracle")?, users.attainable(bench, section.judged_items)?);
    Some(("regret".into(), best.iter().zip(worth).map(|(best, worth)| best - worth).collect()))
}

/// Metrics that are told apart by groups of users.
fn is_sliced(metric: &str) -> bool {
    ["recall@10", "ndcg@10", "judge/held-out", "judge/oracle"].contains(&metric)
}

/// Share of different first codes among the items of a list: 1 when no two belong to the same coarse group.
fn diversity(list: &[ItemId], bench: &Bench) -> f64 {
    let first = |item: &ItemId| bench.codebook.catalog.semantic_id(*item).codes()[0];
    let distinct: BTreeSet<_> = list.iter().map(first).collect();
    distinct.len() as f64 / list.len().max(1) as f64
}

/// How the lists of all users spread over the catalog.
fn exposure(shown: &[Vec<ItemId>], num_items: usize) -> BTreeMap<String, f64> {
    let mut counts = vec![0; num_items];
    shown.iter().flatten().for_each(|item| counts[item.index()] += 1);
    let covered = counts.iter().filter(|count| **count > 0).count() as f64 / num_items as f64;
    let gini = gini_over(&counts, num_items as f64);
    [(format!("coverage@{SHOWN}"), covered), (format!("gini@{SHOWN}"), gini)].into()
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
            lists.push(baseline.recommend(context.items, most));
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
    let lists = recommender.lists(&users.contexts, section.beam_width, Seen::Excluded, |done| {
        progress.inc(done);
        ctx.check_stop()
    })?;
    let mut system = System::new(&policy.name, role, &lists, setting);
    system.checkpoint.clone_from(&policy.checkpoint);
    system.per_user.insert("legal_mass".into(), legal_mass(&policy.model, &lists, users, bench));
    if section.free_beams == FreeBeams::Measured {
        system.per_user.extend(free_beams(policy, setting, ctx)?);
    }
    if section.min_consistency > 0.0 {
        let changes = pruning((policy, &system.per_user), setting, ctx)?;
        system.per_user.extend(changes);
    }
    Ok(system)
}

/// What the policy's beams are worth without the trie.
fn free_beams(
    policy: &NamedPolicy,
    (section, users, bench): Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let recommender = bench.recommender(&policy.model);
    let progress = ctx.progress(&format!("{} without trie", policy.name), users.len() as u64);
    let found = recommender.free_candidates(&users.contexts, section.beam_width, Seen::Excluded, |done| {
        progress.inc(done);
        ctx.check_stop()
    })?;
    let items = |free: &Free| free.candidates.iter().map(|candidate| candidate.item).collect();
    let ranks = ranks(&found.iter().map(items).collect::<Vec<_>>(), users);
    let mut per_user: BTreeMap<_, _> =
        ranking(&ranks, &section.cutoffs).map(|(key, values)| (format!("free/{key}"), values)).collect();
    per_user.insert("free/legality".into(), found.iter().map(|free| free.legal).collect());
    Ok(per_user)
}

/// Where each user's target is in the list.
pub(super) fn ranks(lists: &[Vec<ItemId>], users: &TestUsers<'_>) -> Vec<Option<usize>> {
    lists.iter().zip(&users.targets).map(|(list, &target)| rank_in_list(list, target)).collect()
}

/// Recall and NDCG of every user at every cut-off.
pub(super) fn ranking(
    ranks: &[Option<usize>],
    cutoffs: &[usize],
) -> impl Iterator<Item = (String, Vec<f64>)> {
    let metrics = [("recall", recall as fn(_, _) -> f64), ("ndcg", ndcg)];
    cutoffs.iter().flat_map(move |&cutoff| {
        metrics.map(|(name, f)| {
            (format!("{name}@{cutoff}"), ranks.iter().map(|&rank| f(rank, cutoff)).collect())
        })
    })
}

/// `p_full / p_trie` of each user's first item: the product, over its codes, of the probability that an unconstrained
/// policy gives to legal codes. A trie hides illegality; this shows it.
fn legal_mass(model: &Policy, lists: &[Vec<ItemId>], users: &TestUsers<'_>, bench: &Bench) -> Vec<f64> {
    let mut masses = vec![0.0; lists.len()];
    let with_list: Vec<usize> = (0..lists.len()).filter(|&user| !lists[user].is_empty()).collect();
    for batch in with_list.chunks(USERS_PER_BATCH) {
        let contexts: Vec<_> = batch.iter().map(|&user| users.contexts[user]).collect();
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
