//! Items with equal codes, and the digit that tells them apart. Nothing else adds or reads that digit as such: for
//! the rest of the program it is one more level.

use super::{Collisions, QuantizeError, Quantized};
use crate::catalog::Catalog;
use crate::ids::{Code, SemanticId};
use std::collections::BTreeMap;

/// The digit carries no meaning, yet the policy has to learn it by heart: a group of thousands means that the
/// codes do not tell items apart.
pub const MAX_GROUP: usize = 4096;

impl Quantized {
    /// How many items have each quantised ID that occurs, in ID order.
    pub fn group_sizes(&self) -> Vec<u64> {
        let mut sizes = BTreeMap::<&[Code], u64>::new();
        for codes in &self.codes {
            *sizes.entry(codes).or_default() += 1;
        }
        sizes.into_values().collect()
    }
    /// The catalog of these codes. With [`Collisions::Digit`] and at least one collision, every ID gets one more
    /// code: the item's position, in item order, among the items that share its quantised ID.
    ///
    /// # Errors
    /// If more than [`MAX_GROUP`] items share an ID that a digit should make unique.
    pub fn catalog(&self, collisions: Collisions) -> Result<Catalog, QuantizeError> {
        let mut level_sizes: Vec<_> =
            self.codebooks.iter().map(crate::embeddings::Embeddings::rows).collect();
        let largest = self.group_sizes().into_iter().max().unwrap_or(0) as usize;
        let ids = if collisions == Collisions::Shared || largest <= 1 {
            self.codes.iter().map(|codes| SemanticId::new(codes.clone())).collect()
        } else if largest > MAX_GROUP {
            return Err(QuantizeError::Collisions { items: largest, limit: MAX_GROUP });
        } else {
            level_sizes.push(largest);
            self.with_digit()
        };
        Ok(Catalog::new(ids, level_sizes)?)
    }

    fn with_digit(&self) -> Vec<SemanticId> {
        let mut seen = BTreeMap::<&[Code], Code>::new();
        let next = |codes: &'_ Vec<Code>, digit: Code| SemanticId::new([codes.as_slice(), &[digit]].concat());
        self.codes
            .iter()
            .map(|codes| {
                let digit = seen.entry(codes).or_default();
                let id = next(codes, *digit);
                *digit += 1;
                id
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embeddings::Embeddings;
    use crate::ids::ItemId;

    fn quantized(codes: &[[Code; 2]]) -> Quantized {
        let codebook = Embeddings::new(1, vec![0.0; 4]);
        Quantized {
            codes: codes.iter().map(|codes| codes.to_vec()).collect(),
            codebooks: vec![codebook.clone(), codebook],
            residuals: vec![0.5, 0.1],
            autoencoder: None,
        }
    }
    fn ids(catalog: &Catalog) -> Vec<Vec<Code>> {
        catalog.semantic_ids().iter().map(|id| id.codes().to_vec()).collect()
    }

    #[test]
    fn the_digit_counts_items_of_equal_codes_in_item_order() {
        let catalog = quantized(&[[1, 2], [3, 0], [1, 2], [1, 2]]).catalog(Collisions::Digit).unwrap();
        assert_eq!(ids(&catalog), [[1, 2, 0], [3, 0, 0], [1, 2, 1], [1, 2, 2]]);
        assert_eq!(catalog.level_sizes(), [4, 4, 3]);
        assert!(catalog.entries().all(|(_, items)| items.len() == 1));
    }

    #[test]
    fn without_collisions_there_is_no_digit() {
        let catalog = quantized(&[[1, 2], [3, 0]]).catalog(Collisions::Digit).unwrap();
        assert_eq!(catalog.level_sizes(), [4, 4]);
    }

    #[test]
    fn shared_ids_stand_for_several_items() {
        let catalog = quantized(&[[1, 2], [3, 0], [1, 2]]).catalog(Collisions::Shared).unwrap();
        assert_eq!(catalog.items(&SemanticId::new([1, 2])), [ItemId::new(0), ItemId::new(2)]);
    }

    #[test]
    fn a_group_too_large_for_a_digit_is_refused_with_a_remedy() {
        let quantized = quantized(&vec![[1, 1]; MAX_GROUP + 1]);
        let message = quantized.catalog(Collisions::Digit).unwrap_err().to_string();
        assert!(
            message.contains("4097 items share one quantised ID") && message.contains("shared"),
            "{message}"
        );
        assert!(quantized.catalog(Collisions::Shared).is_ok());
    }
}
