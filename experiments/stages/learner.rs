//! A policy in training as files of a checkpoint.

use anyhow::Context as _;
use burn::prelude::Device;
use policy::checkpoint;
use policy::model::{Policy, PolicyConfig};
use policy::optimizer::{Optimizer, OptimizerConfig};
use std::path::Path;

const MOMENTS: &str = "optimizer.safetensors";

/// Weights with the optimizer that moves them.
pub(super) struct Learner {
    pub(super) weights: Policy,
    pub(super) optimizer: Optimizer,
}

impl Learner {
    /// Writes both into the directory of a checkpoint.
    pub(super) fn write(&self, size: &PolicyConfig, dir: &Path) -> anyhow::Result<()> {
        checkpoint::write(&self.weights, size, dir)?;
        self.optimizer.save(&dir.join(MOMENTS)).context("cannot save the optimizer")
    }

    /// Reads both back. `device` has autodiff.
    pub(super) fn read(dir: &Path, optimizer: &OptimizerConfig, device: &Device) -> anyhow::Result<Self> {
        let (weights, _) = checkpoint::read(dir, device)?;
        let optimizer = Optimizer::new(optimizer).load(&dir.join(MOMENTS), &weights.device());
        Ok(Self { weights, optimizer: optimizer.context("cannot load the optimizer")? })
    }
}
