//! What a judge knows of an item: standardised numbers from its embedding and attributes.
//!
//! Never the item's id, count or popularity: in filtered logs they leak the label (a video kept only because it was
//! liked fifteen times is a liked video), and a judge that knows popularity teaches the policy to be popular.

use policy::embeddings::Embeddings;
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which tables describe an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemFeatures {
    /// The embeddings the tokenizer uses.
    #[default]
    Embeddings,
    /// Numeric attributes such as log duration.
    Attributes,
    /// Both, side by side.
    EmbeddingsAndAttributes,
}

/// Item tables a judge cannot use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FeatureError {
    /// Attributes are asked for and the log has none.
    #[error(
        "reward.item_features asks for attributes, but this data has none; use reward.item_features = \"embeddings\""
    )]
    NoAttributes,
    /// A table has another number of rows than the catalog has items.
    #[error("the item {table} have {rows} rows, the catalog has {items} items")]
    Rows {
        /// `embeddings` or `attributes`.
        table: &'static str,
        /// Rows found.
        rows: usize,
        /// Rows expected.
        items: usize,
    },
    /// A value is NaN or infinite.
    #[error("the item {table} have a value that is not finite for item {item}")]
    NotFinite {
        /// `embeddings` or `attributes`.
        table: &'static str,
        /// The item's row.
        item: usize,
    },
}

/// Where the features come from.
#[derive(Clone, Copy, Debug)]
pub struct ItemTables<'a> {
    /// One row per item.
    pub embeddings: &'a Embeddings,
    /// One row per item, where the data has attributes.
    pub attributes: Option<&'a Embeddings>,
}

/// Standardised features, one row per item.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureTable(Embeddings);

impl FeatureTable {
    /// The features `kind` of `items` items. Every column is centred and scaled to unit variance over the items; a
    /// constant column becomes zero.
    ///
    /// # Errors
    /// If a table is missing, has another number of rows, or holds a value that is not finite.
    pub fn new(kind: ItemFeatures, tables: ItemTables<'_>, items: usize) -> Result<Self, FeatureError> {
        let embeddings = || checked("embeddings", tables.embeddings, items);
        let attributes =
            || checked("attributes", tables.attributes.ok_or(FeatureError::NoAttributes)?, items);
        let parts = match kind {
            ItemFeatures::Embeddings => vec![embeddings()?],
            ItemFeatures::Attributes => vec![attributes()?],
            ItemFeatures::EmbeddingsAndAttributes => vec![embeddings()?, attributes()?],
        };
        let width = parts.iter().map(|part| part.width()).sum();
        let values = (0..items).flat_map(|item| parts.iter().flat_map(move |part| part.row(item)).copied());
        let mut values: Vec<f32> = values.collect();
        standardise(&mut values, width);
        Ok(Self(Embeddings::new(width, values)))
    }
    /// Features per item.
    pub fn width(&self) -> usize {
        self.0.width()
    }
    /// Items.
    pub fn num_items(&self) -> usize {
        self.0.rows()
    }
    /// The features of an item.
    pub fn row(&self, item: ItemId) -> &[f32] {
        self.0.row(item.index())
    }
    /// All rows, row-major.
    pub fn values(&self) -> &[f32] {
        self.0.values()
    }
}

fn checked<'a>(
    table: &'static str,
    values: &'a Embeddings,
    items: usize,
) -> Result<&'a Embeddings, FeatureError> {
    if values.rows() != items {
        return Err(FeatureError::Rows { table, rows: values.rows(), items });
    }
    match values.values().iter().position(|value| !value.is_finite()) {
        Some(position) => Err(FeatureError::NotFinite { table, item: position / values.width() }),
        None => Ok(values),
    }
}

fn standardise(values: &mut [f32], width: usize) {
    for column in 0..width {
        let moments = Moments::of(values.iter().skip(column).step_by(width).copied());
        for value in values.iter_mut().skip(column).step_by(width) {
            *value = moments.standardise(*value);
        }
    }
}

/// Mean and reciprocal standard deviation of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Moments {
    mean: f64,
    scale: f64,
}

impl Moments {
    /// Values further out than this many standard deviations carry no more information, only gradient spikes.
    const LIMIT: f64 = 8.0;

    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / count;
        let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        // A column of one value: rounding leaves a variance near 1e-16 of the square, not zero.
        let constant = variance <= 1e-12 * (mean * mean).max(f64::MIN_POSITIVE);
        Self { mean, scale: if constant { 0.0 } else { variance.sqrt().recip() } }
    }
    fn standardise(self, value: f32) -> f32 {
        ((f64::from(value) - self.mean) * self.scale).clamp(-Self::LIMIT, Self::LIMIT) as f32
    }
}

/// Whether a judge also learns how much every item is worth to everybody beside what its features say: quality
/// that no feature tells. In logs whose very choice of items gives labels away it must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemIdentity {
    /// Items with equal features are equal.
    #[default]
    Hidden,
    /// A number per item that moves the logits of all heads, zero at first: items without training interactions keep to their
    /// features.
    Learned,
}

impl ItemIdentity {
    /// For files of before there was a choice.
    pub fn is_hidden(&self) -> bool {
        *self == Self::Hidden
    }
}

/// How logged feedback becomes numbers beside the history's items: `sign(x) ln(1 + |x|)`, so that play times in
/// milliseconds and flags live on one scale, then standardised over the training interactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    moments: Vec<Moments>,
}

impl Behaviour {
    /// Fitted on the training interactions of these users. A log without signals gives a behaviour of width 0.
    pub fn fit(log: &Log, users: &[UserId]) -> Self {
        let signals = log.signals.len();
        let column = |signal: usize| {
            users.iter().flat_map(move |&user| {
                let rows = log.train_items(user).len();
                let feedback = &log.history(user).feedback;
                (0..rows).map(move |row| compress(feedback[row * signals + signal]))
            })
        };
        Self { moments: (0..signals).map(|signal| Moments::of(column(signal))).collect() }
    }
    /// The same, blind to one signal.
    pub(crate) fn without(mut self, signal: usize) -> Self {
        self.moments[signal].scale = 0.0;
        self
    }
    /// Signals per interaction.
    pub fn width(&self) -> usize {
        self.moments.len()
    }
    /// Appends the row of the interaction at `position` of a history to `out`.
    pub fn append(&self, feedback: &[f32], position: usize, out: &mut Vec<f32>) {
        let row = &feedback[position * self.width()..][..self.width()];
        out.extend(
            row.iter().zip(&self.moments).map(|(&value, moments)| moments.standardise(compress(value))),
        );
    }
}

pub(crate) fn compress(value: f32) -> f32 {
    value.abs().ln_1p().copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;

    fn tables<'a>(embeddings: &'a Embeddings, attributes: Option<&'a Embeddings>) -> ItemTables<'a> {
        ItemTables { embeddings, attributes }
    }

    #[test]
    fn columns_are_standardised_and_constant_ones_vanish() {
        let embeddings = Embeddings::new(2, vec![1.0, 0.1, 3.0, 0.1, 5.0, 0.1]);
        let attributes = Embeddings::new(1, vec![0.0, 0.0, 3.0]);
        let table = tables(&embeddings, Some(&attributes));
        let features = FeatureTable::new(ItemFeatures::EmbeddingsAndAttributes, table, 3).unwrap();
        assert_eq!(features.width(), 3);
        let (third, half) = (1.5_f32.sqrt(), 0.5_f32.sqrt());
        for (value, hand) in features.values().iter().zip([-third, 0.0, -half, 0.0, 0.0, -half, third]) {
            assert!((value - hand).abs() < 1e-6, "{:?}", features.values());
        }
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let embeddings = Embeddings::new(1, vec![1.0, f32::NAN]);
        let build = |kind, items| FeatureTable::new(kind, tables(&embeddings, None), items).unwrap_err();
        assert_eq!(build(ItemFeatures::Attributes, 2), FeatureError::NoAttributes);
        assert_eq!(
            build(ItemFeatures::Embeddings, 3),
            FeatureError::Rows { table: "embeddings", rows: 2, items: 3 }
        );
        assert_eq!(
            build(ItemFeatures::Embeddings, 2),
            FeatureError::NotFinite { table: "embeddings", item: 1 }
        );
    }

    #[test]
    fn behaviour_is_fitted_on_training_interactions_only() {
        let history = |last: f32| History {
            items: [0, 1, 2, 3].map(ItemId::new).to_vec(),
            timestamps: vec![0; 4],
            feedback: vec![0.0, 1.0, last, last],
        };
        let log = |last| Log { histories: vec![history(last)], num_items: 4, signals: vec!["like".into()] };
        let users = [UserId::new(0)];
        assert_eq!(Behaviour::fit(&log(0.0), &users), Behaviour::fit(&log(1e6), &users));
        let behaviour = Behaviour::fit(&log(0.0), &users);
        let mut row = Vec::new();
        behaviour.append(&history(0.0).feedback, 1, &mut row);
        assert!((row[0] - 1.0).abs() < 1e-6, "{row:?}");
    }

    #[test]
    fn names_in_the_configuration_are_kebab_case() {
        let kind: ItemFeatures = serde_json::from_str("\"embeddings-and-attributes\"").unwrap();
        assert_eq!(kind, ItemFeatures::EmbeddingsAndAttributes);
    }
}
