//! Counter-based randomness: every draw is a function of (run seed, names, counters).
//!
//! There is no generator state to save or to lose: a resumed or sharded run derives the same key and
//! so the same numbers.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// A position in the tree of random streams. `Key::new(seed).named("sample").at(step).at(user)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The root key of a run.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x7265_6361_6c69_676e))
    }
    /// The child key of this name (a stage, a purpose).
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self(name.bytes().fold(mix(self.0 ^ 0xa076_1d64_78bd_642f), |key, byte| mix(key ^ u64::from(byte))))
    }
    /// The child key of this counter (a step, a user, an element).
    #[inline]
    #[must_use]
    pub const fn at(self, counter: u64) -> Self {
        Self(mix(self
            .0
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(mix(counter ^ 0xe703_7ed1_a0b4_28db))))
    }
    /// 64 uniform bits that belong to this key.
    #[inline]
    pub const fn bits(self) -> u64 {
        mix(self.0)
    }
    /// A uniform number in `[0, 1)` that belongs to this key.
    pub fn unit(self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// A generator for a purpose that needs many draws.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014): a bijection whose output passes `BigCrush`.
#[inline]
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_paths_differ() {
        let root = Key::new(1);
        let keys = [
            root,
            root.named("a"),
            root.named("b"),
            root.at(0),
            root.at(1),
            root.at(0).at(1),
            root.at(1).at(0),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b), "key {i} repeats");
        }
    }

    #[test]
    fn unit_draws_are_uniform() {
        let n = 100_000;
        let key = Key::new(7).named("test");
        let mean = (0..n).map(|i| key.at(i).unit()).sum::<f64>() / n as f64;
        // The standard error is 0.0009: 6 sigma, a false alarm in 5e8 runs.
        assert!((mean - 0.5).abs() < 0.0055, "mean {mean}");
    }
}
