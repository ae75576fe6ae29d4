//! THE ranking metrics: one relevant item per user (leave-one-out), ranks from 1.
//!
//! A hit is a hit of the *item*, never of a semantic ID that several items share. NDCG has one relevant item, so the
//! ideal is 1 and `NDCG@k = 1 / log2(rank + 1)` for `rank <= k`. These functions are used as reward and as
//! evaluation alike.

use policy::ids::ItemId;
use std::cmp::Ordering;

/// Where `target` stands in a ranked list without repeats; `None` when it is not there.
pub fn rank_in_list(ranked: &[ItemId], target: ItemId) -> Option<usize> {
    ranked.iter().position(|&item| item == target).map(|position| position + 1)
}

/// Where `target` stands among all items that are not `excluded`, by descending score, ties in item order.
///
/// `excluded` is the user's history; a target inside it has no rank (masked items cannot be recommended).
///
/// # Panics
/// If `target` is no row of `scores`.
pub fn rank_by_score(scores: &[f32], target: ItemId, excluded: &[ItemId]) -> Option<usize> {
    if excluded.contains(&target) {
        return None;
    }
    let score = scores[target.index()];
    let beats = |item: usize| match scores[item].total_cmp(&score) {
        Ordering::Greater => true,
        Ordering::Equal => item < target.index(),
        Ordering::Less => false,
    };
    let better = (0..scores.len()).filter(|&item| beats(item)).count();
    let mut seen: Vec<_> = excluded.iter().map(|item| item.index()).filter(|&item| beats(item)).collect();
    seen.sort_unstable();
    seen.dedup();
    Some(1 + better - seen.len())
}

/// 1 when the rank is within the first `k`, else 0. With one relevant item, Recall@k is HR@k.
pub fn recall(rank: Option<usize>, k: usize) -> f64 {
    match rank {
        Some(rank) if rank <= k => 1.0,
        _ => 0.0,
    }
}

/// `1 / log2(rank + 1)` when the rank is within the first `k`, else 0.
pub fn ndcg(rank: Option<usize>, k: usize) -> f64 {
    match rank {
        Some(rank) if rank <= k => discount(rank),
        _ => 0.0,
    }
}

/// The discount of rank `rank >= 1`: `1 / log2(rank + 1)`.
pub fn discount(rank: usize) -> f64 {
    ((rank + 1) as f64).log2().recip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(ids: &[usize]) -> Vec<ItemId> {
        ids.iter().map(|&id| ItemId::new(id)).collect()
    }

    #[test]
    fn recall_and_ndcg_equal_hand_values() {
        assert!((ndcg(Some(1), 5) - 1.0).abs() < 1e-12);
        assert!((ndcg(Some(3), 5) - 0.5).abs() < 1e-12);
        assert!((ndcg(Some(7), 10) - 1.0 / 3.0).abs() < 1e-12);
        for (rank, k, hit) in [(Some(5), 5, 1.0), (Some(6), 5, 0.0), (None, 5, 0.0)] {
            assert!((recall(rank, k) - hit).abs() < 1e-12);
            assert_eq!(ndcg(rank, k) > 0.0, hit > 0.0);
        }
    }

    #[test]
    fn the_rank_by_score_masks_history_and_breaks_ties_by_item() {
        let scores = [0.9, 0.5, 0.7, 0.5, 0.1];
        let rank = |target, excluded: &[usize]| rank_by_score(&scores, ItemId::new(target), &items(excluded));
        assert_eq!(rank(0, &[]), Some(1));
        assert_eq!(rank(1, &[]), Some(3));
        assert_eq!(rank(3, &[]), Some(4));
        // Item 0 repeats in the history and counts once; item 4 is worse and does not count.
        assert_eq!(rank(3, &[0, 0, 4]), Some(3));
        assert_eq!(rank(3, &[3]), None);
    }

    #[test]
    fn the_rank_by_score_is_the_place_in_the_sorted_list() {
        let scores: Vec<f32> = (0..50).map(|i| ((i * 37) % 11) as f32).collect();
        let mut ranked = items(&(0..50).collect::<Vec<_>>());
        ranked.sort_by(|a, b| scores[b.index()].total_cmp(&scores[a.index()]).then(a.cmp(b)));
        for target in 0..50 {
            let target = ItemId::new(target);
            assert_eq!(rank_by_score(&scores, target, &[]), rank_in_list(&ranked, target));
        }
    }
}
