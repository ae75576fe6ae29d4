//! Encoder, decoder and codebooks as parameters, and the loss.

use super::super::distance::nearest;
use super::gradient::pass;
use super::{Autoencoder, Dense, LearnedConfig, letter};
use crate::embeddings::Embeddings;
use crate::kernels;
use crate::random::Key;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::relu;
use rand_distr::{Distribution, Normal};

/// A linear layer.
#[derive(Module, Debug)]
struct Layer {
    /// `[out, in]`.
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Layer {
    /// Glorot and Bengio's normal weights, no bias.
    fn new([inputs, outputs]: [usize; 2], key: Key, device: &Device) -> Self {
        let deviation = (2.0 / (inputs + outputs) as f64).sqrt();
        let draws = Normal::new(0.0, deviation).expect("a standard deviation is finite and positive");
        let values = draws.sample_iter(key.rng()).take(inputs * outputs).map(|x: f64| x as f32).collect();
        let weight = tensor(&Embeddings::new(inputs, values), device);
        Self {
            weight: Param::from_tensor(weight),
            bias: Param::from_tensor(Tensor::zeros([outputs], device)),
        }
    }
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.val()) + self.bias.val().unsqueeze()
    }
    fn plain(&self) -> Dense {
        let bias = self.bias.val().into_data().iter::<f32>().collect();
        Dense { weight: table(self.weight.val()), bias }
    }
}

/// One level's codes.
#[derive(Module, Debug)]
struct Codebook {
    /// `[codes, latent]`.
    vectors: Param<Tensor<2>>,
}

/// What is trained.
#[derive(Module, Debug)]
pub(super) struct Model {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    codebooks: Vec<Codebook>,
    /// From encodings to collaborative vectors.
    projection: Option<Layer>,
}

/// What of a batch the loss sees.
pub(super) struct Batch<'a> {
    /// `[n, width]`.
    pub(super) x: Tensor<2>,
    /// `[n, any]`: collaborative vectors, where codes shall follow them.
    pub(super) collaborative: Option<Tensor<2>>,
    /// A code like each code, per level, where codes shall be spread.
    pub(super) partners: &'a [Vec<Option<u32>>],
}

/// A forward pass.
pub(super) struct Pass {
    /// `[1]`.
    pub(super) loss: Tensor<1>,
    /// The codes of the rows, per level.
    pub(super) codes: Vec<Vec<u32>>,
    /// What the levels before each one left of the rows.
    pub(super) residuals: Vec<Embeddings>,
}

impl Model {
    /// Layers of these widths and back, and no codebooks yet.
    pub(super) fn new(widths: &[usize], key: Key, device: &Device) -> Self {
        let layer = |(at, pair): (u64, [usize; 2])| Layer::new(pair, key.at(at), device);
        let pairs = widths.windows(2).map(|pair| [pair[0], pair[1]]);
        let back = widths.windows(2).rev().map(|pair| [pair[1], pair[0]]);
        Self {
            encoder: (0..).zip(pairs).map(layer).collect(),
            decoder: (1 << 32..).zip(back).map(layer).collect(),
            codebooks: Vec::new(),
            projection: None,
        }
    }
    /// With a map from encodings to collaborative vectors.
    pub(super) fn projecting(self, widths: [usize; 2], key: Key, device: &Device) -> Self {
        Self { projection: Some(Layer::new(widths, key.named("projection"), device)), ..self }
    }
    /// Encodings of rows.
    pub(super) fn encode(&self, rows: &Embeddings, device: &Device) -> Embeddings {
        table(forward(&self.encoder, tensor(rows, device)))
    }
    /// One more level.
    pub(super) fn push(&mut self, codebook: &Embeddings, device: &Device) {
        self.codebooks.push(Codebook { vectors: Param::from_tensor(tensor(codebook, device)) });
    }
    /// Replaces a level's codes.
    pub(super) fn replace(&mut self, level: usize, codebook: &Embeddings, device: &Device) {
        self.codebooks[level].vectors = Param::from_tensor(tensor(codebook, device));
    }
    /// The loss of a batch, with mean squared errors over all entries.
    pub(super) fn loss(&self, batch: Batch<'_>, config: &LearnedConfig) -> Pass {
        let x = batch.x;
        let encoded = forward(&self.encoder, x.clone());
        let (mut residual, mut quantized) = (encoded.clone(), encoded.zeros_like());
        let mut pass_so_far = Pass { loss: x.zeros_like().mean(), codes: Vec::new(), residuals: Vec::new() };
        for codebook in &self.codebooks {
            let vectors = codebook.vectors.val();
            let rows = table(residual.clone());
            let codes = nearest(&rows, &table(vectors.clone()));
            let chosen = kernels::gather(vectors, &codes);
            let fixed = chosen.clone().detach();
            let learn = mse(chosen, residual.clone().detach());
            let commit = mse(residual.clone(), fixed.clone()).mul_scalar(config.commitment);
            pass_so_far.loss = pass_so_far.loss + learn + commit;
            residual = residual - fixed.clone();
            quantized = quantized + fixed;
            pass_so_far.codes.push(codes);
            pass_so_far.residuals.push(rows);
        }
        let quantized = pass(encoded, quantized, config.gradient);
        let quantization = pass_so_far.loss.div_scalar(self.codebooks.len() as f64);
        let mut loss = mse(forward(&self.decoder, quantized.clone()), x) + quantization;
        if let (Some(projection), Some(vectors)) = (&self.projection, batch.collaborative) {
            let contrast = letter::collaborative(projection.forward(quantized), vectors);
            loss = loss + contrast.mul_scalar(config.collaborative_weight);
        }
        for ((codebook, codes), partners) in self.codebooks.iter().zip(&pass_so_far.codes).zip(batch.partners)
        {
            let spread = letter::diversity(codebook.vectors.val(), codes, partners);
            loss = loss + spread.mul_scalar(config.diversity_weight / self.codebooks.len() as f64);
        }
        Pass { loss, ..pass_so_far }
    }
    /// The layers as plain numbers; none without an encoder.
    pub(super) fn autoencoder(&self) -> Option<Autoencoder> {
        let plain = |layers: &[Layer]| layers.iter().map(Layer::plain).collect();
        let autoencoder = Autoencoder { encoder: plain(&self.encoder), decoder: plain(&self.decoder) };
        (!self.encoder.is_empty()).then_some(autoencoder)
    }
    /// The codebooks as plain numbers.
    pub(super) fn codebooks(&self) -> Vec<Embeddings> {
        self.codebooks.iter().map(|codebook| table(codebook.vectors.val())).collect()
    }
}

fn forward(layers: &[Layer], mut x: Tensor<2>) -> Tensor<2> {
    for (at, layer) in layers.iter().enumerate() {
        x = layer.forward(x);
        if at + 1 < layers.len() {
            x = relu(x);
        }
    }
    x
}

fn mse(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (a - b).square().mean()
}

/// Rows as a tensor.
pub(super) fn tensor(rows: &Embeddings, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.values().to_vec(), [rows.rows(), rows.width()]), device)
}

fn table(tensor: Tensor<2>) -> Embeddings {
    let width = tensor.dims()[1];
    Embeddings::new(width, tensor.into_data().iter::<f32>().collect())
}

#[cfg(test)]
impl Model {
    /// A model of these layers.
    pub(super) fn of(encoder: &[Dense], decoder: &[Dense], device: &Device) -> Self {
        let layer = |dense: &Dense| Layer {
            weight: Param::from_tensor(tensor(&dense.weight, device)),
            bias: Param::from_tensor(Tensor::from_data(TensorData::from(dense.bias.as_slice()), device)),
        };
        let layers = |all: &[Dense]| all.iter().map(layer).collect();
        Self { encoder: layers(encoder), decoder: layers(decoder), codebooks: Vec::new(), projection: None }
    }
    /// With this map to collaborative vectors.
    pub(super) fn projecting_by(self, dense: &Dense, device: &Device) -> Self {
        let model = Self::of(std::slice::from_ref(dense), &[], device);
        Self { projection: model.encoder.into_iter().next(), ..self }
    }
    /// Gradients of all parameters: weight and bias of every layer, then the codebooks.
    pub(super) fn gradients(&self, loss: &Tensor<1>) -> Vec<Vec<f32>> {
        let grads = loss.backward();
        let matrix =
            |param: &Param<Tensor<2>>| param.val().grad(&grads).map(|grad| table(grad).values().to_vec());
        let mut all = Vec::new();
        for layer in self.encoder.iter().chain(&self.decoder).chain(&self.projection) {
            all.push(matrix(&layer.weight));
            all.push(layer.bias.val().grad(&grads).map(|grad| grad.into_data().iter::<f32>().collect()));
        }
        all.extend(self.codebooks.iter().map(|codebook| matrix(&codebook.vectors)));
        all.into_iter().flatten().collect()
    }
}
