//! Duration-aware watch labels (OneRec-V2, 2508.20900; ALGORITHMS 1.14): a watch counts as long when it is long for this
//! user among items about as long. Plain watch time prefers long items, watch ratios prefer short ones.
//!
//! `F(d) = floor(log_2(d))` puts durations into buckets; `q` is the percentile rank of a watch time among the user's own
//! training interactions in its bucket; positive is what ranks above the upper quartile of all training sessions and was
//! not disliked. The paper takes the quartile of each batch; here it is fitted once, so that a label is a fact of the log.
//! A list's rank is the mean of its items'.

use super::{Columns, Feedback, Session, sessions};
use policy::ids::UserId;
use serde::{Deserialize, Serialize};

/// Share of sessions that are not above the threshold.
const QUANTILE: f64 = 0.75;

/// The fitted threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DurationAware {
    dislike: Option<usize>,
    threshold: f64,
}

impl DurationAware {
    pub(super) fn fit(feedback: &Feedback<'_>, columns: &Columns, users: &[UserId]) -> Self {
        let dislike =
            feedback.log.signals.iter().position(|name| matches!(name.as_str(), "dislike" | "hate"));
        let ranked = sessions(feedback.log, users, 1).map(|session| rank(feedback, columns, session));
        let mut ranks: Vec<f64> = ranked.collect();
        ranks.sort_by(f64::total_cmp);
        let last = ((ranks.len() as f64 * QUANTILE).ceil() as usize).saturating_sub(1);
        let threshold = ranks.get(last).copied().unwrap_or(1.0);
        Self { dislike, threshold }
    }
    pub(super) fn label(&self, feedback: &Feedback<'_>, columns: &Columns, session: Session) -> bool {
        let Session { user, start, length } = session;
        let disliked =
            |position| self.dislike.is_some_and(|column| feedback.value(user, position, column) >= 0.5);
        rank(feedback, columns, session) > self.threshold && !(start..start + length).any(disliked)
    }
}

/// Mean percentile rank of the session's watch times, ties in the middle.
fn rank(feedback: &Feedback<'_>, columns: &Columns, session: Session) -> f64 {
    let Session { user, start, length } = session;
    let time = |position| feedback.watch_time(columns, user, position);
    let history = 0..feedback.log.train_items(user).len();
    let total: f64 = (start..start + length)
        .map(|position| {
            let (bucket, own) = (bucket(feedback, user, position), time(position));
            let (mut below, mut equal, mut all) = (0.0, 0.0, 0.0);
            for other in history.clone().filter(|&other| self::bucket(feedback, user, other) == bucket) {
                all += 1.0;
                match time(other).total_cmp(&own) {
                    std::cmp::Ordering::Less => below += 1.0,
                    std::cmp::Ordering::Equal => equal += 1.0,
                    std::cmp::Ordering::Greater => {}
                }
            }
            if all == 0.0 { 0.5 } else { (below + equal / 2.0) / all }
        })
        .sum();
    total / length as f64
}

/// `floor(log_2(d))`; one bucket for all where durations are not known.
fn bucket(feedback: &Feedback<'_>, user: UserId, position: usize) -> i32 {
    let item = feedback.log.history(user).items[position];
    let duration = feedback.durations.map_or(1.0, |durations| durations[item.index()]);
    duration.max(1.0).log2().floor() as i32
}
