//! Checkpoints of pretraining: weights, moments and state, and the best policy so far.

use super::Training;
use super::state::State;
use crate::run::checkpoint::Checkpoint;
use crate::run::{StageContext, commit};
use crate::stages::learner::Learner;
use anyhow::Context as _;
use policy::average::Average;
use policy::checkpoint::{self, CONFIG, WEIGHTS};
use policy::model::{Policy, PolicyConfig};
use policy::optimizer::OptimizerConfig;
use std::path::{Path, PathBuf};

/// The directory of the best policy within a checkpoint.
const BEST: &str = "best";
/// The directory of the average of the weights.
const AVERAGE: &str = "average";

/// Where the policy with the best validation score is.
#[derive(Clone, Debug, Default)]
pub(super) enum Best {
    /// Nothing was validated yet.
    #[default]
    None,
    /// It is the one in training.
    Current,
    /// In the newest checkpoint.
    Kept(PathBuf),
}

/// Saves `training`, unless nothing has changed since that was done last.
pub(super) fn save(training: &mut Training, size: &PolicyConfig, ctx: &StageContext) -> anyhow::Result<()> {
    if training.saved.as_ref() == Some(&training.state) {
        return Ok(());
    }
    let Training { learner, average, state, best, .. } = &*training;
    let dir = ctx.save((state.step, state), |dir| {
        learner.write(size, dir)?;
        let published = match average {
            Some(average) => write_average(average.module(), size, &dir.join(AVERAGE))?,
            None => dir.to_owned(),
        };
        match best {
            Best::None => Ok(()),
            Best::Current => link_policy(&published, &dir.join(BEST)),
            Best::Kept(kept) => link_policy(kept, &dir.join(BEST)),
        }
    })?;
    if !matches!(training.best, Best::None) {
        training.best = Best::Kept(dir.join(BEST));
    }
    training.saved = Some(training.state.clone());
    Ok(())
}

fn write_average(average: &Policy, size: &PolicyConfig, dir: &Path) -> anyhow::Result<PathBuf> {
    commit::create_directory(dir)?;
    checkpoint::write(average, size, dir)?;
    Ok(dir.to_owned())
}

fn link_policy(from: &Path, to: &Path) -> anyhow::Result<()> {
    commit::create_directory(to)?;
    [CONFIG, WEIGHTS].iter().try_for_each(|file| commit::link_file(&from.join(file), &to.join(file)))
}

/// The training as a checkpoint has it.
pub(super) fn load(
    checkpoint: &Checkpoint,
    (optimizer, ema_decay): (&OptimizerConfig, f64),
    ctx: &StageContext,
) -> anyhow::Result<Training> {
    let state: State = checkpoint.cursor()?;
    let learner = Learner::read(&checkpoint.dir, optimizer, &ctx.device().clone().autodiff())?;
    let average = (ema_decay > 0.0).then(|| checkpoint::read(&checkpoint.dir.join(AVERAGE), ctx.device()));
    let average = average.transpose()?.map(|(average, _)| Average::new(average));
    let best = checkpoint.dir.join(BEST);
    let best = if best.is_dir() { Best::Kept(best) } else { Best::None };
    Ok(Training { learner, average, saved: Some(state.clone()), state, best })
}

/// Copies the best policy into the stage's output.
pub(super) fn publish(training: &Training, ctx: &StageContext) -> anyhow::Result<()> {
    let Best::Kept(best) = &training.best else { anyhow::bail!("training ended without a validation") };
    for file in [CONFIG, WEIGHTS] {
        let from = best.join(file);
        std::fs::copy(&from, ctx.path(file)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}
