//! Point-wise multi-task towers and P-Score (OneRec's technical report, 2506.13695; ALGORITHMS 1.11).
//!
//! The published description is a backbone, one tower per objective with binary cross-entropy, and for P-Score a network
//! that reads the towers' hidden states beside user and item and gives one score `P`. Here, with `a`, `m` linear in the
//! user vector and `b`, `n` linear in the item vector,
//!
//! `h = silu(a + b + m * n)`, `t_x = silu(W_x h + c_x)`, `r_x = sigmoid(w_x . t_x + d_x)`,
//! `P = sigmoid(w . silu(V [t_1 .. t_x] + a' + b' + c) + d)`.
//!
//! The shared layer is factored so that a pair costs no product of user or item matrices (a reconstruction: the report
//! gives neither sizes nor the form of the layer).

use super::encoder::Encoder;
use super::layers::{Dense, Init, normal};
use super::retrieval::Retrieval;
use super::{Kind, ListInput, ModelConfig, Outputs, UserInput};
use crate::watch::WatchHead;
use burn::module::Param;
use burn::prelude::*;
use policy::kernels;

/// The weights of point-wise towers, with or without the learned score.
#[derive(Module, Debug)]
pub struct TowersModel {
    encoder: Encoder,
    item_side: Dense,
    user_side: Dense,
    towers: Towers,
    personal: Option<Personal>,
    watch: Option<WatchHead>,
    retrieval: Option<Retrieval>,
}

/// One tower per head, side by side.
#[derive(Module, Debug)]
struct Towers {
    hidden: Dense,
    /// `[x, t]`.
    output: Param<Tensor<2>>,
    /// `[x]`.
    bias: Param<Tensor<1>>,
}

/// What makes one score of the towers.
#[derive(Module, Debug)]
struct Personal {
    hidden: Dense,
    output: Dense,
}

impl TowersModel {
    pub(super) fn new(config: &ModelConfig, init: Init<'_>) -> Self {
        let (d, heads) = (config.width, config.heads);
        let sides = if config.kind == Kind::PScore { 3 } else { 2 };
        let tower = d.div_ceil(2);
        let personal = || Personal {
            hidden: Dense::new([heads * tower, d], 0.0, init.named("personal-hidden")),
            output: Dense::new([d, 1], 0.0, init.named("personal-output")),
        };
        Self {
            encoder: Encoder::new(config, init),
            item_side: Dense::new([d, sides * d], 0.0, init.named("item-side")),
            user_side: Dense::new([d, sides * d], 0.0, init.named("user-side")),
            towers: Towers {
                hidden: Dense::new([d, heads * tower], 0.0, init.named("towers")),
                output: normal([heads, tower], (tower as f32).sqrt().recip(), init.named("tower-outputs")),
                bias: Param::from_tensor(Tensor::zeros([heads], init.device)),
            },
            personal: (config.kind == Kind::PScore).then(personal),
            watch: config.watch.as_ref().map(|codec| WatchHead::new(d, codec, init.named("watch"))),
            retrieval: (config.kind == Kind::Retrieval)
                .then(|| Retrieval::new(d, config.history_items, init.named("retrieval"))),
        }
    }
    pub(super) fn watch(&self) -> Option<&WatchHead> {
        self.watch.as_ref()
    }
    pub(super) fn has_learned_score(&self) -> bool {
        self.personal.is_some()
    }
}

impl super::Architecture for TowersModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }
    fn users(&self, input: UserInput) -> Tensor<2> {
        let Some(retrieval) = &self.retrieval else { return self.encoder.users(input) };
        let (items, mask) = (input.items.clone(), input.mask.clone());
        let tokens = self.encoder.tokens(input);
        let pooled = self.encoder.pooled(tokens.clone(), mask.clone());
        Tensor::cat(vec![pooled, retrieval.memory(items, tokens, mask)], 1)
    }
    fn item_side(&self, vectors: Tensor<2>) -> Tensor<2> {
        let side = self.item_side.apply(vectors.clone());
        match &self.retrieval {
            Some(retrieval) => Tensor::cat(vec![side, retrieval.query(vectors)], 1),
            None => side,
        }
    }
    fn user_side(&self, users: Tensor<2>) -> Tensor<2> {
        if self.retrieval.is_none() {
            return self.user_side.apply(users);
        }
        let (pooled, memory) = split(users, self.user_side.inputs());
        Tensor::cat(vec![self.user_side.apply(pooled), memory], 1)
    }
    fn outputs(&self, input: ListInput) -> Outputs {
        let [lists, items, sides] = input.items.dims();
        assert!(items == 1, "point-wise models judge items one by one, this list has {items}");
        let (mut items, mut users) = (input.items.reshape([lists, sides]), input.users);
        let d = self.towers.hidden.inputs();
        let recalled = self.retrieval.as_ref().map(|retrieval| {
            let of_pair = sides - Retrieval::asked();
            let (side, query) = split(items.clone(), of_pair);
            let (other, memory) = split(users.clone(), of_pair);
            (items, users) = (side, other);
            retrieval.recall(query, memory)
        });
        let part =
            |side: &Tensor<2>, index: usize| side.clone().slice([0..lists, index * d..(index + 1) * d]);
        let sum = |index| part(&items, index) + part(&users, index);
        let pair = sum(0) + part(&items, 1) * part(&users, 1);
        let states = kernels::silu(match recalled {
            Some(recalled) => pair + recalled,
            None => pair,
        });
        let hidden = kernels::silu(self.towers.hidden.apply(states.clone()));
        let personal = self.personal.as_ref().map(|personal| {
            let mixed = personal.hidden.apply(hidden.clone()) + sum(2);
            personal.output.apply(kernels::silu(mixed))
        });
        Outputs { heads: self.towers.logits(hidden), personal, states: Some(states) }
    }
}

/// The first columns and the rest.
fn split(x: Tensor<2>, at: usize) -> (Tensor<2>, Tensor<2>) {
    let [rows, columns] = x.dims();
    (x.clone().slice([0..rows, 0..at]), x.slice([0..rows, at..columns]))
}

impl Towers {
    /// # Shapes
    /// `hidden: [c, x * t]`; output `[c, x]`.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let [heads, tower] = self.output.dims();
        let lists = hidden.dims()[0];
        let weighted = hidden.reshape([lists, heads, tower]) * self.output.val().unsqueeze();
        weighted.sum_dim(2).reshape([lists, heads]) + self.bias.val().unsqueeze()
    }
}
