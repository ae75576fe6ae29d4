//! Beam search over many users, batch by batch, each of which an interrupted attempt need not decode again.

use crate::run::{StageContext, commit};
use anyhow::Context as _;
use policy::ids::ItemId;
use sampler::candidate::Candidate;
use sampler::recommend::{Recommender, Seen};
use std::path::Path;

const FILE: &str = "beams.json";

/// An item with the bits of its log-probabilities: nothing is rounded on the way.
type Stored = (ItemId, Vec<u32>);
/// What one batch of users decodes to.
type Beams = Vec<Vec<Candidate>>;

/// Decodes all contexts; checkpoints hold the batches done.
pub(super) fn decode(
    recommender: &Recommender<'_>,
    contexts: &[&[ItemId]],
    width: usize,
    ctx: &StageContext,
) -> anyhow::Result<Beams> {
    let mut done = match ctx.resume()? {
        Some(checkpoint) => read(&checkpoint.dir.join(FILE))?,
        None => Vec::new(),
    };
    let progress = ctx.progress("users", contexts.len() as u64);
    let (mut next, mut saved) = (0, done.len());
    recommender.candidates_by_batch(contexts, width, Seen::Excluded, |batch| {
        let beams = match done.get(next) {
            Some(beams) => beams.clone(),
            None => batch.decode(),
        };
        if next == done.len() {
            done.push(beams.clone());
        }
        next += 1;
        progress.inc(beams.len() as u64);
        let mut save = || {
            if saved < done.len() {
                ctx.save((done.len() as u64, &()), |dir| write(&dir.join(FILE), &done))?;
                saved = done.len();
            }
            Ok(())
        };
        if ctx.save_due() {
            save()?;
        }
        StageContext::saving(ctx.check_stop(), save)?;
        Ok(beams)
    })
}

fn write(path: &Path, done: &[Beams]) -> anyhow::Result<()> {
    let stored = |candidate: &Candidate| -> Stored {
        let bits = candidate.token_log_probs.iter().map(|log_prob| log_prob.to_bits()).collect();
        (candidate.item, bits)
    };
    let beam = |beam: &Vec<Candidate>| beam.iter().map(stored).collect::<Vec<_>>();
    let batches: Vec<Vec<Vec<Stored>>> = done.iter().map(|beams| beams.iter().map(beam).collect()).collect();
    commit::write_file(path, &serde_json::to_vec(&batches)?)
}

fn read(path: &Path) -> anyhow::Result<Vec<Beams>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let batches: Vec<Vec<Vec<Stored>>> =
        serde_json::from_slice(&bytes).with_context(|| format!("{} holds no beams", path.display()))?;
    let candidate = |(item, bits): Stored| Candidate {
        item,
        token_log_probs: bits.into_iter().map(f32::from_bits).collect(),
    };
    let beam = |beam: Vec<Stored>| beam.into_iter().map(candidate).collect();
    Ok(batches.into_iter().map(|beams| beams.into_iter().map(beam).collect()).collect())
}
