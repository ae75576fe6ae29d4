//! pass@K: the chance that at least one of K draws is what was meant.

/// The chance that `k` of `draws` independent draws, of which `hits` were right, include a right one: an unbiased estimate of the
/// chance for `k` fresh draws (Chen et al. 2021, 2107.03374, eq. 1).
///
/// `1 - C(draws - hits, k) / C(draws, k)`, as a product of factors within `[0, 1]`: no binomial is ever large.
///
/// # Panics
/// If `k` or `hits` is more than `draws`.
pub fn pass_at(k: usize, (draws, hits): (usize, usize)) -> f64 {
    assert!(k <= draws && hits <= draws, "{k} and {hits} of {draws} draws");
    let missed: f64 = (draws - hits + 1..=draws).map(|among| 1.0 - k as f64 / among as f64).product();
    1.0 - missed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exact fractions, from Python: `1 - Fraction(comb(n - c, k), comb(n, k))`.
    #[test]
    fn estimates_equal_exact_fractions() {
        for (k, draws, hits, expected) in [
            (1, 5, 2, 0.4),
            (2, 5, 2, 0.7),
            (3, 10, 3, 0.708_333_333_333_333_3),
            (64, 128, 1, 0.5),
            (10, 200, 5, 0.228_284_460_737_334_24),
            (100, 10_000, 37, 0.311_015_706_030_803_64),
            (1000, 1_000_000, 999, 0.632_120_251_955_564_5),
        ] {
            let found = pass_at(k, (draws, hits));
            assert!((found - expected).abs() < 1e-12, "pass@{k} of {hits} in {draws}: {found}");
        }
    }

    #[test]
    fn estimates_equal_the_share_of_all_subsets_with_a_hit() {
        for draws in 0..=10_usize {
            for hits in 0..=draws {
                for k in 0..=draws {
                    let subsets = (0_u32..1 << draws).filter(|subset| subset.count_ones() as usize == k);
                    let right = (1_u32 << hits) - 1;
                    let (mut all, mut passed) = (0, 0);
                    for subset in subsets {
                        all += 1;
                        passed += u32::from(subset & right != 0);
                    }
                    let share = f64::from(passed) / f64::from(all);
                    let found = pass_at(k, (draws, hits));
                    assert!(
                        (found - share).abs() < 1e-12,
                        "pass@{k} of {hits} in {draws}: {found} is not {share}"
                    );
                }
            }
        }
    }

    #[test]
    fn more_draws_never_pass_less_and_certainty_is_exact() {
        for hits in [0, 1, 7, 90, 128] {
            let curve: Vec<f64> = (0..=128).map(|k| pass_at(k, (128, hits))).collect();
            assert!(curve.is_sorted() && curve.iter().all(|share| (0.0..=1.0).contains(share)), "{curve:?}");
            assert!(curve[0].abs() < 1e-15, "nothing drawn, nothing found");
            let last = if hits > 0 { 1.0 } else { 0.0 };
            assert!((curve[128] - last).abs() < 1e-15, "all draws hold every hit");
        }
    }

    #[test]
    #[should_panic(expected = "5 and 1 of 4 draws")]
    fn more_draws_than_there_are_cannot_be_estimated() {
        pass_at(5, (4, 1));
    }
}
