//! A tiny catalog and policy for tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::catalog::Catalog;
use crate::ids::SemanticId;
use crate::model::{
    CodeDecoder, ContextBlock, EncoderAttention, HeadWeights, ItemContextConfig, ItemEmbedding, Policy,
    PolicyConfig, T5Config,
};
use crate::random::Key;
use burn::prelude::Device;

pub(crate) fn config() -> PolicyConfig {
    PolicyConfig::T5(t5_config())
}

pub(crate) fn t5_config() -> T5Config {
    T5Config {
        vocab_size: 16,
        d_model: 16,
        d_kv: 4,
        d_ff: 24,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.1,
        layer_norm_epsilon: 1e-6,
        encoder_attention: EncoderAttention::Bidirectional,
    }
}

pub(crate) fn model(device: &Device) -> Policy {
    Policy::new(&config(), Key::new(5), device).unwrap()
}

pub(crate) fn item_context_config() -> ItemContextConfig {
    ItemContextConfig {
        vocab_size: 16,
        levels: 3,
        num_items: 5,
        d_model: 16,
        d_kv: 4,
        d_ff: 24,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.1,
        layer_norm_epsilon: 1e-6,
        context_block: ContextBlock::Transformer,
        item_embedding: ItemEmbedding::CodesAndItem,
        code_decoder: CodeDecoder::Depth,
        head: HeadWeights::Own,
    }
}

/// Policies whose states know nothing of what comes after them.
pub(crate) fn causal_policies(device: &Device) -> Vec<Policy> {
    let t5 = T5Config { encoder_attention: EncoderAttention::Causal, ..t5_config() };
    let hstu = ItemContextConfig { context_block: ContextBlock::Hstu, ..item_context_config() };
    let parallel = ItemContextConfig { code_decoder: CodeDecoder::Parallel, ..item_context_config() };
    let item_context = [item_context_config(), hstu, parallel].map(PolicyConfig::ItemContext);
    let configs = std::iter::once(PolicyConfig::T5(t5)).chain(item_context);
    configs.map(|config| Policy::new(&config, Key::new(5), device).unwrap()).collect()
}

/// One policy of every architecture.
pub(crate) fn policies(device: &Device) -> Vec<Policy> {
    std::iter::once(model(device)).chain(causal_policies(device)).collect()
}

/// Five items over levels of 4, 3 and 4 codes.
pub(crate) fn catalog() -> Catalog {
    let codes = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]];
    Catalog::new(codes.map(|c| SemanticId::new(c.to_vec())).to_vec(), vec![4, 3, 4]).unwrap()
}
