//! Item-level context, read by a depth decoder: one state per item of a history, and a small causal stack over the
//! codes of the next item.
//!
//! An item enters as `sqrt(d) (sum of its codes' embeddings + its own)`; a causal stack of [`SelfStack`] blocks with
//! relative positions makes a context of it. The decoder adds the context of the last item to every code it reads, and
//! attends only to the codes of the item it writes, as the depth transformer of RQ-Transformer (Lee et al. 2022,
//! 2203.01941) does with image codes. Every prefix of a history is a target of the one encoding, and a history of `n`
//! items has `n` states instead of `n l`: the cheapest policy on a CPU.
//!
//! Dropout falls on the embedded items and on what the blocks add, not on the states that the heads read: the context is
//! one vector, and a decoder that sees half of it learns little (Beauty, 10 epochs: validation Recall@10 .034 instead of .063).
//!
//! With one code per item (atomic IDs) and no decoder block it is SASRec with full softmax cross-entropy (Kang & McAuley
//! 2018, 1808.09781; Klenitskiy & Vasilev 2023, 2309.07602): departures are RMS norms, relative instead of absolute
//! positions and no biases.

mod codes;
mod config;
mod context;

pub use config::{AttentionBias, CodeDecoder, ContextBlock, HeadWeights, ItemContextConfig, ItemEmbedding};

use super::config::SizeError;
use super::encoded::Encoded;
use super::items::Items;
use super::layers::{Dropout, EMBEDDING_STD, Matrix, Table};
use super::policy::{Architecture, Context, DecoderCache, Head};
use super::users::Users;
use crate::batch::EncoderBatch;
use crate::kernels;
use crate::random::Key;
use burn::prelude::*;
use codes::Codes;
use context::ContextStack;

/// Dropout parts.
const EMBEDDED: u64 = 0;
const CONTEXT: u64 = 1;
const DECODER: u64 = 2;

/// Policy with item-level context.
#[derive(Module, Debug)]
pub struct ItemContext {
    codes: Table,
    items: Option<Items>,
    users: Users,
    context: ContextStack,
    decoder: Codes,
    head: Option<Matrix>,
}

impl ItemContext {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &ItemContextConfig, key: Key, device: &Device) -> Result<Self, SizeError> {
        config.check()?;
        let d = config.d_model;
        let shape = [config.vocab_size, d];
        Ok(Self {
            codes: Table::new(shape, EMBEDDING_STD, key.named("codes"), device),
            items: (config.item_embedding == ItemEmbedding::CodesAndItem)
                .then(|| Items::new((config.num_items, d), config.item_dropout, key.named("items"), device)),
            users: Users::new(config.user_buckets, (d, EMBEDDING_STD), key, device),
            context: ContextStack::new(config, key.named("context"), device),
            decoder: Codes::new(config, key.named("decoder"), device),
            head: (config.head == HeadWeights::Own)
                .then(|| Matrix::new(shape, EMBEDDING_STD, key.named("head"), device)),
        })
    }

    pub(super) fn writes_all_codes_at_once(&self) -> bool {
        matches!(self.decoder, Codes::Parallel(_))
    }

    fn scale(&self) -> f64 {
        (self.codes.weight.dims()[1] as f64).sqrt()
    }

    /// The state at the end of what each reader sees, `[readers, d]`.
    fn last_states(encoded: &Encoded) -> Tensor<2> {
        kernels::gather(encoded.states.clone(), &encoded.readers.last())
    }

    /// Codes read so far, `[tokens, d]`.
    fn read(&self, tokens: &[u32]) -> Tensor<2> {
        self.codes.rows(tokens).mul_scalar(self.scale())
    }
}

impl Architecture for ItemContext {
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let dropout = dropout.part(CONTEXT);
        let mut x = self.codes.sums(&batch.tokens, batch.tokens_per_item);
        if let Some(items) = &self.items {
            x = x + items.rows(&batch.items, dropout);
        }
        let items = batch.item_packing();
        let (x, packing) = self.users.before(x, &items, &batch.users);
        let times = self.users.values(&batch.times, &items);
        let x = dropout.apply(x.mul_scalar(self.scale()), EMBEDDED);
        let states = self.context.forward(x, (&packing, &times), dropout);
        Encoded::new(states, packing, 1).behind(self.users.tokens())
    }
    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let context = Self::last_states(encoded);
        self.decoder.forward(context, self.read(inputs), rows, dropout.part(DECODER))
    }
    fn start(&self, encoded: &Encoded) -> DecoderCache {
        DecoderCache { past: self.decoder.past(), context: Context::State(Self::last_states(encoded)) }
    }
    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        let Context::State(context) = &cache.context else { unreachable!("a cache belongs to its policy") };
        self.decoder.step(context.clone(), self.read(tokens), &mut cache.past)
    }
    fn head(&self) -> Head {
        let weight = self.codes.tied_unless(self.head.as_ref());
        Head { weight, scale: 1.0 }
    }
}
