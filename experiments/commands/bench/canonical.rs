//! The canonical sizes: a policy of two million weights over as many items as Amazon Beauty has, random histories of
//! 20 items. Every workload takes what it needs from here, so that their figures belong together.

use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::ids::{Code, ItemId, SemanticId};
use policy::model::{Dropout, EncoderAttention, T5, T5Config};
use policy::random::Key;
use policy::vocab::END;
use sampler::recommend::Codebook;
use std::collections::BTreeSet;

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
const HISTORY_ITEMS: usize = 20;
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
    let ids = random_ids(ITEMS, SEED.named("items"));
    Ok(Codebook::new(Catalog::new(ids, vec![CODES; CODE_LENGTH])?))
}

/// `count` distinct semantic IDs in ascending order.
pub(super) fn random_ids(count: usize, key: Key) -> Vec<SemanticId> {
    let mut ids = BTreeSet::new();
    for draw in 0.. {
        if ids.len() == count {
            break;
        }
        let bits = key.at(draw).bits();
        ids.insert(std::array::from_fn::<Code, CODE_LENGTH, _>(|level| {
            ((bits >> (8 * level)) as usize % CODES) as Code
        }));
    }
    ids.into_iter().map(SemanticId::new).collect()
}

/// Items drawn uniformly.
pub(super) fn items(count: usize, purpose: &str) -> Vec<ItemId> {
    let key = SEED.named(purpose);
    (0..count as u64).map(|draw| ItemId::new((key.at(draw).unit() * ITEMS as f64) as usize)).collect()
}

/// Random histories as encoder input.
pub(super) fn histories(users: usize, codebook: &Codebook) -> EncoderBatch {
    let items = items(users * HISTORY_ITEMS, "histories");
    let contexts: Vec<&[ItemId]> = items.chunks(HISTORY_ITEMS).collect();
    EncoderBatch::new(&contexts, HISTORY_ITEMS, &codebook.catalog)
}

/// Tokens of random target items, each with the end: [`TARGET_TOKENS`] per row.
pub(super) fn targets(rows: usize, codebook: &Codebook) -> Vec<Vec<u32>> {
    let tokens = |item: &ItemId| {
        let id = codebook.catalog.semantic_id(*item);
        codebook.vocab.tokens(id).chain([END]).collect()
    };
    items(rows, "targets").iter().map(tokens).collect()
}

/// The policy's size.
pub(super) fn config(codebook: &Codebook) -> T5Config {
    T5Config {
        vocab_size: codebook.vocab.size(),
        d_model: D_MODEL,
        d_kv: D_KV,
        d_ff: INNER,
        num_heads: D_MODEL / D_KV,
        num_layers: LAYERS,
        num_decoder_layers: LAYERS,
        relative_attention_num_buckets: 32,
        relative_attention_max_distance: 128,
        dropout_rate: 0.0,
        layer_norm_epsilon: 1e-6,
        encoder_attention: EncoderAttention::Bidirectional,
    }
}

/// A policy with random weights.
pub(super) fn policy(codebook: &Codebook, device: &burn::prelude::Device) -> anyhow::Result<T5> {
    Ok(T5::new(&config(codebook), SEED.named("weights"), device)?)
}

/// The tokens of [`histories`], row by row.
pub(super) fn history_tokens(users: usize, codebook: &Codebook) -> Vec<Vec<u32>> {
    let tokens =
        |item: &ItemId| codebook.vocab.tokens(codebook.catalog.semantic_id(*item)).collect::<Vec<_>>();
    let items = items(users * HISTORY_ITEMS, "histories");
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
