//! The judge that scores with a session reward model: every candidate as a list of one.

use super::batch::{Histories, Viewer};
use super::model::{ListInput, SessionModel};
use crate::context::Context;
use crate::fusion::{Fusion, FusionError};
use crate::judge::{Judge, Request, Score};
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use std::sync::Arc;

/// Requests that share one forward pass of the user tower.
const USERS_PER_PASS: usize = 512;
/// Candidates that share one forward pass of attention and heads.
const CANDIDATES_PER_PASS: usize = 16_384;

/// A trained session reward model with the log it reads histories from.
#[derive(Clone, Debug)]
pub struct SessionJudge {
    name: String,
    heads: Vec<String>,
    fusion: Fusion,
    context: Arc<Context>,
    model: SessionModel,
    /// `[items, d]`: the vector of every item, computed once.
    vectors: Tensor<2>,
}

/// A trained model with what it takes to be a judge.
#[derive(Clone, Debug)]
pub struct Trained {
    /// `proxy`, `held-out`.
    pub name: String,
    /// The weights.
    pub model: SessionModel,
    /// How heads become one score.
    pub fusion: Fusion,
}

impl SessionJudge {
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
        Ok(Self { name: trained.name, heads, fusion: trained.fusion, context, model, vectors })
    }

    /// The weights.
    pub fn model(&self) -> &SessionModel {
        &self.model
    }
    /// How heads become one score, with weights.
    pub fn fusion(&self) -> String {
        self.fusion.describe(&self.heads)
    }

    /// Head probabilities of every candidate of these requests, row-major `[candidates, x]`.
    fn probabilities(&self, requests: &[Request<'_>]) -> Vec<f32> {
        let viewers: Vec<_> =
            requests.iter().map(|request| Viewer { user: request.user, known: request.known }).collect();
        let histories = Histories::new(&self.context, &viewers, |item| item.index() as i64);
        let users = self.model.users(histories.input(&self.vectors));
        let pairs: Vec<(i64, i64)> = requests
            .iter()
            .enumerate()
            .flat_map(|(owner, request)| {
                request.candidates.iter().map(move |c| (owner as i64, c.index() as i64))
            })
            .collect();
        pairs.chunks(CANDIDATES_PER_PASS).flat_map(|pairs| self.pass(&users, pairs)).collect()
    }

    /// `users: [b, d]`; pairs of (row of `users`, item).
    fn pass(&self, users: &Tensor<2>, pairs: &[(i64, i64)]) -> Vec<f32> {
        let (count, device) = (pairs.len(), self.vectors.device());
        let indices =
            |values: Vec<i64>| Tensor::<1, Int>::from_data(TensorData::new(values, [count]), &device);
        let owners = indices(pairs.iter().map(|pair| pair.0).collect());
        let items = indices(pairs.iter().map(|pair| pair.1).collect());
        let logits = self.model.logits(ListInput {
            items: self.vectors.clone().select(0, items).unsqueeze_dim::<3>(1),
            mask: Tensor::ones([count, 1], &device),
            users: users.clone().select(0, owners),
        });
        activation::sigmoid(logits).into_data().iter::<f32>().collect()
    }

    fn verdicts(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let probabilities = self.probabilities(requests);
        let mut rows = probabilities.chunks_exact(self.heads.len()).map(<[f32]>::to_vec);
        requests
            .iter()
            .map(|request| {
                let heads: Vec<Vec<f32>> = rows.by_ref().take(request.candidates.len()).collect();
                let fused = self.fusion.fuse(&self.heads, &heads);
                heads.into_iter().zip(fused).map(|(heads, fused)| Score { heads, fused }).collect()
            })
            .collect()
    }
}

impl Judge for SessionJudge {
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
