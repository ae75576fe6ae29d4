//! The judges of a run, trained one after the other; an interrupted attempt continues within a judge.

use super::training::School;
use super::weights as file;
use crate::run::checkpoint::Checkpoint;
use anyhow::Context as _;
use burn::prelude::Device;
use policy::ids::UserId;
use reward::checkpoint;
use reward::model::{Kind, RewardModel};
use reward::training::{Trainer, TrainingStep, model_config};
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

/// Judges in training.
pub(super) struct Course<'a> {
    school: School<'a>,
    /// Where weights that have gradients live.
    device: Device,
    resumed: Option<(Checkpoint, Cursor)>,
    /// Judges that are done, by name, as safetensors.
    finished: Vec<(String, Vec<u8>)>,
}

impl<'a> Course<'a> {
    /// Where an interrupted attempt left off, or at the beginning.
    ///
    /// # Errors
    /// The scratch space cannot be read.
    pub(super) fn new(school: School<'a>) -> anyhow::Result<Self> {
        let with_cursor = |saved: Checkpoint| {
            let cursor = saved.cursor()?;
            anyhow::Ok((saved, cursor))
        };
        let resumed = school.stage.resume()?.map(with_cursor).transpose()?;
        let device = school.stage.device().clone().autodiff();
        Ok(Self { school, device, resumed, finished: Vec::new() })
    }

    /// A judge of these users, with its weights as safetensors. Its name is the root of its randomness and of its metric keys.
    ///
    /// # Errors
    /// Training breaks down or is stopped; a checkpoint cannot be read or written.
    pub(super) fn train(
        &mut self,
        name: &str,
        kind: Kind,
        users: &[UserId],
    ) -> anyhow::Result<(RewardModel, Vec<u8>)> {
        let (model, bytes) = match self.finished_earlier(name)? {
            Some(bytes) => (self.model(&bytes, kind)?, bytes),
            None => self.learn((name, kind), users)?,
        };
        self.finished.push((name.into(), bytes.clone()));
        Ok((model, bytes))
    }

    fn learn(&self, (name, kind): (&str, Kind), users: &[UserId]) -> anyhow::Result<(RewardModel, Vec<u8>)> {
        let trainer = self.school.trainer(name, self.school.config(kind), users)?;
        let mut trainer = self.continued((name, kind), trainer)?;
        self.steps(name, &mut trainer)?;
        let model = trainer.into_model();
        let bytes = checkpoint::to_bytes(&model)?;
        Ok((model, bytes))
    }

    fn model(&self, bytes: &[u8], kind: Kind) -> anyhow::Result<RewardModel> {
        let sizes = model_config(self.school.context, kind, self.school.section.width);
        Ok(checkpoint::from_bytes(bytes, &sizes, &self.device)?)
    }

    /// Metrics `<name>/loss`, `<name>/grad_norm`, `<name>/learning_rate`, a progress bar, checkpoints, and a stop between
    /// steps.
    fn steps(&self, name: &str, trainer: &mut Trainer<'_>) -> anyhow::Result<()> {
        let stage = self.school.stage;
        let bar = stage.progress(&format!("{name} judge"), trainer.total_steps());
        bar.inc(trainer.state().0);
        while let Some(TrainingStep { step, learning_rate, report }) = trainer.step()? {
            bar.inc(1);
            stage.metric(step, &format!("{name}/loss"), report.loss)?;
            stage.metric(step, &format!("{name}/grad_norm"), report.grad_norm)?;
            stage.metric(step, &format!("{name}/learning_rate"), learning_rate)?;
            let stop = stage.check_stop();
            if stop.is_err() || stage.save_due() {
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
        self.school.stage.save((step, &Cursor { judge: name.into(), step }), files).map(drop)
    }

    /// The weights of a judge that was done when the checkpoint was made.
    fn finished_earlier(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some((checkpoint, _)) = &self.resumed else { return Ok(None) };
        let path = checkpoint.dir.join(file(name));
        path.is_file().then(|| read(&path)).transpose()
    }

    /// The training as the checkpoint has it, if it was made within this judge.
    fn continued<'t>(&self, (name, kind): (&str, Kind), trainer: Trainer<'t>) -> anyhow::Result<Trainer<'t>> {
        let Some((saved, cursor)) = self.resumed.as_ref().filter(|(_, cursor)| cursor.judge == name) else {
            return Ok(trainer);
        };
        let model = self.model(&read(&saved.dir.join(WEIGHTS))?, kind)?;
        let optimizer = self.school.config(kind).optimizer().load(&saved.dir.join(MOMENTS), &self.device);
        Ok(trainer.continued((cursor.step, model, optimizer.context("cannot load the optimizer")?)))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
