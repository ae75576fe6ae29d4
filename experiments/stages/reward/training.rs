//! Training the judges one after the other; an interrupted attempt continues within a judge.

use super::training_config;
use crate::config::Reward;
use crate::run::StageContext;
use crate::run::checkpoint::Checkpoint;
use anyhow::Context as _;
use burn::prelude::Device;
use policy::ids::UserId;
use reward::checkpoint;
use reward::context::Context;
use reward::session::model::SessionModel;
use reward::training::{Apprentice, Trainer, TrainingStep, model_config, optimizer};
use serde::{Deserialize, Serialize};
use std::path::Path;

const WEIGHTS: &str = "model.safetensors";
const MOMENTS: &str = "optimizer.safetensors";

/// Where the stage is. Order, lengths and negatives of sessions are functions of the step.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    judge: String,
    step: u64,
}

/// Trains judges over shared features.
pub(super) struct School<'a> {
    section: &'a Reward,
    shared: &'a Context,
    stage: &'a StageContext,
    /// Where judges are trained.
    device: Device,
    resumed: Option<(Checkpoint, Cursor)>,
    /// Judges that are done, by name, as safetensors.
    finished: Vec<(String, Vec<u8>)>,
}

impl<'a> School<'a> {
    pub(super) fn new(
        section: &'a Reward,
        shared: &'a Context,
        stage: &'a StageContext,
    ) -> anyhow::Result<Self> {
        let resumed = match stage.resume()? {
            Some(checkpoint) => {
                let cursor = checkpoint.cursor()?;
                Some((checkpoint, cursor))
            }
            None => None,
        };
        let device = stage.device().clone().autodiff();
        Ok(Self { section, shared, stage, device, resumed, finished: Vec::new() })
    }

    /// The judge with its weights as safetensors.
    pub(super) fn train(&mut self, name: &str, users: &[UserId]) -> anyhow::Result<(SessionModel, Vec<u8>)> {
        let (model, bytes) = match self.finished_earlier(name)? {
            Some(bytes) => (self.model(&bytes)?, bytes),
            None => self.learn(name, users)?,
        };
        self.finished.push((name.into(), bytes.clone()));
        Ok((model, bytes))
    }

    fn learn(&self, name: &str, users: &[UserId]) -> anyhow::Result<(SessionModel, Vec<u8>)> {
        let apprentice = Apprentice { users, key: self.stage.key().named(name), device: self.stage.device() };
        let trainer = Trainer::new(self.shared, training_config(self.section), &apprentice)?;
        let mut trainer = self.continued(name, trainer)?;
        self.steps(name, &mut trainer)?;
        let model = trainer.into_model();
        let bytes = checkpoint::to_bytes(&model)?;
        Ok((model, bytes))
    }

    fn model(&self, bytes: &[u8]) -> anyhow::Result<SessionModel> {
        let sizes = model_config(self.shared, self.section.width);
        Ok(checkpoint::from_bytes(bytes, &sizes, &self.device)?)
    }

    /// Metrics `<name>/loss`, `<name>/grad_norm`, `<name>/learning_rate`, a progress bar, checkpoints, and a stop between
    /// steps.
    fn steps(&self, name: &str, trainer: &mut Trainer<'_>) -> anyhow::Result<()> {
        let bar = self.stage.progress(&format!("{name} judge"), trainer.total_steps());
        bar.inc(trainer.state().0);
        while let Some(TrainingStep { step, learning_rate, report }) = trainer.step()? {
            bar.inc(1);
            self.stage.metric(step, &format!("{name}/loss"), report.loss)?;
            self.stage.metric(step, &format!("{name}/grad_norm"), report.grad_norm)?;
            self.stage.metric(step, &format!("{name}/learning_rate"), learning_rate)?;
            let stop = self.stage.check_stop();
            if stop.is_err() || self.stage.save_due() {
                self.save(name, trainer)?;
            }
            stop?;
        }
        Ok(())
    }

    fn save(&self, name: &str, trainer: &Trainer<'_>) -> anyhow::Result<()> {
        let (step, model, optimizer) = trainer.state();
        let write = |path: &Path, bytes: &[u8]| {
            std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        let files = |dir: &Path| {
            for (name, bytes) in &self.finished {
                write(&dir.join(file(name)), bytes)?;
            }
            write(&dir.join(WEIGHTS), &checkpoint::to_bytes(model)?)?;
            optimizer.save(&dir.join(MOMENTS)).context("cannot save the optimizer")
        };
        self.stage.save((step, &Cursor { judge: name.into(), step }), files).map(drop)
    }

    /// The weights of a judge that was done when the checkpoint was made.
    fn finished_earlier(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some((checkpoint, _)) = &self.resumed else { return Ok(None) };
        let path = checkpoint.dir.join(file(name));
        path.is_file().then(|| read(&path)).transpose()
    }

    /// The training as the checkpoint has it, if it was made within this judge.
    fn continued<'t>(&self, name: &str, trainer: Trainer<'t>) -> anyhow::Result<Trainer<'t>> {
        let Some((saved, cursor)) = self.resumed.as_ref().filter(|(_, cursor)| cursor.judge == name) else {
            return Ok(trainer);
        };
        let model = self.model(&read(&saved.dir.join(WEIGHTS))?)?;
        let optimizer = optimizer().load(&saved.dir.join(MOMENTS), &self.device);
        Ok(trainer.continued((cursor.step, model, optimizer.context("cannot load the optimizer")?)))
    }
}

/// The file of a judge's weights.
pub(super) fn file(judge: &str) -> String {
    format!("{judge}.safetensors")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
