//! Ridge regression (Hoerl and Kennard 1970): what is not known of some rows, predicted from what is known of all.

use super::dense::{Dense, inner, product, times};
use super::eigen::eigen;
use faer::Mat;

/// Strengths of the penalty that are tried, relative to the mean eigenvalue of the features' covariance; strongest first, so
/// that a tie goes to the simpler fit.
const STRENGTHS: [f64; 13] = [1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4];

/// Replaces the rows of `target` that are not `known` by their prediction from `features`, fitted on the known rows.
///
/// The penalty is the one of least generalised cross-validation error `n RSS / (n - df)^2` (Golub, Heath and Wahba 1979), so there is
/// nothing to configure. The intercept is not penalised. Without known rows, nothing is changed.
///
/// # Shapes
/// - `features`: `[n, p]`, `target`: `[n, q]`.
pub(super) fn fill(features: &Dense, target: &mut Dense, known: &[bool]) {
    let (seen, unseen): (Vec<usize>, Vec<usize>) = (0..known.len()).partition(|row| known[*row]);
    if seen.is_empty() || unseen.is_empty() {
        return;
    }
    let (mut x, mut y) = (features.gather(&seen), target.gather(&seen));
    let (x_mean, y_mean) = (x.means(), y.means());
    x.subtract(&x_mean);
    y.subtract(&y_mean);
    let mut new = features.gather(&unseen);
    new.subtract(&x_mean);
    let predicted = times(&new, Fit::of(&x, &y).weights().as_ref());
    for (place, row) in unseen.iter().zip(0..) {
        let values = predicted.row(row).iter().zip(&y_mean);
        target.row_mut(*place).iter_mut().zip(values).for_each(|(out, (value, mean))| *out = value + mean);
    }
}

/// A regression in the coordinates in which the features do not correlate.
struct Fit {
    /// Rows that it is fitted on.
    rows: f64,
    /// Energy of the target.
    energy: f64,
    /// Variances of the features, times `rows`.
    variances: Vec<f64>,
    /// Directions of these variances, `[p, p]`.
    directions: Mat<f64>,
    /// The features' inner products with the target, `[p, q]`, in these directions.
    products: Mat<f64>,
}

impl Fit {
    /// Both without their means.
    fn of(x: &Dense, y: &Dense) -> Self {
        let (variances, directions) = eigen(&inner(x, x));
        let products = product(directions.transpose(), inner(x, y).as_ref());
        Self {
            rows: x.rows() as f64,
            energy: y.values.iter().map(|value| value * value).sum(),
            variances: variances.into_iter().map(|value| value.max(0.0)).collect(),
            directions,
            products,
        }
    }

    /// `[p, q]`; zero where the features are constant.
    fn weights(&self) -> Mat<f64> {
        let mean = self.variances.iter().sum::<f64>() / self.variances.len() as f64;
        if mean <= 0.0 {
            return Mat::zeros(self.products.nrows(), self.products.ncols());
        }
        let penalties = STRENGTHS.map(|strength| strength * mean);
        let best = penalties.into_iter().min_by(|a, b| self.error(*a).total_cmp(&self.error(*b)));
        let penalty = best.expect("the list of strengths is not empty");
        let scaled = Mat::from_fn(self.products.nrows(), self.products.ncols(), |row, column| {
            self.products[(row, column)] / (self.variances[row] + penalty)
        });
        product(self.directions.as_ref(), scaled.as_ref())
    }

    /// Generalised cross-validation error, up to a constant factor.
    fn error(&self, penalty: f64) -> f64 {
        let fitted = self.variances.iter().zip(0..).map(|(variance, row)| {
            let energy: f64 =
                (0..self.products.ncols()).map(|column| self.products[(row, column)].powi(2)).sum();
            energy * (variance + 2.0 * penalty) / (variance + penalty).powi(2)
        });
        let left = self.energy - fitted.sum::<f64>();
        let freedom = self.variances.iter().map(|variance| variance / (variance + penalty)).sum::<f64>();
        // The intercept is one more.
        let rest = self.rows - 1.0 - freedom;
        if rest > 0.0 { left.max(0.0) / rest.powi(2) } else { f64::INFINITY }
    }
}
