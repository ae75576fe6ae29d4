//! What judges are trained with, and judges that are only tried out.

use crate::config::Reward;
use crate::run::context::StageContext;
use policy::ids::UserId;
use reward::context::Context;
use reward::model::{Kind, RewardModel};
use reward::training::{Apprentice, Trainer, TrainingConfig};

/// What all judges of a run are trained with.
#[derive(Clone, Copy)]
pub(super) struct School<'a> {
    pub(super) section: &'a Reward,
    pub(super) context: &'a Context,
    pub(super) stage: &'a StageContext,
}

impl<'a> School<'a> {
    /// The training of a judge of these users. Its name is the root of its randomness.
    pub(super) fn trainer(
        &self,
        name: &str,
        config: TrainingConfig,
        users: &[UserId],
    ) -> anyhow::Result<Trainer<'a>> {
        let key = self.stage.key().named(name);
        Ok(Trainer::new(self.context, config, &Apprentice { users, key, device: self.stage.device() })?)
    }

    /// A judge like that of this name, `label_noise` of its labels turned over; without curves and checkpoints.
    pub(super) fn try_out(
        &self,
        name: &str,
        label_noise: f64,
        users: &[UserId],
    ) -> anyhow::Result<RewardModel> {
        let config = TrainingConfig { label_noise, ..self.config(self.section.architecture) };
        let mut trainer = self.trainer(name, config, users)?;
        while trainer.step()?.is_some() {
            self.stage.check_stop()?;
        }
        Ok(trainer.into_model())
    }

    pub(super) fn config(&self, kind: Kind) -> TrainingConfig {
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
            label_noise: 0.0,
        }
    }
}
