//! What cannot be quantised, and why.

use super::QuantizeConfig;
use crate::catalog::CatalogError;
use crate::embeddings::Embeddings;
use crate::ids::Code;
use thiserror::Error;

/// Why there are no semantic IDs.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum QuantizeError {
    /// A setting is out of range.
    #[error("{key} = {value} is out of range, must be between 1 and {most}")]
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The largest allowed value.
        most: usize,
    },
    /// A level has more codes than there are items to give them to.
    #[error("codes = {codes} is more than the {items} items; use at most {items} codes per level")]
    MoreCodesThanItems {
        /// Codes per level.
        codes: usize,
        /// Items.
        items: usize,
    },
    /// A value is NaN, infinite, or so large that its square leaves f32.
    #[error(
        "the vector of item {item} has the value {value} in column {column}; values must be finite and below 1e15"
    )]
    Value {
        /// The item's row.
        item: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Too many items share one quantised ID.
    #[error(
        "{items} items share one quantised ID, a collision digit tells at most {limit} apart; use more levels or \
         codes, embeddings that tell items apart, or collisions = \"shared\""
    )]
    Collisions {
        /// Items of the largest group.
        items: usize,
        /// The most that one group may hold.
        limit: usize,
    },
    /// The IDs do not make a catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Squares of thousands of such values still fit in f32.
const MAX_VALUE: f32 = 1e15;

/// Refuses what the algorithms could only turn into nonsense.
pub(super) fn check(embeddings: &Embeddings, config: &QuantizeConfig) -> Result<(), QuantizeError> {
    let ranges = [
        ("levels", config.levels, usize::MAX),
        ("codes", config.codes, Code::MAX as usize),
        ("iterations", config.iterations, usize::MAX),
    ];
    for (key, value, most) in ranges {
        if value < 1 || value > most {
            return Err(QuantizeError::Setting { key, value, most });
        }
    }
    let items = embeddings.rows();
    if config.codes > items {
        return Err(QuantizeError::MoreCodesThanItems { codes: config.codes, items });
    }
    match embeddings.values().iter().position(|value| value.is_nan() || value.abs() > MAX_VALUE) {
        None => Ok(()),
        Some(position) => Err(QuantizeError::Value {
            item: position / embeddings.width(),
            column: position % embeddings.width(),
            value: embeddings.values()[position],
        }),
    }
}
