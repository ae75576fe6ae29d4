//! The principal components of text vectors.

use super::dense::{Dense, inner, times};
use super::eigen::{Symmetric, leading};
use crate::embeddings::Embeddings;
use crate::quantize::{Normalize, normalized};
use crate::random::Key;

/// `X^T X` for vectors around their mean, never written down: it may be wider than the vectors are many.
struct Covariance<'a>(&'a Dense);

impl Symmetric for Covariance<'_> {
    fn size(&self) -> usize {
        self.0.width
    }
    fn times(&self, x: &Dense) -> Dense {
        Dense::of_matrix(inner(self.0, &times(self.0, x.view())).as_ref())
    }
}

/// At most `width` principal components, the strongest first, rows scaled to unit length. A row at the mean stays zero.
pub(super) fn principal(vectors: &Embeddings, width: usize, key: Key) -> Embeddings {
    let mut centered = Dense::of(vectors);
    centered.subtract(&centered.means());
    if centered.values.iter().all(|value| *value == 0.0) {
        return Embeddings::new(1, vec![0.0; vectors.rows()]);
    }
    let directions = leading(&Covariance(&centered), width, key);
    let components = times(&centered, directions.vectors.view());
    normalized(&components.to_embeddings(), Normalize::Unit)
}
