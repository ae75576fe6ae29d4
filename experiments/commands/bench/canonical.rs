//! The canonical sizes: a policy of two million weights over as many items as Amazon Beauty has, random histories of
//! 20 items. Every workload takes what it needs from here, so that their figures belong together.

use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::history::Context;
use policy::ids::{Code, ItemId, SemanticId};
use policy::model::{Dropout, Policy, PolicyConfig, T5Config};
use policy::random::Key;
use policy::vocab::END;
use sampler::recommend::Codebook;

/// Width of the residual stream.
pub(super) const D_MODEL: usize = 128;
/// Inner width of the feed-forward layers.
pub(super) const INNER: usize = 512;
/// Blocks of the encoder, and of the decoder.
pub(super) const LAYERS: usize = 4;
/// Width of an attention head.
pub(super) const D_KV: usize = 32;
/// Codes of a semantic ID.
pub(super) const CODE_LENGTH: usize = 4;
/// Codes per level.
pub(super) const CODES: usize = 256;
/// Tokens that mean something: pad, end, codes. The policy's own vocabulary is padded to a multiple of 16.
pub(super) const TOKENS: usize = 2 + CODE_LENGTH * CODES;
/// Items of the catalog.
pub(super) const ITEMS: usize = 12_101;
/// Items of a history.
pub(super) const HISTORY_ITEMS: usize = 20;
/// Tokens of a history.
pub(super) const HISTORY_TOKENS: usize = HISTORY_ITEMS * CODE_LENGTH;
/// Tokens of a target: the codes and the end.
pub(super) const TARGET_TOKENS: usize = CODE_LENGTH + 1;
/// Width of the beam.
pub(super) const WIDTH: usize = 32;
/// Completions of a group.
pub(super) const GROUP: usize = 16;

const SEED: Key = Key::new(7);

/// Distinct random semantic IDs, with trie and token layout.
pub(super) fn codebook() -> anyhow::Result<Codebook> {
    Ok(Codebook::new(catalog(ITEMS, "items")?))
}

/// A catalog of `count` distinct random semantic IDs.
pub(super) fn catalog(count: usize, purpose: &str) -> anyhow::Result<Catalog> {
    Ok(Catalog::new(random_ids(count, SEED.named(purpose)), vec![CODES; CODE_LENGTH])?)
}

/// `count` distinct semantic IDs in ascending order.
fn random_ids(count: usize, key: Key) -> Vec<SemanticId> {
    // A byte per level, because there are 256 codes.
    let mut ids: Vec<[u8; CODE_LENGTH]> = Vec::with_capacity(count);
    let mut drawn = 0..;
    while ids.len() < count {
        let missing = count - ids.len();
        ids.extend(drawn.by_ref().take(missing).map(|draw| (key.at(draw).bits() as u32).to_le_bytes()));
        ids.sort_unstable();
        ids.dedup();
    }
    ids.into_iter().map(|codes| SemanticId::new(codes.map(Code::from))).collect()
}

/// Items of the catalog, drawn uniformly.
pub(super) fn items(count: usize, purpose: &str, codebook: &Codebook) -> Vec<ItemId> {
    let (key, size) = (SEED.named(purpose), codebook.catalog.num_items() as f64);
    (0..count as u64).map(|draw| ItemId::new((key.at(draw).unit() * size) as usize)).collect()
}

/// Random histories as encoder input.
pub(super) fn histories(users: usize, codebook: &Codebook) -> EncoderBatch {
    histories_of(HISTORY_ITEMS, users, codebook)
}

/// Random histories of another length.
pub(super) fn histories_of(length: usize, users: usize, codebook: &Codebook) -> EncoderBatch {
    let items = items(users * length, "histories", codebook);
    let contexts: Vec<Context<'_>> = items.chunks(length).map(Context::from).collect();
    EncoderBatch::new(&contexts, length, &codebook.catalog)
}

/// Tokens of random target items, each with the end: [`TARGET_TOKENS`] per row.
pub(super) fn targets(rows: usize, codebook: &Codebook) -> Vec<Vec<u32>> {
    let tokens = |item: &ItemId| {
        let id = codebook.catalog.semantic_id(*item);
        codebook.vocab.tokens(id).chain([END]).collect()
    };
    items(rows, "targets", codebook).iter().map(tokens).collect()
}

/// The policy's size.
pub(super) fn config(codebook: &Codebook) -> PolicyConfig {
    PolicyConfig::T5(T5Config {
        vocab_size: codebook.vocab.size(),
        d_model: D_MODEL,
        d_kv: D_KV,
        d_ff: INNER,
        num_heads: D_MODEL / D_KV,
        num_layers: LAYERS,
        num_decoder_layers: LAYERS,
        dropout_rate: 0.0,
        ..T5Config::default()
    })
}

/// A policy with random weights.
pub(super) fn policy(codebook: &Codebook, device: &burn::prelude::Device) -> anyhow::Result<Policy> {
    Ok(Policy::new(&config(codebook), SEED.named("weights"), device)?)
}

/// The tokens of [`histories`], row by row.
pub(super) fn history_tokens(users: usize, codebook: &Codebook) -> Vec<Vec<u32>> {
    let tokens =
        |item: &ItemId| codebook.vocab.tokens(codebook.catalog.semantic_id(*item)).collect::<Vec<_>>();
    let items = items(users * HISTORY_ITEMS, "histories", codebook);
    items.chunks(HISTORY_ITEMS).map(|history| history.iter().flat_map(tokens).collect()).collect()
}

/// The dropout of a training step.
pub(super) fn dropout(rate: f64, step: u64) -> Dropout {
    match rate {
        0.0 => Dropout::Off,
        rate => Dropout::On { rate, key: SEED.named("dropout").at(step) },
    }
}

/// A stream of random numbers of a workload.
pub(super) const fn key() -> Key {
    SEED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_distinct_ascending_and_those_drawn_first() {
        let ids = random_ids(1000, SEED);
        assert!(ids.is_sorted_by(|a, b| a < b) && ids.len() == 1000);
        // Among a thousand of 2^32 none is drawn twice, so a longer list holds every shorter one.
        let fewer = random_ids(10, SEED);
        assert!(fewer.iter().all(|id| ids.contains(id)));
    }
}
