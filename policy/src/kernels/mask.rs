//! Counter-based dropout masks: a function of (key, element), so that backward rebuilds what forward drew.

use super::vector;
use crate::random::Key;

/// Inverted dropout: which elements are kept, and what kept ones are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    add: u32,
    flip: u32,
    /// Hashes below it drop the element.
    threshold: u32,
    /// `1 / (1 - rate)`.
    scale: f32,
}

impl Mask {
    /// The mask of `key` that drops a share `rate` of the elements.
    pub fn new(rate: f64, key: Key) -> Self {
        let bits = key.bits();
        Self {
            add: bits as u32,
            flip: (bits >> 32) as u32,
            threshold: (rate * 2f64.powi(32)) as u32,
            scale: (1.0 - rate).recip() as f32,
        }
    }
    /// Whether element `index` is dropped.
    pub fn drops(self, index: u32) -> bool {
        self.factor(index) == 0.0
    }
    /// What kept elements are multiplied by.
    pub(super) fn scale(self) -> f32 {
        self.scale
    }
    /// What element `index` is multiplied by. The hash is `lowbias32` (C. Wellons, hash prospector) with half of the key
    /// added before it and half between its rounds: 32-bit multiplications are what vector units have.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of loops that are compiled for the vector unit")]
    pub(super) fn factor(self, index: u32) -> f32 {
        let mut x = index.wrapping_add(self.add);
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15) ^ self.flip).wrapping_mul(0x846c_a68b);
        x ^= x >> 16;
        if x < self.threshold { 0.0 } else { self.scale }
    }
}

/// The gradient before dropout from the one after it: itself where nothing was dropped, else its product with the mask,
/// which `scratch` takes. Element `i` of `grad` is element `offset + i` of the mask.
pub(super) fn before<'a>(
    mask: Option<Mask>,
    grad: &'a [f32],
    offset: usize,
    scratch: &'a mut [f32],
) -> &'a [f32] {
    let Some(mask) = mask else { return grad };
    vector::dropped(grad, mask, offset, scratch);
    scratch
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "factors are one of two constants")]
mod tests {
    use super::*;

    /// Share of kept pairs at each distance, and of kept elements.
    #[test]
    fn masks_have_their_rate_and_neighbours_are_independent() {
        let n = 200_000;
        for (seed, rate) in [(1, 0.1), (2, 0.3), (3, 0.5)] {
            let mask = Mask::new(rate, Key::new(seed).named("mask"));
            let dropped: Vec<bool> = (0..n).map(|i| mask.factor(i) == 0.0).collect();
            let share = |hits: usize| hits as f64 / f64::from(n);
            let mean = share(dropped.iter().filter(|d| **d).count());
            assert!((mean - rate).abs() < 0.007, "rate {rate}: {mean}");
            for distance in [1, 2, 16, 128, 4096] {
                let both =
                    share(dropped.iter().zip(&dropped[distance..]).filter(|(a, b)| **a && **b).count());
                // Five standard errors of a share are below 0.006, and the cut end is 0.02 at most.
                assert!(
                    (both - rate * rate).abs() < 0.03 * rate + 0.006,
                    "rate {rate} at {distance}: {both}"
                );
            }
        }
    }

    #[test]
    fn masks_of_different_keys_agree_only_by_chance() {
        let root = Key::new(9);
        let [a, b] = [0, 1].map(|site| Mask::new(0.5, root.at(site)));
        let same = (0..100_000).filter(|&i| a.factor(i) == b.factor(i)).count();
        assert!((same as f64 / 1e5 - 0.5).abs() < 0.008, "{same} of 100000 agree");
    }
}
