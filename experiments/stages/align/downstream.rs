//! Labels by a downstream task: a candidate is as good as the prediction of what the user really took next becomes with it.
//!
//! After `LettinGo`, which prefers the user profile that helps a recommender most; for items it is a reconstruction: the candidate
//! is put at the end of the history, and the pretrained policy says how probable the observed next item then is.

use super::scoring::{context, observed, of_items};
use crate::run::StageContext;
use crate::stages::bench::Bench;
use crate::stages::sample::rollouts::Rollout;
use policy::history::Context;
use policy::ids::ItemId;
use policy::model::{Dropout, Policy};

/// One score per candidate of every rollout.
///
/// # Errors
/// The run is stopped.
pub(super) fn scores(
    pretrained: &Policy,
    rollouts: &[Rollout],
    (bench, ctx): (&Bench, &StageContext),
) -> anyhow::Result<Vec<Vec<f64>>> {
    let recommender = bench.recommender(pretrained);
    let mut scores = Vec::with_capacity(rollouts.len());
    for rollout in rollouts {
        ctx.check_stop()?;
        let known = context(rollout, bench);
        let with = |item: ItemId| [known.items, &[item]].concat();
        let histories: Vec<Vec<ItemId>> = rollout.items().into_iter().map(with).collect();
        // It would have been consumed when the observed item was.
        let times = bench.dataset.log.read(rollout.user, 0..rollout.known + 1).times;
        let contexts: Vec<_> = histories.iter().map(|items| Context { items, times, ..known }).collect();
        let encoded = recommender.encode(&contexts, Dropout::Off);
        let targets = vec![observed(rollout, bench); contexts.len()];
        let log_probs = of_items(pretrained, &encoded, &targets, bench).sum_dim(1);
        scores.push(log_probs.into_data().iter::<f64>().collect());
    }
    Ok(scores)
}
