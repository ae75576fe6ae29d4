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
//! one vector, and a decoder that sees half of it learns little (Beauty: validation Recall@10 .03 instead of .08).
//!
//! With one code per item (atomic IDs) and no decoder block it is SASRec with full softmax cross-entropy (Kang & McAuley
//! 2018, 1808.09781; Klenitskiy & Vasilev 2023, 2309.07602): departures are RMS norms, relative instead of absolute
//! positions and no biases.

use super::config::{SizeError, check_counts};
use super::encoded::Encoded;
use super::hstu::HstuStack;
use super::layers::{Dropout, Matrix};
use super::policy::{Architecture, Context, DecoderCache, Head};
use super::position::Direction;
use super::stack::{SelfStack, StackShape};
use crate::batch::EncoderBatch;
use crate::kernels::Packing;
use crate::random::Key;
use burn::prelude::*;
use serde::{Deserialize, Serialize};

/// Standard deviation of the embeddings, which enter the stack multiplied by `sqrt(d)`.
const EMBEDDING_STD: f64 = 0.02;

/// Blocks start by adding little, so that the embeddings are learnt from the first step on.
const GAIN: f64 = 0.1;

/// Dropout parts.
const EMBEDDED: u64 = 0;
const CONTEXT: u64 = 1;
const DECODER: u64 = 2;

/// What of an item its token in the history shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemEmbedding {
    /// Its codes: new items need no training.
    #[default]
    Codes,
    /// Its codes, and a vector of its own.
    CodesAndItem,
}

/// What the blocks that read a history are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextBlock {
    /// Softmax attention and a feed-forward layer.
    #[default]
    Transformer,
    /// Gated pointwise attention (2402.17152).
    Hstu,
}

/// Which table turns decoder states into logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadWeights {
    /// That of the input embeddings.
    #[default]
    Tied,
    /// One of its own.
    Own,
}

/// Sizes of an [`ItemContext`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemContextConfig {
    /// Code tokens.
    pub vocab_size: usize,
    /// Items of the catalog.
    pub num_items: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Blocks that read the history.
    pub num_layers: usize,
    /// Blocks that write the codes.
    pub num_decoder_layers: usize,
    /// Buckets of relative position.
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share a bucket.
    pub relative_attention_max_distance: usize,
    /// Dropout probability in training.
    pub dropout_rate: f64,
    /// Added to the mean square in normalisation.
    pub layer_norm_epsilon: f64,
    /// What reads the history.
    pub context_block: ContextBlock,
    /// What of an item the context shows.
    pub item_embedding: ItemEmbedding,
    /// Where logits come from.
    pub head: HeadWeights,
}

impl ItemContextConfig {
    fn check(&self) -> Result<(), SizeError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("num_items", self.num_items),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("num_layers", self.num_layers),
        ];
        check_counts(&counts, self.dropout_rate)
    }
    fn stack(&self) -> StackShape {
        StackShape {
            d_model: self.d_model,
            d_kv: self.d_kv,
            d_ff: self.d_ff,
            num_heads: self.num_heads,
            epsilon: self.layer_norm_epsilon,
            gain: GAIN,
            positions: [self.relative_attention_num_buckets, self.relative_attention_max_distance],
        }
    }
}

/// Policy with item-level context.
#[derive(Module, Debug)]
pub struct ItemContext {
    codes: Matrix,
    /// A row per item, the first for the empty history.
    items: Option<Matrix>,
    context: ContextStack,
    decoder: SelfStack,
    head: Option<Matrix>,
}

/// What reads the history.
#[derive(Module, Debug)]
enum ContextStack {
    Transformer(SelfStack),
    Hstu(HstuStack),
}

impl ContextStack {
    fn new(config: &ItemContextConfig, key: Key, device: &Device) -> Self {
        let (shape, layers) = (config.stack(), config.num_layers);
        match config.context_block {
            ContextBlock::Transformer => {
                Self::Transformer(SelfStack::new(&shape, (layers, Direction::Backward), key, device))
            }
            ContextBlock::Hstu => Self::Hstu(HstuStack::new(&shape, layers, key, device)),
        }
    }
    fn forward(&self, x: Tensor<2>, packing: &Packing, dropout: Dropout) -> Tensor<2> {
        match self {
            Self::Transformer(stack) => stack.forward(x, packing, dropout),
            Self::Hstu(stack) => stack.forward(x, packing, dropout),
        }
    }
}

impl ItemContext {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &ItemContextConfig, key: Key, device: &Device) -> Result<Self, SizeError> {
        config.check()?;
        let d = config.d_model;
        let table = |rows, name| Matrix::new([rows, d], EMBEDDING_STD, key.named(name), device);
        let depth = (config.num_decoder_layers, Direction::Backward);
        Ok(Self {
            codes: table(config.vocab_size, "codes"),
            items: (config.item_embedding == ItemEmbedding::CodesAndItem)
                .then(|| table(config.num_items + 1, "items")),
            context: ContextStack::new(config, key.named("context"), device),
            decoder: SelfStack::new(&config.stack(), depth, key.named("decoder"), device),
            head: (config.head == HeadWeights::Own).then(|| table(config.vocab_size, "head")),
        })
    }

    fn scale(&self) -> f64 {
        (self.codes.weight.dims()[1] as f64).sqrt()
    }

    /// The state at the end of what each reader sees, `[readers, d]`.
    fn last_states(encoded: &Encoded) -> Tensor<2> {
        crate::kernels::gather(encoded.states.clone(), &encoded.readers.last())
    }

    /// Codes with the context of their row, `[rows * t, d]`.
    fn inputs(&self, context: Tensor<2>, tokens: &[u32]) -> Tensor<2> {
        let readers = context.dims()[0];
        let per_reader = tokens.len() / readers;
        let rows: Vec<u32> =
            (0..readers as u32).flat_map(|row| std::iter::repeat_n(row, per_reader)).collect();
        self.codes.rows(tokens).mul_scalar(self.scale()) + crate::kernels::gather(context, &rows)
    }
}

impl Architecture for ItemContext {
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let dropout = dropout.part(CONTEXT);
        let mut x = self.codes.sums(&batch.tokens, batch.tokens_per_item);
        if let Some(items) = &self.items {
            x = x + items.rows(&batch.items);
        }
        let x = dropout.apply(x.mul_scalar(self.scale()), EMBEDDED);
        let packing = Packing::of(batch.packing.lengths().map(|tokens| tokens / batch.tokens_per_item));
        Encoded::new(self.context.forward(x, &packing, dropout), packing, 1)
    }
    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let x = self.inputs(Self::last_states(encoded), inputs);
        self.decoder.forward(x, &Packing::uniform(rows, inputs.len() / rows), dropout.part(DECODER))
    }
    fn start(&self, encoded: &Encoded) -> DecoderCache {
        DecoderCache { past: self.decoder.past(), context: Context::State(Self::last_states(encoded)) }
    }
    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        let Context::State(context) = &cache.context else { unreachable!("a cache belongs to its policy") };
        self.decoder.step(self.inputs(context.clone(), tokens), &mut cache.past)
    }
    fn head(&self) -> Head {
        let weight = self.head.as_ref().unwrap_or(&self.codes).weight.val();
        Head { weight, scale: 1.0 }
    }
}
