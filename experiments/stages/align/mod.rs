//! One round of alignment: updates the policy on the candidates it sampled itself.
//!
//! The reference is the policy at the start of the round (`OneRec`, Alg. 2), which is also the policy that sampled. So
//! the stored behaviour log-probabilities *are* the reference's and no second model is run; the first thing a round
//! does is recompute them and refuse rollouts of another policy or probability space.

mod probe;
mod steps;
mod training;

use super::bench::Bench;
use super::learner::Learner;
use super::sample::rollouts::{self, Rollout};
use crate::config::{Align, Arm, Pretrain};
use crate::run::{StageContext, commit};
use align::objective::Objective;
use anyhow::Context as _;
use policy::checkpoint;
use policy::model::Policy;
use policy::optimizer::{Optimizer, OptimizerConfig, Schedule};
use serde::{Deserialize, Serialize};
use std::path::Path;
use steps::Samples;
use training::{State, Trainer, Training};

const PROGRESS: &str = "progress.json";
/// Judges look at the policy this often in a round.
const PROBES: usize = 4;
/// Share of a round's steps over which the learning rate rises.
const WARMUP: f64 = 0.1;
/// Recomputed and stored log-probabilities differ by rounding only: beams decode step by step, losses all at once.
const MOST_BEHAVIOR_GAP: f64 = 1e-2;

/// Where a policy stands in its arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmProgress {
    /// Optimizer steps since the pretrained policy.
    pub step: u64,
}

/// The inputs of a round.
pub struct Round<'a> {
    /// The whole section.
    pub section: &'a Align,
    /// The arm.
    pub arm: &'a Arm,
    /// How next-token examples are made, for objectives that keep training on them.
    pub pretrain: &'a Pretrain,
    /// Directory of the policy that sampled.
    pub policy: &'a Path,
    /// Directory of its rollouts.
    pub rollouts: &'a Path,
}

/// Runs the round and writes the policy and `progress.json`.
///
/// # Errors
/// If the rollouts are not of this policy, a number is not finite, the run is stopped, or a file cannot be written.
pub fn align(round: &Round<'_>, bench: &Bench, ctx: &StageContext) -> anyhow::Result<()> {
    let device = ctx.device().clone().autodiff();
    let (weights, size) = checkpoint::read(round.policy, &device)?;
    let rollouts = rollouts::read(round.rollouts)?;
    check_policy(&weights, round)?;
    check_behavior(&weights, &rollouts, bench)?;
    let first_step = arm_progress(round.policy)?.step;
    let samples = Samples::new(round, rollouts, bench)?;
    let plan = plan(round.section, samples.batches());
    let optimizer = OptimizerConfig { weight_decay: 0.0, max_grad_norm: round.section.max_grad_norm };
    let training = match ctx.resume()? {
        Some(saved) => Training::new(Learner::read(&saved.dir, &optimizer, &device)?, saved.cursor()?),
        None => Training::new(Learner { weights, optimizer: Optimizer::new(&optimizer) }, State::default()),
    };
    let trainer = Trainer { samples: &samples, bench, ctx, plan, first_step, size: &size };
    let Training { learner, state, .. } = trainer.run(training)?;
    checkpoint::write(&learner.weights, &size, &ctx.path(""))?;
    let progress = ArmProgress { step: first_step + state.step };
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

/// The rollouts name the policy that sampled them by its weights. It is the reference, whose log-probabilities they hold.
fn check_policy(model: &Policy, round: &Round<'_>) -> anyhow::Result<()> {
    let sampled_by = rollouts::policy(round.rollouts)?;
    anyhow::ensure!(
        sampled_by == checkpoint::fingerprint(model),
        "the rollouts in {} were sampled by another policy ({sampled_by}) than that in {}: their log-probabilities are not \
         its; remove the sample stage and run again",
        round.rollouts.display(),
        round.policy.display(),
    );
    Ok(())
}

/// Recomputes log-probabilities of the first rollouts under `model`.
fn check_behavior(model: &Policy, rollouts: &[Rollout], bench: &Bench) -> anyhow::Result<()> {
    let model = burn::module::Module::valid(model);
    let gap = steps::behavior_gap(&model, &rollouts[..rollouts.len().min(8)], bench);
    anyhow::ensure!(
        gap <= MOST_BEHAVIOR_GAP,
        "the rollouts are not of this policy and probability space: log-probabilities differ by {gap:.3}; \
         remove the sample stage and run again"
    );
    Ok(())
}

/// Whether an objective also trains on next tokens.
fn next_token_samples(objective: &Objective, batch_size: usize) -> usize {
    match objective {
        // A pair's own observed target is one of the samples.
        Objective::Ipa(ipa) => {
            ((batch_size as f64 / ipa.dpo_share).round() as usize).max(batch_size) - batch_size
        }
        Objective::Grpo(_) => 0,
    }
}
