//! The model: small networks on quantiles, averaged.
//!
//! Tried in a prototype, with more columns than are left, on validation pairs of `KuaiRand`'s training impressions: two hidden layers
//! on quantiles beat logistic regression on quantiles and on twelve quantile bins per column (AUC .877, .829 and .864).

use super::features::Features;
use super::impressions::Impressions;
use crate::model::layers::{Dense, Init, Mlp};
use crate::model::weighted_cross_entropy;
use burn::module::Module;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use policy::optimizer::{NonFinite, Optimizer, OptimizerConfig, Schedule};
use policy::random::Key;
use rand::seq::SliceRandom;

/// Networks; each has its own initial weights and order.
const MEMBERS: u64 = 3;
const WIDTH: usize = 64;
const EPOCHS: usize = 10;
const BATCH: usize = 256;
const LEARNING_RATE: f64 = 3e-3;
const WEIGHT_DECAY: f64 = 0.1;
const MAX_GRAD_NORM: f64 = 1.0;
/// Share of the steps in which the learning rate rises.
const WARMUP: f64 = 0.1;
/// Impressions of one epoch; more are sampled down.
const MOST: usize = 200_000;
/// Quantiles kept of a column.
const QUANTILES: usize = 1024;
/// Impressions that share one forward pass.
const ROWS_PER_PASS: usize = 8192;

/// A trained model of satisfaction.
#[derive(Clone, Debug)]
pub struct Satisfaction {
    scale: Scale,
    members: Vec<Network>,
    device: Device,
}

/// What is learned from, and where.
#[derive(Clone, Copy, Debug)]
pub struct Lessons<'a> {
    /// Whose verdicts.
    pub impressions: &'a Impressions<'a>,
    /// Which impressions' verdicts.
    pub known: &'a [bool],
    /// Initial weights and order derive from it.
    pub key: Key,
    /// Device of the tensors.
    pub device: &'a Device,
}

impl Satisfaction {
    /// Learns the known verdicts from these features. Within a user the verdicts weigh the same however rare one is, and users by
    /// the root of their rarer one; who gave one verdict only tells nothing about what makes the difference.
    ///
    /// # Errors
    /// The loss or its gradient is not finite.
    pub fn fit(features: &Features, lessons: Lessons<'_>) -> Result<Self, NonFinite> {
        let examples = examples(lessons.impressions, lessons.known);
        let scale = Scale::fit(features, &examples);
        let device = lessons.device.clone().autodiff();
        let member = |member| {
            let init = Init { key: lessons.key.at(member), device: &device };
            Network::new(features.width(), init).trained((features, &scale), &examples, init)
        };
        let members = (0..MEMBERS).map(member).collect::<Result<_, _>>()?;
        Ok(Self { scale, members, device: lessons.device.clone().without_autodiff() })
    }

    /// For every impression the chance of approval, if approval and disapproval were as likely for its user beforehand.
    pub fn predict(&self, features: &Features) -> Vec<f64> {
        let rows: Vec<usize> = (0..features.rows()).collect();
        let members: Vec<Network> = self.members.iter().map(Module::valid).collect();
        let pass = |rows: &[usize]| {
            let inputs = self.scale.inputs(features, rows.iter().copied(), &self.device);
            let chance = |member: &Network| activation::sigmoid(member.logits(inputs.clone()));
            let mean = Tensor::cat(members.iter().map(chance).collect(), 1).mean_dim(1);
            mean.into_data().iter::<f32>().map(f64::from).collect::<Vec<_>>()
        };
        rows.chunks(ROWS_PER_PASS).flat_map(pass).collect()
    }
}

/// A known verdict and its weight.
#[derive(Clone, Copy)]
struct Example {
    at: usize,
    label: f32,
    weight: f32,
}

/// The known verdicts of users who gave both; weights have mean 1.
fn examples(impressions: &Impressions<'_>, known: &[bool]) -> Vec<Example> {
    let mut examples = Vec::new();
    for user in 0..impressions.num_users() {
        let verdict = |at: usize| Some((at, impressions.verdicts()[at].filter(|_| known[at])?));
        let own: Vec<(usize, bool)> = impressions.of_user(user).filter_map(verdict).collect();
        let approved = own.iter().filter(|(_, verdict)| *verdict).count();
        let counts = [own.len() - approved, approved].map(|count| count as f32);
        let share = counts[0].min(counts[1]).sqrt();
        let example = |(at, verdict): (usize, bool)| Example {
            at,
            label: f32::from(verdict),
            weight: share / counts[usize::from(verdict)],
        };
        examples.extend(own.into_iter().map(example).filter(|example| example.weight > 0.0));
    }
    let mean = examples.iter().map(|example| f64::from(example.weight)).sum::<f64>() / examples.len() as f64;
    for example in &mut examples {
        example.weight /= mean as f32;
    }
    examples
}

/// Quantiles of every column: what a number becomes is its rank among the examples, so that no column's unit or skew matters.
#[derive(Clone, Debug, PartialEq)]
struct Scale(Vec<Vec<f32>>);

impl Scale {
    fn fit(features: &Features, examples: &[Example]) -> Self {
        let quantiles = |column: usize| {
            let mut values: Vec<f32> =
                examples.iter().map(|example| features.row(example.at)[column]).collect();
            values.sort_by(f32::total_cmp);
            let kept = values.len().min(QUANTILES);
            (0..kept).map(|at| values[(2 * at + 1) * values.len() / (2 * kept)]).collect()
        };
        Self((0..features.width()).map(quantiles).collect())
    }
    /// The middle of the ranks of equal values, from -1 to 1 times the root of three: of unit variance where nothing is equal.
    fn rank(&self, column: usize, value: f32) -> f32 {
        let quantiles = &self.0[column];
        let below = quantiles.partition_point(|&quantile| quantile < value);
        let up_to = quantiles.partition_point(|&quantile| quantile <= value);
        ((below + up_to) as f32 / quantiles.len() as f32 - 1.0) * 3.0_f32.sqrt()
    }
    /// # Shapes
    /// `[rows, width]`.
    fn inputs(&self, features: &Features, rows: impl Iterator<Item = usize>, device: &Device) -> Tensor<2> {
        let ranks = |at: usize| {
            features.row(at).iter().enumerate().map(|(column, &x)| self.rank(column, x)).collect()
        };
        let values: Vec<f32> = rows.flat_map(|at| -> Vec<f32> { ranks(at) }).collect();
        let shape = [values.len() / features.width(), features.width()];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// Two hidden layers.
#[derive(Module, Debug)]
struct Network {
    first: Dense,
    rest: Mlp,
}

impl Network {
    fn new(width: usize, init: Init<'_>) -> Self {
        Self {
            first: Dense::new([width, WIDTH], 0.0, init.named("first")),
            rest: Mlp::new([WIDTH, WIDTH, 1], 0.0, init.named("rest")),
        }
    }
    /// # Shapes
    /// `[rows, width] -> [rows, 1]`.
    fn logits(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.rest.apply(activation::silu(self.first.apply(inputs)))
    }

    fn trained(
        mut self,
        (features, scale): (&Features, &Scale),
        examples: &[Example],
        init: Init<'_>,
    ) -> Result<Self, NonFinite> {
        let per_epoch = examples.len().min(MOST).div_ceil(BATCH);
        let total = (per_epoch * EPOCHS) as u64;
        let schedule = Schedule { peak: LEARNING_RATE, warmup: (total as f64 * WARMUP).ceil() as u64, total };
        let mut optimizer = Optimizer::new(&OptimizerConfig {
            weight_decay: WEIGHT_DECAY,
            max_grad_norm: MAX_GRAD_NORM,
            ..OptimizerConfig::default()
        });
        let mut step = 0;
        for epoch in 0..EPOCHS as u64 {
            let mut order = examples.to_vec();
            order.shuffle(&mut init.key.named("epoch").at(epoch).rng());
            order.truncate(MOST);
            for batch in order.chunks(BATCH) {
                let inputs = scale.inputs(features, batch.iter().map(|example| example.at), init.device);
                let column = |value: fn(&Example) -> f32| {
                    let values: Vec<f32> = batch.iter().map(value).collect();
                    Tensor::<2>::from_data(TensorData::new(values, [batch.len(), 1]), init.device)
                };
                let (labels, weights) = (column(|example| example.label), column(|example| example.weight));
                let loss = weighted_cross_entropy(self.logits(inputs), labels, weights);
                self = optimizer.step(self, &loss, schedule.at(step))?.0;
                step += 1;
            }
        }
        Ok(self)
    }
}
