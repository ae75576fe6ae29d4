//! Policy gradients: 16 users, 16 sampled completions each, given rewards, one update per sampling, no reference.

use super::canonical::{self, CODE_LENGTH, GROUP};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use super::learner::{Learner, Rows};
use align::advantage::{Advantage, advantages};
use align::grpo::{Grpo, GrpoBatch, grpo};
use align::tokens::ValidTokens;
use burn::module::Module as _;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::batch::EncoderBatch;
use policy::log_prob::{Scorer, Support};
use policy::model::{Dropout, Policy};
use policy::random::Key;
use sampler::recommend::Codebook;
use sampler::sampling::{Completion, Draws, sample};

const USERS: usize = 16;
const ROWS: usize = USERS * GROUP;
const LEARNING_RATE: f64 = 1e-4;

/// Times sampling over the whole vocabulary and the update that follows it.
pub(super) fn run(timing: Timing) -> anyhow::Result<Outcome> {
    let device = Device::flex().autodiff();
    let codebook = canonical::codebook()?;
    let learner = Learner::of(canonical::policy(&codebook, &device)?, LEARNING_RATE);
    let histories = canonical::histories(USERS, &codebook);
    let advantages = random_advantages()?;
    let (seconds, learner) = timing.steps(learner, |learner| {
        let key = canonical::key().named("completions").at(learner.step());
        let completions = completions(&learner.model.valid(), &codebook, &histories, key);
        let loss = loss(&learner.model, &codebook, &histories, (&completions, &advantages));
        learner.update(&loss)
    })?;
    let case = Case {
        workload: "W-grpo",
        variant: "recalign".into(),
        unit: "completions",
        units: ROWS as f64,
        gflop_per_unit: Some(flops::grpo()),
    };
    Ok(Outcome::new(case, seconds, learner.losses()))
}

fn random_advantages() -> anyhow::Result<Vec<f32>> {
    let rewards: Vec<f64> =
        (0..ROWS as u64).map(|at| canonical::key().named("rewards").at(at).unit()).collect();
    let groups = rewards.chunks(GROUP).map(|group| Ok(advantages(group, Advantage::Standardized)?));
    Ok(groups.collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// A user's completions are neighbours.
fn completions(model: &Policy, codebook: &Codebook, histories: &EncoderBatch, key: Key) -> Vec<Completion> {
    let keys: Vec<Key> = (0..USERS as u64).map(|user| key.at(user)).collect();
    let scorer = Scorer { model, vocab: &codebook.vocab, support: Support::Full };
    let draws = Draws { group: GROUP, temperature: 1.0, keys: &keys };
    let encoded = model.encode(histories, Dropout::Off);
    sample(&scorer, &codebook.trie, &encoded, &draws).concat()
}

fn loss(
    model: &Policy,
    codebook: &Codebook,
    histories: &EncoderBatch,
    (completions, advantages): (&[Completion], &[f32]),
) -> Tensor<1> {
    let device = model.device();
    let tokens: Vec<_> = completions.iter().map(|completion| completion.tokens.clone()).collect();
    let sampled: Vec<f32> = completions.iter().flat_map(|c| c.token_log_probs.iter().copied()).collect();
    let behavior = Tensor::<2>::from_data(TensorData::new(sampled, [ROWS, CODE_LENGTH]), &device);
    let encoded = model.encode(histories, Dropout::Off);
    let batch = GrpoBatch {
        policy: Rows::new(&tokens, codebook).log_probs(model, &encoded, Dropout::Off),
        reference: behavior.clone(),
        behavior,
        advantages: Tensor::from_data(TensorData::new(advantages.to_vec(), [ROWS]), &device),
        valid: ValidTokens::all(ROWS, CODE_LENGTH, &device),
    };
    grpo(batch, &Grpo { kl_weight: 0.0, ..Grpo::default() }).loss
}
