//! What the training workloads share: teacher-forced rows and a policy with its optimizer.

use super::canonical;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::kernels;
use policy::model::{Dropout, Encoded, T5};
use policy::optimizer::{Optimizer, OptimizerConfig};
use policy::vocab::PAD;
use sampler::recommend::Codebook;
use serde_json::Value;

/// Rows of target tokens. Unlike the pipeline's they may hold any token: the end, or a code that does not follow.
pub(super) struct Rows {
    shape: [usize; 2],
    /// `[r, t]`: the targets, shifted behind the start.
    inputs: Tensor<2, Int>,
    /// `[r * t]`.
    targets: Tensor<1, Int>,
    vocab: usize,
}

impl Rows {
    /// Rows of equal length.
    pub(super) fn new(rows: &[Vec<i64>], codebook: &Codebook, device: &Device) -> Self {
        let shape = [rows.len(), rows[0].len()];
        let shifted = rows.iter().flat_map(|row| std::iter::once(PAD).chain(row[..row.len() - 1].to_vec()));
        let inputs = TensorData::new(shifted.collect::<Vec<_>>(), shape);
        let targets = TensorData::new(rows.concat(), [shape[0] * shape[1]]);
        Self {
            shape,
            inputs: Tensor::from_data(inputs, device),
            targets: Tensor::from_data(targets, device),
            vocab: codebook.vocab.size(),
        }
    }
    /// Log-probability of every token over the whole vocabulary, `[r, t]`.
    pub(super) fn log_probs(&self, model: &T5, encoded: &Encoded, dropout: Dropout) -> Tensor<2> {
        let states = model.decode(encoded, self.inputs.clone(), dropout);
        let logits = model.logits(states, 0..self.vocab);
        kernels::target_log_prob(logits, self.targets.clone()).reshape(self.shape)
    }
}

/// A policy in training.
pub(super) struct Learner {
    pub(super) model: T5,
    optimizer: Optimizer,
    learning_rate: f64,
    losses: Vec<f64>,
}

impl Learner {
    /// A fresh policy; AdamW with the weight decay of PyTorch and without clipping, as the peers have it.
    pub(super) fn new(codebook: &Codebook, learning_rate: f64, device: &Device) -> anyhow::Result<Self> {
        let config = OptimizerConfig { weight_decay: 0.01, max_grad_norm: f64::INFINITY };
        let (model, optimizer) = (canonical::policy(codebook, device)?, Optimizer::new(&config));
        Ok(Self { model, optimizer, learning_rate, losses: Vec::new() })
    }
    /// Steps so far.
    pub(super) fn step(&self) -> u64 {
        self.losses.len() as u64
    }
    /// One update.
    ///
    /// # Errors
    /// The loss or the gradient is not finite.
    pub(super) fn update(mut self, loss: &Tensor<1>) -> anyhow::Result<Self> {
        let (model, report) = self.optimizer.step(self.model, loss, self.learning_rate)?;
        self.losses.push(report.loss);
        Ok(Self { model, ..self })
    }
    /// The first and the last loss: that it learns, and the same in every run.
    pub(super) fn losses(&self) -> [(&'static str, Value); 2] {
        let of = |loss: Option<&f64>| loss.copied().into();
        [("first_loss", of(self.losses.first())), ("last_loss", of(self.losses.last()))]
    }
}
