//! Two branches of what an encoder reads (`DiscRec`, Liu et al. 2025, 2506.15576): codes as they are, which say what an item is
//! about, and codes that know of the others of their item, which say which item it is.
//!
//! The collaborative branch adds to every code an embedding of its level and passes it through a block of attention among the
//! codes of one item alone. A gate per code weighs the branches: `softmax` over the products of each with a vector of its own.
//! Departures: a pre-norm residual block as elsewhere here, then a norm; the decoder reads codes as they are, so that decoding
//! costs nothing more.

use super::config::T5Config;
use super::layers::{Dropout, EMBEDDING_STD, Matrix, Norm, Table};
use super::stack::SelfBlock;
use crate::kernels::{Packing, Visible};
use crate::random::Key;
use burn::prelude::*;
use burn::tensor::activation::sigmoid;

/// The collaborative branch, and what weighs it.
#[derive(Module, Debug)]
pub(super) struct Branches {
    /// A row per level.
    level: Table,
    item: SelfBlock,
    norm: Norm,
    /// Of the semantic branch and of the collaborative one, `[2, d]`.
    gate: Matrix,
}

impl Branches {
    /// `None` where the encoder reads codes as they are.
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Option<Self> {
        let (shape, key, levels) = (config.stack(), key.named("branches"), config.branch_tokens);
        let d = shape.d_model;
        let sizes = (shape.d_ff, shape.epsilon);
        (levels > 0).then(|| Self {
            level: Table::new([levels, d], EMBEDDING_STD, key.named("level"), device),
            item: SelfBlock::new(shape.attention(Visible::All), sizes, key.named("item"), device),
            norm: shape.norm(device),
            gate: Matrix::new([2, d], EMBEDDING_STD, key.named("gate"), device),
        })
    }

    /// The weighted branches of embedded codes `x [n, d]`, an item's neighbours.
    ///
    /// # Panics
    /// If the codes are not those of whole items.
    pub(super) fn forward(&self, x: Tensor<2>, dropout: Dropout) -> Tensor<2> {
        let ([n, _], levels) = (x.dims(), self.level.weight.dims()[0]);
        assert!(n.is_multiple_of(levels), "{n} codes are no items of {levels}");
        let of_item: Vec<u32> = (0..n).map(|at| (at % levels) as u32).collect();
        let items = Packing::uniform(n / levels, levels);
        let collaborative = self.item.forward(x.clone() + self.level.rows(&of_item), (&items, None), dropout);
        let collaborative = self.norm.apply(collaborative);
        let gate = self.gate.weight.val();
        let score =
            |branch: &Tensor<2>, row: usize| (branch.clone() * gate.clone().narrow(0, row, 1)).sum_dim(1);
        let semantic = sigmoid(score(&x, 0) - score(&collaborative, 1));
        collaborative.clone() + (x - collaborative) * semantic
    }
}
