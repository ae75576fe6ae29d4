//! A trained encoder and decoder as plain numbers, for whoever has no use for gradients.

use super::super::distance::products;
use crate::embeddings::Embeddings;

/// `x W^T + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[out, in]`.
    pub weight: Embeddings,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// Two multi-layer perceptrons with rectifiers between their layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    /// From vectors to encodings.
    pub encoder: Vec<Dense>,
    /// Back.
    pub decoder: Vec<Dense>,
}

impl Autoencoder {
    /// Encodings of vectors.
    ///
    /// # Shapes
    /// - `vectors`: `[n, width]`, result: `[n, latent]`.
    pub fn encode(&self, vectors: &Embeddings) -> Embeddings {
        forward(&self.encoder, vectors)
    }
    /// Vectors of encodings.
    ///
    /// # Shapes
    /// - `encodings`: `[n, latent]`, result: `[n, width]`.
    pub fn decode(&self, encodings: &Embeddings) -> Embeddings {
        forward(&self.decoder, encodings)
    }
}

fn forward(layers: &[Dense], rows: &Embeddings) -> Embeddings {
    let mut rows = rows.clone();
    for (at, layer) in layers.iter().enumerate() {
        let mut next = Embeddings::new(layer.bias.len(), products(&rows, &layer.weight));
        for row in next.values_mut().chunks_exact_mut(layer.bias.len()) {
            row.iter_mut().zip(&layer.bias).for_each(|(value, bias)| *value += bias);
            if at + 1 < layers.len() {
                for value in row {
                    *value = value.max(0.0);
                }
            }
        }
        rows = next;
    }
    rows
}

/// What was done to vectors before training.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standard {
    pub(super) mean: Vec<f32>,
    /// Root mean square of the centred values; 1 where all vectors are equal.
    pub(super) scale: f32,
}

impl Standard {
    /// Centred and scaled vectors.
    pub(super) fn apply(&self, vectors: &Embeddings) -> Embeddings {
        let mut result = vectors.clone();
        for row in result.values_mut().chunks_exact_mut(self.mean.len()) {
            row.iter_mut().zip(&self.mean).for_each(|(value, mean)| *value = (*value - mean) / self.scale);
        }
        result
    }
    /// The autoencoder of vectors that were not centred and scaled, from that of those that were.
    pub(super) fn undo(&self, mut autoencoder: Autoencoder) -> Autoencoder {
        if let Some(first) = autoencoder.encoder.first_mut() {
            first.weight.values_mut().iter_mut().for_each(|weight| *weight /= self.scale);
            let shift = products(&first.weight, &Embeddings::new(self.mean.len(), self.mean.clone()));
            first.bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias -= shift);
        }
        if let Some(last) = autoencoder.decoder.last_mut() {
            last.weight.values_mut().iter_mut().for_each(|weight| *weight *= self.scale);
            last.bias.iter_mut().zip(&self.mean).for_each(|(bias, mean)| *bias = *bias * self.scale + mean);
        }
        autoencoder
    }
    /// The codebook of a level for vectors that were not centred and scaled: the first one carries the mean.
    pub(super) fn undo_codebook(&self, level: usize, mut codebook: Embeddings) -> Embeddings {
        let share = if level == 0 { 1.0 } else { 0.0 };
        for row in codebook.values_mut().chunks_exact_mut(self.mean.len()) {
            row.iter_mut()
                .zip(&self.mean)
                .for_each(|(value, mean)| *value = *value * self.scale + share * mean);
        }
        codebook
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(weight: &[f32], bias: &[f32]) -> Dense {
        Dense { weight: Embeddings::new(weight.len() / bias.len(), weight.to_vec()), bias: bias.to_vec() }
    }

    #[test]
    fn layers_follow_each_other_with_relu_between() {
        let autoencoder = Autoencoder {
            encoder: vec![dense(&[1.0, -1.0, 2.0, 0.0], &[0.0, 1.0]), dense(&[1.0, 1.0], &[-9.0])],
            decoder: vec![dense(&[1.0, 2.0], &[0.5, 0.0])],
        };
        // Hidden: 1 - 3 = -2 becomes 0, 2 + 1 = 3; then 3 - 9.
        let encoded = autoencoder.encode(&Embeddings::new(2, vec![1.0, 3.0]));
        assert_eq!(encoded.values(), [-6.0]);
        assert_eq!(autoencoder.decode(&encoded).values(), [-5.5, -12.0]);
    }

    #[test]
    fn undone_standardisation_is_the_same_function() {
        let standard = Standard { mean: vec![3.0, -1.0], scale: 2.0 };
        let trained = Autoencoder {
            encoder: vec![dense(&[1.0, 0.5], &[0.25])],
            decoder: vec![dense(&[1.0, -2.0], &[0.5, 1.0])],
        };
        let vectors = Embeddings::new(2, vec![5.0, 3.0, -1.0, 0.0]);
        let undone = standard.undo(trained.clone());
        let encoded = trained.encode(&standard.apply(&vectors));
        assert_eq!(undone.encode(&vectors), encoded);
        assert_eq!(standard.apply(&undone.decode(&encoded)), trained.decode(&encoded));
        let codebook = standard.undo_codebook(0, Embeddings::new(2, vec![1.0, 2.0]));
        assert_eq!(codebook.values(), [5.0, 3.0]);
        assert_eq!(standard.undo_codebook(1, Embeddings::new(2, vec![1.0, 2.0])).values(), [2.0, 4.0]);
    }
}
