//! What is told about items that were added.

use super::bundle::{Bundle, JUDGE};
use super::place::Place;
use crate::data::artifacts;
use crate::data::new_items::NewItems;
use crate::stages::tokenize::Fitted;
use policy::embeddings::Embeddings;
use policy::ids::{Code, ItemId};
use serde::Serialize;

/// Existing items that are shown beside each new one.
const NEIGHBOURS: usize = 3;

/// A new item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Added {
    /// Its id in the log.
    pub id: String,
    /// Its text; empty where there is none.
    pub text: String,
    /// All codes, coarsest first.
    pub semantic_id: Vec<Code>,
    /// The codes that distance alone would have given it; absent where it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_codes: Option<Vec<Code>>,
    /// Items before it with the same codes, which a digit tells from it or which share its ID.
    pub shared_with: usize,
    /// Between its encoding and the sum of its codes' vectors.
    pub distance: f64,
    /// Of the existing items that share the longest prefix with it, those whose codes are nearest to its vector.
    pub neighbours: Vec<Neighbour>,
}

/// An existing item near a new one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its id in the log.
    pub id: String,
    /// Its text; empty where the directory has none.
    pub text: String,
    /// Codes that it shares with the new item, from the coarsest.
    pub shared_codes: usize,
    /// Between the new item's encoding and the sum of this one's codes' vectors.
    pub distance: f64,
}

/// All of them, in order.
///
/// # Errors
/// The texts of the directory cannot be read.
pub(super) fn added(
    parent: &Bundle,
    fitted: &Fitted,
    (items, vectors): (&NewItems, &Embeddings),
    places: &[Place],
) -> anyhow::Result<Vec<Added>> {
    let texts = match parent.judge {
        Some(_) => {
            artifacts::load_items(&parent.dir.join(JUDGE))?.items.into_iter().map(|item| item.text).collect()
        }
        None => Vec::new(),
    };
    let old = Old { parent, fitted, by_codes: by_codes(parent), texts };
    let rows = places.iter().enumerate();
    Ok(rows
        .map(|(row, place)| Added {
            id: items.ids[row].clone(),
            text: items.texts[row].clone(),
            semantic_id: place.id.codes().to_vec(),
            nearest_codes: (place.nearest != place.codes).then(|| place.nearest.clone()),
            shared_with: place.shared_with,
            distance: place.distance,
            neighbours: old.neighbours(&place.codes, vectors.row(row)),
        })
        .collect())
}

/// The items that were there.
struct Old<'a> {
    parent: &'a Bundle,
    fitted: &'a Fitted,
    /// In the order of their codes, so that those of a prefix stand together.
    by_codes: Vec<(&'a [Code], ItemId)>,
    texts: Vec<String>,
}

fn by_codes(bundle: &Bundle) -> Vec<(&[Code], ItemId)> {
    let entries = bundle.codebook.catalog.entries();
    entries.flat_map(|(id, items)| items.iter().map(|item| (id.codes(), *item))).collect()
}

impl Old<'_> {
    fn neighbours(&self, codes: &[Code], vector: &[f32]) -> Vec<Neighbour> {
        let mut prefixes = (1..=codes.len()).rev().map(|length| (length, self.behind(&codes[..length])));
        let Some((shared_codes, group)) = prefixes.find(|(_, group)| !group.is_empty()) else {
            return Vec::new();
        };
        let ids: Vec<&[Code]> = group.iter().map(|(codes, _)| *codes).collect();
        let distances = self.fitted.quantized.distances(vector, &ids);
        let mut near: Vec<(f64, ItemId)> =
            distances.into_iter().zip(group.iter().map(|(_, item)| *item)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let neighbour = |(distance, item): (f64, ItemId)| Neighbour {
            id: self.parent.raw_id(item).to_owned(),
            text: self.texts.get(item.index()).cloned().unwrap_or_default(),
            shared_codes,
            distance,
        };
        near.into_iter().take(NEIGHBOURS).map(neighbour).collect()
    }

    /// The items behind a prefix.
    fn behind(&self, prefix: &[Code]) -> &[(&[Code], ItemId)] {
        let start = self.by_codes.partition_point(|(codes, _)| &codes[..prefix.len()] < prefix);
        let count = self.by_codes[start..].partition_point(|(codes, _)| codes.starts_with(prefix));
        &self.by_codes[start..][..count]
    }
}
