//! How a head's scores stand against labels, with users counted as often as a bootstrap resample draws them.
//!
//! Rows of one user depend on each other, so intervals come from resampling users. What a statistic needs is prepared
//! once; each resample is then one pass over the rows.

use crate::calibration::{BINS, auc, positions};
use crate::ranking::discount;
use crate::watch::metrics::{mae, xauc};
use policy::random::Key;

/// How often each user is drawn when as many as there are get drawn with replacement: a function of `key` alone.
pub fn draws(users: usize, key: Key) -> Vec<f64> {
    let mut draws = vec![0.0; users];
    for draw in 0..users as u64 {
        draws[(key.at(draw).unit() * users as f64) as usize] += 1.0;
    }
    draws
}

/// Scores with labels, row by row; a user's rows are consecutive and users are numbered from 0.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Predictions, probabilities for heads.
    pub scores: &'a [f64],
    /// 0 or 1 for heads, or the chance of 1 where it is known; watch times else.
    pub labels: &'a [f64],
    /// Whose row.
    pub users: &'a [usize],
}

impl Rows<'_> {
    /// Number of users.
    pub fn num_users(&self) -> usize {
        self.users.last().map_or(0, |last| last + 1)
    }
    fn weights(&self, draws: &[f64]) -> Vec<f64> {
        self.users.iter().map(|&user| draws[user]).collect()
    }
    /// Mean absolute error.
    pub fn mae(&self, draws: &[f64]) -> Option<f64> {
        mae(self.scores, self.labels, &self.weights(draws))
    }
    /// See [`xauc`].
    pub fn xauc(&self, draws: &[f64]) -> Option<f64> {
        xauc(self.scores, self.labels, &self.weights(draws))
    }
}

/// One user's part in the statistics that compare rows of one user only.
#[derive(Clone, Copy, Debug)]
struct Own {
    rows: f64,
    /// Pairs of a positive and a negative, and how many of them are ordered right.
    pairs: f64,
    won: f64,
    /// NDCG of all rows; absent without a positive.
    ndcg: Option<f64>,
}

/// A head's scores, prepared for resampling.
#[derive(Clone, Debug)]
pub struct HeadStatistics<'a> {
    rows: Rows<'a>,
    /// Rows by rising score.
    order: Vec<usize>,
    /// Places of the scores, see [`positions`].
    places: Vec<usize>,
    own: Vec<Own>,
}

impl<'a> HeadStatistics<'a> {
    /// Of these rows.
    pub fn new(rows: Rows<'a>) -> Self {
        let places = positions(rows.scores);
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&row| places[row]);
        let mut own = Vec::with_capacity(rows.num_users());
        let mut start = 0;
        for block in rows.users.chunk_by(|a, b| a == b) {
            let range = start..start + block.len();
            own.push(Own::of(&rows.scores[range.clone()], &rows.labels[range]));
            start += block.len();
        }
        Self { rows, order, places, own }
    }
    /// Number of users.
    pub fn num_users(&self) -> usize {
        self.own.len()
    }

    /// Area under the ROC curve over all rows; `None` when one class is missing. Of chances as labels: the expected won pairs
    /// over the expected pairs, which many draws of the labels come to.
    pub fn auc(&self, draws: &[f64]) -> Option<f64> {
        let (mut below, mut positives, mut won) = (0.0, 0.0, 0.0);
        for tied in self.order.chunk_by(|&a, &b| self.places[a] == self.places[b]) {
            let (mut up, mut down) = (0.0, 0.0);
            for &row in tied {
                let (weight, label) = (draws[self.rows.users[row]], self.rows.labels[row]);
                up += weight * label;
                down += weight * (1.0 - label);
            }
            won += up * (below + down / 2.0);
            below += down;
            positives += up;
        }
        (positives > 0.0 && below > 0.0).then(|| won / (positives * below))
    }
    /// Mean AUC within users, weighted by rows, over users with both classes (GAUC).
    pub fn user_auc(&self, draws: &[f64]) -> Option<f64> {
        let users = self.users(draws).filter(|(_, own)| own.pairs > 0.0);
        weighted_mean(users.map(|(draws, own)| (draws * own.rows, own.won / own.pairs)))
    }
    /// Share of pairs of a positive and a negative of one user that are ordered right, ties counting half.
    pub fn pair_accuracy(&self, draws: &[f64]) -> Option<f64> {
        let users = self.users(draws).filter(|(_, own)| own.pairs > 0.0);
        weighted_mean(users.map(|(draws, own)| (draws * own.pairs, own.won / own.pairs)))
    }
    /// Mean NDCG of a user's rows by falling score, over users with a positive; tied scores share their discounts.
    pub fn ndcg(&self, draws: &[f64]) -> Option<f64> {
        weighted_mean(self.users(draws).filter_map(|(draws, own)| Some((draws, own.ndcg?))))
    }
    /// Expected calibration error, bins of equal width.
    pub fn ece(&self, draws: &[f64]) -> Option<f64> {
        let Rows { scores, labels, users } = self.rows;
        let (mut gaps, mut total) = ([0.0; BINS], 0.0);
        for ((&p, &y), &user) in scores.iter().zip(labels).zip(users) {
            gaps[((p * BINS as f64) as usize).min(BINS - 1)] += draws[user] * (p - y);
            total += draws[user];
        }
        (total > 0.0).then(|| gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / total)
    }

    fn users<'b>(&'b self, draws: &'b [f64]) -> impl Iterator<Item = (f64, &'b Own)> {
        draws.iter().copied().zip(&self.own)
    }
}

fn weighted_mean(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (weight, value) in values {
        sum += weight * value;
        total += weight;
    }
    (total > 0.0).then(|| sum / total)
}

impl Own {
    fn of(scores: &[f64], labels: &[f64]) -> Self {
        let positives = labels.iter().filter(|&&label| label > 0.5).count();
        let pairs = (positives * (labels.len() - positives)) as f64;
        let won = auc(scores, labels).map_or(0.0, |auc| auc * pairs);
        Self {
            rows: labels.len() as f64,
            pairs,
            won,
            ndcg: (positives > 0).then(|| ndcg(scores, labels, positives)),
        }
    }
}

/// NDCG with binary gains; rows of equal score share the mean of their ranks' discounts.
fn ndcg(scores: &[f64], labels: &[f64], positives: usize) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut rank, mut gain) = (1, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a].total_cmp(&scores[b]).is_eq()) {
        let found: f64 = tied.iter().map(|&row| labels[row]).sum();
        let discounts: f64 = (rank..rank + tied.len()).map(discount).sum();
        gain += found * discounts / tied.len() as f64;
        rank += tied.len();
    }
    gain / (1..=positives).map(discount).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{expected_calibration_error, grouped_auc};

    fn close(a: Option<f64>, b: f64) {
        assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} is not {b}");
    }
    /// Scores with ties and labels of 12 users with 1 to 12 rows.
    fn example() -> (Vec<f64>, Vec<f64>, Vec<usize>) {
        let users: Vec<usize> = (0..12).flat_map(|user| std::iter::repeat_n(user, user + 1)).collect();
        let key = Key::new(3);
        let scores = (0..users.len() as u64).map(|row| (key.at(row).unit() * 9.0).floor() / 9.0).collect();
        let labels = (0..users.len() as u64).map(|row| f64::from(key.at(row).at(1).unit() < 0.4)).collect();
        (scores, labels, users)
    }

    #[test]
    fn with_every_user_once_the_statistics_are_the_plain_ones() {
        let (scores, labels, users) = example();
        let statistics = HeadStatistics::new(Rows { scores: &scores, labels: &labels, users: &users });
        let once = vec![1.0; 12];
        let sizes: Vec<usize> = (1..=12).collect();
        close(statistics.auc(&once), auc(&scores, &labels).unwrap());
        close(statistics.user_auc(&once), grouped_auc(&scores, &labels, &sizes).unwrap());
        close(statistics.ece(&once), expected_calibration_error(&scores, &labels));
    }

    /// Scores 1, 2, 3 with chances .5, 0, 1: won are (2 above 1: 0) + (3 above 1: .5) + (3 above 2: 1), and half of what the
    /// first makes with itself, .125, of 1.5 expected positives times 1.5 expected negatives.
    #[test]
    fn the_auc_of_chances_counts_every_pair_as_often_as_it_is_expected() {
        let rows = Rows { scores: &[1.0, 2.0, 3.0], labels: &[0.5, 0.0, 1.0], users: &[0, 0, 0] };
        close(HeadStatistics::new(rows).auc(&[1.0]), (0.5 + 1.0 + 0.125) / 2.25);
    }

    #[test]
    fn a_user_drawn_twice_counts_as_two_users() {
        let (scores, labels, users) = example();
        let kept = |user: usize| if user == 11 { 2 } else { usize::from(user.is_multiple_of(2)) };
        let twice = |values: &[f64]| -> Vec<f64> {
            let mut rows = Vec::new();
            for copy in 0..2 {
                rows.extend(
                    values.iter().zip(&users).filter(|(_, user)| kept(**user) > copy).map(|(v, _)| *v),
                );
            }
            rows
        };
        let mut numbers: Vec<usize> = users.iter().filter(|user| kept(**user) > 0).copied().collect();
        numbers.dedup();
        let renumbered = |user: &usize| numbers.binary_search(user).unwrap();
        let mut copied: Vec<usize> = users.iter().filter(|user| kept(**user) > 0).map(renumbered).collect();
        let last = numbers.len();
        copied.extend(std::iter::repeat_n(last, 12));
        let (more_scores, more_labels) = (twice(&scores), twice(&labels));
        let resampled =
            HeadStatistics::new(Rows { scores: &more_scores, labels: &more_labels, users: &copied });
        let statistics = HeadStatistics::new(Rows { scores: &scores, labels: &labels, users: &users });
        let draws: Vec<f64> = (0..12).map(|user| kept(user) as f64).collect();
        let once = vec![1.0; resampled.num_users()];
        close(statistics.auc(&draws), resampled.auc(&once).unwrap());
        close(statistics.user_auc(&draws), resampled.user_auc(&once).unwrap());
        close(statistics.pair_accuracy(&draws), resampled.pair_accuracy(&once).unwrap());
        close(statistics.ndcg(&draws), resampled.ndcg(&once).unwrap());
        close(statistics.ece(&draws), resampled.ece(&once).unwrap());
    }

    #[test]
    fn pair_accuracy_and_ndcg_equal_hand_values() {
        // User 0: positive above both negatives. User 1: positive tied with one negative, under another.
        let scores = [0.9, 0.1, 0.2, 0.5, 0.5, 0.8];
        let labels = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let users = [0, 0, 0, 1, 1, 1];
        let statistics = HeadStatistics::new(Rows { scores: &scores, labels: &labels, users: &users });
        close(statistics.pair_accuracy(&[1.0, 1.0]), 2.5 / 4.0);
        // Ranks 2 and 3 are shared: half of 1/log2(3) + 1/2.
        let shared = f64::midpoint(3.0_f64.log2().recip(), 0.5);
        close(statistics.ndcg(&[1.0, 1.0]), f64::midpoint(1.0, shared));
        assert_eq!(statistics.auc(&[0.0, 0.0]), None);
    }

    #[test]
    fn as_many_users_are_drawn_as_there_are() {
        assert!((draws(50, Key::new(1)).iter().sum::<f64>() - 50.0).abs() < 1e-12);
        assert_ne!(draws(50, Key::new(1)), draws(50, Key::new(2)));
        assert!(draws(0, Key::new(1)).is_empty());
    }
}
