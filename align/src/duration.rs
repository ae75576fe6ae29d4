//! Advantages of what was really shown, from play times (`OneRec`-V2, 2508.20900, section on duration-aware reward shaping): long
//! items are watched longer, so a play time is compared only with the user's own play times of items about as long.
//!
//! Not published: the base of the buckets (2 here), the treatment of equal play times (they count half).

use crate::surrogate::Surrogate;
use serde::{Deserialize, Serialize};

/// `kind = "duration-aware"`: a policy gradient on what users were shown, with [`duration_advantages`]. The log says nothing of the
/// policy that showed it: the behavior is the policy itself, without its gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DurationAware {
    /// Samples of the log per user of the step, beside the user's own target.
    pub further: usize,
    /// Share of a step's exposures that count as good, in `(0, 1)`; 0.25 is the paper's.
    pub top_share: f64,
    /// What is maximised; the paper uses `gbpo`.
    pub surrogate: Surrogate,
}

impl Default for DurationAware {
    fn default() -> Self {
        Self { further: 3, top_share: 0.25, surrogate: Surrogate::Gbpo }
    }
}

/// One item shown to a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposure {
    /// Length of the item, in seconds; at least 0.
    pub duration: f64,
    /// How long it was played, in seconds.
    pub played: f64,
    /// Whether the user said so: dislike, report.
    pub disliked: bool,
}

/// Ratio of lengths between neighbouring buckets.
const BASE: f64 = 2.0;
/// Keeps the logarithm of a missing duration finite.
const EPSILON: f64 = 1e-6;

/// `floor(log_base(duration + epsilon))`.
fn bucket(duration: f64) -> i32 {
    (duration.max(0.0) + EPSILON).log(BASE).floor() as i32
}

/// Share of the exposures in `history` of about the same duration that were played less long, equals counted half; `None` if there is
/// none to compare with.
pub fn play_quantile(history: &[Exposure], shown: &Exposure) -> Option<f64> {
    let same: Vec<f64> = history
        .iter()
        .filter(|past| bucket(past.duration) == bucket(shown.duration))
        .map(|past| past.played)
        .collect();
    let below = same.iter().filter(|&&played| played < shown.played).count() as f64;
    let equal = same.iter().filter(|played| played.total_cmp(&shown.played).is_eq()).count() as f64;
    (!same.is_empty()).then(|| (below + equal / 2.0) / same.len() as f64)
}

/// +1 for exposures among the `top_share` of the batch by [`play_quantile`] and not disliked, -1 for disliked ones, 0 for the rest and
/// for what could not be compared. No normalisation: a batch without a good exposure has no positive advantage. `OneRec`-V2 takes
/// `top_share` = 0.25.
///
/// # Panics
/// If there are not as many quantiles as exposures.
pub fn duration_advantages(quantiles: &[Option<f64>], shown: &[Exposure], top_share: f64) -> Vec<f32> {
    assert_eq!(quantiles.len(), shown.len(), "one quantile per exposure");
    let mut known: Vec<f64> = quantiles.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    let kept = (known.len() as f64 * top_share).floor() as usize;
    // Strictly above the threshold, so that a batch of equals has no best.
    let threshold = known.len().checked_sub(kept + 1).map(|at| known[at]);
    let best = |quantile: &Option<f64>| quantile.zip(threshold).is_some_and(|(found, least)| found > least);
    shown
        .iter()
        .zip(quantiles)
        .map(|(exposure, quantile)| match (exposure.disliked, best(quantile)) {
            (true, _) => -1.0,
            (false, true) => 1.0,
            (false, false) => 0.0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure(duration: f64, played: f64) -> Exposure {
        Exposure { duration, played, disliked: false }
    }

    #[test]
    fn play_times_are_compared_within_items_of_like_duration() {
        let history = [exposure(10.0, 4.0), exposure(15.0, 8.0), exposure(9.0, 8.0), exposure(200.0, 100.0)];
        assert_eq!(play_quantile(&history, &exposure(12.0, 8.0)), Some(2.0 / 3.0));
        assert_eq!(play_quantile(&history, &exposure(130.0, 1.0)), Some(0.0));
        assert_eq!(play_quantile(&history, &exposure(40.0, 39.0)), None, "nothing of this duration");
        assert_eq!(play_quantile(&[], &exposure(0.0, 0.0)), None);
    }

    #[test]
    fn the_best_share_of_the_batch_counts_and_dislikes_count_against() {
        let mut shown = [exposure(10.0, 1.0); 8];
        shown[7].disliked = true;
        let quantiles = [0.1, 0.2, 0.9, 0.3, 0.4, 0.5, 0.6, 0.95].map(Some);
        let advantages = duration_advantages(&quantiles, &shown, 0.25);
        assert_eq!(advantages, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0]);
    }

    #[test]
    fn equals_and_unknowns_are_no_best() {
        let shown = [exposure(10.0, 1.0); 4];
        assert_eq!(duration_advantages(&[Some(0.5); 4], &shown, 0.25), [0.0; 4]);
        assert_eq!(duration_advantages(&[None; 4], &shown, 0.25), [0.0; 4]);
        assert!(duration_advantages(&[], &[], 0.25).is_empty());
    }
}
