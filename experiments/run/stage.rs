//! Running a stage, or finding it done.

use super::context::StageContext;
use super::fingerprint::{Fingerprint, Fingerprinted};
use super::hash::{self, Hashes};
use super::layout::{Committed, FINGERPRINT, MANIFEST, METRICS, SCRATCH};
use super::seal::seal;
use super::stop::Interrupted;
use super::{Input, Run, StageOutput, clock::Spent, commit, write_if_changed};
use anyhow::Context as _;
use reports::schema::Manifest;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use tracing::{info, info_span, warn};

impl Run {
    /// Runs the stage `name`, or reuses its committed output.
    ///
    /// The output is a function of the stage's name, `section`, `inputs`, the run's seed and budget, and the version of
    /// the code. If all of these are as recorded and every output file is intact, the work is skipped; so it is if another
    /// run directory, of those this one shares with, holds the same output. Otherwise `work`
    /// writes into a partial directory that one rename commits; if it fails, nothing of it remains but its scratch
    /// space, which the next attempt with the same fingerprint finds again.
    ///
    /// # Errors
    /// The work fails or is interrupted; an input cannot be read; the run directory cannot be written; it holds the stage
    /// or an attempt at it with another fingerprint, and [`Drift::Refused`](super::Drift::Refused).
    pub fn stage(
        &self,
        name: &str,
        section: &impl Serialize,
        inputs: &[Input],
        work: impl FnOnce(&StageContext) -> anyhow::Result<()>,
    ) -> anyhow::Result<StageOutput> {
        let _span = info_span!("stage", %name).entered();
        self.stop.check()?;
        let directory = self.visit(name)?;
        let wanted = Fingerprinted::of(name, &self.record, section, inputs)
            .with_context(|| format!("stage {name} cannot start"))?;
        if let Some(done) = self.find(&directory)?
            && let Some(output) = reuse(&done, &wanted.fingerprint)?
        {
            self.forget_attempt(&directory, &wanted.fingerprint)?;
            return Ok(output);
        }
        let drift = self.drift(&directory, &wanted.fingerprint)?;
        self.describe()?;
        let _claim = self.claim(&wanted)?;
        if let Some(output) = self.adopt(&directory, &wanted)? {
            return Ok(output);
        }
        self.check_only(&wanted)?;
        self.execute(&directory, (&wanted, drift), work).map_err(|error| {
            if error.is::<Interrupted>() { error } else { error.context(format!("stage {name} failed")) }
        })
    }

    /// Gives the stage the next number. If an earlier session gave it another one, the directory moves.
    fn visit(&self, name: &str) -> anyhow::Result<String> {
        let mut visited = self.visited.lock().expect("no stage panics while holding the lock");
        let directory = format!("{:02}-{name}", visited.len() + 1);
        let same = |stage: &Committed| stage.manifest.stage == name && !visited.contains(&stage.directory);
        let known = self.layout.committed()?.into_iter().find(same);
        if let Some(known) = known.filter(|known| known.directory != directory) {
            info!("was {}, is {directory} now", known.directory);
            commit::rename(&known.path, &self.layout.stage(&directory))?;
        }
        visited.push(directory.clone());
        Ok(directory)
    }

    pub(super) fn find(&self, directory: &str) -> anyhow::Result<Option<Committed>> {
        Ok(self.layout.committed()?.into_iter().find(|stage| stage.directory == directory))
    }

    fn execute(
        &self,
        directory: &str,
        (wanted, drift): (&Fingerprinted, Option<String>),
        work: impl FnOnce(&StageContext) -> anyhow::Result<()>,
    ) -> anyhow::Result<StageOutput> {
        info!("started");
        let context = self.context(directory, wanted)?;
        if let Err(error) = work(&context) {
            // Best effort: the work's own error is the one to report, and the next session cleans up.
            drop(commit::remove_directory(context.partial()));
            return Err(error);
        }
        let files = self.commit(directory, &context, (wanted, drift))?;
        info!("done in {:.1} s", context.spent().seconds);
        let (name, dir) = (wanted.fingerprint.stage.clone(), self.layout.stage(directory));
        Ok(StageOutput { name, dir, reused: false, files })
    }

    fn context(&self, directory: &str, wanted: &Fingerprinted) -> anyhow::Result<StageContext> {
        let partial = self.layout.partial(directory);
        commit::fresh_directory(&partial)?;
        let scratch = self.scratch(directory, &wanted.fingerprint)?;
        let name = wanted.fingerprint.stage.as_str();
        let identity = hash::of_bytes(&wanted.fingerprint.to_bytes()?);
        let key = self.key().named(name);
        let (stage, tensors) = ((name, identity.as_str()), (key, self.device.clone()));
        Ok(StageContext::new(stage, (partial, scratch), tensors, self.stop.clone()))
    }

    /// The scratch space that an attempt with this fingerprint left, or an empty one.
    fn scratch(&self, directory: &str, fingerprint: &Fingerprint) -> anyhow::Result<PathBuf> {
        let (work, bytes) = (self.layout.work(directory), fingerprint.to_bytes()?);
        let (label, scratch) = (work.join(FINGERPRINT), work.join(SCRATCH));
        if !fs::read(&label).is_ok_and(|known| known == bytes) {
            commit::fresh_directory(&work)?;
            commit::write_file(&label, &bytes)?;
        }
        commit::create_directory(&scratch)?;
        if fs::read_dir(&scratch).is_ok_and(|mut entries| entries.next().is_some()) {
            info!("continues an interrupted attempt");
        }
        Ok(scratch)
    }

    fn commit(
        &self,
        directory: &str,
        context: &StageContext,
        (wanted, drift): (&Fingerprinted, Option<String>),
    ) -> anyhow::Result<Hashes> {
        let Spent { seconds, cpu_seconds } = context.spent();
        let (partial, fingerprint) = (context.partial(), wanted.fingerprint.to_bytes()?);
        commit::write_file(&partial.join(METRICS), &context.metric_lines()?)?;
        commit::write_file(&partial.join(FINGERPRINT), &fingerprint)?;
        let outputs = hash::of_tree(partial)?;
        let manifest = Manifest {
            stage: wanted.fingerprint.stage.clone(),
            fingerprint: hash::of_bytes(&fingerprint),
            inputs: wanted.inputs.clone(),
            outputs: outputs.clone(),
            seconds,
            cpu_seconds,
            peak_memory: context.peak_memory(),
            marks: context.marks(),
            drift,
        };
        commit::write_file(&partial.join(MANIFEST), &seal(&manifest)?)?;
        commit::commit_directory(partial, &self.layout.stage(directory))?;
        self.collect_metrics()?;
        commit::discard_directory(&self.layout.work(directory))?;
        Ok(outputs)
    }

    /// Rewrites the root `metrics.jsonl` as the concatenation of the committed stages', and `tensorboard/` from the same rows.
    pub(super) fn collect_metrics(&self) -> anyhow::Result<()> {
        let stages = self.layout.committed()?;
        write_if_changed(&self.layout.metrics(), &concatenated_metrics(&stages))?;
        super::tensorboard::write(&self.layout, &stages)
    }
}

/// The metric rows of stages, in their order. A stage that has lost its rows is damaged, which is found when it is verified
/// or used.
pub(super) fn concatenated_metrics(stages: &[Committed]) -> Vec<u8> {
    stages.iter().flat_map(|stage| fs::read(stage.path.join(METRICS)).unwrap_or_default()).collect()
}

/// The committed stage's output, if it is what would be computed now and is intact.
fn reuse(done: &Committed, wanted: &Fingerprint) -> anyhow::Result<Option<StageOutput>> {
    if done.manifest.fingerprint != hash::of_bytes(&wanted.to_bytes()?) {
        return Ok(None);
    }
    let files = hash::of_tree(&done.path)?;
    if let Some(difference) = hash::differences(&done.manifest.outputs, &files).first() {
        warn!("runs again: {}/{difference}", done.directory);
        return Ok(None);
    }
    info!("already done in {}", done.directory);
    let name = done.manifest.stage.clone();
    Ok(Some(StageOutput { name, dir: done.path.clone(), reused: true, files }))
}
