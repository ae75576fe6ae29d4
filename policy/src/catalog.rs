//! Which semantic ID stands for which item.

use crate::ids::{Code, ItemId, SemanticId};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a table of semantic IDs is not a catalog.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CatalogError {
    /// There is no item.
    #[error("the catalog is empty")]
    Empty,
    /// An item's semantic ID has another number of codes than the catalog has levels.
    #[error("item {item} has {found} codes, the catalog has {expected} levels")]
    Levels {
        /// The item's row.
        item: usize,
        /// Codes found.
        found: usize,
        /// Levels of the catalog.
        expected: usize,
    },
    /// A code lies outside its level's codebook.
    #[error("item {item} has code {code} at level {level}, whose codebook has {size} codes")]
    Code {
        /// The item's row.
        item: usize,
        /// The level, from 0.
        level: usize,
        /// The code found.
        code: Code,
        /// Size of that level's codebook.
        size: usize,
    },
}

/// Items and their semantic IDs. Several items may share an ID (`collisions = "shared"`); with a collision
/// digit the mapping is a bijection.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    semantic_ids: Vec<SemanticId>,
    level_sizes: Vec<usize>,
    items: BTreeMap<SemanticId, Vec<ItemId>>,
}

impl Catalog {
    /// A catalog of `semantic_ids` (indexed by item) over codebooks of `level_sizes`.
    /// Items that share an ID are listed in item order.
    ///
    /// # Errors
    /// If there is no item, or an ID does not fit the levels.
    pub fn new(semantic_ids: Vec<SemanticId>, level_sizes: Vec<usize>) -> Result<Self, CatalogError> {
        if semantic_ids.is_empty() {
            return Err(CatalogError::Empty);
        }
        let mut items = BTreeMap::<_, Vec<_>>::new();
        for (item, id) in semantic_ids.iter().enumerate() {
            check(item, id, &level_sizes)?;
            items.entry(id.clone()).or_default().push(ItemId::new(item));
        }
        Ok(Self { semantic_ids, level_sizes, items })
    }
    /// The same catalog with colliding items listed in descending `weight` (ties in item order), the order
    /// in which a decoded ID is expanded to items.
    #[must_use]
    pub fn ordered_by(mut self, weights: &[u32]) -> Self {
        for items in self.items.values_mut() {
            items.sort_by_key(|item| (std::cmp::Reverse(weights[item.index()]), *item));
        }
        self
    }
    /// Number of items.
    pub fn num_items(&self) -> usize {
        self.semantic_ids.len()
    }
    /// Codebook sizes, coarsest level first.
    pub fn level_sizes(&self) -> &[usize] {
        &self.level_sizes
    }
    /// Codes per semantic ID.
    pub fn levels(&self) -> usize {
        self.level_sizes.len()
    }
    /// The semantic ID of an item.
    pub fn semantic_id(&self, item: ItemId) -> &SemanticId {
        &self.semantic_ids[item.index()]
    }
    /// The semantic IDs of all items, indexed by item.
    pub fn semantic_ids(&self) -> &[SemanticId] {
        &self.semantic_ids
    }
    /// The items that a semantic ID stands for; empty when it stands for none.
    pub fn items(&self, id: &SemanticId) -> &[ItemId] {
        self.items.get(id).map_or(&[], Vec::as_slice)
    }
    /// Every used semantic ID with its items, in ID order.
    pub fn entries(&self) -> impl Iterator<Item = (&SemanticId, &[ItemId])> {
        self.items.iter().map(|(id, items)| (id, items.as_slice()))
    }
}

fn check(item: usize, id: &SemanticId, level_sizes: &[usize]) -> Result<(), CatalogError> {
    let codes = id.codes();
    if codes.len() != level_sizes.len() {
        return Err(CatalogError::Levels { item, found: codes.len(), expected: level_sizes.len() });
    }
    for (level, (&code, &size)) in codes.iter().zip(level_sizes).enumerate() {
        if code as usize >= size {
            return Err(CatalogError::Code { item, level, code, size });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(codes: &[&[Code]]) -> Vec<SemanticId> {
        codes.iter().map(|c| SemanticId::new(*c)).collect()
    }

    #[test]
    fn colliding_items_are_listed_by_weight_then_item() {
        let catalog = Catalog::new(ids(&[&[0, 1], &[0, 1], &[1, 0], &[0, 1]]), vec![2, 2]).unwrap();
        let catalog = catalog.ordered_by(&[3, 9, 1, 3]);
        let listed: Vec<_> = catalog.items(&SemanticId::new([0, 1])).iter().map(|i| i.index()).collect();
        assert_eq!(listed, [1, 0, 3]);
        assert!(catalog.items(&SemanticId::new([1, 1])).is_empty());
    }

    #[test]
    fn ids_that_do_not_fit_are_refused() {
        assert_eq!(Catalog::new(vec![], vec![2]), Err(CatalogError::Empty));
        let short = Catalog::new(ids(&[&[0]]), vec![2, 2]);
        assert_eq!(short, Err(CatalogError::Levels { item: 0, found: 1, expected: 2 }));
        let outside = Catalog::new(ids(&[&[0, 2]]), vec![2, 2]);
        assert_eq!(outside, Err(CatalogError::Code { item: 0, level: 1, code: 2, size: 2 }));
    }
}
