//! Rewards that need no model: exact hit, and the rank-aware reward of MiniOneRec (ALGORITHMS 1.8).
//!
//! Both compare *items*. `MiniOneRec` compares semantic-ID strings, so with collisions a wrong item counts as a hit;
//! that is not reproduced.

use crate::ranking::discount;
use policy::ids::ItemId;

/// 1 for the target, 0 for every other candidate.
pub fn rule(group: &[ItemId], target: ItemId) -> Vec<f64> {
    group.iter().map(|&item| if item == target { 1.0 } else { 0.0 }).collect()
}

/// How much each beam rank of a group of `size` is penalised when it is not the hit:
/// `p_i = -(1 / log2(i + 2)) / sum_j (1 / log2(j + 2))`, `i` from 0. Sums to -1.
pub fn rank_penalties(size: usize) -> Vec<f64> {
    let total: f64 = (1..=size).map(discount).sum();
    (1..=size).map(|rank| -discount(rank) / total).collect()
}

/// The rank-aware reward: in a group that contains the target, non-hits get their rank's penalty and the hit gets 0;
/// a group without the target gets 0 throughout (no gradient; counted as `frac_reward_zero_std`). `group` is in beam
/// order, best first.
pub fn rank_aware(group: &[ItemId], target: ItemId) -> Vec<f64> {
    if !group.contains(&target) {
        return vec![0.0; group.len()];
    }
    let penalties = rank_penalties(group.len());
    group.iter().zip(penalties).map(|(&item, penalty)| if item == target { 0.0 } else { penalty }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Vec<ItemId> {
        [4, 7, 1, 9].map(ItemId::new).to_vec()
    }
    fn close(a: &[f64], b: &[f64]) {
        assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() < 5e-5) && a.len() == b.len(), "{a:?} {b:?}");
    }

    #[test]
    fn penalties_of_four_beams_equal_the_golden_values() {
        close(&rank_penalties(4), &[-0.3904, -0.2463, -0.1952, -0.1681]);
        assert!((rank_penalties(16).iter().sum::<f64>() + 1.0).abs() < 1e-6);
        close(&rank_penalties(1), &[-1.0]);
    }

    #[test]
    fn only_groups_with_a_hit_are_penalised() {
        close(&rank_aware(&group(), ItemId::new(7)), &[-0.3904, 0.0, -0.1952, -0.1681]);
        close(&rank_aware(&group(), ItemId::new(5)), &[0.0; 4]);
        assert!(rank_aware(&[], ItemId::new(5)).is_empty());
    }

    #[test]
    fn the_rule_reward_is_one_for_the_target_alone() {
        close(&rule(&group(), ItemId::new(9)), &[0.0, 0.0, 0.0, 1.0]);
    }
}
