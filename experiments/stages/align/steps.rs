//! Batches of rollouts as losses.

use super::samples::{Sample, Samples, further_samples};
use super::scoring::{context, of_items, stacked};
use crate::stages::bench::Bench;
use crate::stages::pretrain::examples::Example;
use align::dpo::dpo;
use align::duration::DurationAware;
use align::format::Format;
use align::grpo::{Grpo, GrpoBatch, grpo};
use align::ipa::{IpaBatch, ipa};
use align::loss::LossOutput;
use align::ntp::ntp;
use align::objective::Objective;
use align::preferences::Preferences;
use align::reference_free::{cpo, orpo, simpo};
use align::softmax_dpo::softmax_dpo;
use align::tokens::ValidTokens;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Encoded, Policy};
use policy::random::Key;
use rand::RngExt as _;
use sampler::recommend::Recommender;
use std::cell::OnceCell;

/// One update's computation. No dropout: the policy that is improved is the one that is served.
pub(super) struct Step<'a> {
    pub(super) samples: &'a Samples<'a>,
    pub(super) bench: &'a Bench,
    /// A reference that moves with the steps; others were scored before the first.
    pub(super) reference: Option<&'a Policy>,
    pub(super) key: Key,
}

/// The loss of a step; metric names are as many as terms.
pub(super) struct StepLoss {
    pub(super) loss: Tensor<1>,
    pub(super) metrics: Vec<(String, f64)>,
}

impl Step<'_> {
    pub(super) fn loss(&self, model: &Policy, batch: usize) -> StepLoss {
        let inputs = Inputs::new(self, model, self.samples.batch(batch));
        let terms = &self.samples.terms;
        if let [(weight, term)] = terms.as_slice() {
            let LossOutput { loss, metrics } = inputs.term(0, term);
            return StepLoss { loss: loss * *weight, metrics: named(metrics) };
        }
        let mut losses = Vec::with_capacity(terms.len());
        let mut metrics: Vec<(String, f64)> = Vec::new();
        for (index, (weight, term)) in terms.iter().enumerate() {
            let output = inputs.term(index, term);
            let key = format!("objective/{}-{}", index + 1, term.name());
            metrics.push((key, output.loss.clone().into_scalar::<f64>()));
            // Terms of one family measure the same; the first speaks for all.
            for (key, value) in named(output.metrics) {
                if metrics.iter().all(|(known, _)| *known != key) {
                    metrics.push((key, value));
                }
            }
            losses.push(output.loss * *weight);
        }
        StepLoss { loss: Tensor::cat(losses, 0).sum(), metrics }
    }
}

fn named(metrics: Vec<(&'static str, f64)>) -> Vec<(String, f64)> {
    metrics.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What the terms of a step read; each thing is computed once, when the first term asks.
struct Inputs<'a> {
    step: &'a Step<'a>,
    model: &'a Policy,
    batch: &'a [Sample],
    /// Observed targets of the batch's users, then further samples of the log.
    examples: Vec<Example>,
    /// The histories of the examples.
    encoded: Encoded,
    preferences: OnceCell<Preferences>,
    group: OnceCell<[Tensor<2>; 2]>,
}

impl<'a> Inputs<'a> {
    fn new(step: &'a Step<'a>, model: &'a Policy, batch: &'a [Sample]) -> Self {
        let (bench, pool) = (step.bench, &step.samples.examples);
        let terms = step.samples.terms.iter();
        let further = terms.map(|(_, term)| further_samples(term, batch.len())).max().unwrap_or(0);
        let mut rng = step.key.named("next-token").rng();
        let drawn: Vec<Example> = (0..further).map(|_| pool[rng.random_range(0..pool.len())]).collect();
        let own = batch.iter().map(|s| Example { user: s.rollout.user, target: s.rollout.known });
        let examples: Vec<Example> = own.chain(drawn).collect();
        let log = &bench.dataset.log;
        let contexts: Vec<_> = examples.iter().map(|example| example.context(log)).collect();
        let encoded = bench.recommender(model).encode(&contexts, Dropout::Off);
        let (preferences, group) = (OnceCell::new(), OnceCell::new());
        Self { step, model, batch, examples, encoded, preferences, group }
    }

    fn term(&self, index: usize, term: &Objective) -> LossOutput {
        match term {
            Objective::Ipa(config) => {
                let (targets, valid) = self.targets(further_samples(term, self.batch.len()));
                ipa(IpaBatch { targets, valid, pairs: Some(self.preferences().clone()) }, config)
            }
            Objective::Grpo(config) => self.grpo(index, config),
            Objective::Dpo(config) => dpo(self.preferences(), config),
            Objective::SDpo(config) => softmax_dpo(self.preferences(), config),
            Objective::Cpo(config) => cpo(self.preferences(), config),
            Objective::Simpo(config) => simpo(self.preferences(), config),
            Objective::Orpo(config) => orpo(self.preferences(), config),
            Objective::Ntp(_) => {
                let (targets, valid) = self.targets(further_samples(term, self.batch.len()));
                let loss = ntp(targets, &valid);
                let metrics = vec![("ntp/loss", loss.clone().into_scalar::<f64>())];
                LossOutput { loss, metrics }
            }
            Objective::DurationAware(config) => self.duration_aware(term, config),
            Objective::Format(config) => self.format(index, config),
            Objective::Sum(_) => unreachable!("sums were taken apart into their terms"),
        }
    }

    /// Log-probabilities of what users really took, and of `further` samples of the log. Next tokens are learnt over the whole
    /// vocabulary, as in pretraining; preferences in the configured space.
    fn targets(&self, further: usize) -> (Tensor<2>, ValidTokens) {
        let (log, catalog) = (&self.step.bench.dataset.log, &self.step.bench.codebook.catalog);
        let examples = &self.examples[..self.batch.len() + further];
        let targets: Vec<&SemanticId> = examples.iter().map(|e| catalog.semantic_id(e.item(log))).collect();
        let encoded = self.first(examples.len());
        let targets = self.free().scorer().token_log_probs(&encoded, &targets, Dropout::Off);
        (targets, ValidTokens::all(examples.len(), catalog.levels(), &self.model.device()))
    }

    fn free(&self) -> Recommender<'_> {
        Recommender { space: LogProbSpace::Full, ..self.step.bench.recommender(self.model) }
    }

    /// The first `users` of the histories.
    fn first(&self, users: usize) -> Encoded {
        let encoded = self.encoded.clone();
        if users == self.examples.len() { encoded } else { encoded.first(users) }
    }

    /// Sets of preferences; the encoder has read each history once.
    fn preferences(&self) -> &Preferences {
        self.preferences.get_or_init(|| {
            let (bench, rows) = (self.step.bench, self.batch.len());
            let items: Vec<ItemId> = self.batch.iter().flat_map(|sample| sample.set_items(bench)).collect();
            let (policy, moving) = self.scored(&items);
            let columns = items.len() / rows;
            let sums = |table: Tensor<2>| table.sum_dim(1).reshape([rows, columns]);
            let stored = || {
                let values: Vec<f32> = self.batch.iter().flat_map(Sample::set_reference).collect();
                Tensor::from_data(TensorData::new(values, [rows, columns]), &self.model.device())
            };
            let reference = moving.map_or_else(stored, sums);
            let tokens = bench.codebook.catalog.levels();
            Preferences { policy: sums(policy), reference, tokens }
        })
    }

    /// Log-probabilities of items of the batch's users under the policy and, if it moves, under the reference.
    fn scored(&self, items: &[ItemId]) -> (Tensor<2>, Option<Tensor<2>>) {
        let bench = self.step.bench;
        let policy = of_items(self.model, &self.first(self.batch.len()), items, bench);
        let reference = self.step.reference.map(|reference| {
            let contexts: Vec<_> = self.batch.iter().map(|s| context(&s.rollout, bench)).collect();
            let encoded = bench.recommender(reference).encode(&contexts, Dropout::Off);
            Tensor::from_inner(of_items(reference, &encoded, items, bench))
        });
        (policy, reference)
    }

    /// Log-probabilities of all candidates, `[users * candidates, l]`: under the policy and under the reference.
    fn group(&self) -> &[Tensor<2>; 2] {
        self.group.get_or_init(|| {
            let items: Vec<ItemId> = self.batch.iter().flat_map(|sample| sample.rollout.items()).collect();
            let (policy, moving) = self.scored(&items);
            let stored = || {
                let rows =
                    self.batch.iter().flat_map(|s| s.reference.iter().take(s.rollout.candidates.len()));
                stacked(rows, &self.model.device())
            };
            [policy, moving.unwrap_or_else(stored)]
        })
    }

    fn grpo(&self, index: usize, config: &Grpo) -> LossOutput {
        let device = self.model.device();
        let [policy, reference] = self.group().clone();
        let [rows, tokens] = policy.dims();
        let behavior = self.batch.iter().flat_map(|s| s.behavior.iter().take(s.rollout.candidates.len()));
        let advantages: Vec<f32> =
            self.batch.iter().flat_map(|sample| sample.advantages[index].iter().copied()).collect();
        let batch = GrpoBatch {
            policy,
            behavior: stacked(behavior, &device),
            reference,
            advantages: Tensor::from_data(TensorData::new(advantages, [rows]), &device),
            valid: ValidTokens::all(rows, tokens, &device),
        };
        grpo(batch, config)
    }

    /// A policy gradient on what users were shown; the behavior is the policy itself.
    fn duration_aware(&self, term: &Objective, config: &DurationAware) -> LossOutput {
        let (policy, valid) = self.targets(further_samples(term, self.batch.len()));
        let exposures = self.step.samples.exposures.as_ref().expect("prepared for this term");
        let advantages = exposures.advantages(&self.examples[..valid.rows()], config);
        let behavior = policy.clone().detach();
        let advantages = TensorData::new(advantages, [valid.rows()]);
        let advantages = Tensor::from_data(advantages, &self.model.device());
        let batch = GrpoBatch { policy, reference: behavior.clone(), behavior, advantages, valid };
        let config = Grpo { kl_weight: 0.0, surrogate: config.surrogate, ..Grpo::default() };
        LossOutput { loss: grpo(batch, &config).loss, metrics: Vec::new() }
    }

    /// The format reward: picked completions that name an item have advantage 1, the others no tokens.
    fn format(&self, index: usize, config: &Format) -> LossOutput {
        let device = self.model.device();
        let catalog = &self.step.bench.codebook.catalog;
        let placeholder = &catalog.semantic_ids()[0];
        let picked: Vec<_> = self.batch.iter().flat_map(|sample| &sample.completions[index]).collect();
        let ids: Vec<&SemanticId> = picked.iter().map(|one| one.id.as_ref().unwrap_or(placeholder)).collect();
        let encoded = self.first(self.batch.len());
        let policy = self.free().scorer().token_log_probs(&encoded, &ids, Dropout::Off);
        let [rows, tokens] = policy.dims();
        let behavior = stacked(picked.iter().map(|one| &one.token_log_probs), &device);
        let lengths = picked.iter().map(|one| if one.id.is_some() { tokens } else { 0 }).collect();
        let legal: Vec<f32> = picked.iter().map(|one| f32::from(u8::from(one.id.is_some()))).collect();
        let batch = GrpoBatch {
            policy,
            reference: behavior.clone(),
            behavior,
            advantages: Tensor::from_data(TensorData::new(legal, [rows]), &device),
            valid: ValidTokens::from_lengths(lengths, tokens, &device),
        };
        let config = Grpo { kl_weight: 0.0, surrogate: config.surrogate, ..Grpo::default() };
        LossOutput { loss: grpo(batch, &config).loss, metrics: Vec::new() }
    }
}
