//! Saying yes or no.

use crate::statistics::Rows;

/// Whoever scores below it is said to disapprove.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(f64);

/// How often disapproval was said and meant, users counted as often as they are drawn.
struct Counts {
    said: f64,
    meant: f64,
    both: f64,
}

impl Threshold {
    /// The threshold with the best F1 of disapproval on these rows; of equal ones the least.
    pub fn fit(rows: Rows<'_>) -> Self {
        let mut order: Vec<usize> = (0..rows.scores.len()).collect();
        order.sort_by(|&a, &b| rows.scores[a].total_cmp(&rows.scores[b]));
        let meant = rows.labels.iter().map(|label| 1.0 - label).sum::<f64>();
        let (mut said, mut both) = (0.0, 0.0);
        let (mut best, mut threshold, mut next) = (0.0, f64::NEG_INFINITY, 0);
        for equal in order.chunk_by(|&a, &b| rows.scores[a].total_cmp(&rows.scores[b]).is_eq()) {
            next += equal.len();
            said += equal.len() as f64;
            both += equal.iter().map(|&row| 1.0 - rows.labels[row]).sum::<f64>();
            let f1 = 2.0 * both / (said + meant);
            if f1 > best {
                let above = order.get(next).map_or(f64::INFINITY, |&row| rows.scores[row]);
                (best, threshold) = (f1, f64::midpoint(rows.scores[equal[0]], above));
            }
        }
        Self(threshold)
    }
    /// The score.
    pub fn value(self) -> f64 {
        self.0
    }
    /// Share of the disapproved rows that score below; `None` where nothing is disapproved of.
    pub fn recall(self, rows: Rows<'_>, draws: &[f64]) -> Option<f64> {
        let counts = self.counts(rows, draws);
        (counts.meant > 0.0).then(|| counts.both / counts.meant)
    }
    /// Harmonic mean of that share and of the share of the rows below that are disapproved of.
    pub fn f1(self, rows: Rows<'_>, draws: &[f64]) -> Option<f64> {
        let counts = self.counts(rows, draws);
        (counts.meant > 0.0).then(|| 2.0 * counts.both / (counts.said + counts.meant))
    }

    fn counts(self, rows: Rows<'_>, draws: &[f64]) -> Counts {
        let mut counts = Counts { said: 0.0, meant: 0.0, both: 0.0 };
        for ((&score, &label), &user) in rows.scores.iter().zip(rows.labels).zip(rows.users) {
            let (said, meant) = (f64::from(u8::from(score < self.0)), 1.0 - label);
            counts.said += draws[user] * said;
            counts.meant += draws[user] * meant;
            counts.both += draws[user] * said * meant;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Below .35: two of three disapproved, one approved. Below .25: one of three. Below .65: all three, and two approved.
    const ROWS: Rows<'_> = Rows {
        scores: &[0.1, 0.2, 0.3, 0.5, 0.6, 0.9],
        labels: &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        users: &[0, 0, 1, 1, 2, 2],
    };

    #[test]
    fn the_threshold_is_where_f1_is_best_and_gives_hand_values() {
        let threshold = Threshold::fit(ROWS);
        // F1 of the cuts: 2/4, 2/5, 4/6, 4/7, 6/8, 6/9.
        assert!((threshold.value() - 0.75).abs() < 1e-12);
        assert_eq!(threshold.recall(ROWS, &[1.0; 3]), Some(1.0));
        assert_eq!(threshold.f1(ROWS, &[1.0; 3]), Some(0.75));
        let lower = Threshold(0.4);
        assert_eq!(lower.recall(ROWS, &[1.0; 3]), Some(2.0 / 3.0));
        assert_eq!(lower.f1(ROWS, &[1.0; 3]), Some(4.0 / 6.0));
    }

    #[test]
    fn users_count_as_often_as_they_are_drawn() {
        let lower = Threshold(0.4);
        // User 2 alone: one disapproved row, above.
        assert_eq!(lower.recall(ROWS, &[0.0, 0.0, 2.0]), Some(0.0));
        // User 0 twice, user 1 once: 3 meant, 3 found, 5 said.
        assert_eq!(lower.f1(ROWS, &[2.0, 1.0, 0.0]), Some(6.0 / 8.0));
        assert_eq!(lower.recall(ROWS, &[0.0; 3]), None);
    }

    #[test]
    fn equal_scores_are_said_together() {
        let rows = Rows { scores: &[0.5; 4], labels: &[0.0, 1.0, 1.0, 1.0], users: &[0; 4] };
        let threshold = Threshold::fit(rows);
        assert_eq!(threshold.recall(rows, &[1.0]), Some(1.0));
        assert_eq!(threshold.f1(rows, &[1.0]), Some(0.4));
    }
}
