//! What can be compared between any two logs: one sample of numbers per marginal.

use crate::data::Dataset;
use std::collections::BTreeMap;

/// A sample of one marginal distribution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Ascending.
    values: Vec<f64>,
}

impl Sample {
    pub(super) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { values }
    }
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
    pub(super) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
    pub(super) fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (squares / self.values.len() as f64).sqrt()
    }
    /// By nearest rank, `share` from 0 to 1.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        self.values[(share * (self.values.len() - 1) as f64).round() as usize]
    }
    /// The share of values up to `x`.
    pub(super) fn cumulative(&self, x: f64) -> f64 {
        self.values.partition_point(|value| *value <= x) as f64 / self.values.len() as f64
    }
    pub(super) fn map(&self, value: impl Fn(f64) -> f64) -> Self {
        Self::new(self.values.iter().map(|&x| value(x)).collect())
    }

    /// Kolmogorov and Smirnov's distance: the largest difference of the two distribution functions.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let gap = |x: &f64| (self.cumulative(*x) - other.cumulative(*x)).abs();
        self.values.iter().chain(&other.values).map(gap).fold(0.0, f64::max)
    }
}

/// How a marginal is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Equal factors are equally wide.
    Factors,
    /// Equal differences are.
    Differences,
}

/// Names, titles with units, and axes of the marginals, in the order of the page.
pub(super) const MARGINALS: [(&str, &str, Axis); 5] = [
    ("length", "interactions of a user", Axis::Factors),
    ("popularity", "interactions of an item", Axis::Factors),
    ("duration", "duration of an item in seconds", Axis::Factors),
    ("watch_ratio", "watched share of an item", Axis::Differences),
    ("like", "share of liked items of a user", Axis::Differences),
];

/// The marginals that this log has.
pub(super) fn of(dataset: &Dataset) -> BTreeMap<&'static str, Sample> {
    let log = &dataset.log;
    let mut counts = vec![0.0; log.num_items];
    let items = log.histories.iter().flat_map(|history| &history.items);
    items.for_each(|item| counts[item.index()] += 1.0);
    let lengths = log.histories.iter().map(|history| history.items.len() as f64);
    let mut found = BTreeMap::from([
        ("length", Sample::new(lengths.collect())),
        ("popularity", Sample::new(counts.into_iter().filter(|count| *count > 0.0).collect())),
    ]);
    let width = log.signals.len();
    let column = |name: &str| log.signals.iter().position(|signal| signal == name);
    let values = |at: usize| log.histories.iter().map(move |h| h.feedback.iter().skip(at).step_by(width));
    if let Some(at) = column("watch_ratio") {
        found.insert("watch_ratio", Sample::new(watched(dataset, at)));
    }
    if let Some(at) = column("like") {
        let rate = |likes: Vec<f64>| likes.iter().sum::<f64>() / likes.len().max(1) as f64;
        let rates = values(at).map(|likes| rate(likes.map(|&like| like.into()).collect()));
        found.insert("like", Sample::new(rates.collect()));
    }
    if let Some(durations) = durations(dataset) {
        found.insert("duration", Sample::new(durations));
    }
    found
}

/// Watched shares of items whose duration is not a guess, `at` this place among the signals.
fn watched(dataset: &Dataset, at: usize) -> Vec<f64> {
    let width = dataset.log.signals.len();
    let rows = dataset.log.histories.iter().flat_map(|h| h.items.iter().zip(h.feedback.chunks_exact(width)));
    let known = rows.filter(|(item, _)| knows_duration(dataset, item.index()) != Some(false));
    known.map(|(_, feedback)| f64::from(feedback[at])).collect()
}

/// Whether an item's duration is known; `None` in logs where all are.
fn knows_duration(dataset: &Dataset, item: usize) -> Option<bool> {
    let table = dataset.attributes.as_ref()?;
    Some(table.row(item)[attribute(dataset, "duration_known")?] > 0.0)
}

fn attribute(dataset: &Dataset, name: &str) -> Option<usize> {
    dataset.attribute_names.iter().position(|attribute| attribute == name)
}

/// Seconds, of the items whose duration is known. `KuaiRand`'s reader gives `ln(1 + milliseconds)` and whether they are
/// known, the world `ln(seconds)`.
fn durations(dataset: &Dataset) -> Option<Vec<f64>> {
    let table = dataset.attributes.as_ref()?;
    let duration = attribute(dataset, "log_duration")?;
    let seconds = (0..table.rows()).filter_map(|row| {
        let log = f64::from(table.row(row)[duration]);
        match knows_duration(dataset, row) {
            None => Some(log.exp()),
            Some(known) => known.then(|| log.exp_m1() / 1000.0),
        }
    });
    Some(seconds.collect()).filter(|seconds: &Vec<f64>| !seconds.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_largest_gap_of_the_distribution_functions() {
        let sample = |values: &[f64]| Sample::new(values.to_vec());
        let a = sample(&[1.0, 2.0, 2.0, 3.0]);
        assert!(a.distance(&a).abs() < 1e-12);
        // Up to 2: three of four against one of two.
        assert!((a.distance(&sample(&[2.0, 4.0])) - 0.5).abs() < 1e-12);
        assert!((a.distance(&sample(&[9.0])) - 1.0).abs() < 1e-12);
        assert!((sample(&[9.0]).distance(&a) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn moments_and_quantiles_are_those_of_the_values() {
        let sample = Sample::new(vec![3.0, 1.0, 2.0, 6.0]);
        assert!((sample.mean() - 3.0).abs() < 1e-12 && (sample.deviation() - 3.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!((sample.quantile(0.0), sample.quantile(1.0), sample.len()), (1.0, 6.0, 4));
        assert!((sample.cumulative(2.5) - 0.5).abs() < 1e-12);
    }
}
