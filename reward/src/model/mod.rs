//! The reward models: one interface, one checkpoint format, five architectures.
//!
//! A model turns item features into vectors, histories into user vectors, and both into logits per head. What of a pair
//! depends on the item alone, or on the user alone, is a *side* that is computed once and reused for every pair
//! ([`RewardModel::item_side`], [`RewardModel::user_side`]).

mod encoder;
pub(crate) mod layers;
pub mod metric;
mod retrieval;
mod session;
mod towers;

pub use metric::MetricModel;
pub use session::SessionModel;
pub use towers::TowersModel;

use crate::watch::{Codec, Lesson};
use burn::prelude::*;
use burn::tensor::activation;
use encoder::Encoder;
use layers::Init;
use metric::Crowd;
use policy::random::Key;
use serde::{Deserialize, Serialize};

/// Which reward model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// OneRec's: items of a list attend to each other.
    #[default]
    Session,
    /// Point-wise: a shared bottom layer, one tower per head.
    Towers,
    /// `towers` that also look up what the user did with items like the candidate (Deep Interest Network, 1706.06978).
    Retrieval,
    /// `towers`, and a score learned from all of them (OneRec's technical report, 2506.13695).
    PScore,
    /// Users and items as directions, learned by contrast within the batch.
    Metric,
}

impl Kind {
    /// Whether an item's score depends on the items shown beside it.
    pub const fn is_list_wise(self) -> bool {
        matches!(self, Self::Session)
    }
}

/// Sizes of a [`RewardModel`].
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which one.
    pub kind: Kind,
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
    /// Items with a learned worth, 0 where there are none.
    pub identities: usize,
    /// What a watch-time head learns; point-wise models only.
    pub watch: Option<Codec>,
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
    /// `[c, m, p]`: rows of [`RewardModel::item_side`]; padding may hold anything.
    pub items: Tensor<3>,
    /// `[c, m]`: 1 for an item, 0 for padding.
    pub mask: Tensor<2>,
    /// `[c, p]`: the row of [`RewardModel::user_side`] of each list's user.
    pub users: Tensor<2>,
}

/// What a model says of lists.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// `[c, x]`: logits.
    pub heads: Tensor<2>,
    /// `[c, 1]`: logit of the learned score, of a model that has one.
    pub personal: Option<Tensor<2>>,
    /// `[c, ..]`: what further heads and losses read; point-wise models have it.
    pub states: Option<Tensor<2>>,
}

/// The part of a reward model that differs between architectures.
trait Architecture {
    fn encoder(&self) -> &Encoder;
    /// See [`RewardModel::users`].
    fn users(&self, input: UserInput) -> Tensor<2> {
        self.encoder().users(input)
    }
    /// See [`RewardModel::item_side`].
    fn item_side(&self, vectors: Tensor<2>) -> Tensor<2>;
    /// See [`RewardModel::user_side`].
    fn user_side(&self, users: Tensor<2>) -> Tensor<2>;
    /// See [`RewardModel::outputs`].
    fn outputs(&self, input: ListInput) -> Outputs;
}

/// The weights of a reward model.
#[allow(
    clippy::large_enum_variant,
    reason = "a run holds a handful of models, and their weights are elsewhere"
)]
#[derive(Module, Debug)]
pub enum RewardModel {
    /// See [`SessionModel`].
    Session(SessionModel),
    /// See [`TowersModel`].
    Towers(TowersModel),
    /// See [`MetricModel`].
    Metric(MetricModel),
}

impl RewardModel {
    /// A model with weights from `key`.
    pub fn new(config: &ModelConfig, key: Key, device: &Device) -> Self {
        let init = Init { key, device };
        match config.kind {
            Kind::Session => Self::Session(SessionModel::new(config, init)),
            Kind::Metric => Self::Metric(MetricModel::new(config, init)),
            Kind::Towers | Kind::Retrieval | Kind::PScore => Self::Towers(TowersModel::new(config, init)),
        }
    }
    fn architecture(&self) -> &dyn Architecture {
        match self {
            Self::Session(model) => model,
            Self::Towers(model) => model,
            Self::Metric(model) => model,
        }
    }
    /// Whether an item's score depends on the items shown beside it.
    pub fn is_list_wise(&self) -> bool {
        matches!(self, Self::Session(_))
    }
    /// Whether a score is learned from the heads ([`Outputs::personal`]).
    pub fn has_learned_score(&self) -> bool {
        matches!(self, Self::Towers(model) if model.has_learned_score())
    }
    /// Item vectors.
    ///
    /// # Shapes
    /// `features: [n, f]`; output `[n, d]`.
    pub fn items(&self, features: Tensor<2>) -> Tensor<2> {
        self.architecture().encoder().items(features)
    }
    /// User vectors.
    ///
    /// # Shapes
    /// See [`UserInput`]; output `[b, d]`, and columns more where candidates look the history up.
    pub fn users(&self, input: UserInput) -> Tensor<2> {
        self.architecture().users(input)
    }
    /// All of a pair's score that depends on its item alone.
    ///
    /// # Shapes
    /// `vectors: [n, d]` of [`RewardModel::items`], `ids: [n]`; output `[n, p]`, and `x` columns more where items have logits of
    /// their own.
    pub fn item_side(&self, vectors: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
        let side = self.architecture().item_side(vectors);
        match self.architecture().encoder().worth(ids) {
            Some(worth) => Tensor::cat(vec![side, worth], 1),
            None => side,
        }
    }
    /// All of a pair's score that depends on its user alone.
    ///
    /// # Shapes
    /// `users` of [`RewardModel::users`]; output `[b, p]`.
    pub fn user_side(&self, users: Tensor<2>) -> Tensor<2> {
        self.architecture().user_side(users)
    }
    /// Logits per list.
    ///
    /// # Shapes
    /// See [`ListInput`] and [`Outputs`].
    ///
    /// # Panics
    /// If a point-wise model is given a list of several items.
    pub fn outputs(&self, mut input: ListInput) -> Outputs {
        let own = self.architecture().encoder().worth_heads();
        if own == 0 {
            return self.architecture().outputs(input);
        }
        let [lists, length, columns] = input.items.dims();
        let worth = input.items.clone().slice([0..lists, 0..length, columns - own..columns]);
        let worth = (worth * input.mask.clone().unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim::<2>(1);
        input.items = input.items.slice([0..lists, 0..length, 0..columns - own]);
        let outputs = self.architecture().outputs(input);
        Outputs { heads: outputs.heads + worth, ..outputs }
    }
    /// The contrast of every list's item with the others of the batch, of a model that learns by it.
    ///
    /// # Shapes
    /// `labels: [c, x]`; output `[1]`.
    pub fn contrast(&self, outputs: &Outputs, labels: &Tensor<2>, crowd: &Crowd) -> Option<Tensor<1>> {
        let Self::Metric(model) = self else { return None };
        Some(model.contrast(outputs.states.as_ref()?, labels, crowd))
    }
    /// The watch-time head's mean loss over the lists, where there is one.
    ///
    /// # Shapes
    /// One time per list of `outputs`; output `[1]`.
    pub(crate) fn watch_loss(
        &self,
        outputs: &Outputs,
        learned: (&Codec, &[f32]),
        lesson: Lesson,
    ) -> Option<Tensor<1>> {
        let Self::Towers(model) = self else { return None };
        Some(model.watch()?.loss(outputs.states.clone()?, learned, lesson))
    }
    /// The watch time of every list, where there is a head for it.
    pub(crate) fn watch_times(&self, outputs: &Outputs, codec: &Codec) -> Option<Vec<f32>> {
        let Self::Towers(model) = self else { return None };
        Some(model.watch()?.predict(outputs.states.clone()?, codec))
    }
}

/// Binary cross-entropy summed over heads, mean over lists, from logits: `softplus(x) - x y` in the form
/// `max(x, 0) - x y + ln(1 + exp(-|x|))`, which overflows for no logit.
///
/// # Shapes
/// `logits`, `labels`: `[c, x]`; output `[1]`.
pub fn binary_cross_entropy(logits: Tensor<2>, labels: Tensor<2>) -> Tensor<1> {
    let lists = logits.dims()[0];
    cross_entropies(logits, labels).sum().div_scalar(lists as f64)
}

/// [`binary_cross_entropy`] in which lists count as much as their weights say.
///
/// # Shapes
/// `weights: [c, 1]`; output `[1]`.
pub fn weighted_cross_entropy(logits: Tensor<2>, labels: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let lists = logits.dims()[0];
    (cross_entropies(logits, labels) * weights).sum().div_scalar(lists as f64)
}

/// Binary cross-entropy of every logit.
fn cross_entropies(logits: Tensor<2>, labels: Tensor<2>) -> Tensor<2> {
    let tail = logits.clone().abs().neg().exp().log1p();
    activation::relu(logits.clone()) - logits * labels + tail
}

/// P-Score's part of the loss: `sum_x w_x BCE(y_x, P)`, mean over lists. Every target pulls the one score, as strongly as
/// its weight says; where targets disagree, the score learns their weighted rate for this user and item.
///
/// # Shapes
/// `personal: [c, 1]`, `labels: [c, x]`, one weight per head; output `[1]`.
pub fn personal_loss(personal: &Tensor<2>, labels: Tensor<2>, weights: &[f64]) -> Tensor<1> {
    let [lists, heads] = labels.dims();
    let logits = personal.clone().expand([lists, heads]);
    let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
    let weights = Tensor::<1>::from_data(weights.as_slice(), &labels.device());
    (cross_entropies(logits, labels) * weights.unsqueeze()).sum().div_scalar(lists as f64)
}

#[cfg(test)]
mod tests;
