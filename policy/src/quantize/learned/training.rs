//! Training, epoch by epoch.

use super::super::distance::{gather, mean_square, nearest, shifted};
use super::super::levels::Levels;
use super::super::means::column_means;
use super::super::{Clusters, Fit, QuantizeConfig, QuantizeError, Quantized, Quantizer, balanced, lloyd};
use super::START_PER_CODE;
use super::autoencoder::Standard;
use super::model::{Batch, Model, Pass, tensor};
use crate::embeddings::Embeddings;
use crate::optimizer::{Optimizer, OptimizerConfig, Schedule};
use crate::random::Key;
use burn::prelude::Device;
use rand::seq::SliceRandom;

/// Clips what an outlier among batches would do; ordinary gradients of these losses are far smaller.
const MAX_GRAD_NORM: f64 = 10.0;

/// A training in progress; a step is an epoch.
pub(in super::super) struct Training {
    vectors: Embeddings,
    standard: Standard,
    /// Centred and scaled.
    points: Embeddings,
    /// What the codes shall follow beside the vectors.
    collaborative: Option<Embeddings>,
    config: QuantizeConfig,
    key: Key,
    device: Device,
    /// Taken while a step updates it.
    model: Option<Model>,
    optimizer: Optimizer,
    epochs: usize,
    updates: u64,
}

impl Training {
    /// Fresh weights, and codebooks from k-means of their encodings; settings are checked by the caller.
    pub(in super::super) fn new(
        vectors: Embeddings,
        collaborative: Option<&Embeddings>,
        config: &QuantizeConfig,
        key: Key,
    ) -> Self {
        let device = Device::flex().autodiff();
        let standard = standard(&vectors);
        let points = standard.apply(&vectors);
        let widths = match config.quantizer {
            Quantizer::RqVae => {
                [&[vectors.width()], config.rq_vae.hidden.as_slice(), &[config.rq_vae.latent]].concat()
            }
            _ => Vec::new(),
        };
        let settings = OptimizerConfig {
            weight_decay: config.rq_vae.weight_decay,
            max_grad_norm: MAX_GRAD_NORM,
            ..OptimizerConfig::default()
        };
        let mut model = Model::new(&widths, key.named("weights"), &device);
        if let Some(vectors) = collaborative {
            model = model.projecting([config.rq_vae.latent, vectors.width()], key, &device);
        }
        let mut training = Self {
            model: Some(model),
            collaborative: collaborative.cloned(),
            optimizer: Optimizer::new(&settings),
            config: config.clone(),
            vectors,
            standard,
            points,
            key,
            device,
            epochs: 0,
            updates: 0,
        };
        training.start();
        training
    }
    /// Codebooks from k-means, level by level, of what a sample's encodings leave.
    fn start(&mut self) {
        let mut sample = self.order(0);
        sample.truncate(START_PER_CODE * self.config.codes);
        let model = self.model.as_mut().expect("the model is only away during a step");
        let mut levels = Levels::new(model.encode(&gather(&self.points, &sample), &self.device));
        for level in 0..self.config.levels {
            let clusters =
                lloyd::cluster(levels.residual(), &self.config, self.key.named("start").at(level as u64));
            model.push(&clusters.centers, &self.device);
            levels.push(clusters);
        }
    }
    /// The items in the order of an epoch.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.points.rows()).collect();
        order.shuffle(&mut self.key.named("order").at(epoch as u64).rng());
        order
    }
    /// Groups of like codes, per level, and in each group another partner for every code; nothing where codes are not spread.
    fn partners(&self) -> Vec<Vec<Option<u32>>> {
        let rq_vae = &self.config.rq_vae;
        if rq_vae.diversity_weight == 0.0 || self.config.quantizer != Quantizer::RqVae {
            return Vec::new();
        }
        let key = self.key.named("partners").at(self.epochs as u64);
        let model = self.model.as_ref().expect("the model is only away during a step");
        let codebooks = model.codebooks();
        let levels = codebooks.iter().enumerate();
        levels.map(|(level, codebook)| partners(codebook, &self.config, key.at(level as u64))).collect()
    }
    /// One update.
    fn update(&mut self, batch: &[usize], partners: &[Vec<Option<u32>>]) -> Result<Pass, QuantizeError> {
        let learning_rate = self.schedule().at(self.updates);
        let model = self.model.take().expect("the model is only away during a step");
        let x = tensor(&gather(&self.points, batch), &self.device);
        let collaborative =
            self.collaborative.as_ref().map(|vectors| tensor(&gather(vectors, batch), &self.device));
        let pass = model.loss(Batch { x, collaborative, partners }, &self.config.rq_vae);
        let (model, _) = self
            .optimizer
            .step(model, &pass.loss, learning_rate)
            .map_err(|source| QuantizeError::NonFinite { epoch: self.epochs + 1, source })?;
        self.model = Some(model);
        self.updates += 1;
        Ok(pass)
    }
    fn schedule(&self) -> Schedule {
        let config = &self.config.rq_vae;
        let warmup = self.points.rows().div_ceil(config.batch_size) as u64;
        Schedule { peak: config.learning_rate, warmup, total: warmup * config.epochs as u64 }
    }
    /// Puts codes that nobody has on random residuals of the last batch.
    fn revive(&mut self, used: &[Vec<bool>], last: &Pass) {
        let model = self.model.as_mut().expect("the model is only away during a step");
        for ((level, mut codebook), used) in model.codebooks().into_iter().enumerate().zip(used) {
            if used.iter().all(|used| *used) {
                continue;
            }
            let (width, residuals) = (codebook.width(), &last.residuals[level]);
            let key = self.key.named("revive").at(self.epochs as u64).at(level as u64);
            for code in (0..codebook.rows()).filter(|code| !used[*code]) {
                let row = (key.at(code as u64).unit() * residuals.rows() as f64) as usize;
                codebook.values_mut()[code * width..][..width].copy_from_slice(residuals.row(row));
            }
            model.replace(level, &codebook, &self.device);
        }
    }
}

impl Fit for Training {
    fn remaining(&self) -> usize {
        self.config.rq_vae.epochs - self.epochs
    }
    fn step(&mut self) -> Result<(), QuantizeError> {
        let mut used = vec![vec![false; self.config.codes]; self.config.levels];
        let mut last = None;
        let partners = self.partners();
        for batch in self.order(self.epochs).chunks(self.config.rq_vae.batch_size) {
            let pass = self.update(batch, &partners)?;
            for (used, codes) in used.iter_mut().zip(&pass.codes) {
                for code in codes {
                    used[*code as usize] = true;
                }
            }
            last = Some(pass);
        }
        if let Some(last) = last {
            self.revive(&used, &last);
        }
        self.epochs += 1;
        Ok(())
    }
    fn finish(self: Box<Self>) -> Quantized {
        let Self { vectors, points, standard, model, .. } = *self;
        let model = model.expect("the model is only away during a step");
        let codebooks = model.codebooks();
        let Some(autoencoder) = model.autoencoder() else {
            // Distances are taken where vectors are centred: a large common offset would cost them their digits.
            let undo = |(level, codebook)| standard.undo_codebook(level, codebook);
            let undone = codebooks.iter().cloned().enumerate().map(undo).collect();
            return assigned((points, codebooks), (vectors, undone));
        };
        let autoencoder = standard.undo(autoencoder);
        let encoded = autoencoder.encode(&vectors);
        let quantized = assigned((encoded.clone(), codebooks.clone()), (encoded, codebooks));
        Quantized { autoencoder: Some(autoencoder), ..quantized }
    }
}

/// For every code another of its group, where it has one; groups are of equal size.
fn partners(codebook: &Embeddings, config: &QuantizeConfig, key: Key) -> Vec<Option<u32>> {
    let groups = config.rq_vae.diversity_groups.min(codebook.rows());
    let grouping = QuantizeConfig { codes: groups, ..config.clone() };
    let clusters = balanced::cluster(codebook, &grouping, key.named("groups"));
    let mut members = vec![Vec::new(); groups];
    for (code, &group) in (0u32..).zip(&clusters.assignment) {
        members[group].push(code);
    }
    let partner = |(code, &group): (u32, &usize)| {
        let others: Vec<u32> = members[group].iter().copied().filter(|other| *other != code).collect();
        let at = (key.at(u64::from(code)).unit() * others.len() as f64) as usize;
        others.get(at).copied()
    };
    (0u32..).zip(&clusters.assignment).map(partner).collect()
}

/// Levels of `codebooks`, with the nearest codes; what is nearest is decided among `points` and the codebooks that belong to them.
fn assigned(
    (points, near): (Embeddings, Vec<Embeddings>),
    (vectors, codebooks): (Embeddings, Vec<Embeddings>),
) -> Quantized {
    let (mut deciding, mut levels) = (Levels::new(points), Levels::new(vectors));
    for (near, centers) in near.into_iter().zip(codebooks) {
        let codes = nearest(deciding.residual(), &near);
        let assignment: Vec<usize> = codes.into_iter().map(|code| code as usize).collect();
        deciding.push(Clusters { assignment: assignment.clone(), centers: near });
        levels.push(Clusters { assignment, centers });
    }
    levels.finish()
}

fn standard(vectors: &Embeddings) -> Standard {
    let mean = column_means(vectors);
    let centred = shifted(vectors, &mean, -1.0);
    let scale = (mean_square(&centred) / vectors.width() as f64).sqrt() as f32;
    Standard { mean, scale: if scale > 0.0 { scale } else { 1.0 } }
}

#[cfg(test)]
impl Training {
    /// All encodings, and the codebooks.
    pub(super) fn at_start(&self) -> (Embeddings, Vec<Embeddings>) {
        let model = self.model.as_ref().expect("the model is only away during a step");
        (model.encode(&self.points, &self.device), model.codebooks())
    }
    /// Puts the codes of a level from `first` on where no item is.
    pub(super) fn strand(&mut self, level: usize, first: usize, device: &Device) {
        let model = self.model.as_mut().expect("the model is only away during a step");
        let mut codebook = model.codebooks().swap_remove(level);
        let width = codebook.width();
        codebook.values_mut()[first * width..].fill(1e3);
        model.replace(level, &codebook, device);
    }
}
