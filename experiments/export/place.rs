//! Which semantic IDs new items get: by the directory's own codebooks and rule, within the codes that its policy knows.

use crate::stages::tokenize::Fitted;
use policy::catalog::Catalog;
use policy::embeddings::Embeddings;
use policy::ids::{Code, SemanticId};
use policy::quantize::NewItems;
use std::collections::BTreeMap;

/// The codes that an item has, and those that distance alone would have given it.
type Codes = (Vec<Code>, Vec<Code>);

/// A new item's place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) id: SemanticId,
    /// Its codes, without a digit.
    pub(super) codes: Vec<Code>,
    /// Those that distance alone would have given it.
    pub(super) nearest: Vec<Code>,
    /// Items before it with the same codes.
    pub(super) shared_with: usize,
    /// Between its encoding and the sum of its codes' vectors.
    pub(super) distance: f64,
}

/// Places for items with these vectors (normalised as the codebooks ask), in order.
///
/// # Errors
/// The row of the first item for which no ID is free.
pub(super) fn places(fitted: &Fitted, catalog: &Catalog, vectors: &Embeddings) -> Result<Vec<Place>, usize> {
    let quantized = &fitted.quantized;
    let mut ids = Ids::of(catalog, quantized.codebooks.len());
    let placed = quantized.place_new(vectors, fitted.new_items, |codes| ids.take(codes))?;
    let nearest = quantized.codes_of_new(vectors, NewItems::Argmin);
    let rows = placed.into_iter().zip(nearest).zip(ids.given).enumerate();
    let place = |(row, ((codes, nearest), (id, shared_with))): (usize, (Codes, (SemanticId, usize)))| {
        let distance = quantized.distances(vectors.row(row), &[&codes])[0];
        Place { id, codes, nearest, shared_with, distance }
    };
    Ok(rows.map(place).collect())
}

/// Who has which codes.
struct Ids {
    kind: Kind,
    /// The digits in use by codes; zeros where there is no digit.
    taken: BTreeMap<Vec<Code>, Vec<Code>>,
    /// IDs given so far, and how many items had the same codes.
    given: Vec<(SemanticId, usize)>,
}

/// How items of the same codes are told apart. A catalog that has no two of them goes on so: then no answer stands for two items.
enum Kind {
    /// By a digit below this; the policy knows no other.
    Digit(usize),
    /// There are none.
    Unique,
    /// They are not.
    Shared,
}

impl Ids {
    fn of(catalog: &Catalog, codebooks: usize) -> Self {
        let shared = catalog.entries().any(|(_, items)| items.len() > 1);
        let kind = match catalog.level_sizes().get(codebooks) {
            Some(&digits) => Kind::Digit(digits),
            None if shared => Kind::Shared,
            None => Kind::Unique,
        };
        let mut taken = BTreeMap::<Vec<Code>, Vec<Code>>::new();
        for id in catalog.semantic_ids() {
            let (codes, digit) = id.codes().split_at(codebooks);
            taken.entry(codes.to_vec()).or_default().push(digit.first().copied().unwrap_or_default());
        }
        Self { kind, taken, given: Vec::new() }
    }

    /// The ID of an item with these codes, unless all are taken.
    fn take(&mut self, codes: &[Code]) -> bool {
        let taken = self.taken.get(codes).map_or(&[][..], Vec::as_slice);
        let free = match self.kind {
            Kind::Digit(digits) => (0..digits as Code).find(|digit| !taken.contains(digit)),
            Kind::Unique => taken.is_empty().then_some(0),
            Kind::Shared => Some(0),
        };
        let Some(digit) = free else { return false };
        let id = match self.kind {
            Kind::Digit(_) => SemanticId::new([codes, &[digit]].concat()),
            Kind::Unique | Kind::Shared => SemanticId::new(codes),
        };
        self.given.push((id, taken.len()));
        self.taken.entry(codes.to_vec()).or_default().push(digit);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::quantize::{Normalize, Quantized};

    /// Codes at 0 and 10, and the items' IDs.
    fn placed(ids: &[&[Code]], sizes: &[usize], vectors: &[f32]) -> Result<Vec<Vec<Code>>, usize> {
        let catalog =
            Catalog::new(ids.iter().map(|id| SemanticId::new(*id)).collect(), sizes.to_vec()).unwrap();
        let quantized = Quantized {
            codes: ids.iter().map(|id| vec![id[0]]).collect(),
            codebooks: vec![Embeddings::new(1, vec![0.0, 10.0])],
            residuals: Vec::new(),
            autoencoder: None,
        };
        let fitted = Fitted { quantized, normalize: Normalize::None, new_items: NewItems::Argmin };
        let places = places(&fitted, &catalog, &Embeddings::new(1, vectors.to_vec()))?;
        Ok(places.iter().map(|place| place.id.codes().to_vec()).collect())
    }

    #[test]
    fn the_smallest_free_digit_is_given_and_then_the_next_code() {
        let ids: [&[Code]; 2] = [&[0, 1], &[1, 0]];
        // Code 0 has digits 0 and 2 left; the third item goes to code 1.
        assert_eq!(placed(&ids, &[2, 3], &[1.0, 1.0, 1.0]).unwrap(), [[0, 0], [0, 2], [1, 1]]);
        assert_eq!(placed(&ids, &[2, 3], &[1.0; 5]), Err(4), "four IDs were free");
    }

    #[test]
    fn ids_stay_unique_where_they_are_and_shared_where_they_are() {
        assert_eq!(placed(&[&[0]], &[2], &[1.0]).unwrap(), [[1]]);
        assert_eq!(placed(&[&[0], &[1]], &[2], &[1.0]), Err(0));
        assert_eq!(placed(&[&[0], &[0]], &[2], &[1.0, 2.0]).unwrap(), [[0], [0]]);
    }
}
