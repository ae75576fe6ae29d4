//! The steps of a round, each of which an interrupted attempt can continue from.

use super::alarms::{Memory, Watch};
use super::average::{self, MovingReference};
use super::probe::Probe;
use super::probes;
use super::samples::Samples;
use super::steps::Step;
use crate::config::Reference;
use crate::run::StageContext;
use crate::run::checkpoint::Checkpoint;
use crate::stages::bench::Bench;
use crate::stages::learner::Learner;
use anyhow::Context as _;
use policy::model::PolicyConfig;
use policy::optimizer::{OptimizerConfig, Schedule};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// Where a round is. The order of batches and everything drawn is a function of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Steps done in this round.
    pub(super) step: u64,
    /// The step at which the policy was last probed.
    probed: Option<u64>,
    /// What the held-out judge then said.
    pub(super) held_out: Option<f64>,
    /// What the alarms have seen.
    pub(super) alarms: Memory,
}

/// The round's surroundings.
pub(super) struct Trainer<'a> {
    pub(super) samples: &'a Samples<'a>,
    pub(super) bench: &'a Bench,
    pub(super) ctx: &'a StageContext,
    pub(super) watch: Watch,
    pub(super) plan: Schedule,
    /// Steps of the arm before this round.
    pub(super) first_step: u64,
    pub(super) size: &'a PolicyConfig,
}

/// What changes from step to step.
pub(super) struct Training {
    pub(super) learner: Learner,
    /// Follows the weights, where it is the reference.
    pub(super) average: Option<MovingReference>,
    pub(super) state: State,
    /// The state of the newest checkpoint.
    saved: Option<State>,
}

impl Training {
    pub(super) fn new(learner: Learner, average: Option<MovingReference>) -> Self {
        Self { learner, average, state: State::default(), saved: None }
    }

    /// The training as a checkpoint has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn load(
        saved: &Checkpoint,
        (optimizer, reference): (&OptimizerConfig, Reference),
        ctx: &StageContext,
    ) -> anyhow::Result<Self> {
        let learner = Learner::read(&saved.dir, optimizer, &ctx.device().clone().autodiff())?;
        let state: State = saved.cursor()?;
        let average = match reference {
            Reference::Ema { decay } => Some(MovingReference::of(&saved.dir, decay, ctx.device())?),
            Reference::Round | Reference::Pretrained => None,
        };
        Ok(Self { learner, average, saved: Some(state.clone()), state })
    }
}

impl Trainer<'_> {
    /// A round at its first step: what its samples say is recorded and watched.
    pub(super) fn begin(&self, mut training: Training) -> anyhow::Result<Training> {
        let alarms = &mut training.state.alarms;
        for (key, value) in self.samples.metrics() {
            self.record(alarms, self.first_step, (key, value))?;
        }
        for (key, value) in self.samples.spread() {
            self.look(alarms, self.first_step, (key, value))?;
        }
        Ok(training)
    }

    /// Every step that is left.
    pub(super) fn run(&self, mut training: Training, probe: &Probe<'_>) -> anyhow::Result<Training> {
        let bar = self.ctx.progress("steps", self.plan.total);
        bar.inc(training.state.step);
        self.settle(&mut training, probe)?;
        let batches = self.samples.batches() as u64;
        while training.state.step < self.plan.total {
            let order = self.order(training.state.step / batches);
            let batch = order[(training.state.step % batches) as usize];
            training = self.step(training, batch)?;
            bar.inc(1);
            self.settle(&mut training, probe)?;
        }
        Ok(training)
    }

    /// The batches of an epoch in their order.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples.batches()).collect();
        order.shuffle(&mut self.ctx.key().named("order").at(epoch).rng());
        order
    }

    fn step(&self, training: Training, batch: usize) -> anyhow::Result<Training> {
        let Training { learner: Learner { weights, mut optimizer }, average, mut state, saved } = training;
        let at = self.first_step + state.step + 1;
        let rate = self.plan.at(state.step) * state.alarms.scale();
        let key = self.ctx.key().named("step").at(state.step);
        let reference = average.as_ref().map(MovingReference::model);
        let output = Step { samples: self.samples, bench: self.bench, reference, key }.loss(&weights, batch);
        let (weights, report) = optimizer
            .step(weights, &output.loss, rate)
            .with_context(|| format!("step {at}, users {}", self.samples.describe(batch)))?;
        let average = average.map(|average| average.moved_towards(&weights));
        let own = [("loss", report.loss), ("grad_norm", report.grad_norm), ("learning_rate", rate)];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        for (key, value) in own.into_iter().chain(output.metrics) {
            self.record(&mut state.alarms, at, (&key, value))?;
        }
        state.step += 1;
        Ok(Training { learner: Learner { weights, optimizer }, average, state, saved })
    }

    /// What is due after a step, and before the first: a look by the judges, a checkpoint, a stop.
    fn settle(&self, training: &mut Training, probe: &Probe<'_>) -> anyhow::Result<()> {
        let step = training.state.step;
        let due = if step == 0 { self.first_step == 0 } else { probes(step, self.plan.total) };
        if due && training.state.probed != Some(step) {
            let outcome = probe.measure(&training.learner.weights);
            let measured = StageContext::saving(outcome, || self.save(training))?;
            self.probed(&mut training.state, &measured, probe)?;
        }
        if self.ctx.save_due() {
            self.save(training)?;
        }
        StageContext::saving(self.ctx.check_stop(), || self.save(training))
    }

    fn probed(&self, state: &mut State, measured: &[(String, f64)], probe: &Probe<'_>) -> anyhow::Result<()> {
        let at = self.first_step + state.step;
        for (key, value) in measured {
            self.record(&mut state.alarms, at, (key, *value))?;
        }
        let held_out = measured.iter().find(|(key, _)| key == "judge/held-out");
        state.held_out = held_out.map(|(_, score)| *score);
        if at == 0 {
            for (draws, key, value) in probe.best_of() {
                self.ctx.metric(draws, &key, value)?;
            }
        }
        state.probed = Some(state.step);
        Ok(())
    }

    /// Records a metric, and what alarm it raises for the first time in the round.
    fn record(&self, alarms: &mut Memory, at: u64, (key, value): (&str, f64)) -> anyhow::Result<()> {
        self.ctx.metric(at, key, value)?;
        self.look(alarms, at, (key, value))
    }

    fn look(&self, alarms: &mut Memory, at: u64, metric: (&str, f64)) -> anyhow::Result<()> {
        if let Some(raised) = self.watch.look(alarms, at, metric)? {
            warn!("{raised}");
            self.ctx.metric(at, &format!("alarm/{}", raised.name), raised.value)?;
        }
        Ok(())
    }

    fn save(&self, training: &mut Training) -> anyhow::Result<()> {
        if training.saved.as_ref() == Some(&training.state) {
            return Ok(());
        }
        let Training { learner, average, state, .. } = &*training;
        self.ctx.save((state.step, state), |dir| {
            learner.write(self.size, dir)?;
            average.iter().try_for_each(|average| average.write(self.size, &dir.join(average::DIRECTORY)))
        })?;
        training.saved = Some(training.state.clone());
        Ok(())
    }
}
