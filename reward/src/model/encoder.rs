//! What every reward model starts from: a vector of an item and a vector of a user.
//!
//! OneRec (2502.18965, section 3.3) leaves `v_i` and `u` open. Here `v_i` is an MLP of the item's features; `u` pools the
//! history with four learned queries and passes the result through an MLP. A history token is the item's own `v_i`
//! projected, gated and shifted by what the user did with it (`t (1 + G y) + S y`: the average of tokens then holds the
//! average of *liked* items, not only of items and of likes), plus how long ago it was (recency). The bias of `u` starts
//! at one, so that training starts from `v_i * u = v_i`.

use super::layers::{Dense, Init, Mlp, Pooling, normal};
use super::{ModelConfig, UserInput};
use burn::module::Param;
use burn::prelude::*;

/// Learned queries that pool the history.
const QUERIES: usize = 4;
/// An item is among a batch's candidates once in hundreds of steps, other weights in each: its own number moves faster per step.
const WORTH_STEP: f64 = 4.0;

/// How feedback changes what a history item says about the user.
#[derive(Module, Debug)]
struct Reaction {
    gate: Param<Tensor<2>>,
    shift: Param<Tensor<2>>,
}

/// What items are worth to everybody beside what their features say: a number per item that all heads read, so that what the
/// frequent ones tell of an item helps the rare ones.
#[derive(Module, Debug)]
struct Worth {
    /// `[items, 1]`, in units of [`WORTH_STEP`].
    of_item: Param<Tensor<2>>,
    /// `[1, x]`: logits per unit.
    to_head: Param<Tensor<2>>,
}

/// The item tower and the user tower.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    item: Mlp,
    worth: Option<Worth>,
    token: Dense,
    reaction: Option<Reaction>,
    recency: Param<Tensor<2>>,
    pooling: Pooling,
    user: Mlp,
}

impl Encoder {
    pub(super) fn new(config: &ModelConfig, init: Init<'_>) -> Self {
        let d = config.width;
        let signal_std = (config.signals.max(1) as f32).sqrt().recip();
        Self {
            item: Mlp::new([config.features, d, d], 0.0, init.named("item")),
            worth: (config.identities > 0).then(|| Worth {
                of_item: Param::from_tensor(Tensor::zeros([config.identities, 1], init.device)),
                to_head: Param::from_tensor(Tensor::ones([1, config.heads], init.device)),
            }),
            token: Dense::new([d, d], 0.0, init.named("token")),
            reaction: (config.signals > 0).then(|| Reaction {
                gate: normal([config.signals, d], signal_std, init.named("gate")),
                shift: normal([config.signals, d], signal_std, init.named("shift")),
            }),
            recency: normal([config.history_items, d], 0.3, init.named("recency")),
            pooling: Pooling::new([d, QUERIES], init.named("pooling")),
            user: Mlp::new([QUERIES * d, 2 * d, d], 1.0, init.named("user")),
        }
    }

    /// # Shapes
    /// `features: [n, f]`; output `[n, d]`.
    pub(super) fn items(&self, features: Tensor<2>) -> Tensor<2> {
        self.item.apply(features)
    }

    /// # Shapes
    /// `[n]` ids; output `[n, x]`.
    pub(super) fn worth(&self, ids: Tensor<1, Int>) -> Option<Tensor<2>> {
        let worth = self.worth.as_ref()?;
        Some(worth.of_item.val().select(0, ids).mul_scalar(WORTH_STEP).matmul(worth.to_head.val()))
    }
    /// Heads that an item's worth moves.
    pub(super) fn worth_heads(&self) -> usize {
        self.worth.as_ref().map_or(0, |worth| worth.to_head.dims()[1])
    }
    /// # Shapes
    /// See [`UserInput`]; output `[b, d]`.
    pub(super) fn users(&self, input: UserInput) -> Tensor<2> {
        let mask = input.mask.clone();
        self.pooled(self.tokens(input), mask)
    }
    /// What the user did with each item, and how long ago; padding is zero.
    ///
    /// # Shapes
    /// See [`UserInput`]; output `[b, h, d]`.
    pub(super) fn tokens(&self, input: UserInput) -> Tensor<3> {
        let [batch, history, width] = input.items.dims();
        let tokens = self.token.apply(input.items.reshape([batch * history, width]));
        let mut tokens = tokens.reshape([batch, history, width]);
        if let (Some(reaction), Some(feedback)) = (&self.reaction, input.behaviour) {
            let signals = feedback.dims()[2];
            let feedback = feedback.reshape([batch * history, signals]);
            let project = |matrix: &Param<Tensor<2>>| {
                feedback.clone().matmul(matrix.val()).reshape([batch, history, width])
            };
            tokens = tokens.clone() + tokens * project(&reaction.gate) + project(&reaction.shift);
        }
        let recency = self.recency.val().slice([0..history, 0..width]);
        (tokens + recency.unsqueeze()) * input.mask.unsqueeze_dim::<3>(2)
    }
    /// # Shapes
    /// `tokens: [b, h, d]`, `mask: [b, h]`; output `[b, d]`.
    pub(super) fn pooled(&self, tokens: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        self.user.apply(self.pooling.apply(tokens, mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use policy::optimizer::{Optimizer, OptimizerConfig};
    use policy::random::Key;

    #[test]
    fn what_one_head_learns_of_an_item_all_heads_know_and_of_no_other_item() {
        let device = Device::flex().autodiff();
        let config = ModelConfig {
            kind: Kind::Towers,
            features: 2,
            signals: 0,
            width: 4,
            history_items: 1,
            heads: 3,
            identities: 2,
            watch: None,
        };
        let encoder = Encoder::new(&config, Init { key: Key::new(1), device: &device });
        let worth = |encoder: &Encoder, item: i64| {
            encoder.worth(Tensor::<1, Int>::from_data([item], &device)).unwrap().reshape([3])
        };
        let loss = worth(&encoder, 1).narrow(0, 0, 1).neg();
        let mut optimizer = Optimizer::new(&OptimizerConfig::default());
        let (encoder, _) = optimizer.step(encoder, &loss, 0.1).unwrap();
        let of = |item| worth(&encoder, item).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(of(0), [0.0; 3]);
        assert!(of(1).iter().all(|&logit| logit > 0.3), "{:?}", of(1));
    }
}
