//! How far probabilities can be trusted: AUC, expected calibration error, log loss, reliability.
//!
//! All in f64 over slices; labels are 0 or 1.

/// Bins of equal width used by [`expected_calibration_error`] and [`reliability`].
pub const BINS: usize = 10;

/// Probabilities are kept this far from 0 and 1 in [`log_loss`], so that one confident mistake costs 16 nats, not
/// infinity.
const MIN_PROBABILITY: f64 = 1e-7;

/// Ranks from 1 in ascending order; equal values share the mean of their ranks. NaN sorts last.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&i| values[i].total_cmp(&values[order[start]]).is_eq())
            .count()
            .max(1);
        // Ranks start+1 ..= start+tied share their mean.
        let rank = start as f64 + f64::midpoint(1.0, tied as f64);
        for &i in &order[start..start + tied] {
            ranks[i] = rank;
        }
        start += tied;
    }
    ranks
}

/// The place of every value among the distinct values, from 0 in ascending order; equal values share one.
pub fn positions(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut places = vec![0; values.len()];
    for (place, equal) in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()).enumerate() {
        for &i in equal {
            places[i] = place;
        }
    }
    places
}

/// Area under the ROC curve: the probability that a positive scores above a negative, ties counting half
/// (Mann-Whitney). `None` when one class is missing.
pub fn auc(scores: &[f64], labels: &[f64]) -> Option<f64> {
    let positives = labels.iter().filter(|&&y| y > 0.5).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let ranks = average_ranks(scores);
    let positive_ranks: f64 = ranks.iter().zip(labels).filter(|&(_, &y)| y > 0.5).map(|(rank, _)| rank).sum();
    Some((positive_ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Mean AUC within groups (users), weighted by size, over the groups with both classes; `None` when there is none.
///
/// What a judge needs to rank one user's candidates: that some users like more than others helps [`auc`], not this.
/// Members of a group are consecutive.
pub fn grouped_auc(scores: &[f64], labels: &[f64], group_sizes: &[usize]) -> Option<f64> {
    let (mut start, mut sum, mut weight) = (0, 0.0, 0.0);
    for &size in group_sizes {
        let range = start..start + size;
        start += size;
        if let Some(auc) = auc(&scores[range.clone()], &labels[range]) {
            sum += auc * size as f64;
            weight += size as f64;
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

/// Per non-empty bin of equal width over `[0, 1]`: mean prediction, mean label, count.
pub fn reliability(predictions: &[f64], labels: &[f64]) -> Vec<(f64, f64, u64)> {
    let mut bins = [(0.0, 0.0, 0_u64); BINS];
    for (&p, &y) in predictions.iter().zip(labels) {
        let bin = &mut bins[((p * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + p, bin.1 + y, bin.2 + 1);
    }
    bins.into_iter()
        .filter(|bin| bin.2 > 0)
        .map(|(p, y, count)| (p / count as f64, y / count as f64, count))
        .collect()
}

/// Expected calibration error: mean absolute difference of prediction and label over [`reliability`]'s bins, weighted
/// by count. Zero for no predictions.
pub fn expected_calibration_error(predictions: &[f64], labels: &[f64]) -> f64 {
    let total: f64 =
        reliability(predictions, labels).into_iter().map(|(p, y, count)| (p - y).abs() * count as f64).sum();
    total / predictions.len().max(1) as f64
}

/// Mean binary cross-entropy in nats. Zero for no predictions.
pub fn log_loss(predictions: &[f64], labels: &[f64]) -> f64 {
    let total: f64 = predictions
        .iter()
        .zip(labels)
        .map(|(&p, &y)| {
            let p = p.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
            -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())
        })
        .sum();
    total / predictions.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::random::Key;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn auc_equals_counting_all_pairs() {
        for seed in 0..20 {
            let key = Key::new(seed);
            // Few distinct scores, so that ties are common.
            let scores: Vec<f64> = (0..60).map(|i| (key.at(i).unit() * 8.0).floor()).collect();
            let labels: Vec<f64> = (0..60).map(|i| f64::from(key.at(1000 + i).unit() < 0.3)).collect();
            let (mut wins, mut pairs) = (0.0, 0.0);
            for (i, yi) in labels.iter().enumerate() {
                for (j, yj) in labels.iter().enumerate() {
                    if *yi > *yj {
                        pairs += 1.0;
                        wins += if scores[i] > scores[j] { 1.0 } else { 0.0 };
                        wins += if (scores[i] - scores[j]).abs() < 1e-9 { 0.5 } else { 0.0 };
                    }
                }
            }
            close(auc(&scores, &labels).unwrap(), wins / pairs);
        }
    }

    #[test]
    fn auc_of_one_class_is_absent_and_of_a_constant_score_is_a_half() {
        assert_eq!(auc(&[0.1, 0.2], &[1.0, 1.0]), None);
        assert_eq!(auc(&[], &[]), None);
        close(auc(&[0.3, 0.3, 0.3], &[1.0, 0.0, 1.0]).unwrap(), 0.5);
    }

    #[test]
    fn the_grouped_auc_ignores_differences_between_groups() {
        let (scores, labels) = ([0.1, 0.2, 0.8, 0.9, 0.7, 0.5], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        // Groups: wrong (0), right (1), one class only (skipped).
        close(grouped_auc(&scores, &labels, &[2, 2, 2]).unwrap(), 0.5);
        close(grouped_auc(&scores[..4], &labels[..4], &[1, 3]).unwrap(), 1.0);
        assert_eq!(grouped_auc(&scores[4..], &labels[4..], &[2]), None);
    }

    #[test]
    fn calibration_equals_hand_values() {
        let (p, y) = ([0.05, 0.15, 0.19, 1.0], [0.0, 1.0, 0.0, 1.0]);
        let bins = reliability(&p, &y);
        assert_eq!(bins.iter().map(|bin| bin.2).collect::<Vec<_>>(), [1, 2, 1]);
        close(bins[1].0, 0.17);
        close(bins[1].1, 0.5);
        close(expected_calibration_error(&p, &y), (0.05 + 2.0 * 0.33 + 0.0) / 4.0);
        close(log_loss(&[0.25, 0.5], &[1.0, 0.0]), f64::midpoint(4.0_f64.ln(), 2.0_f64.ln()));
    }

    #[test]
    fn a_confident_mistake_costs_a_finite_loss() {
        close(log_loss(&[0.0], &[1.0]), -MIN_PROBABILITY.ln());
    }
}
