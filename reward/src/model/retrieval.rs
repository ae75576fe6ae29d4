//! What the user did with items like the candidate: attention from the candidate over the user's history, as in Deep Interest
//! Network (1706.06978). Several heads look for several kinds of likeness, how long ago an item was shifts each, and a slot without
//! content lets a candidate find nothing.
//!
//! Departures: inner products under a softmax instead of an MLP per pair; heads.
//!
//! A history is kept as one row per user, so that it is computed once for all candidates.

use super::layers::{Dense, Init, additive, normal};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::activation;

/// Kinds of likeness.
const HEADS: usize = 4;
/// Width of queries, keys and values of a head.
const WIDTH: usize = 16;

/// Attention from a candidate over a history.
#[derive(Module, Debug)]
pub(super) struct Retrieval {
    query: Dense,
    key: Dense,
    value: Dense,
    /// `[h, HEADS]`: added to the scores of the latest item, the one before it, ...
    age: Param<Tensor<2>>,
    output: Dense,
}

impl Retrieval {
    pub(super) fn new(width: usize, history_items: usize, init: Init<'_>) -> Self {
        let project = |name| Dense::new([width, HEADS * WIDTH], 0.0, init.named(name));
        Self {
            query: project("query"),
            key: project("key"),
            value: project("value"),
            age: normal([history_items, HEADS], 0.3, init.named("age")),
            output: Dense::new([HEADS * WIDTH, width], 0.0, init.named("output")),
        }
    }
    /// What candidates ask for.
    ///
    /// # Shapes
    /// `[n, d]` item vectors; output `[n, HEADS * WIDTH]`.
    pub(super) fn query(&self, vectors: Tensor<2>) -> Tensor<2> {
        self.query.apply(vectors).mul_scalar((WIDTH as f64).sqrt().recip())
    }
    /// Width of [`Retrieval::query`].
    pub(super) const fn asked() -> usize {
        HEADS * WIDTH
    }
    /// A user's history as a row.
    ///
    /// # Shapes
    /// `items`, `tokens: [b, h, d]`, `mask: [b, h]`; output `[b, h * (2 * HEADS * WIDTH + HEADS)]`.
    pub(super) fn memory(&self, items: Tensor<3>, tokens: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let [users, history, width] = items.dims();
        let each = |dense: &Dense, rows: Tensor<3>| {
            dense.apply(rows.reshape([users * history, width])).reshape([users, history, HEADS * WIDTH])
        };
        let age = self.age.val().slice([0..history, 0..HEADS]).unsqueeze::<3>();
        let bias = additive(mask).unsqueeze_dim::<3>(2) + age;
        let (keys, values) = (each(&self.key, items), each(&self.value, tokens));
        let row = Tensor::cat(vec![keys, values, bias], 2);
        row.reshape([users, history * (2 * HEADS * WIDTH + HEADS)])
    }
    /// What each candidate finds.
    ///
    /// # Shapes
    /// `query: [c, HEADS * WIDTH]`, `memory: [c, h * (2 * HEADS * WIDTH + HEADS)]`; output `[c, d]`.
    pub(super) fn recall(&self, query: Tensor<2>, memory: Tensor<2>) -> Tensor<2> {
        let [lists, columns] = memory.dims();
        let all = HEADS * WIDTH;
        let history = columns / (2 * all + HEADS);
        let memory = memory.reshape([lists, history, 2 * all + HEADS]);
        let part = |from: usize, to: usize| memory.clone().slice([0..lists, 0..history, from..to]);
        let by_head = |x: Tensor<3>| {
            let [lists, rows, _] = x.dims();
            x.reshape([lists, rows, HEADS, WIDTH])
        };
        let likeness = by_head(part(0, all)) * by_head(query.unsqueeze_dim::<3>(1));
        let scores = likeness.sum_dim(3).reshape([lists, history, HEADS]) + part(2 * all, 2 * all + HEADS);
        let nothing = Tensor::zeros([lists, 1, HEADS], &scores.device());
        let weights = activation::softmax(Tensor::cat(vec![scores, nothing], 1), 1);
        let weights = weights.slice([0..lists, 0..history, 0..HEADS]).unsqueeze_dim::<4>(3);
        let found = (by_head(part(all, 2 * all)) * weights).sum_dim(1).reshape([lists, all]);
        self.output.apply(found)
    }
}
