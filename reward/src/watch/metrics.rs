//! How far predicted watch times can be trusted: MAE and XAUC, over weighted examples.
//!
//! Weights count how often an example is drawn: 1 for all, or the draws of its user in a bootstrap resample.

use crate::calibration::positions;

/// Mean absolute error; `None` for no weight.
pub fn mae(predictions: &[f64], labels: &[f64], weights: &[f64]) -> Option<f64> {
    let total: f64 = weights.iter().sum();
    let errors = predictions.iter().zip(labels).zip(weights).map(|((p, y), w)| w * (p - y).abs());
    (total > 0.0).then(|| errors.sum::<f64>() / total)
}

/// XAUC: the share of pairs of examples with different labels that the predictions order as the labels do, equal
/// predictions counting half. O(n log n): labels in rising order, predictions counted in a binary indexed tree.
///
/// The definition in use for watch time (2206.06003) samples pairs; this is the expectation of it, exact. `None` when all
/// labels are equal.
pub fn xauc(predictions: &[f64], labels: &[f64], weights: &[f64]) -> Option<f64> {
    let places = positions(predictions);
    let label_places = positions(labels);
    let mut order: Vec<usize> = (0..labels.len()).filter(|&i| weights[i] > 0.0).collect();
    order.sort_unstable_by_key(|&i| label_places[i]);
    let mut below = Counts(vec![0.0; labels.len() + 1]);
    let (mut won, mut pairs, mut seen) = (0.0, 0.0, 0.0);
    for equal in order.chunk_by(|&a, &b| label_places[a] == label_places[b]) {
        for &i in equal {
            let (less, up_to) = (below.sum(places[i]), below.sum(places[i] + 1));
            won += weights[i] * f64::midpoint(less, up_to);
            pairs += weights[i] * seen;
        }
        for &i in equal {
            below.add(places[i], weights[i]);
            seen += weights[i];
        }
    }
    (pairs > 0.0).then(|| won / pairs)
}

/// A binary indexed tree (Fenwick 1994).
struct Counts(Vec<f64>);

impl Counts {
    fn add(&mut self, place: usize, weight: f64) {
        let mut at = place + 1;
        while at < self.0.len() {
            self.0[at] += weight;
            at += at & at.wrapping_neg();
        }
    }
    /// The weight at places below `place`.
    fn sum(&self, place: usize) -> f64 {
        let (mut at, mut sum) = (place, 0.0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }
}
