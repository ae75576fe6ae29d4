//! Batches of rollouts as losses.

use super::{Round, next_token_samples};
use crate::stages::bench::Bench;
use crate::stages::pretrain::examples::{Example, examples};
use crate::stages::sample::rollouts::Rollout;
use align::advantage::advantages;
use align::dpo::PairLogProbs;
use align::grpo::{Grpo, GrpoBatch, grpo};
use align::ipa::{Ipa, IpaBatch, ipa};
use align::loss::LossOutput;
use align::objective::Objective;
use align::pairs::{Pair, ScoredCandidates, best_and_worst};
use align::tokens::ValidTokens;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Encoded, Policy};
use policy::random::Key;
use rand::RngExt as _;
use sampler::recommend::Recommender;

/// What a round trains on, in fixed batches of users.
pub(super) struct Samples<'a> {
    objective: &'a Objective,
    batch_size: usize,
    /// Rollouts with what the objective derives from them.
    rollouts: Vec<Sample>,
    /// Pool of next-token examples.
    examples: Vec<Example>,
}

struct Sample {
    rollout: Rollout,
    /// Best and worst, for pair objectives.
    pair: Option<Pair>,
    /// One per candidate, for group objectives.
    advantages: Vec<f32>,
}

impl<'a> Samples<'a> {
    /// Prepares rollouts for the arm's objective; users without a pair are left out of pair objectives.
    pub(super) fn new(round: &'a Round<'a>, rollouts: Vec<Rollout>, bench: &Bench) -> anyhow::Result<Self> {
        let objective = &round.arm.objective;
        let mut samples = Vec::with_capacity(rollouts.len());
        for rollout in rollouts {
            let mut sample = Sample { pair: None, advantages: Vec::new(), rollout };
            match objective {
                Objective::Ipa(_) => {
                    let (items, rollout) = (sample.rollout.items(), &sample.rollout);
                    let scored =
                        ScoredCandidates { user: rollout.user, items: &items, scores: &rollout.scores };
                    sample.pair = best_and_worst(scored, bench.min_margin)?;
                    if sample.pair.is_none() {
                        continue;
                    }
                }
                Objective::Grpo(grpo) => {
                    sample.advantages = advantages(&sample.rollout.scores, grpo.advantage)?;
                }
            }
            samples.push(sample);
        }
        anyhow::ensure!(!samples.is_empty(), "no rollout gives a pair; lower sample.min_margin");
        let examples = match objective {
            Objective::Ipa(_) => examples(&bench.dataset.log, round.pretrain.targets, Key::new(0)),
            Objective::Grpo(_) => Vec::new(),
        };
        Ok(Self { objective, batch_size: round.section.batch_size, rollouts: samples, examples })
    }
    pub(super) fn batches(&self) -> usize {
        self.rollouts.len().div_ceil(self.batch_size)
    }
    fn batch(&self, index: usize) -> &[Sample] {
        let start = index * self.batch_size;
        &self.rollouts[start..(start + self.batch_size).min(self.rollouts.len())]
    }
    pub(super) fn describe(&self, batch: usize) -> String {
        self.batch(batch).iter().map(|s| s.rollout.user.index().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// One update's computation. No dropout: the policy that is improved is the one that is served.
pub(super) struct Step<'a> {
    pub(super) samples: &'a Samples<'a>,
    pub(super) bench: &'a Bench,
    pub(super) key: Key,
}

impl Step<'_> {
    pub(super) fn loss(&self, model: &Policy, batch: usize) -> LossOutput {
        let batch = self.samples.batch(batch);
        match self.samples.objective {
            Objective::Ipa(config) => self.ipa(model, batch, config),
            Objective::Grpo(config) => self.grpo(model, batch, config),
        }
    }

    fn grpo(&self, model: &Policy, batch: &[Sample], config: &Grpo) -> LossOutput {
        let device = model.device();
        let rollouts: Vec<&Rollout> = batch.iter().map(|sample| &sample.rollout).collect();
        let policy = candidate_log_probs(model, &rollouts, self.bench);
        let behavior = stored_log_probs(&rollouts, &device);
        let [rows, tokens] = policy.dims();
        let advantages: Vec<f32> =
            batch.iter().flat_map(|sample| sample.advantages.iter().copied()).collect();
        let batch = GrpoBatch {
            policy,
            reference: behavior.clone(),
            behavior,
            advantages: Tensor::from_data(TensorData::new(advantages, [rows]), &device),
            valid: ValidTokens::all(rows, tokens, &device),
        };
        grpo(batch, config)
    }

    fn ipa(&self, model: &Policy, batch: &[Sample], config: &Ipa) -> LossOutput {
        let device = model.device();
        let log = &self.bench.dataset.log;
        let extra = next_token_samples(self.samples.objective, batch.len());
        let mut rng = self.key.named("next-token").rng();
        let pool = &self.samples.examples;
        let drawn: Vec<Example> = (0..extra).map(|_| pool[rng.random_range(0..pool.len())]).collect();
        let own = batch.iter().map(|s| Example { user: s.rollout.user, target: s.rollout.known });
        let examples: Vec<Example> = own.chain(drawn).collect();
        let contexts: Vec<&[ItemId]> = examples.iter().map(|example| example.context(log)).collect();
        // Next tokens are learnt over the whole vocabulary, as in pretraining; preferences in the configured space.
        let full = Recommender { space: LogProbSpace::Full, ..self.bench.recommender(model) };
        let encoded = full.encode(&contexts, Dropout::Off);
        let catalog = &self.bench.codebook.catalog;
        let targets: Vec<&SemanticId> = examples.iter().map(|e| catalog.semantic_id(e.item(log))).collect();
        let targets = full.scorer().token_log_probs(&encoded, &targets, Dropout::Off);
        let valid = ValidTokens::all(examples.len(), catalog.levels(), &device);
        let pairs = self.pairs(model, batch, &encoded.first(batch.len()));
        ipa(IpaBatch { targets, valid, pairs: Some(pairs) }, config)
    }

    /// Sequence log-probabilities of both sides; the encoder has read each history once.
    fn pairs(&self, model: &Policy, batch: &[Sample], encoded: &Encoded) -> PairLogProbs {
        let catalog = &self.bench.codebook.catalog;
        let sides = |sample: &Sample| {
            let pair = sample.pair.expect("samples without a pair were left out");
            [pair.chosen, pair.rejected]
        };
        let ids: Vec<&SemanticId> = batch
            .iter()
            .flat_map(|s| sides(s).map(|at| catalog.semantic_id(s.rollout.candidates[at].item)))
            .collect();
        let policy = self.bench.recommender(model).scorer().token_log_probs(encoded, &ids, Dropout::Off);
        let policy = policy.sum_dim(1).reshape([batch.len(), 2]);
        let stored: Vec<f32> = batch
            .iter()
            .flat_map(|s| sides(s).map(|at| s.rollout.candidates[at].log_prob() as f32))
            .collect();
        let reference = Tensor::<2>::from_data(TensorData::new(stored, [batch.len(), 2]), &model.device());
        let side = |table: &Tensor<2>, column: usize| {
            table.clone().slice([0..batch.len(), column..column + 1]).reshape([batch.len()])
        };
        PairLogProbs {
            policy_chosen: side(&policy, 0),
            policy_rejected: side(&policy, 1),
            reference_chosen: side(&reference, 0),
            reference_rejected: side(&reference, 1),
        }
    }
}

/// `[users * candidates, l]` under `model`.
fn candidate_log_probs(model: &Policy, rollouts: &[&Rollout], bench: &Bench) -> Tensor<2> {
    let log = &bench.dataset.log;
    let contexts: Vec<&[ItemId]> = rollouts.iter().map(|r| &log.history(r.user).items[..r.known]).collect();
    let recommender = bench.recommender(model);
    let catalog = &bench.codebook.catalog;
    let ids: Vec<&SemanticId> =
        rollouts.iter().flat_map(|r| r.candidates.iter().map(|c| catalog.semantic_id(c.item))).collect();
    recommender.scorer().token_log_probs(&recommender.encode(&contexts, Dropout::Off), &ids, Dropout::Off)
}

fn stored_log_probs(rollouts: &[&Rollout], device: &Device) -> Tensor<2> {
    let rows: usize = rollouts.iter().map(|rollout| rollout.candidates.len()).sum();
    let values: Vec<f32> = rollouts
        .iter()
        .flat_map(|rollout| rollout.candidates.iter().flat_map(|c| c.token_log_probs.iter().copied()))
        .collect();
    let levels = values.len() / rows;
    Tensor::from_data(TensorData::new(values, [rows, levels]), device)
}

/// Largest difference between stored and recomputed token log-probabilities.
pub(super) fn behavior_gap(model: &Policy, rollouts: &[Rollout], bench: &Bench) -> f64 {
    let rollouts: Vec<&Rollout> = rollouts.iter().collect();
    let recomputed = candidate_log_probs(model, &rollouts, bench);
    let stored = stored_log_probs(&rollouts, &recomputed.device());
    f64::from((recomputed - stored).abs().max().into_scalar::<f32>())
}
