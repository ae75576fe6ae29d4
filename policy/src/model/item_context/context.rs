//! What reads a history of item vectors.

use super::super::hstu::HstuStack;
use super::super::layers::Dropout;
use super::super::position::Direction;
use super::super::stack::SelfStack;
use super::config::{ContextBlock, ItemContextConfig};
use crate::kernels::Packing;
use crate::random::Key;
use burn::prelude::*;

/// A causal stack.
#[derive(Module, Debug)]
pub(super) enum ContextStack {
    Transformer(SelfStack),
    Hstu(HstuStack),
}

impl ContextStack {
    pub(super) fn new(config: &ItemContextConfig, key: Key, device: &Device) -> Self {
        let (shape, layers) = (config.stack(), config.num_layers);
        match config.context_block {
            ContextBlock::Transformer => {
                Self::Transformer(SelfStack::new(&shape, (layers, Direction::Backward), key, device))
            }
            ContextBlock::Hstu => {
                Self::Hstu(HstuStack::new(&shape, (layers, config.attention_bias), key, device))
            }
        }
    }
    /// `x`: embedded items `[n, d]`, packed, with their times.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        (packing, times): (&Packing, &[i64]),
        dropout: Dropout,
    ) -> Tensor<2> {
        match self {
            Self::Transformer(stack) => stack.forward(x, packing, dropout),
            Self::Hstu(stack) => stack.forward(x, (packing, times), dropout),
        }
    }
}
