//! Training one judge, with its curves.

use crate::config::Reward;
use crate::run::context::StageContext;
use policy::ids::UserId;
use reward::context::Context;
use reward::model::{Kind, RewardModel};
use reward::training::{Apprentice, Trainer, TrainingConfig, TrainingStep};

/// What all judges of a run are trained with.
#[derive(Clone, Copy)]
pub(super) struct School<'a> {
    pub(super) section: &'a Reward,
    pub(super) context: &'a Context,
    pub(super) stage: &'a StageContext,
}

/// Told of every step, with the number of all.
type Watch<'a> = dyn FnMut(u64, &TrainingStep) -> anyhow::Result<()> + 'a;

impl School<'_> {
    /// A judge of these users. Its name is the root of its randomness and of its metric keys.
    pub(super) fn train(&self, name: &str, kind: Kind, users: &[UserId]) -> anyhow::Result<RewardModel> {
        self.train_as(name, self.config(kind, 0.0), (users, &mut watch(self.stage, name)))
    }

    /// The same without curves, `label_noise` of its labels turned over.
    pub(super) fn try_out(
        &self,
        name: &str,
        label_noise: f64,
        users: &[UserId],
    ) -> anyhow::Result<RewardModel> {
        let config = self.config(self.section.architecture, label_noise);
        self.train_as(name, config, (users, &mut |_, _| self.stage.check_stop()))
    }

    fn train_as(
        &self,
        name: &str,
        config: TrainingConfig,
        (users, watch): (&[UserId], &mut Watch<'_>),
    ) -> anyhow::Result<RewardModel> {
        let key = self.stage.key().named(name);
        let apprentice = Apprentice { users, key, device: self.stage.device() };
        let mut trainer = Trainer::new(self.context, config, &apprentice)?;
        let total = trainer.total_steps();
        while let Some(step) = trainer.step()? {
            watch(total, &step)?;
        }
        Ok(trainer.into_model())
    }

    fn config(&self, kind: Kind, label_noise: f64) -> TrainingConfig {
        let section = self.section;
        TrainingConfig {
            kind,
            score_weights: section.fusion.weights(&self.context.head_names()),
            width: section.width,
            negatives: section.negatives,
            epochs: section.epochs,
            batch_size: section.batch_size,
            learning_rate: section.learning_rate,
            weight_decay: section.weight_decay,
            label_noise,
        }
    }
}

/// Metrics `<name>/loss`, `<name>/grad_norm`, `<name>/learning_rate`, a progress bar, and a stop between steps.
fn watch<'a>(
    stage: &'a StageContext,
    name: &'a str,
) -> impl FnMut(u64, &TrainingStep) -> anyhow::Result<()> + use<'a> {
    let mut progress = None;
    move |total, TrainingStep { step, learning_rate, report }| {
        progress.get_or_insert_with(|| stage.progress(&format!("{name} judge"), total)).inc(1);
        stage.metric(*step, &format!("{name}/loss"), report.loss)?;
        stage.metric(*step, &format!("{name}/grad_norm"), report.grad_norm)?;
        stage.metric(*step, &format!("{name}/learning_rate"), *learning_rate)?;
        stage.check_stop()
    }
}
