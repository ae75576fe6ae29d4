//! One round of alignment: updates the policy on candidates.
//!
//! By default the candidates are those the policy sampled itself and the reference is the policy at the start of the round
//! (`OneRec`, Alg. 2). So the stored behaviour log-probabilities *are* the reference's and no second model is run; the first
//! thing a round does is recompute them and refuse rollouts of another policy or probability space. Other references and older
//! rollouts cost a pass over the candidates at the start of the round (`anchor`).

pub mod alarms;
mod anchor;
mod average;
mod completions;
mod downstream;
mod exposures;
mod gauge;
mod groups;
mod imported;
mod preparation;
mod probe;
mod rewards;
mod samples;
mod scoring;
mod steps;
mod training;

use super::bench::Bench;
use super::learner::Learner;
use super::pretrain;
use super::sample::rollouts;
use crate::config::{Align, Arm, Keep, Pretrain, Stale};
use crate::run::{StageContext, commit};
use alarms::Watch;
use anchor::Anchor;
use anyhow::Context as _;
use burn::module::Module as _;
use policy::checkpoint;
use policy::model::Policy;
use policy::optimizer::{Optimizer, OptimizerConfig, Schedule};
use probe::Probe;
use samples::Samples;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use training::{Trainer, Training};

const PROGRESS: &str = "progress.json";
/// Judges look at the policy this often in a round.
const PROBES: usize = 4;
/// Share of a round's steps over which the learning rate rises.
const WARMUP: f64 = 0.1;

/// Where a policy stands in its arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmProgress {
    /// Optimizer steps since the pretrained policy.
    pub step: u64,
    /// What the held-out judge says of it.
    #[serde(default)]
    pub held_out: Option<f64>,
}

/// The inputs of a round.
pub struct Round<'a> {
    /// The whole section.
    pub section: &'a Align,
    /// The arm.
    pub arm: &'a Arm,
    /// How next-token examples are made, for objectives that keep training on them.
    pub pretrain: &'a Pretrain,
    /// Directory of the pretrained policy.
    pub pretrained: &'a Path,
    /// Directory of the policy that is trained.
    pub policy: &'a Path,
    /// Directory of the rollouts.
    pub rollouts: &'a Path,
}

/// Runs the round and writes the policy and `progress.json`; with a moving average as reference also `reference/`.
///
/// # Errors
/// If the rollouts are not of this policy, a number is not finite, the run is stopped, or a file cannot be written.
pub fn align(round: &Round<'_>, bench: &Bench, ctx: &StageContext) -> anyhow::Result<()> {
    let resumed = ctx.resume()?;
    let (weights, size) = checkpoint::read(round.policy, &ctx.device().clone().autodiff())?;
    if round.section.stale == Stale::Refuse {
        check_policy(&weights, round)?;
    }
    let first_step = arm_progress(round.policy)?.step;
    let pretrained = pretrain::load(round.pretrained, ctx.device())?;
    let entered = weights.valid();
    let anchor = Anchor::new(round, (&entered, &pretrained))?;
    let samples = Samples::new(round, &anchor, bench, ctx)?;
    let optimizer =
        OptimizerConfig { max_grad_norm: round.section.max_grad_norm, ..OptimizerConfig::default() };
    let (watch, plan) = (Watch::new(&round.section.alarms), plan(round.section, samples.batches()));
    let trainer = Trainer { samples: &samples, bench, ctx, watch, plan, first_step, size: &size };
    let changed = (round.policy != round.pretrained).then_some(&entered);
    let probe = Probe::new((bench, ctx), (&pretrained, changed))?;
    let training = if let Some(saved) = resumed {
        Training::load(&saved, (&optimizer, round.arm.reference), ctx)?
    } else {
        let learner = Learner { weights, optimizer: Optimizer::new(&optimizer) };
        trainer.begin(Training::new(learner, anchor.average))?
    };
    let Training { learner, average, state, .. } = trainer.run(training, &probe)?;
    checkpoint::write(&learner.weights, &size, &ctx.path(""))?;
    if let Some(average) = average {
        average.write(&size, &ctx.path(average::DIRECTORY))?;
    }
    let progress = ArmProgress { step: first_step + state.step, held_out: state.held_out };
    commit::write_file(&ctx.path(PROGRESS), &serde_json::to_vec(&progress)?)
}

fn plan(section: &Align, batches: usize) -> Schedule {
    let total = (batches * section.epochs) as u64;
    Schedule { peak: section.learning_rate, warmup: (total as f64 * WARMUP) as u64, total }
}

/// Evenly spread, the last step included.
fn probes(step: u64, total: u64) -> bool {
    let every = total.div_ceil(PROBES as u64).max(1);
    step.is_multiple_of(every) || step == total
}

/// Steps already taken by the policy in `dir`; none for a pretrained one.
///
/// # Errors
/// If the file is damaged.
pub fn arm_progress(dir: &Path) -> anyhow::Result<ArmProgress> {
    let path = dir.join(PROGRESS);
    if !path.exists() {
        return Ok(ArmProgress::default());
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

/// Which of an arm's rounds, whose directories are given in order, it ends with: its index.
///
/// # Errors
/// A file is damaged.
pub fn kept(keep: Keep, rounds: &[PathBuf]) -> anyhow::Result<usize> {
    let last = rounds.len() - 1;
    let scores =
        rounds.iter().map(|dir| Ok(arm_progress(dir)?.held_out)).collect::<anyhow::Result<Vec<_>>>()?;
    let scores: Option<Vec<f64>> = scores.into_iter().collect();
    Ok(match (keep, scores) {
        // The earliest of the best.
        (Keep::HeldOut, Some(scores)) => {
            (0..=last).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(last)
        }
        (Keep::Last, _) | (_, None) => last,
    })
}

/// The rollouts name the policy that sampled them by its weights. It is the one whose log-probabilities they hold.
fn check_policy(model: &Policy, round: &Round<'_>) -> anyhow::Result<()> {
    let sampled_by = rollouts::policy(round.rollouts)?;
    anyhow::ensure!(
        sampled_by == checkpoint::fingerprint(model),
        "the rollouts in {} were sampled by another policy ({sampled_by}) than that in {}: their log-probabilities are not \
         its; remove the sample stage and run again, or allow older policies with align.stale = \"weights\"",
        round.rollouts.display(),
        round.policy.display(),
    );
    Ok(())
}
