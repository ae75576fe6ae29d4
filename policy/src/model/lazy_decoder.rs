//! The lazy decoder of OneRec-V2 (2508.20900): a context that is projected, not encoded, and a decoder of the next item's
//! codes that reads it without projecting it again.
//!
//! A context processor makes `C = W x` of every item of the history, `s_kv l_kv g_kv d_head` values: `l_kv` sets of keys and,
//! with `s_kv = 2`, of values; with `s_kv = 1` the keys are the values. Each is RMS normalised over the `g_kv d_head` values of
//! its set. Block `l` of `N` reads set `floor(l l_kv / N)`, `h / g_kv` query heads sharing a head of it, then lets the codes of
//! the item attend to each other, then applies the feed-forward layer. A history costs one matrix product, whatever the depth.
//!
//! Departures: an item enters as the sum of its codes' embeddings (and its own), with its place in the history in
//! sinusoids (Vaswani et al. 2017) through a matrix, as does the start of the target, since there are no timestamps here
//! that would tell old from new; every target of a history is learnt, not only the newest.

use super::config::SizeError;
use super::decoder::Memory;
use super::encoded::Encoded;
use super::grouped::GroupedHeads;
use super::item_context::{HeadWeights, ItemEmbedding};
use super::items::Items;
use super::layers::{Dropout, EMBEDDING_STD, Matrix, Norm, RelativeBias, Table, repeated};
use super::lazy_block::LazyBlock;
use super::lazy_config::LazyDecoderConfig;
use super::policy::{Architecture, Context, DecoderCache, Head};
use super::position::{Direction, sinusoids};
use super::stack::Past;
use super::users::Users;
use crate::batch::EncoderBatch;
use crate::kernels::{self, Packing, Readers};
use crate::random::Key;
use burn::prelude::*;

/// Dropout parts.
const EMBEDDED: u64 = 0;
const CONTEXT: u64 = 1;
const DECODER: u64 = 2;

/// Policy with a lazy decoder.
#[derive(Module, Debug)]
pub struct LazyDecoder {
    codes: Table,
    /// A row per item, the first for the empty history.
    items: Option<Items>,
    users: Users,
    /// Of sinusoids, `[d, d]`.
    position: Matrix,
    /// `[s_kv l_kv g_kv d_head, d]`: set by set, keys above values.
    context: Matrix,
    /// One per part of the context, in its order.
    context_norm: Vec<Norm>,
    block: Vec<LazyBlock>,
    relative_attention_bias: RelativeBias,
    final_layer_norm: Norm,
    head: Option<Matrix>,
    sets: usize,
    #[module(skip)]
    heads: GroupedHeads,
}

impl LazyDecoder {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &LazyDecoderConfig, key: Key, device: &Device) -> Result<Self, SizeError> {
        config.check()?;
        let (d, shape) = (config.d_model, config.stack());
        let codes = [config.vocab_size, d];
        let narrow = |shape, name| Matrix::new(shape, EMBEDDING_STD, key.named(name), device);
        let wide = |rows, name| Matrix::new([rows, d], (d as f64).powf(-0.5), key.named(name), device);
        let (parts, part) = (config.s_kv * config.l_kv, config.g_kv * config.d_head);
        let block = |i: usize| LazyBlock::new(&shape, key.named("block").at(i as u64), device);
        Ok(Self {
            codes: Table::new(codes, EMBEDDING_STD, key.named("codes"), device),
            items: (config.item_embedding == ItemEmbedding::CodesAndItem)
                .then(|| Items::new((config.num_items, d), config.item_dropout, key.named("items"), device)),
            users: Users::new(config.user_buckets, (d, EMBEDDING_STD), key, device),
            position: narrow([d, d], "position"),
            context: wide(parts * part, "context"),
            context_norm: (0..parts).map(|_| Norm::new(part, config.layer_norm_epsilon, device)).collect(),
            block: (0..config.num_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(&shape, key.named("bias"), device),
            final_layer_norm: shape.norm(device),
            head: (config.head == HeadWeights::Own).then(|| narrow(codes, "head")),
            sets: config.l_kv,
            heads: config.heads(),
        })
    }

    fn scale(&self) -> f64 {
        (self.codes.weight.dims()[1] as f64).sqrt()
    }

    /// What places in a history, counted in items, add to what is there, `[n, d]`.
    fn places(&self, places: &[usize], device: &Device) -> Tensor<2> {
        let width = self.codes.weight.dims()[1];
        kernels::linear(sinusoids(places, width, device), self.position.weight.val())
    }

    /// Keys and values of every block, `[m, 2 h dk]` each.
    fn memory(&self, encoded: &Encoded) -> Memory {
        let sets: Vec<Tensor<2>> = (0..self.sets).map(|set| self.keys_values(&encoded.states, set)).collect();
        let of_block = |l: usize| sets[l * self.sets / self.block.len()].clone();
        Memory {
            keys_values: (0..self.block.len()).map(of_block).collect(),
            readers: encoded.readers.clone(),
        }
    }

    /// Keys and values of a set, each head repeated for the query heads that share it.
    fn keys_values(&self, states: &Tensor<2>, set: usize) -> Tensor<2> {
        let (m, per_set) = (states.dims()[0], self.context_norm.len() / self.sets);
        let GroupedHeads { count, groups, width } = self.heads;
        let part = |part: usize| {
            let first = (set * per_set + part) * groups * width;
            let shared = states.clone().slice([0..m, first..first + groups * width]);
            let repeated = shared.reshape([m, groups, 1, width]).expand([m, groups, count / groups, width]);
            repeated.reshape([m, count * width])
        };
        Tensor::cat(vec![part(0), part(per_set - 1)], 1)
    }

    /// Items that each reader sees: the place of what follows them.
    fn next_places(readers: &Readers) -> Vec<usize> {
        readers.all().map(|seen| seen.len()).collect()
    }

    /// Codes with the place of the item they write, `[rows * t, d]`. `places`: one per reader.
    fn inputs(&self, places: &[usize], tokens: &[u32]) -> Tensor<2> {
        let x = self.codes.rows(tokens);
        let added = self.places(places, &x.device());
        (x + repeated(added, tokens.len())).mul_scalar(self.scale())
    }
}

impl Architecture for LazyDecoder {
    /// The states are the normalised sets, `[items, s_kv l_kv g_kv d_head]`.
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let mut x = self.codes.sums(&batch.tokens, batch.tokens_per_item);
        if let Some(items) = &self.items {
            x = x + items.rows(&batch.items, dropout);
        }
        let (x, packing) = self.users.before(x, &batch.item_packing(), &batch.users);
        let places: Vec<usize> = packing.lengths().flat_map(|states| 0..states).collect();
        let x = x.clone() + self.places(&places, &x.device());
        let x = dropout.part(CONTEXT).apply(x.mul_scalar(self.scale()), EMBEDDED);
        let projected = kernels::linear(x, self.context.weight.val());
        let part = |(i, norm): (usize, &Norm)| {
            let (width, n) = (norm.weight.dims()[0], projected.dims()[0]);
            norm.apply(projected.clone().slice([0..n, i * width..(i + 1) * width]))
        };
        let states = Tensor::cat(self.context_norm.iter().enumerate().map(part).collect(), 1);
        Encoded::new(states, packing, 1).behind(self.users.tokens())
    }

    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let (dropout, t) = (dropout.part(DECODER), inputs.len() / rows);
        let packing = Packing::uniform(rows, t);
        let bias = self.relative_attention_bias.bias(0..t, t, Direction::Backward);
        let memory = self.memory(encoded);
        let mut x = self.inputs(&Self::next_places(&encoded.readers), inputs);
        for (i, (block, keys_values)) in self.block.iter().zip(memory.keys_values).enumerate() {
            let within = (&packing, Some(bias.clone()));
            x = block.forward(x, (&memory.readers, keys_values), within, dropout.part(i as u64));
        }
        self.final_layer_norm.apply(x)
    }

    fn start(&self, encoded: &Encoded) -> DecoderCache {
        let past = Past::of(self.block.iter().map(|block| &block.self_attention));
        DecoderCache { past, context: Context::Memory(self.memory(encoded)) }
    }

    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        let Context::Memory(memory) = &cache.context else { unreachable!("a cache belongs to its policy") };
        let bias = cache.past.advance(tokens.len(), &self.relative_attention_bias);
        let mut x = self.inputs(&Self::next_places(&memory.readers), tokens);
        let past = self.block.iter().zip(&memory.keys_values).zip(&mut cache.past.blocks);
        for ((block, keys_values), own) in past {
            let memory = (&memory.readers, keys_values.clone());
            x = block.step(x, memory, (own, &cache.past.ancestry), bias.clone());
        }
        self.final_layer_norm.apply(x)
    }

    fn head(&self) -> Head {
        let weight = self.codes.tied_unless(self.head.as_ref());
        Head { weight, scale: 1.0 }
    }
}
