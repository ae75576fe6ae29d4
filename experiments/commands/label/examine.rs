//! How well scores tell held-out verdicts.

use crate::stages::reward::{Statistic, bootstrap};
use reports::schema::Estimate;
use reward::satisfaction::decision::Threshold;
use reward::satisfaction::impressions::Impressions;
use reward::statistics::{HeadStatistics, Rows};
use serde::Serialize;

/// What some scores are worth, with intervals over users.
#[derive(Clone, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) auc: Option<Estimate>,
    /// Share of users whose approved impression scores above the disapproved one.
    pub(super) pair_accuracy: Option<Estimate>,
    /// Of disapproval, at the threshold; absent where there is none.
    pub(super) recall: Option<Estimate>,
    pub(super) f1: Option<Estimate>,
}

/// Pairs of held-out impressions.
pub(super) struct Paper<'a> {
    pairs: &'a [usize],
    labels: Vec<f64>,
    users: Vec<usize>,
    resamples: usize,
}

impl<'a> Paper<'a> {
    pub(super) fn new(impressions: &Impressions<'_>, pairs: &'a [usize], resamples: usize) -> Self {
        let approved = |&at: &usize| f64::from(u8::from(impressions.verdicts()[at] == Some(true)));
        Self {
            pairs,
            labels: pairs.iter().map(approved).collect(),
            users: (0..pairs.len()).map(|row| row / 2).collect(),
            resamples,
        }
    }
    /// The scores of the pairs, of those of all impressions.
    pub(super) fn of(&self, scores: &[f64]) -> Vec<f64> {
        self.pairs.iter().map(|&at| scores[at]).collect()
    }
    /// Scores of the pairs beside what was said.
    pub(super) fn rows<'b>(&'b self, scores: &'b [f64]) -> Rows<'b> {
        Rows { scores, labels: &self.labels, users: &self.users }
    }
    pub(super) fn line(&self, name: &str, scores: &[f64], threshold: Option<Threshold>) -> Line {
        let rows = self.rows(scores);
        let statistics = HeadStatistics::new(rows);
        let estimate = |statistic: &Statistic<'_>| bootstrap(rows.num_users(), self.resamples, statistic);
        Line {
            name: name.into(),
            auc: estimate(&|draws| statistics.auc(draws)),
            pair_accuracy: estimate(&|draws| statistics.pair_accuracy(draws)),
            recall: threshold.and_then(|threshold| estimate(&|draws| threshold.recall(rows, draws))),
            f1: threshold.and_then(|threshold| estimate(&|draws| threshold.f1(rows, draws))),
        }
    }
}
