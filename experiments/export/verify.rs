//! Whether an exported directory is what was exported: hashes, then the golden requests again.

use super::bundle::Bundle;
use super::description::Tolerance;
use super::golden::Golden;
use super::manifest;
use crate::threads::in_pool;
use anyhow::{Context as _, bail};
use burn::prelude::Device;
use policy::ids::ItemId;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Verdict {
    /// What does not match; empty if everything does.
    pub problems: Vec<String>,
    /// Files whose hash was checked.
    pub files: usize,
    /// How the golden requests went; `None` if a hash differs, for then nothing is loaded.
    pub replay: Option<Drift>,
}

/// How far answers are from the stored ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Drift {
    /// Requests.
    pub requests: usize,
    /// Largest difference of a logit.
    pub logits: f64,
    /// Largest difference of the log-probabilities at one rank.
    pub log_prob: f64,
    /// Ranks with another item whose log-probability is not within the tolerance: no tie.
    pub other_items: usize,
}

/// Verifies a directory.
///
/// # Errors
/// It is not an exported directory or cannot be read. What does not match is no error but a verdict.
pub fn verify(dir: &Path, device: &Device) -> anyhow::Result<Verdict> {
    Ok(checked(dir, device)?.0)
}

/// Verifies a directory; with it, the bundle, if everything matches.
///
/// # Errors
/// As those of [`verify`].
pub fn checked(dir: &Path, device: &Device) -> anyhow::Result<(Verdict, Option<Bundle>)> {
    let mut problems = manifest::differences(dir)?;
    let files = manifest::read(dir).map_or(0, |manifest| manifest.files.len());
    if !problems.is_empty() {
        return Ok((Verdict { problems, files, replay: None }, None));
    }
    let bundle = Bundle::load(dir, device)?;
    let drift = replay(&bundle)?;
    problems.extend(drift.problems(&bundle.description.tolerance));
    let intact = problems.is_empty();
    Ok((Verdict { problems, files, replay: Some(drift) }, intact.then_some(bundle)))
}

/// A directory's bundle, if it verifies.
///
/// # Errors
/// It is not an exported directory, or [`Unverified`].
pub fn verified(dir: &Path, device: &Device) -> anyhow::Result<Bundle> {
    let checked = in_pool(|| checked(dir, device));
    let (verdict, bundle) = checked.with_context(|| format!("cannot load {}", dir.display()))?;
    match (bundle, verdict.problems.first()) {
        (Some(bundle), _) => Ok(bundle),
        (None, Some(problem)) => bail!(Unverified { dir: dir.to_owned(), problem: problem.clone() }),
        (None, None) => unreachable!("what is not loaded has a problem"),
    }
}

/// A directory that is not what was exported.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} does not verify: {problem}; export it again, or compare with `recalign export verify`", dir.display())]
pub struct Unverified {
    dir: PathBuf,
    problem: String,
}

fn replay(bundle: &Bundle) -> anyhow::Result<Drift> {
    let stored = Golden::read(bundle)?;
    let answered = Golden::of(bundle, stored.histories.clone());
    Ok(drift(&stored, &answered, bundle.description.tolerance.log_prob))
}

/// Compares answers to the same requests; items with log-probabilities closer than `tie` may change places.
pub(super) fn drift(stored: &Golden, answered: &Golden, tie: f64) -> Drift {
    let mut drift = Drift { requests: stored.histories.len(), ..Drift::default() };
    for (a, b) in stored.logits.iter().flatten().zip(answered.logits.iter().flatten()) {
        drift.logits = farther(drift.logits, f64::from((a - b).abs()));
    }
    for (a, b) in stored.beams.iter().zip(&answered.beams) {
        drift.other_items += a.len().abs_diff(b.len());
        for (a, b) in a.iter().zip(b) {
            drift.rank(*a, *b, tie);
        }
    }
    drift
}

/// The larger difference; one that is not a number is as large as any.
fn farther(most: f64, difference: f64) -> f64 {
    if difference.is_nan() { f64::INFINITY } else { most.max(difference) }
}

impl Drift {
    fn rank(&mut self, a: (ItemId, f32), b: (ItemId, f32), tie: f64) {
        let difference = f64::from((a.1 - b.1).abs());
        self.log_prob = farther(self.log_prob, difference);
        self.other_items += usize::from(a.0 != b.0 && difference > tie);
    }

    fn problems(&self, tolerance: &Tolerance) -> Vec<String> {
        let mut problems = Vec::new();
        let found =
            [("logits", self.logits, tolerance.logits), ("log_prob", self.log_prob, tolerance.log_prob)];
        for (what, difference, tolerance) in found {
            if difference > tolerance {
                problems.push(format!(
                    "golden requests: {what} differ by {difference:.2e}, at most {tolerance:e} is allowed"
                ));
            }
        }
        if self.other_items > 0 {
            problems.push(format!("golden requests: {} ranks have another item", self.other_items));
        }
        problems
    }
}
