//! One optimizer step: finite guard, global-norm clipping, AdamW.
//!
//! burn's own clipping is per parameter; the papers clip the global norm, so it is computed here.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use thiserror::Error;

/// Settings that stay fixed during a run.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Decoupled weight decay (AdamW).
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; larger gradients are scaled down to it.
    pub max_grad_norm: f64,
}

/// What a step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// A number that must not reach the weights.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum NonFinite {
    /// The loss is NaN or infinite.
    #[error("the loss is {0}; the update was not applied")]
    Loss(f64),
    /// The loss is finite but its gradient is not.
    #[error("the gradient norm is {0}; the update was not applied")]
    Gradient(f64),
}

/// AdamW with its moments.
pub struct Optimizer {
    adamw: ModuleOptimizer,
    max_grad_norm: f64,
}

impl Optimizer {
    /// A fresh optimizer (beta 0.9, 0.999; epsilon 1e-8).
    pub fn new(config: &OptimizerConfig) -> Self {
        let adamw =
            AdamWConfig::new().with_weight_decay(config.weight_decay as f32).with_epsilon(1e-8).init();
        Self { adamw, max_grad_norm: config.max_grad_norm }
    }

    /// Backpropagates `loss`, clips, updates `module`.
    ///
    /// # Errors
    /// If the loss or the gradient norm is not finite; the moments are then as before.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        loss: &Tensor<1>,
        learning_rate: f64,
    ) -> Result<(M, StepReport), NonFinite> {
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(NonFinite::Loss(value));
        }
        let mut grads = GradientsParams::from_grads(loss.backward(), &module);
        let mut squares = SquaredNorm { grads: &grads, sum: 0.0 };
        module.visit(&mut squares);
        let grad_norm = squares.sum.sqrt();
        if !grad_norm.is_finite() {
            return Err(NonFinite::Gradient(grad_norm));
        }
        if grad_norm > self.max_grad_norm {
            module.visit(&mut Scale { grads: &mut grads, by: self.max_grad_norm / grad_norm });
        }
        let module = self.adamw.step(learning_rate, module, grads);
        Ok((module, StepReport { loss: value, grad_norm }))
    }

    /// Writes the moments to `path` (burnpack, exact).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &std::path::Path) -> Result<(), burn::store::RecordError> {
        self.adamw.save(path)
    }

    /// The optimizer with the moments of [`Optimizer::save`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(self, path: &std::path::Path) -> Result<Self, burn::store::RecordError> {
        Ok(Self { adamw: self.adamw.load(path)?, ..self })
    }
}

struct SquaredNorm<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sum += f64::from(grad.square().sum().into_scalar::<f32>());
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    by: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.by));
        }
    }
}

/// Linear warm-up to the peak, then cosine decay to zero at `total` steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate after warm-up.
    pub peak: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Step at which the rate reaches zero.
    pub total: u64,
}

impl Schedule {
    /// The rate of step `step`, from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / span as f64).min(1.0);
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}
