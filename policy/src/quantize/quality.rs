//! What semantic IDs are worth before anything is trained on them.
//!
//! A caution from an independent audit of FORGE's metrics: they can improve a lot while recall does not. They find broken
//! tokenizers; they do not rank good ones.

use super::distance::{products_by_center, shifted};
use super::means::column_means;
use super::rows::squared_norms;
use crate::embeddings::Embeddings;
use crate::ids::Code;
use crate::random::Key;
use std::collections::BTreeSet;

/// How evenly the codes of one level are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeUse {
    /// Share of codes that at least one item has.
    pub usage: f64,
    /// Entropy of the codes over items, in nats; `ln size` when all are used equally.
    pub entropy: f64,
}

impl CodeUse {
    /// Number of equally used codes that would have this entropy.
    pub fn perplexity(&self) -> f64 {
        self.entropy.exp()
    }
}

/// How evenly `codes`, one per item, use a codebook of `size`.
///
/// # Panics
/// If a code lies outside the codebook.
pub fn code_use(codes: impl IntoIterator<Item = Code>, size: usize) -> CodeUse {
    let mut counts = vec![0u64; size];
    for code in codes {
        counts[code as usize] += 1;
    }
    let used: Vec<f64> = counts.into_iter().filter(|&count| count > 0).map(|count| count as f64).collect();
    let total: f64 = used.iter().sum();
    let entropy: f64 = used.iter().map(|count| count / total * (total / count).ln()).sum();
    CodeUse { usage: used.len() as f64 / size as f64, entropy }
}

/// Gini coefficient of positive counts, `(N + 1)/N - 2 sum_i (N - i + 1) x_i / (N sum x)` over ascending `x_i` (FORGE,
/// 2509.20904). 0 when all counts are equal; unused IDs are not counted.
pub fn gini(counts: &[u64]) -> f64 {
    gini_over(counts, counts.len() as f64)
}

/// As [`gini`], among `ids` possible IDs, those that are not used having count 0. A space of codes is far larger than any
/// catalog, so this is near 1 for all tokenizers of one size.
pub fn gini_over(counts: &[u64], ids: f64) -> f64 {
    let mut counts = counts.to_vec();
    counts.sort_unstable();
    let (n, total) = (ids, counts.iter().sum::<u64>() as f64);
    if total == 0.0 {
        return 0.0;
    }
    // Counts of 0 come before all others and add nothing: the weights count from the largest.
    let weighted: f64 =
        counts.iter().rev().zip(1..).map(|(&count, weight)| count as f64 * f64::from(weight)).sum();
    (n + 1.0) / n - 2.0 * weighted / (n * total)
}

/// Share of items that have the same quantised ID as another item, from the sizes of the groups.
pub fn collision_rate(group_sizes: &[u64]) -> f64 {
    let colliding: u64 = group_sizes.iter().filter(|&&size| size > 1).sum();
    colliding as f64 / group_sizes.iter().sum::<u64>().max(1) as f64
}

/// Sum of squared differences between vectors and what their codes say of them, relative to the vectors around their mean: 1 is no
/// better than the mean. (Residuals, relative to the vectors as they are, cannot be compared between encodings.)
pub fn reconstruction_error(vectors: &Embeddings, reconstructed: &Embeddings) -> f64 {
    let pairs = vectors.values().iter().zip(reconstructed.values());
    let error: f64 = pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum();
    let centred = shifted(vectors, &column_means(vectors), -1.0);
    let total: f64 = centred.values().iter().map(|x| f64::from(*x).powi(2)).sum();
    if total > 0.0 { error / total } else { 0.0 }
}

/// Items that the hit rate is measured on, and neighbours of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HitRateSample {
    /// Most items to sample.
    pub items: usize,
    /// Nearest neighbours to compare.
    pub neighbors: usize,
}

/// Mean share of an item's nearest neighbours by vector that are still among the nearest by reconstructed vector (both by
/// Euclidean distance, the item itself left out, ties to the first item), over sampled items.
///
/// This measures the quantiser alone; FORGE's hit rate compares with neighbours by co-occurrence:
/// [`crate::collaborative::hit_rate`].
///
/// # Panics
/// If the two tables differ in shape.
pub fn embedding_hit_rate(
    vectors: &Embeddings,
    reconstructed: &Embeddings,
    sample: HitRateSample,
    key: Key,
) -> f64 {
    assert_eq!((vectors.rows(), vectors.width()), (reconstructed.rows(), reconstructed.width()), "shapes");
    let rows = vectors.rows();
    let neighbors = sample.neighbors.min(rows - 1);
    if neighbors == 0 {
        return 1.0;
    }
    let queries = rand::seq::index::sample(&mut key.rng(), rows, sample.items.min(rows)).into_vec();
    let before = nearest_rows(vectors, &queries, neighbors);
    let after = nearest_rows(reconstructed, &queries, neighbors);
    let hits: usize = before.iter().zip(&after).map(|(a, b)| a.intersection(b).count()).sum();
    hits as f64 / (queries.len() * neighbors) as f64
}

/// For each query row, its `count` nearest other rows, `count` being at least 1 and below the number of rows.
pub(crate) fn nearest_rows(rows: &Embeddings, queries: &[usize], count: usize) -> Vec<BTreeSet<usize>> {
    // Around the mean, inner products lose no precision to a common offset.
    let rows = shifted(rows, &column_means(rows), -1.0);
    let norms = squared_norms(rows.values(), rows.width());
    let mut result = Vec::with_capacity(queries.len());
    // Blocks bound the memory: 256 queries against a million rows take 1 GiB.
    for block in queries.chunks(256) {
        let values = block.iter().flat_map(|&query| rows.row(query)).copied().collect();
        let products = products_by_center(&rows, &Embeddings::new(rows.width(), values));
        for (products, &query) in products.chunks_exact(rows.rows()).zip(block) {
            let others = (0..rows.rows()).filter(|&row| row != query);
            let distance = |row: usize| norms[row] - 2.0 * products[row];
            let mut found: Vec<_> = others.map(|row| (distance(row), row)).collect();
            found.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            result.push(found[..count].iter().map(|found| found.1).collect());
        }
    }
    result
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn gini_of_the_published_example() {
        assert_eq!(gini(&[4, 1, 2, 1]), 0.3125);
        assert_eq!(gini(&[3, 3, 3]), 0.0);
        assert_eq!(gini(&[5]), 0.0);
        assert_eq!(gini(&[]), 0.0);
    }

    #[test]
    fn ids_that_nothing_uses_count_as_inequality() {
        // As if the counts were 0, 0, 0, 0, 1, 1, 2, 4: 9/8 - 2 (1 * 4 + 2 * 2 + 3 * 1 + 4 * 1) / (8 * 8).
        assert_eq!(gini_over(&[4, 1, 2, 1], 8.0), 0.65625);
        assert_eq!(gini_over(&[4, 1, 2, 1], 8.0), gini(&[0, 4, 0, 1, 0, 2, 1, 0]));
        assert!(gini_over(&[1; 100], 256.0_f64.powi(8)) > 1.0 - 1e-12);
    }

    #[test]
    fn entropy_of_even_use_is_the_log_of_the_size() {
        let even = code_use([0, 1, 2, 3, 0, 1, 2, 3], 4);
        assert_eq!(even.usage, 1.0);
        assert!((even.entropy - 4f64.ln()).abs() < 1e-12 && (even.perplexity() - 4.0).abs() < 1e-12);
        assert_eq!(code_use([2, 2, 2], 4), CodeUse { usage: 0.25, entropy: 0.0 });
    }

    #[test]
    fn the_collision_rate_counts_items_not_ids() {
        assert_eq!(collision_rate(&[1, 3, 1, 2]), 5.0 / 7.0);
        assert_eq!(collision_rate(&[]), 0.0);
    }

    #[test]
    fn the_mean_alone_reconstructs_nothing() {
        let vectors = Embeddings::new(2, vec![1.0, 5.0, 3.0, 5.0]);
        assert_eq!(reconstruction_error(&vectors, &Embeddings::new(2, vec![2.0, 5.0, 2.0, 5.0])), 1.0);
        assert_eq!(reconstruction_error(&vectors, &Embeddings::new(2, vec![1.0, 5.0, 2.0, 5.0])), 0.5);
        assert_eq!(reconstruction_error(&vectors, &vectors), 0.0);
    }

    fn line(values: &[f32]) -> Embeddings {
        Embeddings::new(1, values.to_vec())
    }
    const ALL: HitRateSample = HitRateSample { items: 100, neighbors: 2 };

    #[test]
    fn a_perfect_reconstruction_keeps_every_neighbour_even_far_from_zero() {
        let vectors = line(&[5000.0, 5001.0, 5002.5, 5004.5, 5007.0]);
        assert_eq!(embedding_hit_rate(&vectors, &vectors, ALL, Key::new(1)), 1.0);
    }

    #[test]
    fn hits_are_counted_per_neighbour() {
        // The last point moves next to the first: the rows keep 1, 1, 2 and 1 of two neighbours.
        let rate =
            embedding_hit_rate(&line(&[0.0, 1.0, 3.0, 7.0]), &line(&[0.0, 1.0, 3.0, -0.5]), ALL, Key::new(1));
        assert_eq!(rate, 5.0 / 8.0);
    }
}
