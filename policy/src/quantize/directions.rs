//! The directions in which points differ most.

use super::distance::products;
use super::rows::dot;
use crate::embeddings::Embeddings;
use pulp::{Arch, Simd, WithSimd};

/// Narrower vectors are not worth splitting.
const NARROW: usize = 64;
/// Most directions that are looked for.
const MOST: usize = 128;
/// Points that are looked at.
const SAMPLE: usize = 1024;
/// Multiplications by the covariance; each tells strong directions from weak ones by the ratio of their variances.
const ROUNDS: usize = 3;

/// Orthonormal directions, one per row: about those of at least 0.7 times the average variance (Jolliffe's
/// criterion, 1972), by subspace iteration over a sample of the points. `None` where there are none or a split would not pay.
pub(super) fn leading(points: &Embeddings) -> Option<Embeddings> {
    let width = points.width();
    if width < NARROW || points.rows() < SAMPLE {
        return None;
    }
    let sample = sample(points)?;
    let turned = transposed(&sample);
    let covariance = products(&turned, &turned);
    let covariance = Embeddings::new(width, covariance);
    let start = sample.values()[..MOST.min(width / 2) * width].to_vec();
    let mut directions = Embeddings::new(width, start);
    for _ in 0..ROUNDS {
        let stretched = Embeddings::new(width, products(&directions, &covariance));
        directions = orthonormal(&stretched);
    }
    strong(&directions, &covariance)
}

/// Evenly spaced points, scaled so that no product of theirs overflows.
fn sample(points: &Embeddings) -> Option<Embeddings> {
    let rows = (0..SAMPLE).map(|row| points.row(row * points.rows() / SAMPLE));
    let largest = rows.clone().flatten().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let values = rows.flatten().map(|value| value / largest).collect();
    (largest > 0.0).then(|| Embeddings::new(points.width(), values))
}

/// Columns as rows.
pub(super) fn transposed(table: &Embeddings) -> Embeddings {
    let column = |column: usize| table.values().iter().skip(column).step_by(table.width());
    Embeddings::new(table.rows(), (0..table.width()).flat_map(column).copied().collect())
}

/// The rows made orthonormal one after the other (Gram-Schmidt), without those that depend on earlier ones.
pub(super) fn orthonormal(rows: &Embeddings) -> Embeddings {
    struct GramSchmidt<'a>(&'a Embeddings);
    impl WithSimd for GramSchmidt<'_> {
        type Output = Vec<f32>;
        #[expect(clippy::inline_always, reason = "it must be compiled for the vector unit")]
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let width = self.0.width();
            let mut found: Vec<f32> = Vec::with_capacity(self.0.values().len());
            for row in self.0.values().chunks_exact(width) {
                let mut row = row.to_vec();
                let mut norm = dot(simd, &row, &row);
                let least = norm * 1e-6;
                // A pass that removes most of a row leaves rounding errors; another one removes these (Kahan, Parlett).
                loop {
                    for direction in found.chunks_exact(width) {
                        let part = dot(simd, direction, &row);
                        for (value, unit) in row.iter_mut().zip(direction) {
                            *value -= part * unit;
                        }
                    }
                    let left = dot(simd, &row, &row);
                    if left > norm / 2.0 || left <= least {
                        norm = left;
                        break;
                    }
                    norm = left;
                }
                if norm > least {
                    let scale = norm.sqrt().recip();
                    found.extend(row.iter().map(|value| value * scale));
                }
            }
            found
        }
    }
    Embeddings::new(rows.width(), Arch::new().dispatch(GramSchmidt(rows)))
}

/// The directions of more than average variance.
fn strong(directions: &Embeddings, covariance: &Embeddings) -> Option<Embeddings> {
    let width = covariance.width();
    let average = (0..width).map(|at| covariance.row(at)[at]).sum::<f32>() / width as f32;
    let stretched = Embeddings::new(width, products(directions, covariance));
    let variance =
        |row: &usize| directions.row(*row).iter().zip(stretched.row(*row)).map(|(a, b)| a * b).sum::<f32>();
    let strong = (0..directions.rows()).filter(|row| variance(row) > 0.7 * average);
    let values: Vec<f32> = strong.flat_map(|row| directions.row(row)).copied().collect();
    (!values.is_empty()).then(|| Embeddings::new(width, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    #[test]
    fn strong_directions_are_found_and_are_orthonormal() {
        // Every point is a mixture of three rows, and a little noise.
        let unit =
            |row: usize, column: usize| Key::new(3).at(row as u64).at(column as u64).unit() as f32 - 0.5;
        let value = |row: usize, column: usize| {
            let mixed: f32 = (0..3).map(|part| unit(row, part) * unit(9_000 + part, column)).sum();
            mixed + 0.01 * unit(row, 100 + column)
        };
        let width = 72;
        let points =
            Embeddings::new(width, (0..2000 * width).map(|at| value(at / width, at % width)).collect());
        let directions = leading(&points).unwrap();
        assert_eq!(directions.rows(), 3);
        let products = products(&directions, &directions);
        for (at, product) in products.iter().enumerate() {
            let expected = if at % 4 == 0 { 1.0 } else { 0.0 };
            assert!((product - expected).abs() < 1e-5, "{products:?}");
        }
    }

    #[test]
    fn equal_points_have_no_directions() {
        assert_eq!(leading(&Embeddings::new(64, vec![0.0; 64 * 1024])), None);
    }
}
