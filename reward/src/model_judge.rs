//! The judge that scores with a reward model: every candidate as a list of one.

use crate::batch::{Histories, Viewer, item_ids};
use crate::context::Context;
use crate::fusion::{Fusion, FusionError};
use crate::judge::{Judge, Request, Score};
use crate::model::{ListInput, Outputs, RewardModel};
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use policy::history::Log;
use policy::ids::ItemId;
use policy::kernels::on_cpu;
use rayon::prelude::*;
use std::sync::Arc;

/// Requests that share one forward pass of the user tower.
const USERS_PER_PASS: usize = 512;
/// Candidates that share one forward pass of attention and heads.
const CANDIDATES_PER_PASS: usize = 16_384;
/// The same of point-wise models, whose intermediate results then stay in a core's cache.
const POINTWISE_PER_PASS: usize = 4096;

/// A trained reward model with the log it reads histories from.
#[derive(Clone, Debug)]
pub struct ModelJudge {
    name: String,
    heads: Vec<String>,
    fusion: Fusion,
    context: Arc<Context>,
    model: RewardModel,
    /// `[items, d]`: the vector of every item, computed once.
    vectors: Tensor<2>,
    /// `[items, p]`: all of a pair's score that depends on the item alone.
    sides: Tensor<2>,
}

/// A trained model with what it takes to be a judge.
#[derive(Clone, Debug)]
pub struct Trained {
    /// `proxy`, `held-out`.
    pub name: String,
    /// The weights.
    pub model: RewardModel,
    /// How heads become one score.
    pub fusion: Fusion,
}

impl ModelJudge {
    /// The judge of this model. Gradients are switched off.
    ///
    /// # Errors
    /// If the fusion names a head the model does not have.
    pub fn new(trained: Trained, context: Arc<Context>, device: &Device) -> Result<Self, FusionError> {
        let heads = context.head_names();
        trained.fusion.check(&heads)?;
        let device = device.clone().without_autodiff();
        let model = trained.model.valid();
        let features = context.features();
        let shape = [features.num_items(), features.width()];
        let vectors =
            model.items(Tensor::from_data(TensorData::new(features.values().to_vec(), shape), &device));
        let ids = item_ids((0..features.num_items()).map(ItemId::new), &device);
        let sides = model.item_side(vectors.clone(), ids);
        Ok(Self { name: trained.name, heads, fusion: trained.fusion, context, model, vectors, sides })
    }

    /// The same judge over other histories of the same items.
    ///
    /// # Panics
    /// If the log is of another catalog or has other feedback columns.
    #[must_use]
    pub fn over(&self, log: Log) -> Self {
        Self { context: Arc::new(self.context.over(log)), ..self.clone() }
    }

    /// The log it reads histories from.
    pub fn log(&self) -> &Log {
        self.context.log()
    }
    /// The weights.
    pub fn model(&self) -> &RewardModel {
        &self.model
    }
    /// What it knows of users and items.
    pub fn context(&self) -> &Context {
        &self.context
    }
    /// How heads become one score, with weights.
    pub fn fusion(&self) -> String {
        if self.model.has_learned_score() {
            return format!("p-score, trained on {}", self.fusion.describe(&self.heads));
        }
        self.fusion.describe(&self.heads)
    }

    /// The watch time of every candidate, in the log's unit, where the model has a head for it.
    pub fn watch_times(&self, requests: &[Request<'_>]) -> Option<Vec<f64>> {
        let codec = self.context.config().watch.as_ref()?;
        let mut times = Vec::new();
        for requests in requests.chunks(USERS_PER_PASS) {
            for found in self.passes(requests, |outputs| self.model.watch_times(&outputs, codec)) {
                times.extend(found?.into_iter().map(f64::from));
            }
        }
        Some(times)
    }

    /// What `of` makes of the outputs for every candidate of these requests, some thousands at a time and those side by side:
    /// a pass is too small to keep several cores busy.
    fn passes<T: Send>(&self, requests: &[Request<'_>], of: impl Fn(Outputs) -> T + Sync) -> Vec<T> {
        let viewers: Vec<_> =
            requests.iter().map(|request| Viewer { user: request.user, known: request.known }).collect();
        let histories = Histories::new(&self.context, &viewers, |item| item.index() as i64);
        let users = self.model.user_side(self.model.users(histories.input(&self.vectors)));
        let pairs: Vec<(i64, i64)> = requests
            .iter()
            .enumerate()
            .flat_map(|(owner, request)| {
                request.candidates.iter().map(move |c| (owner as i64, c.index() as i64))
            })
            .collect();
        let most = if self.model.is_list_wise() { CANDIDATES_PER_PASS } else { POINTWISE_PER_PASS };
        let passed = |pairs| of(self.pass(&users, pairs));
        if on_cpu(&self.vectors.device()) {
            pairs.par_chunks(most).map(passed).collect()
        } else {
            pairs.chunks(most).map(passed).collect()
        }
    }

    /// `users: [b, p]`; pairs of (row of `users`, item).
    fn pass(&self, users: &Tensor<2>, pairs: &[(i64, i64)]) -> Outputs {
        let (count, device) = (pairs.len(), self.vectors.device());
        let indices =
            |values: Vec<i64>| Tensor::<1, Int>::from_data(TensorData::new(values, [count]), &device);
        let owners = indices(pairs.iter().map(|pair| pair.0).collect());
        let items = indices(pairs.iter().map(|pair| pair.1).collect());
        self.model.outputs(ListInput {
            items: self.sides.clone().select(0, items).unsqueeze_dim::<3>(1),
            mask: Tensor::ones([count, 1], &device),
            users: users.clone().select(0, owners),
        })
    }

    fn verdicts(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let both = |outputs: Outputs| (probabilities(outputs.heads), outputs.personal.map(probabilities));
        let (heads, personal): (Vec<_>, Vec<_>) = self.passes(requests, both).into_iter().unzip();
        let heads = heads.concat();
        let mut personal = personal.into_iter().flatten().flatten();
        let mut rows = heads.chunks_exact(self.heads.len()).map(<[f32]>::to_vec);
        requests
            .iter()
            .map(|request| {
                let count = request.candidates.len();
                let heads: Vec<Vec<f32>> = rows.by_ref().take(count).collect();
                let learned: Vec<f32> = personal.by_ref().take(count).collect();
                let fused = if learned.is_empty() { self.fusion.fuse(&self.heads, &heads) } else { learned };
                heads.into_iter().zip(fused).map(|(heads, fused)| Score { heads, fused }).collect()
            })
            .collect()
    }
}

fn probabilities(logits: Tensor<2>) -> Vec<f32> {
    activation::sigmoid(logits).into_data().iter::<f32>().collect()
}

impl Judge for ModelJudge {
    fn name(&self) -> &str {
        &self.name
    }
    fn heads(&self) -> &[String] {
        &self.heads
    }
    /// # Panics
    /// If a user, an item or `known` is outside the log.
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        requests.chunks(USERS_PER_PASS).flat_map(|requests| self.verdicts(requests)).collect()
    }
}
