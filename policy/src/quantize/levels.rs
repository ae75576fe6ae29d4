//! Levels put together, whoever made them: codes, codebooks, and what they leave of the vectors.

use super::distance::mean_square;
use super::means::Sums;
use super::{Clusters, Quantized, subtract};
use crate::embeddings::Embeddings;
use crate::ids::Code;
use rayon::prelude::*;

/// The levels so far.
pub(super) struct Levels {
    residual: Embeddings,
    /// Mean squared norm before the first level.
    input: f64,
    quantized: Quantized,
}

impl Levels {
    /// No level of these vectors.
    pub(super) fn new(vectors: Embeddings) -> Self {
        let quantized = Quantized {
            codes: vec![Vec::new(); vectors.rows()],
            codebooks: Vec::new(),
            residuals: Vec::new(),
            autoencoder: None,
        };
        Self { input: mean_square(&vectors), residual: vectors, quantized }
    }
    /// Levels so far.
    pub(super) fn count(&self) -> usize {
        self.quantized.codebooks.len()
    }
    /// What they leave.
    pub(super) fn residual(&self) -> &Embeddings {
        &self.residual
    }
    /// Adds a level.
    pub(super) fn push(&mut self, Clusters { assignment, centers }: Clusters) {
        let codes = self.quantized.codes.iter_mut().zip(&assignment);
        codes.for_each(|(codes, cluster)| codes.push(*cluster as Code));
        let width = self.residual.width();
        let residuals = self.residual.values_mut().par_chunks_exact_mut(width).zip(&assignment);
        residuals.for_each(|(residual, cluster)| subtract(residual, centers.row(*cluster)));
        let left = mean_square(&self.residual);
        self.quantized.residuals.push(if self.input > 0.0 { left / self.input } else { 0.0 });
        self.quantized.codebooks.push(centers);
    }
    /// Adds a level whose codes were given without looking at vectors. A code's vector is the mean of what earlier levels
    /// leave of its items: the most that the code can say. The codebook ends with the largest code in use.
    pub(super) fn push_codes(&mut self, assignment: Vec<usize>) {
        let codes = assignment.iter().max().map_or(1, |largest| largest + 1);
        let mut sums = Sums::new(&self.residual, codes);
        sums.assign(&self.residual, &assignment);
        let width = self.residual.width();
        let centers = sums.means(&Embeddings::new(width, vec![0.0; codes * width]));
        self.push(Clusters { assignment, centers });
    }
    /// All of them.
    pub(super) fn finish(self) -> Quantized {
        self.quantized
    }
}

/// Levels of codes that were given without looking at the vectors, one row of codes per item.
pub(super) fn of_codes(vectors: Embeddings, codes: &[Vec<Code>]) -> Quantized {
    let mut levels = Levels::new(vectors);
    for level in 0..codes[0].len() {
        levels.push_codes(codes.iter().map(|codes| codes[level] as usize).collect());
    }
    levels.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_codes_vector_is_the_mean_of_what_earlier_levels_leave() {
        let vectors = Embeddings::new(1, vec![0.0, 2.0, 10.0, 14.0]);
        let quantized = of_codes(vectors, &[vec![0, 1], vec![0, 3], vec![1, 1], vec![1, 3]]);
        assert_eq!(quantized.codebooks[0].values(), [1.0, 12.0]);
        // What is left is -1, 1, -2, 2; codes 0 and 2 have no items.
        assert_eq!(quantized.codebooks[1].values(), [0.0, -1.5, 0.0, 1.5]);
        assert_eq!(quantized.reconstruct().values(), [-0.5, 2.5, 10.5, 13.5]);
        assert!((quantized.residuals[1] - 1.0 / 300.0).abs() < 1e-9, "{:?}", quantized.residuals);
    }
}
