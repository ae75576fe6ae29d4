//! Factorisations of small square matrices, in f64 and on one thread, so that no result depends on how many there are.

use crate::embeddings::Embeddings;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, Par, Spec};

/// Eigenvalues of a symmetric matrix, ascending, and their eigenvectors, one per row.
///
/// # Shapes
/// - `matrix` and eigenvectors: `[d, d]`.
pub(super) fn symmetric_eigen(matrix: &Embeddings) -> (Vec<f64>, Embeddings) {
    let d = matrix.width();
    let (mut values, mut vectors) = (Diag::<f64>::zeros(d), Mat::zeros(d, d));
    let scratch = self_adjoint_evd_scratch::<f64>(d, ComputeEigenvectors::Yes, Par::Seq, Spec::default());
    let mut buffer = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut buffer);
    let found = self_adjoint_evd(
        wide(matrix).as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        stack,
        Spec::default(),
    );
    found.expect("finite matrices have eigenvalues");
    let values = (0..d).map(|at| values.column_vector()[at]).collect();
    (values, narrow(d, |row, column| vectors[(column, row)]))
}

/// The orthogonal matrix `V U^T` of the singular value decomposition `matrix = U S V^T`: the transpose of the rotation `R`
/// that maximises `trace(R^T matrix)` (orthogonal Procrustes problem, Schoenemann 1966).
///
/// # Shapes
/// - `matrix` and result: `[d, d]`.
pub(super) fn procrustes(matrix: &Embeddings) -> Embeddings {
    let d = matrix.width();
    let (mut values, mut u, mut v) =
        (Diag::<f64>::zeros(d), Mat::<f64>::zeros(d, d), Mat::<f64>::zeros(d, d));
    let full = ComputeSvdVectors::Full;
    let mut buffer = MemBuffer::new(svd_scratch::<f64>(d, d, full, full, Par::Seq, Spec::default()));
    let found = svd(
        wide(matrix).as_ref(),
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut buffer),
        Spec::default(),
    );
    found.expect("finite matrices have singular values");
    let mut rotation = Mat::<f64>::zeros(d, d);
    faer::linalg::matmul::matmul(
        rotation.as_mut(),
        faer::Accum::Replace,
        v.as_ref(),
        u.as_ref().transpose(),
        1.0,
        Par::Seq,
    );
    narrow(d, |row, column| rotation[(row, column)])
}

fn wide(matrix: &Embeddings) -> Mat<f64> {
    Mat::from_fn(matrix.rows(), matrix.width(), |row, column| f64::from(matrix.row(row)[column]))
}

fn narrow(d: usize, value: impl Fn(usize, usize) -> f64) -> Embeddings {
    Embeddings::new(d, (0..d * d).map(|at| value(at / d, at % d) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f32], expected: &[f32]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near && found.len() == expected.len(), "{found:?}");
    }

    #[test]
    fn eigenvectors_are_rows_in_ascending_order() {
        let (values, vectors) = symmetric_eigen(&Embeddings::new(2, vec![2.0, 1.0, 1.0, 2.0]));
        assert!((values[0] - 1.0).abs() < 1e-12 && (values[1] - 3.0).abs() < 1e-12, "{values:?}");
        let sign = vectors.row(1)[0].signum();
        let half = 0.5_f32.sqrt();
        close(&[vectors.row(1)[0] * sign, vectors.row(1)[1] * sign], &[half, half]);
    }

    /// With `Y = X R` and `X = I` the matrix is `R` itself, and its transpose is what turns rows of `X` into rows of `Y`.
    #[test]
    fn procrustes_finds_the_rotation_even_when_it_is_stretched() {
        let (sin, cos) = 0.7_f32.sin_cos();
        // diag(3, 0.5) times the rotation [cos, sin; -sin, cos] has singular values 3 and 0.5 and that rotation as its factor.
        let rotation = procrustes(&Embeddings::new(2, vec![3.0 * cos, 3.0 * sin, -0.5 * sin, 0.5 * cos]));
        close(rotation.values(), &[cos, -sin, sin, cos]);
    }
}
