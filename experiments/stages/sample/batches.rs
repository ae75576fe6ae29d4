//! Batches of users whose candidates were found, each of which an interrupted attempt need not search again.

use crate::progress::Progress;
use crate::run::{StageContext, commit};
use anyhow::Context as _;
use policy::ids::ItemId;
use sampler::candidate::Candidate;
use sampler::rollout::Batch;
use std::path::Path;

const FILE: &str = "candidates.json";

/// An item with the bits of its log-probabilities: nothing is rounded on the way.
type Stored = (ItemId, Vec<u32>);
/// What one batch of users decodes to.
type Lists = Vec<Vec<Candidate>>;

/// The batches of a stage; checkpoints hold those that are done.
pub(super) struct Batches<'a> {
    ctx: &'a StageContext,
    progress: Progress,
    done: Vec<Lists>,
    /// Batches asked for so far.
    asked: usize,
    /// Batches in the newest checkpoint.
    saved: usize,
}

impl<'a> Batches<'a> {
    /// Where an interrupted attempt left off, or at the beginning.
    ///
    /// # Errors
    /// A checkpoint cannot be read.
    pub(super) fn resume(ctx: &'a StageContext, users: u64) -> anyhow::Result<Self> {
        let done = match ctx.resume()? {
            Some(checkpoint) => read(&checkpoint.dir.join(FILE))?,
            None => Vec::new(),
        };
        let (progress, saved) = (ctx.progress("users", users), done.len());
        Ok(Self { ctx, progress, done, asked: 0, saved })
    }

    /// What the next batch decodes to.
    ///
    /// # Errors
    /// The run is stopped, or a checkpoint cannot be written.
    pub(super) fn next(&mut self, batch: &Batch<'_>) -> anyhow::Result<Lists> {
        if self.asked == self.done.len() {
            self.done.push(batch.decode());
        }
        let lists = self.done[self.asked].clone();
        self.asked += 1;
        self.progress.inc(lists.len() as u64);
        if self.ctx.save_due() {
            self.save()?;
        }
        StageContext::saving(self.ctx.check_stop(), || self.save())?;
        Ok(lists)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        if self.saved < self.done.len() {
            self.ctx.save((self.done.len() as u64, &()), |dir| write(&dir.join(FILE), &self.done))?;
            self.saved = self.done.len();
        }
        Ok(())
    }
}

fn write(path: &Path, done: &[Lists]) -> anyhow::Result<()> {
    let stored = |candidate: &Candidate| -> Stored {
        let bits = candidate.token_log_probs.iter().map(|log_prob| log_prob.to_bits()).collect();
        (candidate.item, bits)
    };
    let list = |list: &Vec<Candidate>| list.iter().map(stored).collect::<Vec<_>>();
    let batches: Vec<Vec<Vec<Stored>>> = done.iter().map(|lists| lists.iter().map(list).collect()).collect();
    commit::write_file(path, &serde_json::to_vec(&batches)?)
}

fn read(path: &Path) -> anyhow::Result<Vec<Lists>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let batches: Vec<Vec<Vec<Stored>>> =
        serde_json::from_slice(&bytes).with_context(|| format!("{} holds no candidates", path.display()))?;
    let candidate = |(item, bits): Stored| Candidate {
        item,
        token_log_probs: bits.into_iter().map(f32::from_bits).collect(),
    };
    let list = |list: Vec<Stored>| list.into_iter().map(candidate).collect();
    Ok(batches.into_iter().map(|lists| lists.into_iter().map(list).collect()).collect())
}
