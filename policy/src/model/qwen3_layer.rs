//! One layer of [`super::Qwen3`], with the parameter names of Hugging Face's `Qwen3DecoderLayer`.

use super::grouped::{GroupedHeads, Source};
use super::layers::{Dropout, Matrix, Norm};
use super::qwen3_config::Qwen3Config;
use super::rotary::Rotary;
use super::stack::AFTER_SELF;
use super::stack::feed_forward_masks;
use crate::kernels;
use crate::random::Key;
use burn::prelude::*;

/// Standard deviation of every initial matrix (`initializer_range` in `transformers`).
pub(super) const STD: f64 = 0.02;

/// Projections with a norm per head of queries and keys.
#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Matrix,
    k_proj: Matrix,
    v_proj: Matrix,
    o_proj: Matrix,
    q_norm: Norm,
    k_norm: Norm,
}

/// `down(silu(gate(x)) * up(x))` (SwiGLU, Shazeer 2020).
#[derive(Module, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the file")]
struct Mlp {
    gate_proj: Matrix,
    up_proj: Matrix,
    down_proj: Matrix,
}

/// Attention and feed-forward layer.
#[derive(Module, Debug)]
pub(super) struct Qwen3Layer {
    self_attn: SelfAttention,
    mlp: Mlp,
    input_layernorm: Norm,
    post_attention_layernorm: Norm,
    #[module(skip)]
    heads: GroupedHeads,
}

/// What a layer makes of its input: queries `[n, h dk]`, keys and values `[n, g dk]`, in their positions.
pub(super) struct Projected {
    pub(super) query: Tensor<2>,
    pub(super) keys_values: [Tensor<2>; 2],
}

impl Qwen3Layer {
    pub(super) fn new(config: &Qwen3Config, key: Key, device: &Device) -> Self {
        let (d, ff, heads) = (config.hidden_size, config.intermediate_size, config.heads());
        let (wide, narrow) = (heads.count * heads.width, heads.groups * heads.width);
        let matrix = |shape, name| Matrix::new(shape, STD, key.named(name), device);
        let norm = |width| Norm::new(width, config.rms_norm_eps, device);
        Self {
            self_attn: SelfAttention {
                q_proj: matrix([wide, d], "q"),
                k_proj: matrix([narrow, d], "k"),
                v_proj: matrix([narrow, d], "v"),
                o_proj: matrix([d, wide], "o"),
                q_norm: norm(heads.width),
                k_norm: norm(heads.width),
            },
            mlp: Mlp {
                gate_proj: matrix([ff, d], "gate"),
                up_proj: matrix([ff, d], "up"),
                down_proj: matrix([d, ff], "down"),
            },
            input_layernorm: norm(d),
            post_attention_layernorm: norm(d),
            heads,
        }
    }

    /// `x`: `[n, d]`.
    pub(super) fn project(&self, x: Tensor<2>, rotary: &Rotary) -> Projected {
        let (x, attention) = (self.input_layernorm.apply(x), &self.self_attn);
        let normalized = |matrix: &Matrix, norm: &Norm| {
            let projected = kernels::linear(x.clone(), matrix.weight.val());
            let ([n, inner], width) = (projected.dims(), self.heads.width);
            let heads = norm.apply(projected.reshape([n * inner / width, width]));
            rotary.turn(&heads.reshape([n, inner / width, width])).reshape([n, inner])
        };
        let query = normalized(&attention.q_proj, &attention.q_norm);
        let key = normalized(&attention.k_proj, &attention.k_norm);
        let value = kernels::linear(x.clone(), attention.v_proj.weight.val());
        Projected { query, keys_values: [key, value] }
    }

    /// Attention of rows to themselves and to what their reader sees, then the feed-forward layer; residuals included.
    /// `x`: `[n, d]`.
    pub(super) fn attend(
        &self,
        x: Tensor<2>,
        query: Tensor<2>,
        (own, memory): (&Source, Option<&Source>),
        dropout: Dropout,
    ) -> Tensor<2> {
        self.finish(x, self.heads.attend(query, own, memory), dropout)
    }

    /// What follows attention. `attended`: `[n, h dk]`.
    pub(super) fn finish(&self, x: Tensor<2>, attended: Tensor<2>, dropout: Dropout) -> Tensor<2> {
        let update = kernels::linear(attended, self.self_attn.o_proj.weight.val());
        let x = x + kernels::dropout(update, dropout.mask(AFTER_SELF));
        let [inside, after] = feed_forward_masks(dropout);
        let normalized = self.post_attention_layernorm.apply(x.clone());
        let project = |matrix: &Matrix| kernels::linear(normalized.clone(), matrix.weight.val());
        let hidden = kernels::silu(project(&self.mlp.gate_proj)) * project(&self.mlp.up_proj);
        let hidden = kernels::dropout(hidden, inside);
        x + kernels::dropout(kernels::linear(hidden, self.mlp.down_proj.weight.val()), after)
    }
}
