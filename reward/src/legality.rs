//! The format reward (OneRec's technical report, 2506.13695; ALGORITHMS 1.10): some samples of a group, drawn uniformly,
//! earn an advantage of 1 for being items at all.
//!
//! Drawn at random, not the most probable ones: rewarded for its top samples alone, a model learns to make only those
//! legal. Legality is measured of unconstrained samples; a trie hides it.

use policy::random::Key;
use rand::seq::SliceRandom as _;

/// The samples that take part and their advantage: `chosen` of the group (all of a smaller one), 1 where legal. Illegal
/// ones are left out, as published: they get no negative advantage. Ascending by sample.
pub fn format_advantages(legal: &[bool], chosen: usize, key: Key) -> Vec<(usize, f32)> {
    let mut drawn: Vec<usize> = (0..legal.len()).collect();
    drawn.shuffle(&mut key.rng());
    drawn.truncate(chosen);
    drawn.sort_unstable();
    drawn.into_iter().filter(|&sample| legal[sample]).map(|sample| (sample, 1.0)).collect()
}

/// Share of legal samples; `None` of nothing.
pub fn legality(legal: &[bool]) -> Option<f64> {
    let count = legal.iter().filter(|&&legal| legal).count() as f64;
    (!legal.is_empty()).then(|| count / legal.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_legal_samples_are_rewarded_and_every_sample_is_drawn_as_often() {
        let legal = [true, false, true, true];
        let mut drawn = [0; 4];
        for seed in 0..4000 {
            let advantages = format_advantages(&legal, 2, Key::new(seed));
            assert!(
                advantages.len() <= 2
                    && advantages.iter().all(|&(sample, a)| legal[sample] && (a - 1.0).abs() < 1e-9)
            );
            for (sample, _) in advantages {
                drawn[sample] += 1;
            }
        }
        // Each is drawn half of the time: 2000, standard deviation 32; the bound is 5 of them.
        assert_eq!(drawn[1], 0);
        assert!([0, 2, 3].iter().all(|&sample| (drawn[sample] - 2000_i32).abs() < 160), "{drawn:?}");
    }

    #[test]
    fn small_and_empty_groups_are_taken_whole() {
        assert_eq!(format_advantages(&[true, false], 5, Key::new(1)), [(0, 1.0)]);
        assert!(format_advantages(&[], 5, Key::new(1)).is_empty());
        assert_eq!((legality(&[true, false]), legality(&[])), (Some(0.5), None));
    }
}
