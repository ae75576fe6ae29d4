//! The strongest eigenvectors of a large symmetric matrix, by randomised subspace iteration (Halko, Martinsson and Tropp
//! 2011, alg. 4.4): a random basis is multiplied by the matrix and made orthonormal, several times.
//!
//! For a symmetric matrix this is its truncated singular value decomposition: the singular values are the absolute
//! eigenvalues.

use super::dense::{Dense, inner, times};
use crate::random::Key;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};

/// Directions beyond those that are wanted: what the last wanted ones are told apart from.
const OVERSAMPLING: usize = 10;
/// Multiplications by the matrix. The part of a direction of strength `t` shrinks as `(t / s)^ROUNDS` beside one of strength `s`.
const ROUNDS: usize = 8;
/// Directions this much weaker than the strongest one, squared, are rounding errors.
const NEGLIGIBLE: f64 = 1e-12;

/// A symmetric matrix that is only known by what it does.
pub(super) trait Symmetric {
    /// Number of rows, and of columns.
    fn size(&self) -> usize;
    /// The matrix times `x`.
    ///
    /// # Shapes
    /// `x`: `[size, k]`; the result is of the same shape.
    fn times(&self, x: &Dense) -> Dense;
}

/// Eigenvectors, the strongest first.
pub(super) struct Leading {
    /// `[size, count]`, orthonormal columns.
    pub(super) vectors: Dense,
    /// Absolute eigenvalues.
    pub(super) strengths: Vec<f64>,
}

impl Leading {
    /// `U sqrt(S)`.
    pub(super) fn scaled_by_root(self) -> Dense {
        let Self { mut vectors, strengths } = self;
        for row in vectors.values.chunks_exact_mut(strengths.len()) {
            row.iter_mut().zip(&strengths).for_each(|(value, strength)| *value *= strength.sqrt());
        }
        vectors
    }
}

/// The `count` strongest eigenvectors, or as many as a matrix that is not zero has.
pub(super) fn leading(matrix: &impl Symmetric, count: usize, key: Key) -> Leading {
    let size = matrix.size();
    let mut basis = orthonormal(random(size, (count + OVERSAMPLING).min(size), key));
    for _ in 0..ROUNDS {
        basis = orthonormal(matrix.times(&basis));
    }
    let image = matrix.times(&basis);
    let (mut squares, mut turn) = eigen(&inner(&image, &image));
    let first = squares.len().saturating_sub(count);
    let kept: Vec<usize> = (first..squares.len()).rev().filter(|at| squares[*at] > 0.0).collect();
    turn = Mat::from_fn(turn.nrows(), kept.len(), |row, column| turn[(row, kept[column])]);
    squares = kept.iter().map(|at| squares[*at]).collect();
    Leading { vectors: times(&basis, turn.as_ref()), strengths: squares.into_iter().map(f64::sqrt).collect() }
}

/// Eigenvalues of a small symmetric matrix, ascending, and its eigenvectors as columns.
pub(super) fn eigen(matrix: &Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let size = matrix.nrows();
    let (mut values, mut vectors) = (Mat::zeros(size, size), Mat::zeros(size, size));
    let scratch =
        self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, Par::Seq, faer::Spec::default());
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut().diagonal_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::Spec::default(),
    )
    .expect("the eigenvalues of a finite symmetric matrix converge");
    ((0..size).map(|at| values[(at, at)]).collect(), vectors)
}

/// An orthonormal basis of the columns. Twice, because the first pass loses what the columns' strengths differ by, squared.
fn orthonormal(columns: Dense) -> Dense {
    (0..2).fold(columns, |columns, _| {
        let (squares, vectors) = eigen(&inner(&columns, &columns));
        let least = NEGLIGIBLE * squares.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..squares.len()).rev().filter(|at| squares[*at] > least).collect();
        let turn = Mat::from_fn(squares.len(), kept.len(), |row, column| {
            vectors[(row, kept[column])] / squares[kept[column]].sqrt()
        });
        times(&columns, turn.as_ref())
    })
}

/// Uniform values in `[-1, 1)`.
fn random(rows: usize, width: usize, key: Key) -> Dense {
    let row = |row: usize| (0..width as u64).map(move |at| 2.0 * key.at(row as u64).at(at).unit() - 1.0);
    Dense { width, values: (0..rows).flat_map(row).collect() }
}
