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

/// The policy's lists with pruning less those of the same search with nothing pruned, user by user: `pruning/recall@K`, `pruning/ndcg@K`,
/// `pruning/judge/<judge>`; and `pruning/paths`, how many paths made room for others.
///
/// # Errors
/// If the run is stopped.
pub(super) fn pruning(
    policy: &NamedPolicy,
    setting: Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let (section, users, bench) = setting;
    let (recommender, width) = (bench.recommender(&policy.model), section.beam_width);
    let progress = ctx.progress(&format!("{} with pruning", policy.name), 2 * users.len() as u64);
    let search = |least| {
        recommender.consistent_candidates(&users.contexts, (width, least), Seen::Excluded, |done| {
            progress.inc(done);
            ctx.check_stop()
        })
    };
    let measured = |found: &[Pruned]| -> BTreeMap<String, Vec<f64>> {
        let items = |list: &Pruned| list.candidates.iter().map(|candidate| candidate.item).collect();
        let lists: Vec<Vec<ItemId>> = found.iter().map(items).collect();
        ranking(&ranks(&lists, users), &section.cutoffs).chain(judged(&lists, setting)).collect()
    };
    let (all, pruned) = (search(0.0)?, search(section.min_consistency)?);
    let without = measured(&all);
    let change = |(metric, with): (String, Vec<f64>)| {
        let change = with.iter().zip(&without[&metric]).map(|(with, without)| with - without).collect();
        (format!("{PREFIX}{metric}"), change)
    };
    let mut changes: BTreeMap<_, _> = measured(&pruned).into_iter().map(change).collect();
    changes.insert(format!("{PREFIX}paths"), pruned.iter().map(|list| list.pruned as f64).collect());
    Ok(changes)
}
