//! Policies: what reads a history and writes the next item's codes.
//!
//! [`Policy`] is any of them; [`T5`], [`ItemContext`], [`Qwen3`], [`LazyDecoder`] say what each computes. [`CausalLm`] is
//! a language model that is no policy.

mod branches;
mod causal;
mod config;
mod decoder;
mod encoded;
mod experts;
mod grouped;
mod hstu;
mod item_context;
mod items;
mod layers;
mod lazy_block;
mod lazy_config;
mod lazy_decoder;
mod least;
mod padded;
mod policy;
mod position;
mod qwen3;
mod qwen3_config;
mod qwen3_layer;
mod rotary;
mod routes;
mod stack;
mod t5;
mod time_bias;
mod users;

pub use causal::{CausalLm, CausalLmConfig};
pub use config::{EncoderAttention, OneRecMoeConfig, SizeError, T5Config};
pub use encoded::Encoded;
pub use experts::ExpertsConfig;
pub use item_context::{
    AttentionBias, CodeDecoder, ContextBlock, HeadWeights, ItemContext, ItemContextConfig, ItemEmbedding,
};
pub use layers::Dropout;
pub use lazy_config::LazyDecoderConfig;
pub use lazy_decoder::LazyDecoder;
pub use policy::{DecoderCache, Policy, PolicyConfig};
pub use qwen3::Qwen3;
pub use qwen3_config::Qwen3Config;
pub use t5::T5;

#[cfg(test)]
mod tests;
