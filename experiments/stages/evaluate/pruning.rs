//! What pruning inconsistent paths changes (CORP of `REG4Rec`, reconstructed; [`sampler::consistency`]).

use super::NamedPolicy;
use super::systems::{Setting, judged, ranking, ranks};
use crate::run::StageContext;
use policy::ids::ItemId;
use sampler::consistency::Pruned;
use sampler::recommend::Seen;
use std::collections::BTreeMap;

/// What the keys of changes begin with.
pub(super) const PREFIX: &str = "pruning/";

/// The policy's lists with pruning less its own, whose metrics are `without`, user by user: `pruning/recall@K`, `pruning/ndcg@K`,
/// `pruning/judge/<judge>`; and `pruning/paths`, how many paths made room for others.
///
/// # Errors
/// If the run is stopped.
pub(super) fn pruning(
    (policy, without): (&NamedPolicy, &BTreeMap<String, Vec<f64>>),
    setting: Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let (section, users, bench) = setting;
    let (recommender, width) = (bench.recommender(&policy.model), section.beam_width);
    let progress = ctx.progress(&format!("{} with pruning", policy.name), users.len() as u64);
    let least = section.min_consistency;
    let pruned =
        recommender.consistent_candidates(&users.contexts, (width, least), Seen::Excluded, |done| {
            progress.inc(done);
            ctx.check_stop()
        })?;
    let items = |list: &Pruned| list.candidates.iter().map(|candidate| candidate.item).collect();
    let lists: Vec<Vec<ItemId>> = pruned.iter().map(items).collect();
    let ranks = ranks(&lists, users);
    let with = ranking(&ranks, &section.cutoffs).chain(judged(&lists, setting));
    let change = |(metric, with): (String, Vec<f64>)| {
        let change = with.iter().zip(&without[&metric]).map(|(with, without)| with - without).collect();
        (format!("{PREFIX}{metric}"), change)
    };
    let mut changes: BTreeMap<_, _> = with.map(change).collect();
    changes.insert(format!("{PREFIX}paths"), pruned.iter().map(|list| list.pruned as f64).collect());
    Ok(changes)
}
