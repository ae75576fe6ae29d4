//! An epoch of pretraining on a real log: the examples, batches and sizes of an experiment file.

use super::harness::{Case, Outcome, Timing};
use super::learner::Learner;
use crate::cli::BenchArgs;
use crate::config::{self, Config, Encoding};
use crate::data;
use crate::run::commit::write_file;
use crate::stages::codebook::policy_config;
use crate::stages::pretrain::examples::{self, Reading};
use crate::stages::pretrain::loss;
use crate::stages::pretrain::sessions::Rule;
use anyhow::Context as _;
use burn::module::Module as _;
use burn::prelude::*;
use policy::batch::EncoderBatch;
use policy::checkpoint;
use policy::history::Log;
use policy::ids::ItemId;
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy};
use policy::quantize::{Items, normalized, quantize};
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
        units: epoch.targets(sample) as f64 / sample as f64,
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
    batches: Vec<Vec<Reading>>,
    rule: Rule,
    key: Key,
}

impl Epoch {
    fn of(config: Config) -> anyhow::Result<Self> {
        let key = Key::new(config.run.seed).named("epoch");
        let (dataset, _) = data::build(&config.data)?;
        let items = Items { log: Some(&dataset.log), ..Items::from(&dataset.embeddings) };
        let quantized = quantize(items, &config.tokenize.quantization(), key.named("quantize"))?;
        let vectors = normalized(&dataset.embeddings, config.tokenize.normalize);
        let collisions = config.tokenize.collisions;
        let catalog = quantized.separated(&vectors, collisions).catalog(collisions)?;
        let codebook = Codebook::new(catalog.ordered_by(&dataset.log.train_counts()));
        let rule = Rule::new(config.pretrain.sessions.as_ref(), &dataset.log)?;
        let batches = examples::epoch(&config.pretrain, (&dataset.log, &rule), key);
        anyhow::ensure!(!batches.is_empty(), "the log has no example: every history is too short");
        Ok(Self { config, log: dataset.log, codebook, batches, rule, key })
    }

    fn learner(&self) -> anyhow::Result<Learner<Policy>> {
        let (size, section) = (policy_config(&self.config.model, &self.codebook), &self.config.pretrain);
        let model = Policy::new(&size, self.key.named("weights"), &Device::flex().autodiff())?;
        Ok(Learner::new(model, &section.optimizer(), section.learning_rate))
    }

    /// One step; the batch is the next of the first `sample`, round and round.
    fn update(&self, learner: Learner<Policy>, sample: usize) -> anyhow::Result<Learner<Policy>> {
        let step = learner.step();
        let dropout = match self.config.model.dropout {
            0.0 => Dropout::Off,
            rate => Dropout::On { rate, key: self.key.named("dropout").at(step) },
        };
        let loss = self.loss(&learner.model, &self.batches[step as usize % sample], dropout);
        learner.update(&loss)
    }

    /// The loss of the pretraining stage.
    fn loss(&self, model: &Policy, batch: &[Reading], dropout: Dropout) -> Tensor<1> {
        let history_items = self.config.pretrain.history_items;
        let recommender = Recommender {
            model,
            codebook: &self.codebook,
            history_items,
            space: LogProbSpace::Full,
            session_items: 1,
        };
        loss::loss(
            &recommender,
            (&self.log, batch, &self.rule),
            dropout,
            self.config.pretrain.label_smoothing,
        )
    }

    /// Targets of the first `sample` batches.
    fn targets(&self, sample: usize) -> usize {
        self.batches[..sample].iter().flatten().map(|reading| reading.targets.len()).sum()
    }

    /// What `experiments/bench/beauty_epoch.py` trains on; it reads one history per target.
    fn write(&self, model: &Policy, sample: usize, dir: &Path) -> anyhow::Result<()> {
        let per_target = self.config.pretrain.encoding == Encoding::PerTarget;
        anyhow::ensure!(per_target, "--write needs pretrain.encoding = \"per-target\"");
        checkpoint::write(model, &policy_config(&self.config.model, &self.codebook), dir)?;
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
    fn tokens(&self, batch: &[Reading]) -> serde_json::Value {
        let Codebook { catalog, vocab, .. } = &self.codebook;
        let contexts = loss::contexts(batch, &self.log);
        let packed = EncoderBatch::new(&contexts, self.config.pretrain.history_items, catalog);
        let row = |row| &packed.tokens[packed.packing.row(row)];
        let target = |item: ItemId| vocab.tokens(catalog.semantic_id(item)).collect::<Vec<_>>();
        serde_json::json!({
            "inputs": (0..batch.len()).map(row).collect::<Vec<_>>(),
            "targets": loss::targets(batch, &self.log, &self.rule).map(target).collect::<Vec<_>>(),
        })
    }
}
