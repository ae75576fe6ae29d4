//! The loss of a batch: mean negative log-probability of the targets' codes over the whole vocabulary, smoothed or not.
//! Legality is learnt, not assumed.

use super::examples::Reading;
use super::sessions::Rule;
use align::ntp::ntp;
use align::tokens::ValidTokens;
use burn::prelude::Tensor;
use policy::history::{Context, Log};
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::Sessions;
use policy::model::Dropout;
use sampler::recommend::Recommender;

/// The loss of `batch` under the recommender's policy and space.
///
/// # Shapes
/// - result: `[1]`.
pub fn loss(
    recommender: &Recommender<'_>,
    (log, batch, rule): (&Log, &[Reading], &Rule),
    dropout: Dropout,
    smoothing: f64,
) -> Tensor<1> {
    let catalog = &recommender.codebook.catalog;
    let encoded = recommender.encode(&contexts(batch, log), dropout).read_prefixes(&prefixes(batch));
    let ids: Vec<&SemanticId> = targets(batch, log, rule).map(|item| catalog.semantic_id(item)).collect();
    let sessions = Sessions { ids: &ids, items: rule.items };
    let log_probs = recommender.scorer().smoothed_log_probs(&encoded, sessions, dropout, smoothing);
    let [rows, tokens] = log_probs.dims();
    let valid = ValidTokens::all(rows, tokens, &log_probs.device());
    ntp(log_probs, &valid)
}

/// The items that each reading reads.
pub fn contexts<'a>(batch: &[Reading], log: &'a Log) -> Vec<Context<'a>> {
    batch.iter().map(|reading| log.read(reading.user, reading.read.clone())).collect()
}

/// The items of the targets of all readings, in order.
pub fn targets<'a>(batch: &'a [Reading], log: &'a Log, rule: &Rule) -> impl Iterator<Item = ItemId> + 'a {
    let items = rule.items;
    let of = move |reading: &'a Reading| {
        let history = log.train_items(reading.user);
        reading.targets.iter().flat_map(move |&start| history[start..start + items].iter().copied())
    };
    batch.iter().flat_map(of)
}

/// How many items of each reading its targets see.
fn prefixes(batch: &[Reading]) -> Vec<Vec<usize>> {
    let of = |reading: &Reading| reading.targets.iter().map(|target| target - reading.read.start).collect();
    batch.iter().map(of).collect()
}
