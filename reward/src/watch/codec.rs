//! What is fitted to the watch times of the training users, apart from weights.

use super::Kind;
use super::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

/// Thresholds of the ordinal head.
pub const THRESHOLDS: usize = 32;

/// How a watch time becomes a training target and back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Codec {
    /// The number over the mean.
    Regression {
        /// Mean watch time.
        mean: f64,
    },
    /// Whether the number exceeds each threshold.
    Ordinal {
        /// Rising.
        thresholds: Vec<f64>,
        /// Mean watch time up to the first threshold, between neighbours, and above the last: one more than thresholds.
        means: Vec<f64>,
    },
    /// Tokens that sum up to the number.
    Generative(Vocabulary),
}

impl Codec {
    /// The codec of these watch times.
    ///
    /// # Panics
    /// If there are none.
    pub fn fit(kind: Kind, times: &[f64]) -> Self {
        assert!(!times.is_empty(), "watch-time heads are fitted to watch times");
        match kind {
            Kind::Regression => Self::Regression { mean: mean(times).max(f64::MIN_POSITIVE) },
            Kind::Ordinal => ordinal(times),
            Kind::Generative => Self::Generative(Vocabulary::fit(times)),
        }
    }
    /// Whose codec it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Regression { .. } => Kind::Regression,
            Self::Ordinal { .. } => Kind::Ordinal,
            Self::Generative(_) => Kind::Generative,
        }
    }
    /// What errors are measured in: the mean watch time, or the mean of the means.
    pub(super) fn scale(&self) -> f64 {
        match self {
            Self::Regression { mean } => *mean,
            Self::Ordinal { means, .. } => mean(means).max(f64::MIN_POSITIVE),
            Self::Generative(vocabulary) => vocabulary.mean().max(f64::MIN_POSITIVE),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Thresholds at evenly spaced quantiles; equal ones are one.
fn ordinal(times: &[f64]) -> Codec {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted[index * (sorted.len() - 1) / (THRESHOLDS + 1)];
    let mut thresholds: Vec<f64> = (1..=THRESHOLDS).map(at).collect();
    thresholds.dedup();
    // Above the largest time there is nothing to learn.
    thresholds.retain(|&threshold| threshold < sorted[sorted.len() - 1]);
    let mut means = Vec::new();
    let mut rest = sorted.as_slice();
    for threshold in thresholds.iter().map(Some).chain([None]) {
        let count =
            threshold.map_or(rest.len(), |&threshold| rest.partition_point(|&time| time <= threshold));
        means.push(mean(&rest[..count]));
        rest = &rest[count..];
    }
    Codec::Ordinal { thresholds, means }
}
