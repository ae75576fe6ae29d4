//! Policies: what reads a history and writes the next item's codes.
//!
//! [`Policy`] is any of them; [`T5`], [`ItemContext`] say what each computes, [`CausalLm`] is the language model that
//! decoder-only policies are made of.

mod causal;
mod config;
mod decoder;
mod encoded;
mod hstu;
mod item_context;
mod layers;
mod policy;
mod position;
mod stack;
mod t5;

pub use causal::{CausalLm, CausalLmConfig};
pub use config::{EncoderAttention, SizeError, T5Config};
pub use encoded::Encoded;
pub use item_context::{
    CodeDecoder, ContextBlock, HeadWeights, ItemContext, ItemContextConfig, ItemEmbedding,
};
pub use layers::Dropout;
pub use policy::{DecoderCache, Policy, PolicyConfig};
pub use t5::T5;

#[cfg(test)]
mod tests;
