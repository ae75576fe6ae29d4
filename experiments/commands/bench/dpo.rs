//! Preference optimisation: 32 pairs, both rows of a pair on one reading of the history, policy and frozen reference.

use super::canonical::{self, CODE_LENGTH};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use super::learner::{Learner, Rows};
use crate::cli::Reference;
use align::dpo::{Dpo, dpo};
use align::preferences::Preferences;
use burn::module::Module as _;
use burn::prelude::*;
use policy::model::{Dropout, Policy};
use sampler::recommend::Codebook;

const PAIRS: usize = 32;
const BETA: f64 = 0.1;
const LEARNING_RATE: f64 = 1e-4;

/// Times updates. A recomputed reference costs a pass in each of them; a stored one was computed before the first.
pub(super) fn run(timing: Timing, source: Reference) -> anyhow::Result<Outcome> {
    let device = Device::flex().autodiff();
    let codebook = canonical::codebook()?;
    let learner = Learner::of(canonical::policy(&codebook, &device)?, LEARNING_RATE);
    let reference = learner.model.valid();
    let batch = Batch::new(&codebook);
    let frozen = || Tensor::from_data(batch.log_probs(&reference).into_data(), &device);
    let stored = (source == Reference::Stored).then(frozen);
    let (seconds, learner) = timing.steps(learner, |learner| {
        let frozen = stored.clone().unwrap_or_else(frozen);
        let pairs =
            Preferences { policy: batch.log_probs(&learner.model), reference: frozen, tokens: CODE_LENGTH };
        let loss = dpo(&pairs, &Dpo { beta: BETA, ..Dpo::default() }).loss;
        learner.update(&loss)
    })?;
    let case = Case {
        workload: "W-dpo",
        variant: match source {
            Reference::Recomputed => "recalign".into(),
            Reference::Stored => "recalign, stored reference".into(),
        },
        unit: "pairs",
        units: PAIRS as f64,
        gflop_per_unit: (source == Reference::Recomputed).then(flops::dpo),
    };
    Ok(Outcome::new(case, seconds, learner.losses()))
}

/// Histories and target rows.
struct Batch {
    histories: policy::batch::EncoderBatch,
    rows: Rows,
}

impl Batch {
    fn new(codebook: &Codebook) -> Self {
        let targets = canonical::targets(2 * PAIRS, codebook);
        let histories = canonical::histories(PAIRS, codebook);
        Self { histories, rows: Rows::new(&targets, codebook) }
    }
    /// Of the chosen and the rejected row of every pair, `[pairs, 2]`.
    fn log_probs(&self, model: &Policy) -> Tensor<2> {
        let encoded = model.encode(&self.histories, Dropout::Off);
        self.rows.log_probs(model, &encoded, Dropout::Off).sum_dim(1).reshape([PAIRS, 2])
    }
}
