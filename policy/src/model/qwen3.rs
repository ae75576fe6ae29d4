//! A decoder-only policy in the layout of Hugging Face's `Qwen3ForCausalLM` (Qwen team 2025, 2505.09388), as in MiniOneRec
//! and OpenOneRec: one sequence of the history's codes, a start token and the codes of the next item.
//!
//! RMS norms before each sub-block and of every query and key head, rotary positions, grouped-query attention, SwiGLU, no
//! biases. The start token, [`crate::vocab::PAD`], is a token of the sequence like any other: the state behind it gives the
//! first code, and `transformers` computes the same from `[history, 0, codes]`. Keys and values of a history are computed
//! once and continued by any number of rows, from any of its prefixes. Departure: dropout falls on the embeddings and on
//! what sub-blocks add, not on attention weights.

use super::config::SizeError;
use super::encoded::Encoded;
use super::grouped::{GroupedHeads, Source, padding};
use super::layers::{Dropout, Matrix, Norm, Table};
use super::padded::Padded;
use super::policy::{Architecture, Context, DecoderCache, Head};
use super::qwen3_config::Qwen3Config;
use super::qwen3_layer::{Projected, Qwen3Layer, STD};
use super::rotary::Rotary;
use super::stack::{FINAL, Past};
use super::users::Users;
use crate::batch::EncoderBatch;
use crate::kernels::{self, Ancestry};
use crate::random::Key;
use burn::prelude::*;

/// Dropout parts.
const HISTORY: u64 = 1;
const TARGET: u64 = 2;
/// Site of dropout after the embeddings.
const EMBEDDED: u64 = u64::MAX - 1;

/// Decoder-only policy.
#[derive(Module, Debug)]
pub struct Qwen3 {
    embed_tokens: Table,
    users: Users,
    layers: Vec<Qwen3Layer>,
    norm: Norm,
    lm_head: Option<Matrix>,
    theta: f64,
    #[module(skip)]
    heads: GroupedHeads,
}

/// Keys and values that the rows of a search continue.
pub(super) struct Continued {
    /// Of the history, per layer; one row per reader.
    memory: Vec<Source>,
    /// Tokens that each reader sees.
    lengths: Vec<usize>,
    /// Of each position so far, per layer, for the rows there were: `[r, g dk]` each.
    positions: Vec<Vec<[Tensor<2>; 2]>>,
}

impl Qwen3 {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &Qwen3Config, key: Key, device: &Device) -> Result<Self, SizeError> {
        config.check()?;
        let codes = [config.vocab_size, config.hidden_size];
        let layer = |i: usize| Qwen3Layer::new(config, key.named("layer").at(i as u64), device);
        Ok(Self {
            embed_tokens: Table::new(codes, STD, key.named("embed"), device),
            users: Users::new(config.user_buckets, (config.hidden_size, STD), key, device),
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            norm: Norm::new(config.hidden_size, config.rms_norm_eps, device),
            lm_head: (!config.tie_word_embeddings)
                .then(|| Matrix::new(codes, STD, key.named("head"), device)),
            theta: config.rope_theta,
            heads: config.heads(),
        })
    }

    fn embed(&self, tokens: &[u32], dropout: Dropout) -> Tensor<2> {
        dropout.apply(self.embed_tokens.rows(tokens), EMBEDDED)
    }

    fn rotary(&self, positions: &[usize], device: &Device) -> Rotary {
        Rotary::new(positions, (self.heads.width, self.theta), device)
    }

    /// Keys and values of every layer as its readers see them.
    fn memory(&self, encoded: &Encoded) -> Vec<Source> {
        let seen: Vec<_> = encoded.readers.all().collect();
        let rows = Padded::new(&seen);
        let hidden = padding(&seen, rows.longest(), &encoded.states.device());
        let (n, band) = (encoded.states.dims()[0], self.heads.groups * self.heads.width);
        let source = |layer: usize| {
            let keys_values = [2 * layer, 2 * layer + 1].map(|part| {
                rows.padded(encoded.states.clone().slice([0..n, part * band..(part + 1) * band]))
            });
            self.heads.source(rows.rows(), keys_values, Some(hidden.clone()))
        };
        (0..self.layers.len()).map(source).collect()
    }

    /// Positions of `t` tokens from `from` on, of rows that continue readers.
    fn positions(encoded: &Encoded, rows: usize, t: usize) -> Vec<usize> {
        let per = rows / encoded.readers();
        let starts = encoded.readers.all().flat_map(|seen| std::iter::repeat_n(seen.len(), per));
        starts.flat_map(|start| start..start + t).collect()
    }
}

impl Architecture for Qwen3 {
    /// The states are keys left of values, layer by layer: `[n, layers 2 g dk]`. What follows the last layer's is not needed.
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let dropout = dropout.part(HISTORY);
        let tokens = self.embed_tokens.rows(&batch.tokens);
        let (x, packing) = self.users.before(tokens, &batch.packing, &batch.users);
        let rows = Padded::new(&packing.ranges());
        let mut x = dropout.apply(x, EMBEDDED);
        let positions: Vec<usize> = packing.lengths().flat_map(|length| 0..length).collect();
        let rotary = self.rotary(&positions, &x.device());
        let hidden = self.heads.causal(rows.longest(), &x.device());
        let mut states = Vec::with_capacity(2 * self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let Projected { query, keys_values } = layer.project(x.clone(), &rotary);
            states.extend(keys_values.clone());
            if i + 1 < self.layers.len() {
                let padded = keys_values.map(|x| rows.padded(x));
                let own = self.heads.source(rows.rows(), padded, Some(hidden.clone()));
                let attended = rows.packed(self.heads.attend(rows.padded(query), &own, None));
                x = layer.finish(x, attended, dropout.part(i as u64));
            }
        }
        Encoded::new(Tensor::cat(states, 1), packing, batch.tokens_per_item).behind(self.users.tokens())
    }

    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let (dropout, t) = (dropout.part(TARGET), inputs.len() / rows);
        let mut x = self.embed(inputs, dropout);
        let rotary = self.rotary(&Self::positions(encoded, rows, t), &x.device());
        let hidden = self.heads.causal(t, &x.device());
        for (i, (layer, memory)) in self.layers.iter().zip(&self.memory(encoded)).enumerate() {
            let Projected { query, keys_values } = layer.project(x.clone(), &rotary);
            let own = self.heads.source(rows, keys_values, Some(hidden.clone()));
            x = layer.attend(x, query, (&own, Some(memory)), dropout.part(i as u64));
        }
        dropout.apply(self.norm.apply(x), FINAL)
    }

    fn start(&self, encoded: &Encoded) -> DecoderCache {
        let continued = Continued {
            memory: self.memory(encoded),
            lengths: encoded.readers.all().map(|seen| seen.len()).collect(),
            positions: vec![Vec::new(); self.layers.len()],
        };
        DecoderCache { past: Past::of(std::iter::empty()), context: Context::Continued(continued) }
    }

    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        let Context::Continued(continued) = &mut cache.context else {
            unreachable!("a cache belongs to its policy")
        };
        let (rows, ancestry) = (tokens.len(), &mut cache.past.ancestry);
        let mut x = self.embed(tokens, Dropout::Off);
        let rotary = self.rotary(&continued.newest(rows, ancestry.len()), &x.device());
        ancestry.advance(rows);
        let past = self.layers.iter().zip(&continued.memory).zip(&mut continued.positions);
        for ((layer, memory), positions) in past {
            let Projected { query, keys_values } = layer.project(x.clone(), &rotary);
            positions.push(keys_values);
            let own = self.heads.source(rows, joined(positions, ancestry), None);
            x = layer.attend(x, query, (&own, Some(memory)), Dropout::Off);
        }
        self.norm.apply(x)
    }

    fn head(&self) -> Head {
        let weight = self.embed_tokens.tied_unless(self.lm_head.as_ref());
        Head { weight, scale: 1.0 }
    }
}

impl Continued {
    /// Position of the next token of every row, after `done` of its own.
    fn newest(&self, rows: usize, done: usize) -> Vec<usize> {
        let per = rows / self.lengths.len();
        self.lengths.iter().flat_map(|length| std::iter::repeat_n(length + done, per)).collect()
    }
}

/// Keys and values of all positions, a row's side by side: `[r * positions, g dk]` each.
fn joined(positions: &[[Tensor<2>; 2]], ancestry: &Ancestry) -> [Tensor<2>; 2] {
    [0, 1].map(|part| {
        let of = |(at, position): (usize, &[Tensor<2>; 2])| {
            kernels::gather(position[part].clone(), ancestry.rows(at)).unsqueeze_dim::<3>(1)
        };
        let all = Tensor::cat(positions.iter().enumerate().map(of).collect(), 1);
        let [rows, count, band] = all.dims();
        all.reshape([rows * count, band])
    })
}
