//! The session reward model (OneRec, 2502.18965, section 3.3; ALGORITHMS 1.4).
//!
//! `e_i = v_i * u`, `h = SelfAttention([e_1 .. e_m])`, `r_x = sigmoid(MLP_x(sum_i h_i))`, and
//! `L = -sum_x [y_x log r_x + (1 - y_x) log(1 - r_x)]`, the mean over lists.
//!
//! The paper leaves `v_i` and `u` open. Here `v_i` is an MLP of the item's features; `u` pools the history with four
//! learned queries and passes the result through an MLP. A history token is the item's own `v_i` projected, gated and
//! shifted by what the user did with it (`t (1 + G y) + S y`: the average of tokens then holds the average of *liked*
//! items, not only of items and of likes), plus how long ago it was (recency). The bias of `u` starts at one, so that
//! training starts from `e_i = v_i`.

use super::layers::{Dense, Init, Mlp, Pooling, SelfAttention, normal};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::activation;
use policy::random::Key;
use serde::{Deserialize, Serialize};

/// Learned queries that pool the history.
const QUERIES: usize = 4;

/// Sizes of a [`SessionModel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionModelConfig {
    /// Features per item (`f`).
    pub features: usize,
    /// Feedback signals per history item (`s`), 0 where the log has none.
    pub signals: usize,
    /// Width of user and item vectors (`d`).
    pub width: usize,
    /// Most items of a history (`h`).
    pub history_items: usize,
    /// Heads (`x`).
    pub heads: usize,
}

/// A user's history, as item vectors.
#[derive(Clone, Debug)]
pub struct UserInput {
    /// `[b, h, d]`: item vectors, latest first; padding may hold anything.
    pub items: Tensor<3>,
    /// `[b, h, s]`: standardised feedback; absent when `s` is 0.
    pub behaviour: Option<Tensor<3>>,
    /// `[b, h]`: 1 for an item, 0 for padding.
    pub mask: Tensor<2>,
}

/// Lists with the user each is shown to.
#[derive(Clone, Debug)]
pub struct ListInput {
    /// `[c, m, d]`: item vectors; padding may hold anything.
    pub items: Tensor<3>,
    /// `[c, m]`: 1 for an item, 0 for padding.
    pub mask: Tensor<2>,
    /// `[c, d]`: the user vector of each list.
    pub users: Tensor<2>,
}

/// How feedback changes what a history item says about the user.
#[derive(Module, Debug)]
struct Reaction {
    gate: Param<Tensor<2>>,
    shift: Param<Tensor<2>>,
}

/// The session reward model's weights.
#[derive(Module, Debug)]
pub struct SessionModel {
    item: Mlp,
    token: Dense,
    reaction: Option<Reaction>,
    recency: Param<Tensor<2>>,
    pooling: Pooling,
    user: Mlp,
    attention: SelfAttention,
    heads: Vec<Mlp>,
}

impl SessionModel {
    /// A model with weights from `key`.
    pub fn new(config: &SessionModelConfig, key: Key, device: &Device) -> Self {
        let (d, init) = (config.width, Init { key, device });
        let signal_std = (config.signals.max(1) as f32).sqrt().recip();
        let head = |index: usize| Mlp::new([d, d, 1], 0.0, init.named(&format!("head-{index}")));
        Self {
            item: Mlp::new([config.features, d, d], 0.0, init.named("item")),
            token: Dense::new([d, d], 0.0, init.named("token")),
            reaction: (config.signals > 0).then(|| Reaction {
                gate: normal([config.signals, d], signal_std, init.named("gate")),
                shift: normal([config.signals, d], signal_std, init.named("shift")),
            }),
            recency: normal([config.history_items, d], 0.3, init.named("recency")),
            pooling: Pooling::new([d, QUERIES], init.named("pooling")),
            user: Mlp::new([QUERIES * d, 2 * d, d], 1.0, init.named("user")),
            attention: SelfAttention::new(d, init.named("attention")),
            heads: (0..config.heads).map(head).collect(),
        }
    }

    /// Item vectors.
    ///
    /// # Shapes
    /// `features: [n, f]`; output `[n, d]`.
    pub fn items(&self, features: Tensor<2>) -> Tensor<2> {
        self.item.apply(features)
    }

    /// User vectors.
    ///
    /// # Shapes
    /// See [`UserInput`]; output `[b, d]`.
    pub fn users(&self, input: UserInput) -> Tensor<2> {
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
        let tokens = (tokens + recency.unsqueeze()) * input.mask.clone().unsqueeze_dim::<3>(2);
        self.user.apply(self.pooling.apply(tokens, input.mask))
    }

    /// Logits per list and head.
    ///
    /// # Shapes
    /// See [`ListInput`]; output `[c, x]`.
    pub fn logits(&self, input: ListInput) -> Tensor<2> {
        let ListInput { items, mask, users } = input;
        let aware = items * users.unsqueeze_dim::<3>(1);
        let attended = self.attention.apply(aware, mask.clone()) * mask.unsqueeze_dim::<3>(2);
        let summed = attended.sum_dim(1).squeeze_dim::<2>(1);
        Tensor::cat(self.heads.iter().map(|head| head.apply(summed.clone())).collect(), 1)
    }
}

/// Binary cross-entropy summed over heads, mean over lists, from logits: `softplus(x) - x y` in the form
/// `max(x, 0) - x y + ln(1 + exp(-|x|))`, which overflows for no logit.
///
/// # Shapes
/// `logits`, `labels`: `[c, x]`; output `[1]`.
pub fn binary_cross_entropy(logits: Tensor<2>, labels: Tensor<2>) -> Tensor<1> {
    let lists = logits.dims()[0];
    let tail = logits.clone().abs().neg().exp().log1p();
    let loss = activation::relu(logits.clone()) - logits * labels + tail;
    loss.sum().div_scalar(lists as f64)
}
