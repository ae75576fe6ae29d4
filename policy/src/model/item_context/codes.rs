//! What writes the codes of the next item, given one context vector per reader.

use super::super::layers::{Dropout, Matrix, Norm, repeated};
use super::super::position::Direction;
use super::super::stack::{Past, SelfStack};
use super::config::{CodeDecoder, ItemContextConfig};
use crate::kernels::{self, Packing};
use crate::random::Key;
use burn::prelude::*;

/// One after the other, or all at once.
#[derive(Module, Debug)]
pub(super) enum Codes {
    Depth(SelfStack),
    Parallel(Heads),
}

/// A view of the context for every level: `norm(c + silu(c W_level))`.
#[derive(Module, Debug)]
pub(super) struct Heads {
    level: Vec<Matrix>,
    norm: Norm,
}

impl Codes {
    pub(super) fn new(config: &ItemContextConfig, key: Key, device: &Device) -> Self {
        let (shape, d) = (config.stack(), config.d_model);
        match config.code_decoder {
            CodeDecoder::Depth => {
                let depth = (config.num_decoder_layers, Direction::Backward);
                Self::Depth(SelfStack::new(&shape, depth, key, device))
            }
            CodeDecoder::Parallel => {
                let matrix =
                    |level| Matrix::new([d, d], (d as f64).powf(-0.5), key.named("level").at(level), device);
                Self::Parallel(Heads {
                    level: (0..config.levels as u64).map(matrix).collect(),
                    norm: shape.norm(device),
                })
            }
        }
    }

    /// States of all positions, `[rows * t, d]`, of `context [readers, d]` and the codes read so far, `[rows * t, d]`, a
    /// reader's rows neighbours.
    pub(super) fn forward(
        &self,
        context: Tensor<2>,
        codes: Tensor<2>,
        rows: usize,
        dropout: Dropout,
    ) -> Tensor<2> {
        let (positions, t) = (codes.dims()[0], codes.dims()[0] / rows);
        match self {
            Self::Depth(stack) => {
                stack.forward(codes + repeated(context, positions), &Packing::uniform(rows, t), dropout)
            }
            Self::Parallel(heads) => {
                let [readers, d] = context.dims();
                let levels = (0..t).map(|level| heads.state(context.clone(), level).reshape([readers, 1, d]));
                let states = Tensor::cat(levels.collect(), 1).reshape([readers, t * d]);
                repeated(states, rows).reshape([positions, d])
            }
        }
    }

    /// A cache without positions.
    pub(super) fn past(&self) -> Past {
        match self {
            Self::Depth(stack) => stack.past(),
            Self::Parallel(_) => Past::of(std::iter::empty()),
        }
    }

    /// States of the next position of every row; `codes`: the last codes, `[rows, d]`.
    pub(super) fn step(&self, context: Tensor<2>, codes: Tensor<2>, past: &mut Past) -> Tensor<2> {
        let rows = codes.dims()[0];
        match self {
            Self::Depth(stack) => stack.step(codes + repeated(context, rows), past),
            Self::Parallel(heads) => {
                let level = past.ancestry.len();
                past.ancestry.advance(rows);
                repeated(heads.state(context, level), rows)
            }
        }
    }
}

impl Heads {
    fn state(&self, context: Tensor<2>, level: usize) -> Tensor<2> {
        let view = kernels::silu(kernels::linear(context.clone(), self.level[level].weight.val()));
        self.norm.apply(context + view)
    }
}
