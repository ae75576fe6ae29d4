//! The loss of a batch: mean negative log-probability of the targets' codes over the whole vocabulary, smoothed or not.
//! Legality is learnt, not assumed.

use super::examples::Reading;
use align::ntp::ntp;
use align::tokens::ValidTokens;
use burn::prelude::Tensor;
use policy::history::{Context, Log};
use policy::ids::{ItemId, SemanticId};
use policy::model::Dropout;
use sampler::recommend::Recommender;

/// The loss of `batch` under the recommender's policy and space.
///
/// # Shapes
/// - result: `[1]`.
pub fn loss(
    recommender: &Recommender<'_>,
    (log, batch): (&Log, &[Reading]),
    dropout: Dropout,
    smoothing: f64,
) -> Tensor<1> {
    let catalog = &recommender.codebook.catalog;
    let encoded = recommender.encode(&contexts(batch, log), dropout).read_prefixes(&prefixes(batch));
    let targets: Vec<&SemanticId> = targets(batch, log).map(|item| catalog.semantic_id(item)).collect();
    let log_probs = recommender.scorer().smoothed_log_probs(&encoded, &targets, dropout, smoothing);
    let valid = ValidTokens::all(targets.len(), catalog.levels(), &log_probs.device());
    ntp(log_probs, &valid)
}

/// The items that each reading reads.
pub fn contexts<'a>(batch: &[Reading], log: &'a Log) -> Vec<Context<'a>> {
    batch.iter().map(|reading| log.read(reading.user, reading.read.clone())).collect()
}

/// The targets of all readings, in order.
pub fn targets<'a>(batch: &'a [Reading], log: &'a Log) -> impl Iterator<Item = ItemId> + 'a {
    batch.iter().flat_map(|reading| log.train_items(reading.user)[reading.targets.clone()].iter().copied())
}

/// How many items of each reading its targets see.
fn prefixes(batch: &[Reading]) -> Vec<Vec<usize>> {
    let of = |reading: &Reading| reading.targets.clone().map(|target| target - reading.read.start).collect();
    batch.iter().map(of).collect()
}
