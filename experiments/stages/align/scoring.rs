//! Log-probabilities of candidates under a policy.

use crate::run::StageContext;
use crate::stages::bench::Bench;
use crate::stages::sample::rollouts::Rollout;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::history::{Context, Log};
use policy::ids::{ItemId, SemanticId};
use policy::model::{Dropout, Encoded, Policy};

/// Users scored together where no gradient is wanted.
const USERS: usize = 32;

/// Token log-probabilities of a list of items.
pub(super) type Rows = Vec<Vec<f32>>;

/// `[users * items, l]`: every list has as many items.
pub(super) fn of_items(model: &Policy, encoded: &Encoded, items: &[ItemId], bench: &Bench) -> Tensor<2> {
    let catalog = &bench.codebook.catalog;
    let ids: Vec<&SemanticId> = items.iter().map(|&item| catalog.semantic_id(item)).collect();
    bench.recommender(model).scorer().token_log_probs(encoded, &ids, Dropout::Off)
}

/// What the user had taken when the rollout was made.
pub(super) fn context<'a>(rollout: &Rollout, bench: &'a Bench) -> Context<'a> {
    bench.dataset.log.read(rollout.user, 0..rollout.known)
}

/// What the user took next.
pub(super) fn observed(rollout: &Rollout, bench: &Bench) -> ItemId {
    bench.dataset.log.history(rollout.user).items[rollout.known]
}

/// What the user took next, and up to `later` interactions after it. None of them is held out: rewards look no further than training.
pub(super) fn actions<'a>(rollout: &Rollout, later: usize, log: &'a Log) -> &'a [ItemId] {
    let training = log.train_items(rollout.user);
    &training[rollout.known..training.len().min(rollout.known + 1 + later)]
}

/// Log-probabilities of some items of every rollout, without a gradient. Lists are equally long.
///
/// # Errors
/// The run is stopped.
pub(super) fn tabulated(
    model: &Policy,
    (rollouts, items): (&[Rollout], &[Vec<ItemId>]),
    (bench, ctx): (&Bench, &StageContext),
) -> anyhow::Result<Vec<Rows>> {
    let mut tables = Vec::with_capacity(rollouts.len());
    for (rollouts, items) in rollouts.chunks(USERS).zip(items.chunks(USERS)) {
        ctx.check_stop()?;
        let contexts: Vec<_> = rollouts.iter().map(|rollout| context(rollout, bench)).collect();
        let encoded = bench.recommender(model).encode(&contexts, Dropout::Off);
        let log_probs = of_items(model, &encoded, &items.concat(), bench);
        let width = log_probs.dims()[1];
        let values: Vec<f32> = log_probs.into_data().iter::<f32>().collect();
        let per_user = items[0].len() * width;
        let rows = |values: &[f32]| values.chunks(width).map(<[f32]>::to_vec).collect();
        tables.extend(values.chunks(per_user).map(rows));
    }
    Ok(tables)
}

/// The rows of several users, one after the other, `[rows, l]`.
pub(super) fn stacked<'a>(rows: impl Iterator<Item = &'a Vec<f32>>, device: &Device) -> Tensor<2> {
    let rows: Vec<&Vec<f32>> = rows.collect();
    let (count, width) = (rows.len(), rows[0].len());
    let values: Vec<f32> = rows.into_iter().flatten().copied().collect();
    Tensor::from_data(TensorData::new(values, [count, width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;
    use policy::ids::UserId;

    #[test]
    fn later_actions_end_with_the_training_part_however_many_are_asked_for() {
        for length in 4..12 {
            let items: Vec<ItemId> = (0..length).map(ItemId::new).collect();
            let history = History { items: items.clone(), ..History::default() };
            let log = Log { histories: vec![history], num_items: length, signals: Vec::new() };
            for known in 1..length - 2 {
                let user = UserId::new(0);
                let rollout = Rollout { user, known, candidates: Vec::new(), scores: Vec::new() };
                for later in 0..length + 2 {
                    let found = actions(&rollout, later, &log);
                    let left = length - 2 - known;
                    assert_eq!(found, &items[known..known + left.min(1 + later)], "{length} {known} {later}");
                    assert!(!found.contains(&items[length - 2]) && !found.contains(&items[length - 1]));
                }
            }
        }
    }
}
