//! Next-token training: 64 histories of 80 tokens, targets of 4 codes and the end.

use super::canonical;
use super::flops;
use super::harness::{Case, Outcome, Timing};
use super::learner::{Learner, Rows};
use crate::run::commit::write_file;
use align::ntp::ntp;
use align::tokens::ValidTokens;
use burn::module::Module as _;
use burn::prelude::*;
use policy::batch::EncoderBatch;
use policy::checkpoint;
use policy::model::{Dropout, Policy};
use sampler::recommend::Codebook;
use std::path::Path;

const BATCH: usize = 64;
/// Of the updates.
pub(super) const LEARNING_RATE: f64 = 1e-3;

/// Times updates. `write` receives the policy before the first of them, the batch, and its loss.
pub(super) fn run(timing: Timing, rate: f64, write: Option<&Path>) -> anyhow::Result<Outcome> {
    let device = Device::flex().autodiff();
    let codebook = canonical::codebook()?;
    let learner = Learner::of(canonical::policy(&codebook, &device)?, LEARNING_RATE);
    let (histories, targets) = (canonical::histories(BATCH, &codebook), canonical::targets(BATCH, &codebook));
    let rows = Rows::new(&targets, &codebook);
    if let Some(dir) = write {
        write_case(dir, (&learner.model.valid(), &codebook), &targets)?;
    }
    let (seconds, learner) = timing.steps(learner, |learner| update(learner, (&histories, &rows), rate))?;
    let case = Case {
        workload: "W-train",
        variant: "recalign".into(),
        unit: "examples",
        units: BATCH as f64,
        gflop_per_unit: Some(flops::train()),
    };
    let [first, last] = learner.losses();
    Ok(Outcome::new(case, seconds, [("dropout", rate.into()), first, last]))
}

/// One step on a batch of histories and their targets.
///
/// # Errors
/// The loss or the gradient is not finite.
pub(super) fn update(
    learner: Learner<Policy>,
    (histories, rows): (&EncoderBatch, &Rows),
    rate: f64,
) -> anyhow::Result<Learner<Policy>> {
    let dropout = canonical::dropout(rate, learner.step());
    let loss = loss(&learner.model, histories, rows, dropout);
    learner.update(&loss)
}

/// Mean cross-entropy of the targets' tokens.
fn loss(model: &Policy, histories: &EncoderBatch, rows: &Rows, dropout: Dropout) -> Tensor<1> {
    let encoded = model.encode(histories, dropout);
    let log_probs = rows.log_probs(model, &encoded, dropout);
    let [r, t] = log_probs.dims();
    let valid = ValidTokens::all(r, t, &log_probs.device());
    ntp(log_probs, &valid)
}

/// What `experiments/bench/check_train.py` compares with.
fn write_case(
    dir: &Path,
    (model, codebook): (&Policy, &Codebook),
    targets: &[Vec<u32>],
) -> anyhow::Result<()> {
    checkpoint::write(model, &canonical::config(codebook), dir)?;
    let rows = Rows::new(targets, codebook);
    let loss = loss(model, &canonical::histories(BATCH, codebook), &rows, Dropout::Off);
    let inputs = canonical::history_tokens(BATCH, codebook);
    let case = serde_json::json!({ "inputs": inputs, "targets": targets, "loss": loss.into_scalar::<f32>() });
    write_file(&dir.join("train.json"), &serde_json::to_vec(&case)?)
}
