//! The session reward model (OneRec, 2502.18965, section 3.3; ALGORITHMS 1.4).
//!
//! `e_i = v_i * u`, `h = SelfAttention([e_1 .. e_m])`, `r_x = sigmoid(MLP_x(sum_i h_i))`, and
//! `L = -sum_x [y_x log r_x + (1 - y_x) log(1 - r_x)]`, the mean over lists.

use super::encoder::Encoder;
use super::layers::{Init, Mlp, SelfAttention};
use super::{ListInput, ModelConfig, Outputs};
use burn::prelude::*;

/// The session reward model's weights.
#[derive(Module, Debug)]
pub struct SessionModel {
    encoder: Encoder,
    attention: SelfAttention,
    heads: Vec<Mlp>,
}

impl SessionModel {
    pub(super) fn new(config: &ModelConfig, init: Init<'_>) -> Self {
        let d = config.width;
        let head = |index: usize| Mlp::new([d, d, 1], 0.0, init.named(&format!("head-{index}")));
        Self {
            encoder: Encoder::new(config, init),
            attention: SelfAttention::new(d, init.named("attention")),
            heads: (0..config.heads).map(head).collect(),
        }
    }
}

impl super::Architecture for SessionModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }
    fn item_side(&self, vectors: Tensor<2>) -> Tensor<2> {
        vectors
    }
    fn user_side(&self, users: Tensor<2>) -> Tensor<2> {
        users
    }
    fn outputs(&self, input: ListInput) -> Outputs {
        let ListInput { items, mask, users } = input;
        let aware = items * users.unsqueeze_dim::<3>(1);
        let attended = self.attention.apply(aware, mask.clone()) * mask.unsqueeze_dim::<3>(2);
        let summed = attended.sum_dim(1).squeeze_dim::<2>(1);
        let heads = Tensor::cat(self.heads.iter().map(|head| head.apply(summed.clone())).collect(), 1);
        Outputs { heads, personal: None, states: None }
    }
}
