//! Dense rewards for groups that do not hit the target (MiniOneRec; ALGORITHMS 1.8): how near a candidate is to it.
//!
//! With text embeddings this is the semantic reward, with collaborative vectors the collaborative one. MiniOneRec scores a
//! candidate that is no item with a *random* item's logit, a silent source of noise; candidates here are always items.

use policy::embeddings::Embeddings;
use policy::ids::ItemId;

/// Cosine of every candidate's vector with the target's, in `[-1, 1]`; 0 where either is zero, 1 for the target itself.
pub fn cosine(vectors: &Embeddings, group: &[ItemId], target: ItemId) -> Vec<f64> {
    let row = |item: ItemId| vectors.row(item.index());
    let like = |&item: &ItemId| if item == target { 1.0 } else { cosine_of(row(item), row(target)) };
    group.iter().map(like).collect()
}

/// Cosine of two vectors; 0 where either is zero.
pub fn cosine_of(a: &[f32], b: &[f32]) -> f64 {
    let product =
        |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { (product(a, b) / lengths).clamp(-1.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_equal_hand_values_and_zero_vectors_are_like_nothing() {
        let vectors = Embeddings::new(2, vec![3.0, 4.0, 4.0, 3.0, -6.0, -8.0, 0.0, 0.0]);
        let group = [0, 1, 2, 3].map(ItemId::new);
        let found = cosine(&vectors, &group, ItemId::new(0));
        for (found, hand) in found.iter().zip([1.0, 0.96, -1.0, 0.0]) {
            assert!((found - hand).abs() < 1e-6, "{found} is not {hand}");
        }
        assert_eq!(cosine(&vectors, &[ItemId::new(3)], ItemId::new(3)), [1.0]);
        assert!(cosine(&vectors, &[], ItemId::new(0)).is_empty());
    }
}
