//! Checkpoints within the stage: weights, optimizer moments and state, in one directory that a rename completes.

use super::Training;
use super::state::State;
use crate::config::Pretrain;
use crate::run::commit;
use crate::run::measured::Measured;
use anyhow::Context as _;
use burn::module::Module as _;
use policy::average::Average;
use policy::model::Policy;
use policy::optimizer::{Optimizer, OptimizerConfig};
use std::path::{Path, PathBuf};

const PREFIX: &str = "step-";
const AVERAGE: &str = "average";

/// Saves `training`; earlier checkpoints are removed once it is complete.
pub(super) fn save(scratch: &Path, training: &Training, metrics: Measured) -> anyhow::Result<()> {
    let name = format!("{PREFIX}{:08}", training.state.step);
    let earlier: Vec<_> = complete(scratch)?.into_iter().filter(|dir| !dir.ends_with(&name)).collect();
    let partial = scratch.join(format!("{name}.partial"));
    commit::fresh_directory(&partial)?;
    training.weights.clone().save_file(partial.join("weights")).context("cannot save the weights")?;
    if let Some(average) = &training.average {
        average.module().clone().save_file(partial.join(AVERAGE)).context("cannot save the average")?;
    }
    training.optimizer.save(&partial.join("optimizer.safetensors")).context("cannot save the optimizer")?;
    let state = training.state.with_metrics(metrics);
    commit::write_file(&partial.join("state.json"), &serde_json::to_vec(&state)?)?;
    let target = scratch.join(&name);
    if target.exists() {
        commit::remove_directory(&target)?;
    }
    commit::commit_directory(&partial, &target)?;
    earlier.iter().try_for_each(|dir| commit::remove_directory(dir))
}

/// The newest complete checkpoint. `fresh` gives the architecture.
pub(super) fn newest(scratch: &Path, fresh: &Policy, section: &Pretrain) -> anyhow::Result<Option<Training>> {
    let Some(dir) = complete(scratch)?.pop() else { return Ok(None) };
    let state = std::fs::read(dir.join("state.json"))
        .with_context(|| format!("cannot read the state in {}", dir.display()))?;
    let optimizer = Optimizer::new(&OptimizerConfig {
        weight_decay: section.weight_decay,
        max_grad_norm: section.max_grad_norm,
    });
    let average = (section.ema_decay > 0.0).then(|| fresh.valid().try_load_file(dir.join(AVERAGE)));
    let average = average.transpose().context("cannot load the average")?;
    Ok(Some(Training {
        average: average.map(Average::new),
        weights: fresh.clone().try_load_file(dir.join("weights")).context("cannot load the weights")?,
        optimizer: optimizer
            .load(&dir.join("optimizer.safetensors"), &fresh.device())
            .context("cannot load the optimizer")?,
        state: serde_json::from_slice::<State>(&state).context("state.json is damaged")?,
    }))
}

/// Complete checkpoints, oldest first.
fn complete(scratch: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(scratch).with_context(|| format!("cannot list {}", scratch.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", scratch.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && !name.ends_with(".partial") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
