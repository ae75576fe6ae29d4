//! How many of the items that users consume together are still near each other as semantic IDs.

use super::counts::CoOccurrence;
use crate::embeddings::Embeddings;
use crate::quantize::quality::{HitRateSample, nearest_rows};
use crate::random::Key;

/// FORGE's embedding hit rate (2509.20904): the mean over sampled items `q` of `|R_q and top-k(q)| / |R_q|`, where `R_q` are the `k` items
/// that co-occur most with `q` in training and `top-k(q)` its `k` nearest by vector (Euclidean distance, ties to the first item).
///
/// `vectors` are reconstructed ones for a tokenizer, or those before quantisation for the most it could reach. Items without
/// co-occurrence are not sampled; `None` if there are no others. Departures: the published text does not say how many neighbours
/// `R_q` holds, nor whether near is by inner product; here it is `k`, and Euclidean.
///
/// # Panics
/// If `vectors` has not one row per item.
pub fn cooccurrence_hit_rate(
    vectors: &Embeddings,
    counts: &CoOccurrence,
    sample: HitRateSample,
    key: Key,
) -> Option<f64> {
    assert_eq!(vectors.rows(), counts.items().len(), "one vector per item");
    let known: Vec<_> = counts.items().filter(|item| counts.has_neighbors(*item)).collect();
    let nearest = sample.neighbors.min(vectors.rows().saturating_sub(1));
    if known.is_empty() || nearest == 0 {
        return None;
    }
    let chosen = rand::seq::index::sample(&mut key.rng(), known.len(), sample.items.min(known.len()));
    let queries: Vec<usize> = chosen.into_iter().map(|at| known[at].index()).collect();
    let found = nearest_rows(vectors, &queries, nearest);
    let share = |(query, near): (&usize, &std::collections::BTreeSet<usize>)| {
        let wanted = counts.neighbors(crate::ids::ItemId::new(*query), nearest);
        wanted.iter().filter(|item| near.contains(&item.index())).count() as f64 / wanted.len() as f64
    };
    Some(queries.iter().zip(&found).map(share).sum::<f64>() / queries.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collaborative::CollaborativeConfig;
    use crate::history::{History, Log};
    use crate::ids::ItemId;

    fn counts(histories: &[&[usize]], num_items: usize) -> CoOccurrence {
        let history = |items: &&[usize]| History {
            items: items.iter().chain(&[0, 0]).map(|item| ItemId::new(*item)).collect(),
            ..History::default()
        };
        let log = Log { histories: histories.iter().map(history).collect(), num_items, signals: Vec::new() };
        CoOccurrence::of(&log, &CollaborativeConfig::default())
    }
    const TWO: HitRateSample = HitRateSample { items: 100, neighbors: 2 };

    #[test]
    fn hits_are_shares_of_the_neighbours_there_are() {
        // 0-1 twice, 1-2 once; item 3 occurs alone. Neighbours: 0: {1}, 1: {0, 2}, 2: {1}.
        let counts = counts(&[&[0, 1], &[0, 1], &[1, 2], &[3]], 4);
        // On a line the two nearest are 0: {1, 3}, 1: {0, 3}, 2: {3, 1}.
        let line = Embeddings::new(1, vec![0.0, 1.0, 9.0, 2.0]);
        let rate = cooccurrence_hit_rate(&line, &counts, TWO, Key::new(1)).unwrap();
        assert!((rate - (1.0 + 0.5 + 1.0) / 3.0).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn only_the_neighbours_that_co_occur_most_are_asked_for() {
        let counts = counts(&[&[0, 1], &[0, 1], &[0, 2]], 3);
        let one = HitRateSample { items: 100, neighbors: 1 };
        // 0 wants 1, 1 and 2 want 0.
        let near = Embeddings::new(1, vec![0.0, 1.0, -1.5]);
        assert_eq!(cooccurrence_hit_rate(&near, &counts, one, Key::new(1)), Some(1.0));
    }

    #[test]
    fn a_log_without_pairs_has_no_rate() {
        let counts = counts(&[&[1], &[2]], 3);
        let line = Embeddings::new(1, vec![0.0, 1.0, 2.0]);
        assert_eq!(cooccurrence_hit_rate(&line, &counts, TWO, Key::new(1)), None);
    }
}
