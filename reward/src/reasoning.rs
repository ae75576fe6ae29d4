//! Rewards of a semantic ID as a path of several steps: PARS and MSRA of `REG4Rec` (2508.15308).
//!
//! **Reconstructions**: the paper's full text and code are not public. What is known: a token is a step of reasoning towards an item,
//! preference alignment rewards the path as well as its end (PARS), and later actions of the user count too (MSRA). The formulas are
//! ours. A step is a code of the semantic ID, as the policy writes it: one after the other, or all at once where codes have no order
//! (`optimized-product` codes, `code_decoder = "parallel"`). There are no tokens beside those of the ID, and the order of the steps is
//! that of the levels, not chosen by confidence (CRSS).

use policy::catalog::Catalog;
use policy::ids::ItemId;

/// PARS: `sum_m 1[code m is the action's] / M + 1[item is the action]` of every candidate, in `[0, 2]`.
///
/// Codes are compared level by level: the m-th counts for itself, whatever the codes before it are. That is all there is to say of
/// codes without an order; of a residual code it means that the same refinement of another prefix has its credit. A collision digit is
/// a code like the others. Items that share an ID have the credit of its codes, but only the action itself is a hit.
pub fn pars(catalog: &Catalog, group: &[ItemId], action: ItemId) -> Vec<f64> {
    let wanted = catalog.semantic_id(action).codes();
    let of = |&item: &ItemId| {
        let codes = catalog.semantic_id(item).codes();
        let right = codes.iter().zip(wanted).filter(|(code, wanted)| code == wanted).count();
        right as f64 / wanted.len() as f64 + f64::from(u8::from(item == action))
    };
    group.iter().map(of).collect()
}

/// MSRA: `sum_k discount^k` [`pars`]`(action k)` of every candidate, over the user's next action and those after it, oldest first.
/// With one action, or a `discount` of 0, it is PARS.
pub fn msra(catalog: &Catalog, group: &[ItemId], (actions, discount): (&[ItemId], f64)) -> Vec<f64> {
    let mut rewards = vec![0.0; group.len()];
    let mut weight = 1.0;
    for &action in actions {
        for (reward, credit) in rewards.iter_mut().zip(pars(catalog, group, action)) {
            *reward += weight * credit;
        }
        weight *= discount;
    }
    rewards
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::SemanticId;
    use proptest::prelude::*;

    /// Four codes each; items 0 and 3 share their ID.
    fn catalog() -> Catalog {
        let ids = [[1, 2, 3, 0], [1, 2, 0, 0], [0, 2, 3, 1], [1, 2, 3, 0], [5, 5, 5, 5]];
        Catalog::new(ids.map(SemanticId::new).to_vec(), vec![6; 4]).unwrap()
    }

    fn items<const N: usize>(items: [usize; N]) -> [ItemId; N] {
        items.map(ItemId::new)
    }

    #[test]
    fn partial_credit_equals_hand_values() {
        let found = pars(&catalog(), &items([0, 1, 2, 3, 4]), ItemId::new(0));
        // All four codes and the item; three codes; two behind a wrong first one; all four of another item; none.
        assert_eq!(found, [2.0, 0.75, 0.5, 1.0, 0.0]);
        assert!(pars(&catalog(), &[], ItemId::new(0)).is_empty());
    }

    #[test]
    fn later_actions_count_with_their_discount() {
        let actions = items([4, 1, 0]);
        let found = msra(&catalog(), &items([0, 1, 4]), (&actions, 0.5));
        // Of 0: 0 + .75 / 2 + 2 / 4; of 1: 0 + 2 / 2 + .75 / 4; of 4: 2.
        assert_eq!(found, [0.875, 1.1875, 2.0]);
    }

    proptest! {
        #[test]
        fn without_later_actions_or_without_their_weight_msra_is_pars(
            group in prop::collection::vec(0usize..5, 0..8),
            actions in prop::collection::vec(0usize..5, 1..5),
            discount in 0.0..1.0f64,
        ) {
            let group: Vec<ItemId> = group.into_iter().map(ItemId::new).collect();
            let actions: Vec<ItemId> = actions.into_iter().map(ItemId::new).collect();
            let catalog = catalog();
            let alone = pars(&catalog, &group, actions[0]);
            prop_assert_eq!(&msra(&catalog, &group, (&actions[..1], discount)), &alone);
            prop_assert_eq!(&msra(&catalog, &group, (&actions, 0.0)), &alone);
        }

        #[test]
        fn only_the_action_itself_has_the_whole_reward(item in 0usize..5, action in 0usize..5) {
            let reward = pars(&catalog(), &[ItemId::new(item)], ItemId::new(action))[0];
            prop_assert!((0.0..=2.0).contains(&reward));
            prop_assert_eq!(reward >= 2.0, item == action);
        }
    }
}
