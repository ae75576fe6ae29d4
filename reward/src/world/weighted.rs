//! Draws in proportion to weights, in constant time on average.

use rand::Rng;

/// Running sums of weights, and where to look in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Weighted {
    sums: Vec<f64>,
    /// For every `b`, the first index whose sum exceeds `b / buckets` of the total. There is a power of two of buckets, so
    /// that the bucket of a uniform number is exact and the search below finds what one over all sums would.
    starts: Vec<u32>,
}

impl Weighted {
    pub(super) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        let buckets = sums.len().next_power_of_two();
        let bound = |bucket: usize| bucket as f64 / buckets as f64 * sum;
        let starts = (0..=buckets).map(|b| sums.partition_point(|&sum| sum <= bound(b)) as u32).collect();
        Self { sums, starts }
    }

    /// An index in proportion to its weight.
    #[inline]
    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        self.at(uniform(rng))
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }

    /// The index that a uniform number in `[0, 1)` draws.
    #[inline]
    pub(super) fn at(&self, uniform: f64) -> usize {
        let last = self.sums.len() - 1;
        let draw = uniform * self.sums[last];
        let bucket = (uniform * (self.starts.len() - 1) as f64) as usize;
        let (mut index, end) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        while index < end && self.sums[index] <= draw {
            index += 1;
        }
        index.min(last)
    }
}

/// `rng.random::<f64>()` - 53 bits over `2^53` - which is a call, not a few instructions, in a build without LTO.
#[inline]
pub(super) fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn uniform_numbers_are_those_of_the_library() {
        let (mut a, mut b) = (Key::new(4).rng(), Key::new(4).rng());
        assert!((0..10_000).all(|_| uniform(&mut a).to_bits() == b.random::<f64>().to_bits()));
    }
    use policy::random::Key;

    #[test]
    fn buckets_find_what_a_search_over_all_sums_finds() {
        for (count, exponent) in [(1, 0.0), (2, 1.0), (7, 0.0), (1000, 0.8), (3000, 3.0)] {
            let weight = |rank: u32| f64::from(rank).powf(-exponent);
            let weighted = Weighted::new((1..=count).map(weight));
            let (mut a, mut b) = (Key::new(3).rng(), Key::new(3).rng());
            for _ in 0..2000 {
                let draw = b.random::<f64>() * weighted.sums[weighted.sums.len() - 1];
                let searched = weighted.sums.partition_point(|&sum| sum <= draw);
                assert_eq!(weighted.draw(&mut a), searched.min(count as usize - 1));
            }
        }
    }
}
