//! The layers of the reward models. Weights come from a key, so a model is a function of (configuration, key) and not
//! of a device's generator.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use policy::random::Key;
use rand::RngExt;
use rand_distr::StandardNormal;

/// A trainable tensor of independent normal draws with standard deviation `std`.
pub(crate) fn normal<const D: usize>(shape: [usize; D], std: f32, init: Init<'_>) -> Param<Tensor<D>> {
    let mut rng = init.key.rng();
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| std * rng.sample::<f32, _>(StandardNormal)).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), init.device))
}

/// Where weights come from and where they live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Init<'a> {
    pub(crate) key: Key,
    pub(crate) device: &'a Device,
}

impl Init<'_> {
    pub(crate) fn named(self, name: &str) -> Self {
        Self { key: self.key.named(name), ..self }
    }
}

/// `x W + b`.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    /// Weights of standard deviation `1 / sqrt(inputs)`, every bias `bias`.
    pub(crate) fn new([inputs, outputs]: [usize; 2], bias: f32, init: Init<'_>) -> Self {
        let std = (inputs.max(1) as f32).sqrt().recip();
        let offset = Tensor::from_data(TensorData::new(vec![bias; outputs], [outputs]), init.device);
        Self { weight: normal([inputs, outputs], std, init), bias: Param::from_tensor(offset) }
    }
    /// Width of what it reads.
    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims()[0]
    }
    /// # Shapes
    /// `[rows, inputs] -> [rows, outputs]`.
    pub(crate) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

/// Two dense layers with a sigmoid-weighted linear unit between (smooth, so that finite differences hold).
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    hidden: Dense,
    output: Dense,
}

impl Mlp {
    /// `[inputs, hidden, outputs]` widths; every output bias is `bias`.
    pub(crate) fn new([inputs, hidden, outputs]: [usize; 3], bias: f32, init: Init<'_>) -> Self {
        Self {
            hidden: Dense::new([inputs, hidden], 0.0, init.named("hidden")),
            output: Dense::new([hidden, outputs], bias, init.named("output")),
        }
    }
    /// # Shapes
    /// `[rows, inputs] -> [rows, outputs]`.
    pub(crate) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.apply(activation::silu(self.hidden.apply(x)))
    }
}

/// Added to the attention score of a padded key; `exp` of it is exactly 0 in f32.
const MASKED: f32 = -1e9;

/// Additive attention mask from a 1/0 mask: 0 where valid, [`MASKED`] where padded.
pub(crate) fn additive<const D: usize>(mask: Tensor<D>) -> Tensor<D> {
    (mask - 1.0).mul_scalar(-MASKED)
}

/// One-head self-attention over a list, without positions: a permutation of the list permutes the output.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    query: Param<Tensor<2>>,
    key: Param<Tensor<2>>,
    value: Param<Tensor<2>>,
}

impl SelfAttention {
    pub(crate) fn new(width: usize, init: Init<'_>) -> Self {
        let std = (width as f32).sqrt().recip();
        let matrix = |name| normal([width, width], std, init.named(name));
        Self { query: matrix("query"), key: matrix("key"), value: matrix("value") }
    }
    /// `softmax(e W_q (e W_k)^T / sqrt(d) + mask) e W_v`.
    ///
    /// # Shapes
    /// `e: [c, m, d]`, `mask: [c, m]` of 1 and 0; output `[c, m, d]`, padded rows meaningless.
    pub(crate) fn apply(&self, e: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let [lists, items, width] = e.dims();
        if items == 1 {
            // The softmax over a single item is 1: what is left is the value.
            return e.reshape([lists, width]).matmul(self.value.val()).reshape([lists, items, width]);
        }
        self.attend(e, additive(mask).unsqueeze_dim::<3>(1))
    }
    /// The same where an item sees itself and those before it.
    ///
    /// # Shapes
    /// `[c, m, d] -> [c, m, d]`.
    pub(crate) fn causal(&self, e: Tensor<3>) -> Tensor<3> {
        let items = e.dims()[1];
        let visible = (0..items * items).map(|at| f32::from(at % items <= at / items)).collect::<Vec<_>>();
        let visible = Tensor::<2>::from_data(TensorData::new(visible, [items, items]), &e.device());
        self.attend(e, additive(visible).unsqueeze_dim::<3>(0))
    }
    fn attend(&self, e: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        let [lists, items, width] = e.dims();
        let rows = e.reshape([lists * items, width]);
        let project =
            |matrix: &Param<Tensor<2>>| rows.clone().matmul(matrix.val()).reshape([lists, items, width]);
        let scale = (width as f64).sqrt().recip();
        let scores = project(&self.query).matmul(project(&self.key).transpose()).mul_scalar(scale);
        activation::softmax(scores + mask, 2).matmul(project(&self.value))
    }
}

/// Attention pooling over a history with several learned queries.
#[derive(Module, Debug)]
pub(crate) struct Pooling {
    queries: Param<Tensor<2>>,
}

impl Pooling {
    pub(crate) fn new([width, queries]: [usize; 2], init: Init<'_>) -> Self {
        Self { queries: normal([width, queries], (width as f32).sqrt().recip(), init) }
    }
    /// # Shapes
    /// `tokens: [b, h, d]` (padded rows zero), `mask: [b, h]`; output `[b, q * d]`, zero for an empty history.
    pub(crate) fn apply(&self, tokens: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let [batch, history, width] = tokens.dims();
        let queries = self.queries.dims()[1];
        let scores = tokens.clone().reshape([batch * history, width]).matmul(self.queries.val());
        let scores = scores.reshape([batch, history, queries]).swap_dims(1, 2);
        let weights = activation::softmax(scores + additive(mask).unsqueeze_dim::<3>(1), 2);
        weights.matmul(tokens).reshape([batch, queries * width])
    }
}
