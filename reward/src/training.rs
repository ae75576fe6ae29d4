//! Training one judge: sessions of its users, shuffled every epoch, AdamW with warm-up and cosine decay.

use crate::batch::{Batch, NegativeSampler, Negatives, Targets};
use crate::context::Context;
use crate::features::ItemIdentity;
use crate::labels::{Session, sessions};
use crate::model::{
    Kind, ModelConfig, RewardModel, binary_cross_entropy, personal_loss, weighted_cross_entropy,
};
use crate::watch::Lesson;
use burn::prelude::*;
use policy::ids::UserId;
use policy::optimizer::{NonFinite, Optimizer, OptimizerConfig, Schedule, StepReport};
use policy::random::Key;
use rand::RngExt;
use rand::seq::SliceRandom;
use thiserror::Error;

/// Sessions of one epoch; more are sampled down, so that a log of millions trains in minutes.
const MAX_SESSIONS: usize = 200_000;
/// The default of [`TrainingConfig::weight_decay`]. There is no dropout, so this is all that keeps a judge of a few hundred users
/// from learning them by heart. Tried on the built-in world, log loss on unseen users: 0.3 beat 0.01 for every head and 1.0 for
/// most; with tens of thousands of users 0.01 is better.
pub const WEIGHT_DECAY: f64 = 0.3;
/// Largest global gradient norm.
const MAX_GRAD_NORM: f64 = 1.0;
/// Share of the steps in which the learning rate rises.
const WARMUP: f64 = 0.05;

/// How a judge is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// Which model.
    pub kind: Kind,
    /// How much each head pulls a learned score, in the order of the heads.
    pub score_weights: Vec<f64>,
    /// Width of user and item vectors.
    pub width: usize,
    /// Replaced lists per observed one, where the log has no feedback.
    pub negatives: usize,
    /// Passes over the sessions.
    pub epochs: usize,
    /// Sessions per step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of labels turned over in training, 0 for none.
    pub label_noise: f64,
}

impl TrainingConfig {
    /// The optimizer before its first step.
    pub fn optimizer(&self) -> Optimizer {
        Optimizer::new(&OptimizerConfig {
            weight_decay: self.weight_decay,
            max_grad_norm: MAX_GRAD_NORM,
            ..OptimizerConfig::default()
        })
    }
}

/// Why a judge cannot be trained.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TrainingError {
    /// No user has two training interactions.
    #[error("none of the judge's {users} training users has two interactions besides the two held out")]
    NoSessions {
        /// Training users.
        users: usize,
    },
    /// A loss or gradient that is not finite.
    #[error("training the judge broke down at step {step}, sessions of the users {users:?}")]
    NonFinite {
        /// The step.
        step: u64,
        /// Whose sessions it saw.
        users: Vec<usize>,
        /// What was not finite.
        #[source]
        source: NonFinite,
    },
}

/// What one step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Loss and gradient norm.
    pub report: StepReport,
}

/// Trains one judge, one step per call, so that its caller can report and stop.
pub struct Trainer<'a> {
    context: &'a Context,
    config: TrainingConfig,
    starts: Vec<Session>,
    sampler: NegativeSampler,
    schedule: Schedule,
    key: Key,
    device: Device,
    model: RewardModel,
    optimizer: Optimizer,
    epoch: Vec<Session>,
    step: u64,
}

/// Whose sessions, from which randomness, where.
pub struct Apprentice<'a> {
    /// Training users of this judge.
    pub users: &'a [UserId],
    /// Initial weights, order, lengths and negatives derive from it.
    pub key: Key,
    /// Device of the tensors, with or without autodiff.
    pub device: &'a Device,
}

impl<'a> Trainer<'a> {
    /// A fresh judge.
    ///
    /// # Errors
    /// If its users have no sessions.
    pub fn new(
        context: &'a Context,
        config: TrainingConfig,
        apprentice: &Apprentice<'_>,
    ) -> Result<Self, TrainingError> {
        let users = apprentice.users;
        let starts: Vec<_> = sessions(context.log(), users, 1).collect();
        if starts.is_empty() {
            return Err(TrainingError::NoSessions { users: users.len() });
        }
        let device = apprentice.device.clone().autodiff();
        let per_epoch = starts.len().min(MAX_SESSIONS).div_ceil(config.batch_size);
        let total = (per_epoch * config.epochs) as u64;
        let warmup = (total as f64 * WARMUP).ceil() as u64;
        let model = RewardModel::new(
            &model_config(context, config.kind, config.width),
            apprentice.key.named("init"),
            &device,
        );
        Ok(Self {
            sampler: NegativeSampler::new(context.log()),
            schedule: Schedule { peak: config.learning_rate, warmup, total },
            key: apprentice.key,
            optimizer: config.optimizer(),
            epoch: Vec::new(),
            step: 0,
            context,
            config,
            starts,
            device,
            model,
        })
    }

    /// Steps of the whole training.
    pub fn total_steps(&self) -> u64 {
        self.schedule.total
    }

    /// One update; `None` when training is complete.
    ///
    /// # Errors
    /// If the loss or its gradient is not finite.
    pub fn step(&mut self) -> Result<Option<TrainingStep>, TrainingError> {
        if self.step == self.schedule.total {
            return Ok(None);
        }
        let loss = self.next_loss();
        let learning_rate = self.schedule.at(self.step);
        self.step += 1;
        let (model, report) = self
            .optimizer
            .step(self.model.clone(), &loss, learning_rate)
            .map_err(|source| TrainingError::NonFinite { step: self.step, users: self.users(), source })?;
        self.model = model;
        Ok(Some(TrainingStep { step: self.step, learning_rate, report }))
    }

    /// The model as trained so far.
    pub fn into_model(self) -> RewardModel {
        self.model
    }

    /// Steps done, with the weights and the moments they led to: all that a checkpoint needs.
    pub fn state(&self) -> (u64, &RewardModel, &Optimizer) {
        (self.step, &self.model, &self.optimizer)
    }

    /// This training as it is after `step` steps that led to these weights and moments.
    #[must_use]
    pub fn continued(self, (step, model, optimizer): (u64, RewardModel, Optimizer)) -> Self {
        Self { model, optimizer, step, ..self }
    }

    fn next_loss(&mut self) -> Tensor<1> {
        let per_epoch = self.per_epoch();
        let (epoch, batch) = (self.step / per_epoch, (self.step % per_epoch) as usize);
        // Also at the first step of a continued training.
        if batch == 0 || self.epoch.is_empty() {
            self.epoch = self.shuffled(self.key.named("epoch").at(epoch));
        }
        let sessions = self.batch(batch);
        let negatives = Negatives {
            sampler: &self.sampler,
            per_session: self.config.negatives,
            key: self.key.named("negatives").at(self.step),
        };
        let mut batch = Batch::new(self.context, sessions, negatives);
        batch.turn_labels(sessions, self.config.label_noise, self.key.named("noise"));
        let (outputs, Targets { labels, watch_times, weights, crowd }) =
            batch.forward(&self.model, &self.device);
        let (heads, targets) = (outputs.heads.clone(), labels.clone());
        let mut loss = match weights {
            Some(weights) => weighted_cross_entropy(heads, targets, weights),
            None => binary_cross_entropy(heads, targets),
        };
        if let Some(contrast) = self.model.contrast(&outputs, &labels, &crowd) {
            loss = loss + contrast;
        }
        if let Some(personal) = &outputs.personal {
            loss = loss + personal_loss(personal, labels, &self.config.score_weights);
        }
        let codec = self.context.config().watch.as_ref();
        if let (Some(codec), Some(times)) = (codec, &watch_times) {
            let lesson = Lesson { step: self.step, key: self.key.named("watch").at(self.step) };
            loss = self
                .model
                .watch_loss(&outputs, (codec, times), lesson)
                .map_or(loss.clone(), |watch| loss + watch);
        }
        loss
    }

    fn per_epoch(&self) -> u64 {
        self.schedule.total / self.config.epochs as u64
    }

    /// The sessions of a batch of this epoch.
    fn batch(&self, number: usize) -> &[Session] {
        let from = number * self.config.batch_size;
        &self.epoch[from..(from + self.config.batch_size).min(self.epoch.len())]
    }

    /// Whose sessions the last step saw.
    fn users(&self) -> Vec<usize> {
        let batch = (self.step - 1) % self.per_epoch();
        self.batch(batch as usize).iter().map(|session| session.user.index()).collect()
    }

    /// Every possible start once, in random order. Half of a list-wise model's sessions have one item, as candidates have
    /// when they are scored; the others a length drawn evenly from one to `session_items`.
    fn shuffled(&self, key: Key) -> Vec<Session> {
        let mut rng = key.rng();
        let mut epoch = self.starts.clone();
        epoch.shuffle(&mut rng);
        epoch.truncate(MAX_SESSIONS);
        if !self.config.kind.is_list_wise() {
            return epoch;
        }
        for session in &mut epoch {
            let left = self.context.log().train_items(session.user).len() - session.start;
            if rng.random_bool(0.5) {
                session.length = rng.random_range(1..=left.min(self.context.config().session_items));
            }
        }
        epoch
    }
}

/// The sizes of a judge of this width over this context.
pub fn model_config(context: &Context, kind: Kind, width: usize) -> ModelConfig {
    ModelConfig {
        kind,
        features: context.features().width(),
        signals: context.config().behaviour.width(),
        width,
        history_items: context.config().history_items,
        heads: context.config().labels.heads().len(),
        identities: match context.config().item_identity {
            ItemIdentity::Hidden => 0,
            ItemIdentity::Learned => context.features().num_items(),
        },
        watch: context.config().watch.clone(),
    }
}

#[cfg(test)]
mod tests;
