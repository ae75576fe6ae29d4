//! Next-token training of the policy on every user's history, stopped where validation NDCG is best.

pub mod examples;
mod experts;
pub mod loss;
mod resume;
pub mod sessions;
mod state;

use super::codebook::policy_config;
use crate::config::{Model, Pretrain, Ties};
use crate::data::Dataset;
use crate::run::StageContext;
use anyhow::Context as _;
use burn::module::Module as _;
use examples::Reading;
use policy::average::{Average, ramped};
use policy::checkpoint;
use policy::history::{Log, Split};
use policy::ids::UserId;
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy, PolicyConfig};
use policy::optimizer::{Optimizer, OptimizerConfig, Schedule, StepReport};
use policy::random::Key;
use rand::seq::SliceRandom as _;
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

/// The directory of the best policy within the scratch space.
const BEST: &str = "best";

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
    let trainer = Trainer { section, rule, dataset, codebook, ctx, dropout: model.dropout };
    let plan = trainer.plan();
    if section.ties == Ties::Shuffled && !dataset.log.has_training_ties() {
        warn!(
            "pretrain.ties = \"shuffled\" changes nothing: no training interactions of a user have equal timestamps"
        );
    }
    let weights = Policy::new(&size, ctx.key().named("weights"), &ctx.device().clone().autodiff())?;
    let optimizer = Optimizer::new(&OptimizerConfig {
        weight_decay: section.weight_decay,
        max_grad_norm: section.max_grad_norm,
    });
    let average = (section.ema_decay > 0.0).then(|| Average::new(weights.valid()));
    let mut training = Training { weights, average, optimizer, state: State::default() };
    if let Some(resumed) = resume::newest(ctx.scratch(), &training.weights, section)? {
        info!(step = resumed.state.step, "continuing an interrupted training");
        ctx.restore_metrics(resumed.state.measured.clone());
        training = resumed;
    }
    let progress = ctx.progress("steps", plan.total);
    progress.inc(training.state.step);
    // Decided once per step: the step that time runs out in is validated, and one at least is taken.
    let mut over = training.state.step >= plan.total;
    while !over && !training.state.exhausted(section.patience) {
        let epoch = training.state.step / plan.steps_per_epoch;
        let log = examples::log_of(section, &dataset.log, trainer.epoch_key(epoch));
        for batch in trainer.epoch(epoch).iter().skip((training.state.step % plan.steps_per_epoch) as usize) {
            training = trainer.step(training, (&log, batch), &plan)?;
            progress.inc(1);
            let step = training.state.step;
            over = plan.position(step, ctx) >= plan.total;
            let validate = over || step.is_multiple_of(plan.validate_every);
            if validate {
                trainer.validate(&mut training, &size)?;
            }
            if validate || step.is_multiple_of(section.checkpoint_every) {
                resume::save(ctx.scratch(), &training, ctx.metrics())?;
            }
            if let Err(stop) = ctx.check_stop() {
                resume::save(ctx.scratch(), &training, ctx.metrics())?;
                return Err(stop);
            }
            if over {
                break;
            }
        }
    }
    publish(ctx)
}

/// Copies the best policy into the stage's output.
fn publish(ctx: &StageContext) -> anyhow::Result<()> {
    for file in ["config.json", "model.safetensors"] {
        let from = ctx.scratch().join(BEST).join(file);
        std::fs::copy(&from, ctx.path(file)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
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
    weights: Policy,
    /// Follows the weights, where `ema_decay` asks for it.
    average: Option<Average<Policy>>,
    optimizer: Optimizer,
    state: State,
}

impl Training {
    /// The policy as it would be published now.
    fn published(&self) -> Policy {
        self.average.as_ref().map_or_else(|| self.weights.valid(), |average| average.module().clone())
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
}

impl Trainer<'_> {
    fn plan(&self) -> Plan {
        let steps_per_epoch = self.epoch(0).len().max(1) as u64;
        let all = steps_per_epoch * self.section.epochs as u64;
        let total = if self.section.max_steps == 0 { all } else { all.min(self.section.max_steps) };
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
        let Training { weights, average, mut optimizer, mut state } = training;
        let dropout = Dropout::On { rate: self.dropout, key: self.ctx.key().named("dropout").at(state.step) };
        let (recommender, smoothing) = (self.recommender(&weights), self.section.label_smoothing);
        let loss = loss::loss(&recommender, (log, batch, &self.rule), dropout, smoothing);
        let rate = plan.schedule.at(plan.position(state.step, self.ctx));
        let (weights, report) = optimizer
            .step(weights, &loss, rate)
            .with_context(|| format!("step {}: users {}", state.step, users(batch)))?;
        self.record(&report, rate, state.step, plan)?;
        state.step += 1;
        let average =
            average.map(|average| average.toward(&weights, ramped(self.section.ema_decay, state.step)));
        Ok(Training { weights, average, optimizer, state })
    }

    fn record(&self, report: &StepReport, rate: f64, step: u64, plan: &Plan) -> anyhow::Result<()> {
        if !step.is_multiple_of((plan.total / CURVE_POINTS).max(1)) {
            return Ok(());
        }
        self.ctx.metric(step, "loss", report.loss)?;
        self.ctx.metric(step, "grad_norm", report.grad_norm)?;
        self.ctx.metric(step, "learning_rate", rate)
    }

    fn validate(&self, training: &mut Training, size: &PolicyConfig) -> anyhow::Result<()> {
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
            let dir = self.ctx.scratch().join(BEST);
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            checkpoint::write(&policy, size, &dir)?;
        }
        Ok(())
    }
}

fn users(batch: &[Reading]) -> String {
    batch.iter().map(|reading| reading.user.index().to_string()).collect::<Vec<_>>().join(", ")
}
