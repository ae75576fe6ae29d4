//! What the training workloads share: teacher-forced rows and a policy with its optimizer.

use burn::module::Module;
use burn::prelude::Tensor;
use policy::kernels::Targets;
use policy::model::{Dropout, Encoded, Policy};
use policy::optimizer::{Optimizer, OptimizerConfig};
use policy::vocab::PAD;
use sampler::recommend::Codebook;
use serde_json::Value;

/// Rows of target tokens. Unlike the pipeline's they may hold any token: the end, or a code that does not follow.
pub(super) struct Rows {
    count: usize,
    /// The targets, shifted behind the start.
    inputs: Vec<u32>,
    targets: Targets,
}

impl Rows {
    /// Rows of equal length.
    pub(super) fn new(rows: &[Vec<u32>], codebook: &Codebook) -> Self {
        let shifted =
            rows.iter().flat_map(|row| std::iter::once(PAD).chain(row[..row.len() - 1].iter().copied()));
        let targets = Targets::among(0..codebook.vocab.size(), rows.concat());
        Self { count: rows.len(), inputs: shifted.collect(), targets }
    }
    /// Log-probability of every token over the whole vocabulary, `[r, t]`.
    pub(super) fn log_probs(&self, model: &Policy, encoded: &Encoded, dropout: Dropout) -> Tensor<2> {
        let states = model.decode(encoded, &self.inputs, self.count, dropout);
        let shape = [self.count, self.inputs.len() / self.count];
        model.target_log_probs(states, self.targets.clone()).reshape(shape)
    }
}

/// A model in training.
pub(super) struct Learner<M> {
    pub(super) model: M,
    optimizer: Optimizer,
    learning_rate: f64,
    losses: Vec<f64>,
}

impl<M: Module> Learner<M> {
    /// Before the first step; AdamW with the weight decay of PyTorch and without clipping, as the peers have it.
    pub(super) fn of(model: M, learning_rate: f64) -> Self {
        Self::new(
            model,
            &OptimizerConfig {
                weight_decay: 0.01,
                max_grad_norm: f64::INFINITY,
                ..OptimizerConfig::default()
            },
            learning_rate,
        )
    }
    /// Before the first step.
    pub(super) fn new(model: M, config: &OptimizerConfig, learning_rate: f64) -> Self {
        Self { model, optimizer: Optimizer::new(config), learning_rate, losses: Vec::new() }
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
