//! How the experts of a mixture share the work.

use crate::run::StageContext;
use policy::history::{Context, Log, Split};
use policy::ids::{SemanticId, UserId};
use policy::model::Dropout;
use sampler::recommend::Recommender;

/// Users decoded together.
const USERS_PER_BATCH: usize = 256;

/// Records, per decoder block, the share of choices that each expert has and how far the largest is above the mean, over the
/// validation targets of `users`. Nothing for a policy without experts.
///
/// # Errors
/// The run is stopped.
pub(super) fn record(
    recommender: &Recommender<'_>,
    (log, users): (&Log, &[UserId]),
    step: u64,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    for (block, loads) in loads(recommender, (log, users), ctx)?.iter().enumerate() {
        let (total, experts) = (loads.iter().sum::<usize>() as f64, loads.len() as f64);
        for (expert, &load) in loads.iter().enumerate() {
            ctx.metric(step, &format!("experts/{block}/{expert}/load"), load as f64 / total)?;
        }
        let most = loads.iter().copied().max().unwrap_or_default() as f64;
        ctx.metric(step, &format!("experts/{block}/imbalance"), most * experts / total - 1.0)?;
    }
    Ok(())
}

/// Choices of each expert, per block.
fn loads(
    recommender: &Recommender<'_>,
    (log, users): (&Log, &[UserId]),
    ctx: &StageContext,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut sums: Vec<Vec<usize>> = Vec::new();
    if !recommender.model.has_experts() {
        return Ok(sums);
    }
    for users in users.chunks(USERS_PER_BATCH) {
        ctx.check_stop()?;
        let contexts: Vec<Context<'_>> =
            users.iter().map(|&user| log.context(user, Split::Validation)).collect();
        let target =
            |&user: &UserId| recommender.codebook.catalog.semantic_id(log.target(user, Split::Validation));
        let targets: Vec<&SemanticId> = users.iter().map(target).collect();
        let encoded = recommender.encode(&contexts, Dropout::Off);
        let loads = recommender.scorer().expert_loads(&encoded, &targets);
        sums.resize(loads.len(), vec![0; loads.first().map_or(0, Vec::len)]);
        for (sum, load) in sums.iter_mut().flatten().zip(loads.iter().flatten()) {
            *sum += load;
        }
    }
    Ok(sums)
}
