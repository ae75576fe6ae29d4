//! An epoch of pretraining on a real log: the examples, batches and sizes of an experiment file.

use super::harness::{Case, Outcome, Timing};
use super::learner::Learner;
use crate::cli::BenchArgs;
use crate::config::{self, Config};
use crate::data;
use crate::run::commit::write_file;
use crate::stages::codebook::PolicySize;
use crate::stages::pretrain::examples::{Example, batches, examples};
use align::ntp::ntp;
use align::tokens::ValidTokens;
use anyhow::Context as _;
use burn::module::Module as _;
use burn::prelude::*;
use policy::batch::EncoderBatch;
use policy::checkpoint;
use policy::history::Log;
use policy::ids::ItemId;
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, T5};
use policy::optimizer::OptimizerConfig;
use policy::quantize::quantize;
use policy::random::Key;
use sampler::recommend::{Codebook, Recommender};
use std::path::Path;

/// Times an update on every batch, or on as many as `--batches` says: batches are shuffled, so the first are a random
/// sample, and the epoch's time is extrapolated from them. `--write` receives the policy before the first and the batches.
///
/// # Errors
/// There is no configuration, or it or its data is wrong; a file cannot be written.
pub(super) fn run(arguments: &BenchArgs, warmup: usize) -> anyhow::Result<Outcome> {
    let file = arguments.config.as_deref().context("epoch needs an experiment file: --config FILE")?;
    let epoch = Epoch::of(config::load(file, &arguments.overrides)?)?;
    let sample = arguments.batches.map_or(epoch.batches.len(), |most| epoch.batches.len().min(most.get()));
    let learner = epoch.learner()?;
    if let Some(dir) = arguments.write.as_deref() {
        epoch.write(&learner.model.valid(), sample, dir)?;
    }
    let timing = Timing { warmup, runs: sample };
    let (seconds, learner) = timing.steps(learner, |learner| epoch.update(learner, sample))?;
    let sampled: f64 = seconds.wall.iter().sum();
    let case = Case {
        workload: "W-epoch",
        variant: epoch.config.run.name.clone(),
        unit: "examples",
        units: epoch.batches[..sample].concat().len() as f64 / sample as f64,
        gflop_per_unit: None,
    };
    let [first, last] = learner.losses();
    let details = [
        ("batches", sample.into()),
        ("epoch_batches", epoch.batches.len().into()),
        ("epoch_s", (sampled / sample as f64 * epoch.batches.len() as f64).into()),
        ("dropout", epoch.config.model.dropout.into()),
        first,
        last,
    ];
    Ok(Outcome::new(case, seconds, details))
}

/// What the pretraining stage would do first.
struct Epoch {
    config: Config,
    log: Log,
    codebook: Codebook,
    batches: Vec<Vec<Example>>,
    key: Key,
}

impl Epoch {
    fn of(config: Config) -> anyhow::Result<Self> {
        let key = Key::new(config.run.seed).named("epoch");
        let (dataset, _) = data::build(&config.data)?;
        let quantized =
            quantize(&dataset.embeddings, &config.tokenize.quantization(), key.named("quantize"))?;
        let catalog = quantized.catalog(config.tokenize.collisions)?;
        let codebook = Codebook::new(catalog.ordered_by(&dataset.log.train_counts()));
        let section = &config.pretrain;
        let all = examples(&dataset.log, section.targets, key);
        let batches = batches(all, section.batch_size, section.history_items, key);
        anyhow::ensure!(!batches.is_empty(), "the log has no example: every history is too short");
        Ok(Self { config, log: dataset.log, codebook, batches, key })
    }

    fn learner(&self) -> anyhow::Result<Learner<T5>> {
        let (size, section) = (PolicySize::of(&self.config.model, &self.codebook), &self.config.pretrain);
        let model = T5::new(&size.0, self.key.named("weights"), &Device::flex().autodiff())?;
        let (weight_decay, max_grad_norm) = (section.weight_decay, section.max_grad_norm);
        Ok(Learner::new(model, &OptimizerConfig { weight_decay, max_grad_norm }, section.learning_rate))
    }

    /// One step; the batch is the next of the first `sample`, round and round.
    fn update(&self, learner: Learner<T5>, sample: usize) -> anyhow::Result<Learner<T5>> {
        let step = learner.step();
        let dropout = match self.config.model.dropout {
            0.0 => Dropout::Off,
            rate => Dropout::On { rate, key: self.key.named("dropout").at(step) },
        };
        let loss = self.loss(&learner.model, &self.batches[step as usize % sample], dropout);
        learner.update(&loss)
    }

    /// The loss of the pretraining stage.
    fn loss(&self, model: &T5, batch: &[Example], dropout: Dropout) -> Tensor<1> {
        let history_items = self.config.pretrain.history_items;
        let recommender =
            Recommender { model, codebook: &self.codebook, history_items, space: LogProbSpace::Full };
        let encoded = recommender.encode(&self.contexts(batch), dropout);
        let catalog = &self.codebook.catalog;
        let targets: Vec<_> =
            batch.iter().map(|example| catalog.semantic_id(example.item(&self.log))).collect();
        let log_probs = recommender.scorer().token_log_probs(&encoded, &targets, dropout);
        let valid = ValidTokens::all(targets.len(), catalog.levels(), &log_probs.device());
        ntp(log_probs, &valid)
    }

    fn contexts(&self, batch: &[Example]) -> Vec<&[ItemId]> {
        batch.iter().map(|example| example.context(&self.log)).collect()
    }

    /// What `experiments/bench/beauty_epoch.py` trains on.
    fn write(&self, model: &T5, sample: usize, dir: &Path) -> anyhow::Result<()> {
        checkpoint::write(model, &PolicySize::of(&self.config.model, &self.codebook).0, dir)?;
        let section = &self.config.pretrain;
        let case = serde_json::json!({
            "learning_rate": section.learning_rate,
            "weight_decay": section.weight_decay,
            "max_grad_norm": section.max_grad_norm,
            "epoch_batches": self.batches.len(),
            "batches": self.batches[..sample].iter().map(|batch| self.tokens(batch)).collect::<Vec<_>>(),
        });
        write_file(&dir.join("epoch.json"), &serde_json::to_vec(&case)?)
    }

    /// The tokens of a batch: histories of their own lengths, targets.
    fn tokens(&self, batch: &[Example]) -> serde_json::Value {
        let Codebook { catalog, vocab, .. } = &self.codebook;
        let packed = EncoderBatch::new(&self.contexts(batch), self.config.pretrain.history_items, catalog);
        let row = |row| &packed.tokens[packed.packing.row(row)];
        let target = |example: &Example| {
            vocab.tokens(catalog.semantic_id(example.item(&self.log))).collect::<Vec<_>>()
        };
        serde_json::json!({
            "inputs": (0..batch.len()).map(row).collect::<Vec<_>>(),
            "targets": batch.iter().map(target).collect::<Vec<_>>(),
        })
    }
}
