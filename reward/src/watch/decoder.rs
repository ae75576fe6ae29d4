//! The decoder that writes a number token by token.
//!
//! The published one reads an encoder through cross-attention, with 3 layers of width 128. Here the state of the reward
//! model is the first token and is added to every later one, and the width is the state's: watch time has one short
//! sequence, and a judge is trained on a laptop.

use crate::model::layers::{Dense, Init, Mlp, SelfAttention, normal};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::TensorData;

/// Blocks of the decoder.
const BLOCKS: usize = 2;
const EPSILON: f64 = 1e-6;

/// Attention, then a feed-forward layer, each after a norm and around a residual.
#[derive(Module, Debug)]
struct Block {
    attention_gain: Param<Tensor<1>>,
    attention: SelfAttention,
    feed_gain: Param<Tensor<1>>,
    feed: Mlp,
}

impl Block {
    fn new(width: usize, init: Init<'_>) -> Self {
        let gain = || Param::from_tensor(Tensor::ones([width], init.device));
        Self {
            attention_gain: gain(),
            attention: SelfAttention::new(width, init.named("attention")),
            feed_gain: gain(),
            feed: Mlp::new([width, 2 * width, width], 0.0, init.named("feed")),
        }
    }
    /// # Shapes
    /// `[c, t, d] -> [c, t, d]`.
    fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        let [lists, places, width] = x.dims();
        let x = x.clone() + self.attention.causal(rms_norm(x, &self.attention_gain));
        let rows = rms_norm(x.clone(), &self.feed_gain).reshape([lists * places, width]);
        x + self.feed.apply(rows).reshape([lists, places, width])
    }
}

fn rms_norm(x: Tensor<3>, gain: &Param<Tensor<1>>) -> Tensor<3> {
    let mean_square = x.clone().powi_scalar(2).mean_dim(2);
    x / (mean_square + EPSILON).sqrt() * gain.val().unsqueeze()
}

/// Writes tokens, given a state. Token `v` (one past the vocabulary) ends the number.
#[derive(Module, Debug)]
pub(crate) struct Decoder {
    state: Mlp,
    /// `[v + 1, d]`.
    embeddings: Param<Tensor<2>>,
    /// `[t, d]`.
    places: Param<Tensor<2>>,
    blocks: Vec<Block>,
    gain: Param<Tensor<1>>,
    head: Dense,
}

impl Decoder {
    /// For `vocabulary` tokens and numbers of at most `longest` of them.
    pub(super) fn new(width: usize, [vocabulary, longest]: [usize; 2], init: Init<'_>) -> Self {
        Self {
            state: Mlp::new([width, width, width], 0.0, init.named("state")),
            embeddings: normal([vocabulary + 1, width], 0.3, init.named("embeddings")),
            places: normal([longest + 1, width], 0.3, init.named("places")),
            blocks: (0..BLOCKS)
                .map(|block| Block::new(width, init.named(&format!("block-{block}"))))
                .collect(),
            gain: Param::from_tensor(Tensor::ones([width], init.device)),
            head: Dense::new([width, vocabulary + 1], 0.0, init.named("head")),
        }
    }
    /// Tokens, the end included.
    pub(super) fn tokens(&self) -> usize {
        self.embeddings.dims()[0]
    }
    /// Places of the longest number, the end included.
    pub(super) fn places(&self) -> usize {
        self.places.dims()[0]
    }
    /// The embeddings of tokens.
    ///
    /// # Shapes
    /// `tokens: [c * t]` row-major; output `[c, t, d]`.
    pub(super) fn embed(&self, tokens: Vec<i64>, [lists, places]: [usize; 2]) -> Tensor<3> {
        let table = self.embeddings.val();
        let width = table.dims()[1];
        let tokens = Tensor::<1, Int>::from_data(TensorData::new(tokens, [lists * places]), &table.device());
        table.select(0, tokens).reshape([lists, places, width])
    }
    /// The mean embedding under these probabilities (the mixup of 2412.20211).
    ///
    /// # Shapes
    /// `probabilities: [c, t, v + 1]`; output `[c, t, d]`.
    pub(super) fn mix(&self, probabilities: Tensor<3>) -> Tensor<3> {
        probabilities.matmul(self.embeddings.val().unsqueeze())
    }
    /// Logits of every place, given the embeddings of the tokens before it.
    ///
    /// # Shapes
    /// `states: [c, d]`, `before: [c, t - 1, d]` (absent for the first place alone); output `[c, t, v + 1]`.
    pub(super) fn logits(&self, states: Tensor<2>, before: Option<Tensor<3>>) -> Tensor<3> {
        let state = self.state.apply(states).unsqueeze_dim::<3>(1);
        let x = match before {
            Some(before) => Tensor::cat(vec![state.clone(), before + state], 1),
            None => state,
        };
        let [lists, places, width] = x.dims();
        let mut x = x + self.places.val().slice([0..places, 0..width]).unsqueeze();
        for block in &self.blocks {
            x = block.apply(x);
        }
        let rows = rms_norm(x, &self.gain).reshape([lists * places, width]);
        let tokens = self.tokens();
        self.head.apply(rows).reshape([lists, places, tokens])
    }
}
