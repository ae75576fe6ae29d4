//! Next-token training of the policy on every user's history, stopped where validation NDCG is best.

pub mod examples;
mod experts;
pub mod loss;
mod resume;
pub mod sessions;
mod state;

use super::codebook::policy_config;
use super::learner::Learner;
use crate::config::{Model, Pretrain, Ties};
use crate::data::Dataset;
use crate::run::StageContext;
use crate::run::checkpoint::Checkpoint;
use anyhow::Context as _;
use burn::module::Module as _;
use examples::Reading;
use policy::average::{Average, ramped};
use policy::checkpoint;
use policy::history::{Log, Split};
use policy::ids::UserId;
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy, PolicyConfig};
use policy::optimizer::{NonFinite, Optimizer, OptimizerConfig, Schedule, StepReport};
use policy::random::Key;
use rand::seq::SliceRandom as _;
use resume::Best;
use reward::ranking::{ndcg, rank_in_list, recall};
use sampler::recommend::{Codebook, Recommender, Seen};
use sessions::Rule;
use state::State;
use std::path::Path;
use tracing::{info, warn};

/// Hypotheses kept in validation: NDCG@10 with room for seen items.
const VALIDATION_BEAM: usize = 20;
const CUTOFF: usize = 10;
/// Rows of each training curve, at most about this many.
const CURVE_POINTS: u64 = 400;

/// Trains the policy and writes its best checkpoint. An interrupted attempt continues bit for bit.
///
/// # Errors
/// If the run is interrupted, a loss or gradient is not finite, or a file cannot be written.
pub fn pretrain(
    (model, section): (&Model, &Pretrain),
    dataset: &Dataset,
    codebook: &Codebook,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    let size = policy_config(model, codebook);
    let rule = Rule::new(section.sessions.as_ref(), &dataset.log)?;
    let trainer = Trainer { section, rule, dataset, codebook, ctx, dropout: model.dropout, size: &size };
    let plan = trainer.plan();
    if section.ties == Ties::Shuffled && !dataset.log.has_training_ties() {
        warn!(
            "pretrain.ties = \"shuffled\" changes nothing: no training interactions of a user have equal timestamps"
        );
    }
    let mut training = trainer.begin(ctx.resume()?.as_ref())?;
    let progress = ctx.progress("steps", plan.total);
    progress.inc(training.state.step);
    let mut over = trainer.settle(&mut training, &plan)?;
    while !over {
        let epoch = training.state.step / plan.steps_per_epoch;
        let log = examples::log_of(section, &dataset.log, trainer.epoch_key(epoch));
        for batch in trainer.epoch(epoch).iter().skip((training.state.step % plan.steps_per_epoch) as usize) {
            let rollbacks = training.state.rollbacks;
            match trainer.step(training, (&log, batch), &plan) {
                Ok(next) => training = next,
                Err(error) => {
                    training = trainer.roll_back(rollbacks, error)?;
                    break;
                }
            }
            progress.inc(1);
            over = trainer.settle(&mut training, &plan)?;
            if over {
                break;
            }
        }
    }
    resume::publish(&training, ctx)
}

/// Reads the policy of a stage directory.
///
/// # Errors
/// If the checkpoint is missing or damaged.
pub fn load(dir: &Path, device: &burn::prelude::Device) -> anyhow::Result<Policy> {
    Ok(checkpoint::read(dir, device)?.0)
}

/// What changes from step to step.
pub(super) struct Training {
    learner: Learner,
    /// Follows the weights, where `ema_decay` asks for it.
    average: Option<Average<Policy>>,
    state: State,
    /// The state of the newest checkpoint.
    saved: Option<State>,
    best: Best,
}

impl Training {
    fn new(weights: Policy, optimizer: &OptimizerConfig, ema_decay: f64) -> Self {
        let average = (ema_decay > 0.0).then(|| Average::new(weights.valid()));
        let learner = Learner { weights, optimizer: Optimizer::new(optimizer) };
        Self { learner, average, state: State::default(), saved: None, best: Best::None }
    }

    /// The policy as it would be published now.
    fn published(&self) -> Policy {
        self.average.as_ref().map_or_else(|| self.learner.weights.valid(), |average| average.module().clone())
    }
}

/// How many steps there are and when to validate.
struct Plan {
    steps_per_epoch: u64,
    total: u64,
    /// The CPU time there is.
    cpu_seconds: Option<f64>,
    validate_every: u64,
    schedule: Schedule,
}

impl Plan {
    /// Steps done, or, where time runs out sooner, as many as the time spent would be of all.
    fn position(&self, step: u64, ctx: &StageContext) -> u64 {
        self.cpu_seconds
            .map_or(step, |limit| step.max((ctx.cpu_seconds() / limit * self.total as f64) as u64))
    }
}

struct Trainer<'a> {
    section: &'a Pretrain,
    rule: Rule,
    dataset: &'a Dataset,
    codebook: &'a Codebook,
    ctx: &'a StageContext,
    dropout: f64,
    size: &'a PolicyConfig,
}

impl Trainer<'_> {
    fn plan(&self) -> Plan {
        let epoch = self.epoch(0);
        let steps_per_epoch = epoch.len().max(1) as u64;
        let limits = [self.section.max_steps, self.steps_of_tokens(&epoch)];
        let all = steps_per_epoch * self.section.epochs as u64;
        let total = limits.into_iter().filter(|limit| *limit > 0).fold(all, u64::min);
        Plan {
            steps_per_epoch,
            total,
            cpu_seconds: (self.section.max_cpu_minutes > 0.0).then_some(self.section.max_cpu_minutes * 60.0),
            validate_every: steps_per_epoch * self.section.evaluate_every as u64,
            schedule: Schedule {
                peak: self.section.learning_rate,
                warmup: self.section.warmup_steps.min(total / 2),
                total,
            },
        }
    }

    /// Steps that learn the tokens there are, at least one; 0 without a limit. Every epoch has as many.
    fn steps_of_tokens(&self, epoch: &[Vec<Reading>]) -> u64 {
        if self.section.max_tokens == 0 {
            return 0;
        }
        let targets: usize = epoch.iter().flatten().map(|reading| reading.targets.len()).sum();
        let tokens = (targets * self.rule.items * self.codebook.catalog.levels()).max(1) as f64;
        ((self.section.max_tokens as f64 / tokens * epoch.len() as f64) as u64).max(1)
    }

    /// The training of the checkpoint, or a fresh one.
    fn begin(&self, checkpoint: Option<&Checkpoint>) -> anyhow::Result<Training> {
        if let Some(checkpoint) = checkpoint {
            return resume::load(checkpoint, (&self.section.optimizer(), self.section.ema_decay), self.ctx);
        }
        let device = self.ctx.device().clone().autodiff();
        let weights = Policy::new(self.size, self.ctx.key().named("weights"), &device)?;
        Ok(Training::new(weights, &self.section.optimizer(), self.section.ema_decay))
    }

    /// After a number that is not finite: back to the newest checkpoint and on with half the learning rate, if the section
    /// allows another time; otherwise the error.
    fn roll_back(&self, done: u64, error: anyhow::Error) -> anyhow::Result<Training> {
        if !error.is::<NonFinite>() || done >= self.section.rollbacks {
            return Err(error);
        }
        let mut training = self.begin(self.ctx.roll_back()?.as_ref())?;
        training.state.rollbacks = done + 1;
        let step = training.state.step;
        warn!("{error:#}; back to step {step}, on with half the learning rate");
        self.ctx.metric(step, "rollbacks", training.state.rollbacks as f64)?;
        self.save(&mut training)?;
        Ok(training)
    }

    fn epoch_key(&self, epoch: u64) -> Key {
        self.ctx.key().named("epoch").at(epoch)
    }

    fn epoch(&self, epoch: u64) -> Vec<Vec<Reading>> {
        examples::epoch(self.section, (&self.dataset.log, &self.rule), self.epoch_key(epoch))
    }

    fn recommender<'a>(&'a self, weights: &'a Policy) -> Recommender<'a> {
        let history_items = self.section.history_items;
        // Legality is learnt, not assumed: training normalises over the whole vocabulary.
        let (codebook, session_items) = (self.codebook, self.rule.items);
        Recommender { model: weights, codebook, history_items, space: LogProbSpace::Full, session_items }
    }

    fn step(
        &self,
        training: Training,
        (log, batch): (&Log, &[Reading]),
        plan: &Plan,
    ) -> anyhow::Result<Training> {
        let Training { learner: Learner { weights, mut optimizer }, average, mut state, saved, best } =
            training;
        let dropout = Dropout::On { rate: self.dropout, key: self.ctx.key().named("dropout").at(state.step) };
        let (recommender, smoothing) = (self.recommender(&weights), self.section.label_smoothing);
        let loss = loss::loss(&recommender, (log, batch, &self.rule), dropout, smoothing);
        let rate =
            plan.schedule.at(plan.position(state.step, self.ctx)) * 0.5_f64.powi(state.rollbacks as i32);
        let (weights, report) = optimizer
            .step(weights, &loss, rate)
            .with_context(|| format!("step {}: users {}", state.step, users(batch)))?;
        self.record(&report, rate, state.step, plan)?;
        state.step += 1;
        let decay = ramped(self.section.ema_decay, state.step);
        let average = average.map(|average| average.toward(&weights, decay));
        Ok(Training { learner: Learner { weights, optimizer }, average, state, saved, best })
    }

    /// What is due after a step, and before the first: validation, a checkpoint, a stop. Says whether training is over. The
    /// step that time runs out in is validated, and one at least is taken.
    fn settle(&self, training: &mut Training, plan: &Plan) -> anyhow::Result<bool> {
        let step = training.state.step;
        let falls_on = |every: u64| step > 0 && step.is_multiple_of(every);
        let over = step > 0 && plan.position(step, self.ctx) >= plan.total;
        let validate = over || falls_on(plan.validate_every);
        if validate && !training.state.is_validated() {
            let outcome = self.validate(training);
            StageContext::saving(outcome, || self.save(training))?;
        }
        if validate || falls_on(self.section.checkpoint_every) {
            self.save(training)?;
        }
        StageContext::saving(self.ctx.check_stop(), || self.save(training))?;
        Ok(over || training.state.exhausted(self.section.patience))
    }

    fn save(&self, training: &mut Training) -> anyhow::Result<()> {
        resume::save(training, self.size, self.ctx)
    }

    fn record(&self, report: &StepReport, rate: f64, step: u64, plan: &Plan) -> anyhow::Result<()> {
        if !step.is_multiple_of((plan.total / CURVE_POINTS).max(1)) {
            return Ok(());
        }
        self.ctx.metric(step, "loss", report.loss)?;
        self.ctx.metric(step, "grad_norm", report.grad_norm)?;
        self.ctx.metric(step, "learning_rate", rate)
    }

    fn validate(&self, training: &mut Training) -> anyhow::Result<()> {
        let log = &self.dataset.log;
        let mut users: Vec<UserId> = log.users().collect();
        users.shuffle(&mut self.ctx.key().named("validation").rng());
        users.truncate(self.section.validation_users);
        let contexts: Vec<_> = users.iter().map(|&u| log.context(u, Split::Validation)).collect();
        let policy = training.published();
        let recommender = self.recommender(&policy);
        let lists =
            recommender.lists(&contexts, VALIDATION_BEAM, Seen::Excluded, |_| self.ctx.check_stop())?;
        let ranks = users.iter().zip(&lists);
        let ranks: Vec<_> =
            ranks.map(|(&user, list)| rank_in_list(list, log.target(user, Split::Validation))).collect();
        let mean = |f: fn(Option<usize>, usize) -> f64| {
            ranks.iter().map(|&rank| f(rank, CUTOFF)).sum::<f64>() / ranks.len() as f64
        };
        let (ndcg, recall, step) = (mean(ndcg), mean(recall), training.state.step);
        info!(step, "validation NDCG@10 {ndcg:.4}, recall@10 {recall:.4}");
        self.ctx.metric(step, "validation/ndcg@10", ndcg)?;
        self.ctx.metric(step, "validation/recall@10", recall)?;
        experts::record(&recommender, (log, &users), step, self.ctx)?;
        self.ctx.mark(step);
        if training.state.observe(ndcg) {
            training.best = Best::Current;
        }
        Ok(())
    }
}

fn users(batch: &[Reading]) -> String {
    batch.iter().map(|reading| reading.user.index().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
