//! One optimizer step: finite guard, global-norm clipping, AdamW.
//!
//! burn's own clipping is per parameter; the papers clip the global norm. burn's own AdamW is a dozen operations per
//! parameter; this one is a pass ([`AdamW`]), and its moments are saved with the bits they have.

use crate::kernels::{AdamW, Flat, Moments};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;
/// Key of the number of updates in a saved file.
const UPDATES: &str = "updates";

/// The types of module whose weights are embeddings: [`OptimizerConfig::embedding_factor`].
const EMBEDDINGS: [&str; 2] = ["Struct:Table", "Struct:Items"];

/// Settings that stay fixed during a run.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Decoupled weight decay (AdamW).
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; larger gradients are scaled down to it.
    pub max_grad_norm: f64,
    /// How much further a step moves a policy's embeddings than its other weights; they decay as those do. Adam moves all
    /// weights by as much; Yang et al. (2022, 2203.03466) let the steps of matrices shrink with the width, and those of embeddings not.
    pub embedding_factor: f64,
}

impl Default for OptimizerConfig {
    /// One rate for all weights, no decay, clipped at 1.
    fn default() -> Self {
        Self { weight_decay: 0.0, max_grad_norm: 1.0, embedding_factor: 1.0 }
    }
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

/// Why moments cannot be saved or loaded.
#[derive(Debug, Error)]
pub enum MomentsError {
    /// The file could not be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what [`Optimizer::save`] writes.
    #[error("{path} does not hold the moments of an optimizer")]
    Format {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: SafeTensorError,
    },
}

/// AdamW with its moments (beta 0.9, 0.999; epsilon 1e-8).
pub struct Optimizer {
    config: OptimizerConfig,
    updates: u64,
    /// In the order in which the module's parameters are visited; empty before the first update.
    moments: Vec<Moments>,
}

impl Optimizer {
    /// A fresh optimizer.
    pub fn new(config: &OptimizerConfig) -> Self {
        Self { config: config.clone(), updates: 0, moments: Vec::new() }
    }

    /// Backpropagates `loss`, clips, updates `module`. A parameter that the loss does not depend on has gradient zero;
    /// what takes no gradient stays as it is.
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
        let grads = GradientsParams::from_grads(loss.backward(), &module);
        let mut taken = Take { grads, flat: Vec::new() };
        module.visit(&mut taken);
        let grad_norm = taken.flat.iter().map(Flat::sum_of_squares).sum::<f64>().sqrt();
        if !grad_norm.is_finite() {
            return Err(NonFinite::Gradient(grad_norm));
        }
        self.updates += 1;
        let adamw = AdamW {
            learning_rate,
            weight_decay: self.config.weight_decay,
            betas: BETAS,
            epsilon: EPSILON,
            grad_scale: (self.config.max_grad_norm / grad_norm).min(1.0),
            step: self.updates,
        };
        let mut update = Update {
            adamw,
            of_embeddings: adamw.faster(self.config.embedding_factor),
            is_embedding: false,
            grads: taken.flat.into_iter(),
            moments: &mut self.moments,
            visited: 0,
        };
        let module = module.map(&mut update);
        Ok((module, StepReport { loss: value, grad_norm }))
    }

    /// Writes the moments to `path` (safetensors, exact).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), MomentsError> {
        let named = |(index, moments): (usize, &Moments)| {
            [("first", &moments.first), ("second", &moments.second)].map(|(name, flat)| {
                let bytes: Vec<u8> = flat.values().iter().flat_map(|value| value.to_le_bytes()).collect();
                (format!("{name}.{index:05}"), bytes)
            })
        };
        let tensors: Vec<(String, Vec<u8>)> = self.moments.iter().enumerate().flat_map(named).collect();
        let views = tensors
            .iter()
            .map(|(name, bytes)| Ok((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)));
        let metadata = HashMap::from([(UPDATES.to_string(), self.updates.to_string())]);
        let bytes = views
            .collect::<Result<Vec<_>, SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|source| MomentsError::Format { path: path.into(), source })?;
        std::fs::write(path, bytes).map_err(|source| MomentsError::Io { path: path.into(), source })
    }

    /// The optimizer with the moments of [`Optimizer::save`], for a module on `device`.
    ///
    /// # Errors
    /// If the file cannot be read, or was not written by [`Optimizer::save`].
    pub fn load(self, path: &Path, device: &Device) -> Result<Self, MomentsError> {
        let bytes = std::fs::read(path).map_err(|source| MomentsError::Io { path: path.into(), source })?;
        let format = |source| MomentsError::Format { path: path.into(), source };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let updates = header.metadata().as_ref().and_then(|all| all.get(UPDATES)?.parse().ok());
        let updates = updates.ok_or_else(|| format(SafeTensorError::TensorNotFound(UPDATES.to_string())))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(format)?;
        let flat = |name: &str, index: usize| {
            let view = tensors.tensor(&format!("{name}.{index:05}")).map_err(format)?;
            let (values, _) = view.data().as_chunks::<4>();
            Ok(Flat::new(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), device))
        };
        let moments = (0..tensors.len() / 2)
            .map(|index| Ok(Moments { first: flat("first", index)?, second: flat("second", index)? }))
            .collect::<Result<_, MomentsError>>()?;
        Ok(Self { updates, moments, ..self })
    }
}

/// Takes the gradients out, in the order of the parameters.
struct Take {
    grads: GradientsParams,
    flat: Vec<Flat>,
}

impl ModuleVisitor for Take {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let grad = self.grads.remove::<D>(param.id);
        self.flat.push(Flat::of(grad.unwrap_or_else(|| param.val().inner().zeros_like())));
    }
}

struct Update<'a> {
    adamw: AdamW,
    of_embeddings: AdamW,
    /// Whether the next parameter is one.
    is_embedding: bool,
    grads: std::vec::IntoIter<Flat>,
    moments: &'a mut Vec<Moments>,
    visited: usize,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, _: &str, container: &str) {
        self.is_embedding = EMBEDDINGS.contains(&container);
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let grad = self.grads.next().expect("parameters are visited in one order");
        let index = self.visited;
        self.visited += 1;
        param.map(|tensor| {
            let tensor = tensor.inner();
            if self.moments.len() == index {
                let zeros = || Flat::of(tensor.zeros_like());
                self.moments.push(Moments { first: zeros(), second: zeros() });
            }
            let adamw = if self.is_embedding { self.of_embeddings } else { self.adamw };
            let updated = adamw.apply(tensor, grad, &mut self.moments[index]);
            Tensor::from_inner(updated).require_grad()
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Policy, PolicyConfig};
    use crate::random::Key;
    use crate::testing;
    use std::collections::BTreeMap;

    fn policy(config: &PolicyConfig, device: &Device) -> Policy {
        Policy::new(config, Key::new(5), device).unwrap()
    }

    /// The weights after one step on the sum of their squares, without decay.
    fn stepped(config: &PolicyConfig, embedding_factor: f64) -> Policy {
        let model = policy(config, &Device::flex().autodiff());
        let mut squares = Squares(None);
        model.visit(&mut squares);
        let mut optimizer =
            Optimizer::new(&OptimizerConfig { embedding_factor, ..OptimizerConfig::default() });
        optimizer.step(model, &squares.0.unwrap(), 1e-3).unwrap().0
    }

    struct Squares(Option<Tensor<1>>);

    impl ModuleVisitor for Squares {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let own = param.val().square().sum();
            self.0 = Some(match self.0.take() {
                Some(sum) => sum + own,
                None => own,
            });
        }
    }

    /// Every parameter's values.
    fn values(model: &Policy) -> BTreeMap<String, Vec<f32>> {
        let bytes = crate::weights::to_bytes(model, crate::weights::dotted).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        tensors.iter().map(|(name, view)| (name.to_string(), floats(view.data()))).collect()
    }

    #[test]
    fn embeddings_take_longer_steps_and_nothing_else_does() {
        only_these_move_faster(&testing::config(), &["shared.weight"]);
        let item_context = PolicyConfig::ItemContext(testing::item_context_config());
        only_these_move_faster(&item_context, &["codes.weight", "items.weight"]);
    }

    #[track_caller]
    fn only_these_move_faster(config: &PolicyConfig, embeddings: &[&str]) {
        let start = values(&policy(config, &Device::flex()));
        assert!(embeddings.iter().all(|name| start.contains_key(*name)), "{:?}", start.keys());
        let [plain, faster] = [1.0, 10.0].map(|factor| values(&stepped(config, factor)));
        for (name, start) in &start {
            let factor = if embeddings.contains(&name.as_str()) { 10.0 } else { 1.0 };
            for ((start, plain), faster) in start.iter().zip(&plain[name]).zip(&faster[name]) {
                let (short, long) = (plain - start, faster - start);
                assert!((long - factor * short).abs() < 1e-6, "{name}: {short} and {long}");
            }
        }
    }
}
