//! Learned fusion of text and co-occurrence: two small MLPs map both parts of an item into one space.
//!
//! They are trained so that the two parts of an item find each other in a batch ([`info_nce`], the alignment of `PRORec` 2502.06269 and
//! DAS 2508.10584) while each part keeps its own neighbours ([`distillation`], in-modality distillation). The item's vector is
//! the normalised sum of both projections.
//!
//! Departures. `PRORec` aligns inside a recommender that is trained before the codes, and distils while the generative one is trained; DAS
//! learns codes and alignment together and debiases the collaborative side. Here the inputs are fixed ([`Parts`]) and the fusion
//! is a step of its own before any quantiser; there is no debiasing (PPMI takes popularity out), and
//! items that no training history shows beside others are projected but not trained on.

pub mod loss;
mod projection;

pub use loss::{distillation, info_nce};

use super::Parts;
use crate::embeddings::Embeddings;
use crate::optimizer::{NonFinite, Optimizer, OptimizerConfig, Schedule, StepReport};
use crate::quantize::{Normalize, normalized};
use crate::random::Key;
use burn::prelude::*;
use burn::tensor::TensorData;
use projection::Projection;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Decoupled weight decay.
const WEIGHT_DECAY: f64 = 0.01;
/// Largest global gradient norm.
const MAX_GRAD_NORM: f64 = 1.0;
/// Share of the steps in which the learning rate rises.
const WARMUP: f64 = 0.05;
/// Items that are projected at a time.
const BLOCK: usize = 4096;

/// How the fusion is learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContrastiveConfig {
    /// Width of the shared space.
    pub width: usize,
    /// Hidden units of each MLP.
    pub hidden: usize,
    /// Temperature of both losses.
    pub temperature: f64,
    /// Weight of the distillation of each part beside the `InfoNCE` loss.
    pub distillation: f64,
    /// Passes over the items.
    pub epochs: usize,
    /// Items per step, which are each other's negatives.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
}

impl Default for ContrastiveConfig {
    fn default() -> Self {
        Self {
            width: 128,
            hidden: 256,
            temperature: 0.1,
            distillation: 1.0,
            epochs: 30,
            batch_size: 512,
            learning_rate: 1e-3,
        }
    }
}

#[derive(Module, Debug)]
struct Model {
    text: Projection,
    collaborative: Projection,
}

/// A fusion in training, one step per call, so that its caller can report and stop.
pub struct Fusion<'a> {
    text: &'a Embeddings,
    /// Rows of unit length: the text part has them already.
    collaborative: Embeddings,
    config: ContrastiveConfig,
    key: Key,
    device: Device,
    schedule: Schedule,
    optimizer: Optimizer,
    model: Model,
    /// The items that are trained on, in the order of this epoch.
    items: Vec<usize>,
    step: u64,
}

/// What one step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusionStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Loss and gradient norm.
    pub report: StepReport,
}

impl<'a> Fusion<'a> {
    /// Fresh MLPs. Weights and the order of items derive from `key`; `device` may have autodiff or not.
    ///
    /// # Panics
    /// If no item is known, which [`Parts::of`] excludes.
    pub fn new(parts: &'a Parts, config: &ContrastiveConfig, key: Key, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let items: Vec<usize> = (0..parts.known.len()).filter(|item| parts.known[*item]).collect();
        assert!(!items.is_empty(), "an item with neighbours");
        let total = (items.len().div_ceil(config.batch_size) * config.epochs) as u64;
        let projection = |part: &Embeddings, name: &str| {
            Projection::new([part.width(), config.hidden, config.width], key.named(name), &device)
        };
        Self {
            text: &parts.text,
            collaborative: normalized(&parts.collaborative, Normalize::Unit),
            schedule: Schedule {
                peak: config.learning_rate,
                warmup: (total as f64 * WARMUP).ceil() as u64,
                total,
            },
            optimizer: Optimizer::new(&OptimizerConfig {
                weight_decay: WEIGHT_DECAY,
                max_grad_norm: MAX_GRAD_NORM,
                ..OptimizerConfig::default()
            }),
            model: Model {
                text: projection(&parts.text, "text"),
                collaborative: projection(&parts.collaborative, "collaborative"),
            },
            config: config.clone(),
            key,
            device,
            items,
            step: 0,
        }
    }

    /// Steps of the whole training.
    pub fn total_steps(&self) -> u64 {
        self.schedule.total
    }

    /// One update; `None` when training is complete.
    ///
    /// # Errors
    /// If the loss or its gradient is not finite.
    pub fn step(&mut self) -> Result<Option<FusionStep>, NonFinite> {
        if self.step == self.schedule.total {
            return Ok(None);
        }
        let loss = self.next_loss();
        let learning_rate = self.schedule.at(self.step);
        let (model, report) = self.optimizer.step(self.model.clone(), &loss, learning_rate)?;
        self.model = model;
        self.step += 1;
        Ok(Some(FusionStep { step: self.step, learning_rate, report }))
    }

    /// The fused vectors of all items, rows of unit length.
    ///
    /// # Shapes
    /// `[items, width]`.
    pub fn vectors(&self) -> Embeddings {
        let (model, device) = (self.model.valid(), self.device.clone().without_autodiff());
        let items: Vec<usize> = (0..self.text.rows()).collect();
        let values = items.chunks(BLOCK).flat_map(|block| {
            let sum = model.text.apply(rows(self.text, block, &device))
                + model.collaborative.apply(rows(&self.collaborative, block, &device));
            sum.into_data().iter::<f32>().collect::<Vec<_>>()
        });
        normalized(&Embeddings::new(self.config.width, values.collect()), Normalize::Unit)
    }

    fn next_loss(&mut self) -> Tensor<1> {
        let per_epoch = self.schedule.total / self.config.epochs as u64;
        let (epoch, batch) = (self.step / per_epoch, (self.step % per_epoch) as usize);
        if batch == 0 {
            self.items.sort_unstable();
            self.items.shuffle(&mut self.key.named("epoch").at(epoch).rng());
        }
        let from = batch * self.config.batch_size;
        let items = &self.items[from..(from + self.config.batch_size).min(self.items.len())];
        let text = rows(self.text, items, &self.device);
        let collaborative = rows(&self.collaborative, items, &self.device);
        let a = self.model.text.apply(text.clone());
        let b = self.model.collaborative.apply(collaborative.clone());
        let temperature = self.config.temperature;
        let kept =
            distillation(a.clone(), text, temperature) + distillation(b.clone(), collaborative, temperature);
        info_nce(a, b, temperature) + kept.mul_scalar(self.config.distillation)
    }
}

/// These rows of a table.
fn rows(table: &Embeddings, items: &[usize], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = items.iter().flat_map(|item| table.row(*item)).copied().collect();
    Tensor::from_data(TensorData::new(values, [items.len(), table.width()]), device)
}

#[cfg(test)]
mod tests;
