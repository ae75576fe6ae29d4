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
mod imported;
mod preparation;
mod probe;
mod samples;
mod scoring;
mod steps;

use super::bench::Bench;
use crate::config::{Align, Arm, Pretrain, Reference};
use crate::run::{StageContext, commit};
use alarms::Watch;
use align::pair_rule::Label;
use anchor::Anchor;
use anyhow::Context as _;
use average::MovingReference;
use policy::checkpoint;
use policy::optimizer::{Optimizer, OptimizerConfig, Schedule};
use probe::Probe;
use rand::seq::SliceRandom as _;
use samples::Samples;
use serde::{Deserialize, Serialize};
use std::path::Path;
use steps::Step;

const PROGRESS: &str = "progress.json";
/// Judges look at the policy this often in a round.
const PROBES: usize = 4;
/// Share of a round's steps over which the learning rate rises.
const WARMUP: f64 = 0.1;

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
    /// Directory of the pretrained policy.
    pub pretrained: &'a Path,
    /// Directory of the policy that is trained.
    pub policy: &'a Path,
    /// Directory of the rollouts.
    pub rollouts: &'a Path,
}

impl Round<'_> {
    /// Whether rounds of this arm read the pretrained policy itself.
    pub fn reads_pretrained(arm: &Arm) -> bool {
        arm.reference == Reference::Pretrained || arm.pairs.label == Label::Downstream
    }
}

/// Runs the round and writes the policy and `progress.json`; with a moving average as reference also `reference/`.
///
/// # Errors
/// If the rollouts are not of this policy, a number is not finite, the run is stopped, or a file cannot be written.
pub fn align(round: &Round<'_>, bench: &Bench, ctx: &StageContext) -> anyhow::Result<()> {
    let device = ctx.device().clone().autodiff();
    let (mut model, size) = checkpoint::read(round.policy, &device)?;
    let first_step = arm_progress(round.policy)?.step;
    let anchor = Anchor::new(round, &model)?;
    let samples = Samples::new(round, &anchor, bench, ctx)?;
    for (key, value) in samples.metrics() {
        ctx.metric(first_step, key, value)?;
    }
    let mut average = anchor.average;
    let mut watch = Watch::new(&round.section.alarms);
    for (key, value) in samples.spread() {
        watch.look(first_step, (key, value))?;
    }
    let plan = plan(round.section, samples.batches());
    let mut optimizer =
        Optimizer::new(&OptimizerConfig { weight_decay: 0.0, max_grad_norm: round.section.max_grad_norm });
    let probe = Probe::new(bench, ctx);
    if first_step == 0 {
        probe.measure(&model, 0)?;
    }
    let bar = ctx.progress("steps", plan.total);
    let mut step = 0;
    for epoch in 0..round.section.epochs as u64 {
        let mut order: Vec<usize> = (0..samples.batches()).collect();
        order.shuffle(&mut ctx.key().named("order").at(epoch).rng());
        for batch in order {
            ctx.check_stop()?;
            let (rate, at) = (plan.at(step) * watch.scale(), first_step + step + 1);
            let key = ctx.key().named("step").at(step);
            let reference = average.as_ref().map(MovingReference::model);
            let output = Step { samples: &samples, bench, reference, key }.loss(&model, batch);
            let (updated, report) = optimizer
                .step(model, &output.loss, rate)
                .with_context(|| format!("step {at}, users {}", samples.describe(batch)))?;
            model = updated;
            average = average.map(|average| average.moved_towards(&model));
            let own = [("loss", report.loss), ("grad_norm", report.grad_norm), ("learning_rate", rate)];
            let own = own.map(|(key, value)| (key.to_owned(), value));
            for (key, value) in own.into_iter().chain(output.metrics) {
                ctx.metric(at, &key, value)?;
                watch.look(at, (&key, value))?;
            }
            step += 1;
            bar.inc(1);
            if probes(step, plan.total) {
                probe.measure(&model, at)?;
            }
        }
    }
    checkpoint::write(&model, &size, &ctx.path(""))?;
    if let Some(average) = average {
        average.write(&size, &ctx.path(average::DIRECTORY))?;
    }
    let progress = ArmProgress { step: first_step + step };
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
