//! Updates of a policy: next tokens, preferences, policy gradients.

use super::agree;
use super::fixture::{candidates, codebook, config, configs, figures, model, policy, recommender};
use align::dpo::{Dpo, dpo};
use align::grpo::{Grpo, GrpoBatch, grpo};
use align::ntp::ntp;
use align::preferences::Preferences;
use align::tokens::ValidTokens;
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::batch::EncoderBatch;
use policy::checkpoint;
use policy::kernels::Targets;
use policy::log_prob::LogProbSpace;
use policy::model::{CausalLm, CausalLmConfig, Dropout, Policy, PolicyConfig};
use policy::optimizer::{Optimizer, OptimizerConfig};
use policy::random::Key;
use sampler::recommend::Codebook;

const LEARNING_RATE: f64 = 1e-3;
const OPTIMIZER: OptimizerConfig = OptimizerConfig {
    weight_decay: 0.01,
    max_grad_norm: 1.0,
    embedding_factor: 1.0,
    ..OptimizerConfig::default()
};

/// A model in training: what each update saw, then the log-probabilities it ends with.
struct Training<'a> {
    codebook: &'a Codebook,
    config: PolicyConfig,
    model: Policy,
    optimizer: Optimizer,
    seen: Vec<f64>,
}

impl<'a> Training<'a> {
    fn new(codebook: &'a Codebook, device: &Device) -> Self {
        Self::of(config(codebook), codebook, device)
    }
    fn of(config: PolicyConfig, codebook: &'a Codebook, device: &Device) -> Self {
        let model = policy(&config, device);
        Self { codebook, config, model, optimizer: Optimizer::new(&OPTIMIZER), seen: Vec::new() }
    }
    fn update(mut self, loss: impl FnOnce(&Policy) -> Tensor<1>) -> Self {
        let loss = loss(&self.model);
        let (model, report) = self.optimizer.step(self.model, &loss, LEARNING_RATE).unwrap();
        self.seen.extend([report.loss, report.grad_norm]);
        Self { model, ..self }
    }
    /// Through files and back.
    fn resumed(self) -> Self {
        let (dir, device) = (tempfile::tempdir().unwrap(), self.model.device());
        let moments = dir.path().join("moments.safetensors");
        checkpoint::write(&self.model, &self.config, dir.path()).unwrap();
        self.optimizer.save(&moments).unwrap();
        let (model, _) = checkpoint::read(dir.path(), &device).unwrap();
        Self { model, optimizer: Optimizer::new(&OPTIMIZER).load(&moments, &device).unwrap(), ..self }
    }
    fn end(self) -> Vec<f64> {
        let model = self.model.valid();
        let recommender = recommender(&model, self.codebook, LogProbSpace::Trie);
        [self.seen, figures(candidates(&recommender, Dropout::Off))].concat()
    }
}

#[test]
fn next_token_training_agrees() {
    let codebook = codebook();
    let loss = |step: u64| {
        let dropout = Dropout::On { rate: 0.1, key: Key::new(2).at(step) };
        let codebook = &codebook;
        move |model: &Policy| {
            let log_probs = candidates(&recommender(model, codebook, LogProbSpace::Full), dropout);
            let [rows, levels] = log_probs.dims();
            ntp(log_probs, &ValidTokens::all(rows, levels, &model.device()))
        }
    };
    for config in configs(&codebook) {
        agree("next-token training, 3 updates", |device| {
            let training = Training::of(config.clone(), &codebook, device);
            training.update(loss(0)).update(loss(1)).resumed().update(loss(2)).end()
        });
    }
}

#[test]
fn preference_optimisation_agrees() {
    let codebook = codebook();
    agree("DPO, 2 updates", |device| {
        let tables = |model: &Policy| {
            let log_probs = candidates(&recommender(model, &codebook, LogProbSpace::Trie), Dropout::Off);
            let [rows, tokens] = log_probs.dims();
            (log_probs.sum_dim(1).reshape([rows / 2, 2]), tokens)
        };
        let training = Training::new(&codebook, device);
        let reference = Tensor::from_inner(tables(&training.model.valid()).0);
        let loss = |model: &Policy| {
            let (policy, tokens) = tables(model);
            let pairs = Preferences { policy, reference: reference.clone(), tokens };
            dpo(&pairs, &Dpo { beta: 0.5, ..Dpo::default() }).loss
        };
        training.update(loss).update(loss).end()
    });
}

#[test]
fn policy_gradients_agree() {
    let codebook = codebook();
    agree("GRPO, 2 updates", |device| {
        let log_probs =
            |model: &Policy| candidates(&recommender(model, &codebook, LogProbSpace::Trie), Dropout::Off);
        let training = Training::new(&codebook, device);
        let behavior = Tensor::from_inner(log_probs(&training.model.valid()));
        let [rows, levels] = behavior.dims();
        let advantages: Vec<f32> =
            (0..rows as u64).map(|row| Key::new(3).at(row).unit() as f32 - 0.5).collect();
        let loss = |model: &Policy| {
            let batch = GrpoBatch {
                policy: log_probs(model),
                behavior: behavior.clone(),
                reference: behavior.clone(),
                advantages: Tensor::from_data(TensorData::new(advantages.clone(), [rows]), &model.device()),
                valid: ValidTokens::all(rows, levels, &model.device()),
            };
            grpo(batch, &Grpo { kl_weight: 0.1, ..Grpo::default() }).loss
        };
        // The second update has ratios other than 1.
        training.update(loss).update(loss).end()
    });
}

#[test]
fn a_decoder_only_model_agrees() {
    let sizes = CausalLmConfig {
        vocab_size: 64,
        positions: 16,
        d_model: 32,
        d_kv: 16,
        d_ff: 64,
        num_heads: 2,
        num_layers: 2,
    };
    agree("decoder-only model, 2 updates", |device| {
        let device = device.clone().autodiff();
        let rows = [3, 16, 1, 9].map(|length: u32| (0..length).map(|at| (at * 13 + length) % 64).collect());
        let batch = EncoderBatch::of(rows.into_iter());
        let targets = batch.tokens.iter().map(|token| (token * 7 + 1) % 64).collect();
        let targets = Targets::among(0..64, targets);
        let mut optimizer = Optimizer::new(&OPTIMIZER);
        let mut model = CausalLm::new(&sizes, Key::new(5), &device);
        let mut seen = Vec::new();
        for _ in 0..2 {
            let states = model.states(&batch, Dropout::Off);
            let loss = model.target_log_probs(states, targets.clone()).mean().neg();
            let (updated, report) = optimizer.step(model, &loss, LEARNING_RATE).unwrap();
            model = updated;
            seen.extend([report.loss, report.grad_norm]);
        }
        seen
    });
}
