//! A small policy over a small catalog, and its users.

use burn::prelude::*;
use policy::catalog::Catalog;
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{
    AttentionBias, CodeDecoder, ContextBlock, Dropout, HeadWeights, ItemContextConfig, ItemEmbedding, Policy,
    PolicyConfig, T5Config,
};
use policy::random::Key;
use sampler::recommend::{Codebook, Recommender};

const ITEMS: usize = 48;
/// Candidates of a user, chosen ones before rejected ones.
pub(super) const GROUP: usize = 4;

/// Three levels, of which the last has few legal codes among many; every third item shares its neighbour's semantic ID.
pub(super) fn codebook() -> Codebook {
    let id = |item: u32| {
        let id = item - item / 3;
        SemanticId::new([id % 4, id / 4 % 4, id % 3 * 21])
    };
    let ids = (0..ITEMS as u32).map(id).collect();
    Codebook::new(Catalog::new(ids, vec![16, 16, 64]).unwrap())
}

/// Every width a multiple of 16, as all of the program's are: see `policy::vocab`.
pub(super) fn config(codebook: &Codebook) -> PolicyConfig {
    PolicyConfig::T5(T5Config {
        vocab_size: codebook.vocab.size(),
        d_model: 32,
        d_kv: 16,
        d_ff: 64,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 16,
        relative_attention_max_distance: 32,
        dropout_rate: 0.1,
        ..T5Config::default()
    })
}

/// One of every architecture.
pub(super) fn configs(codebook: &Codebook) -> Vec<PolicyConfig> {
    let hstu = ItemContextConfig {
        context_block: ContextBlock::Hstu,
        attention_bias: AttentionBias::PositionAndTime,
        ..item_context(codebook)
    };
    let parallel = ItemContextConfig { code_decoder: CodeDecoder::Parallel, ..item_context(codebook) };
    let item_context = [item_context(codebook), hstu, parallel].map(PolicyConfig::ItemContext);
    std::iter::once(config(codebook)).chain(item_context).collect()
}

fn item_context(codebook: &Codebook) -> ItemContextConfig {
    ItemContextConfig {
        vocab_size: codebook.vocab.size(),
        levels: codebook.vocab.levels(),
        num_items: ITEMS,
        d_model: 32,
        d_kv: 16,
        d_ff: 64,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 1,
        relative_attention_num_buckets: 16,
        relative_attention_max_distance: 32,
        dropout_rate: 0.1,
        layer_norm_epsilon: 1e-6,
        context_block: ContextBlock::Transformer,
        attention_bias: AttentionBias::Position,
        item_embedding: ItemEmbedding::CodesAndItem,
        item_dropout: 0.0,
        code_decoder: CodeDecoder::Depth,
        head: HeadWeights::Own,
        user_buckets: 0,
    }
}

/// With the weights that every device starts from.
pub(super) fn policy(config: &PolicyConfig, device: &Device) -> Policy {
    Policy::new(config, Key::new(1), &device.clone().autodiff()).unwrap()
}

pub(super) fn model(codebook: &Codebook, device: &Device) -> Policy {
    policy(&config(codebook), device)
}

pub(super) fn recommender<'a>(
    model: &'a Policy,
    codebook: &'a Codebook,
    space: LogProbSpace,
) -> Recommender<'a> {
    Recommender { model, codebook, history_items: 8, space, session_items: 1 }
}

fn item(index: usize) -> ItemId {
    ItemId::new(index % ITEMS)
}

/// Users with none to five items.
pub(super) fn contexts() -> Vec<Vec<ItemId>> {
    (0..6).map(|user| (0..user).map(|at| item(11 * user + 7 * at)).collect()).collect()
}

/// Log-probabilities of [`GROUP`] items per user, `[r, l]`.
pub(super) fn candidates(recommender: &Recommender<'_>, dropout: Dropout) -> Tensor<2> {
    let contexts = contexts();
    let slices: Vec<_> = contexts.iter().map(|items| items.as_slice().into()).collect();
    let catalog = &recommender.codebook.catalog;
    let ids: Vec<&SemanticId> =
        (0..contexts.len() * GROUP).map(|row| catalog.semantic_id(item(5 * row + 3))).collect();
    recommender.scorer().token_log_probs(&recommender.encode(&slices, dropout), &ids, dropout)
}

pub(super) fn figures<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}
