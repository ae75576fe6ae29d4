//! What cannot be quantised, and why.

use super::{Items, QuantizeConfig, Quantizer};
use crate::catalog::CatalogError;
use crate::embeddings::Embeddings;
use crate::ids::Code;
use crate::optimizer::NonFinite;
use thiserror::Error;

/// Why there are no semantic IDs.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum QuantizeError {
    /// A setting is out of range.
    #[error("{key} = {value} is out of range, must be between {least} and {most}")]
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The smallest allowed value.
        least: usize,
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
    /// There are fewer IDs than items.
    #[error("{levels} levels of {codes} codes name only {ids} of {items} items; use more levels or codes")]
    TooFewIds {
        /// Levels.
        levels: usize,
        /// Codes per level.
        codes: usize,
        /// IDs that they make.
        ids: usize,
        /// Items.
        items: usize,
    },
    /// A product quantiser has more subspaces than the vectors have columns.
    #[error(
        "levels = {levels} is more than the {width} columns of the vectors; use at most {width} subspaces"
    )]
    MoreLevelsThanColumns {
        /// Subspaces.
        levels: usize,
        /// Columns.
        width: usize,
    },
    /// The quantiser reads training histories, and there are none.
    #[error("this quantizer reads training histories, but was given none")]
    NoHistories,
    /// The histories are of another catalog than the vectors.
    #[error("the histories are over {log} items, but there are vectors of {vectors}")]
    OtherCatalog {
        /// Items of the log.
        log: usize,
        /// Rows of the vectors.
        vectors: usize,
    },
    /// Codes shall follow collaborative vectors, and there are none.
    #[error("rq_vae.collaborative_weight needs a collaborative vector for each of the {items} items")]
    NoCollaborative {
        /// Number of items.
        items: usize,
    },
    /// A setting of training is out of range.
    #[error("rq_vae.{key} = {value} is out of range, must be {allowed}")]
    Training {
        /// Name of the setting.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Training met a number that is not finite.
    #[error("training of the codebooks in epoch {epoch} failed; try a smaller rq_vae.learning_rate")]
    NonFinite {
        /// The epoch, from 1.
        epoch: usize,
        /// What was not finite.
        #[source]
        source: NonFinite,
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
pub(super) fn check(items: Items, config: &QuantizeConfig) -> Result<(), QuantizeError> {
    let ranges = [
        ("levels", config.levels, config.quantizer.least_levels(), usize::MAX),
        ("codes", config.codes, 1, Code::MAX as usize),
        ("iterations", config.iterations, 1, usize::MAX),
    ];
    for (key, value, least, most) in ranges {
        if value < least || value > most {
            return Err(QuantizeError::Setting { key, value, least, most });
        }
    }
    sizes(items.vectors, config)?;
    histories(items, config.quantizer)?;
    if matches!(config.quantizer, Quantizer::ResidualVq | Quantizer::RqVae) {
        config.rq_vae.check()?;
    }
    let rows = items.vectors.rows();
    if config.needs_collaborative() && items.collaborative.is_none_or(|vectors| vectors.rows() != rows) {
        return Err(QuantizeError::NoCollaborative { items: rows });
    }
    check_values(items.vectors)
}

/// Levels and codes against items and columns.
fn sizes(vectors: &Embeddings, config: &QuantizeConfig) -> Result<(), QuantizeError> {
    let (items, width) = (vectors.rows(), vectors.width());
    let QuantizeConfig { quantizer, levels, codes, .. } = *config;
    if items == 0 || (quantizer.fits_codes() && codes > items) {
        return Err(QuantizeError::MoreCodesThanItems { codes, items });
    }
    // Past the largest power that can be written there are IDs for any catalog.
    let ids = u32::try_from(levels).ok().and_then(|levels| codes.checked_pow(levels)).unwrap_or(usize::MAX);
    if quantizer.numbers_items() && ids < items {
        return Err(QuantizeError::TooFewIds { levels, codes, ids, items });
    }
    if quantizer == Quantizer::OptimizedProduct && levels > width {
        return Err(QuantizeError::MoreLevelsThanColumns { levels, width });
    }
    Ok(())
}

fn histories(Items { vectors, log, .. }: Items, quantizer: Quantizer) -> Result<(), QuantizeError> {
    match log {
        _ if !quantizer.needs_histories() => Ok(()),
        None => Err(QuantizeError::NoHistories),
        Some(log) if log.num_items != vectors.rows() => {
            Err(QuantizeError::OtherCatalog { log: log.num_items, vectors: vectors.rows() })
        }
        Some(_) => Ok(()),
    }
}

/// Whether vectors can be quantised.
///
/// # Errors
/// The first value that is not a number or too large to be squared.
pub fn check_values(vectors: &Embeddings) -> Result<(), QuantizeError> {
    match vectors.values().iter().position(|value| value.is_nan() || value.abs() > MAX_VALUE) {
        None => Ok(()),
        Some(position) => Err(QuantizeError::Value {
            item: position / vectors.width(),
            column: position % vectors.width(),
            value: vectors.values()[position],
        }),
    }
}
