//! Decoder-only training: 32 rows of 200 tokens, every token a target.

use super::canonical::{self, CODE_LENGTH, D_MODEL, INNER, LAYERS};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use super::learner::Learner;
use align::ntp::ntp;
use align::tokens::ValidTokens;
use burn::prelude::*;
use policy::batch::EncoderBatch;
use policy::history::Context;
use policy::kernels::Targets;
use policy::model::{CausalLm, CausalLmConfig};
use policy::vocab::END;

const BATCH: usize = 32;
/// Tokens of a row.
pub(super) const LENGTH: usize = 200;
const LEARNING_RATE: f64 = 1e-3;

/// Times updates.
pub(super) fn run(timing: Timing, rate: f64) -> anyhow::Result<Outcome> {
    let device = Device::flex().autodiff();
    let codebook = canonical::codebook()?;
    let config = CausalLmConfig {
        vocab_size: codebook.vocab.size(),
        positions: LENGTH,
        d_model: D_MODEL,
        d_kv: canonical::D_KV,
        d_ff: INNER,
        num_heads: D_MODEL / canonical::D_KV,
        num_layers: LAYERS,
    };
    let model = CausalLm::new(&config, canonical::key().named("causal"), &device);
    let items = canonical::items(BATCH * LENGTH / CODE_LENGTH, "rows", &codebook);
    let contexts: Vec<Context<'_>> = items.chunks(LENGTH / CODE_LENGTH).map(Context::from).collect();
    let batch = EncoderBatch::new(&contexts, LENGTH / CODE_LENGTH, &codebook.catalog);
    let targets = following(&batch, codebook.vocab.size());
    let (seconds, learner) = timing.steps(Learner::of(model, LEARNING_RATE), |learner| {
        let dropout = canonical::dropout(rate, learner.step());
        let states = learner.model.states(&batch, dropout);
        let log_probs = learner.model.target_log_probs(states, targets.clone());
        let valid = ValidTokens::all(BATCH, LENGTH, &device);
        learner.update(&ntp(log_probs.reshape([BATCH, LENGTH]), &valid))
    })?;
    let case = Case {
        workload: "W-dec",
        variant: "recalign".into(),
        unit: "tokens",
        units: (BATCH * LENGTH) as f64,
        gflop_per_unit: Some(flops::causal_token()),
    };
    let [first, last] = learner.losses();
    Ok(Outcome::new(case, seconds, [("dropout", rate.into()), first, last]))
}

/// The token after each token; the end after the last of a row.
fn following(batch: &EncoderBatch, vocab: usize) -> Targets {
    let rows = batch.tokens.chunks(LENGTH);
    let targets = rows.flat_map(|row| row[1..].iter().copied().chain([END])).collect();
    Targets::among(0..vocab, targets)
}
