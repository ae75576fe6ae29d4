//! How often items stand near each other in training histories.

use super::CollaborativeConfig;
use super::sparse::Sparse;
use crate::history::Log;
use crate::ids::{ItemId, UserId};
use rayon::prelude::*;

/// Weighted counts of pairs, `[items, items]`, symmetric, nothing on the diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct CoOccurrence(Sparse);

impl CoOccurrence {
    /// The pairs of the training part of `log` within `config.window` positions, weighted as `config.weighting` says.
    pub fn of(log: &Log, config: &CollaborativeConfig) -> Self {
        let occurrences = occurrences(log);
        let row = |item: usize| near(log, (ItemId::new(item), &occurrences[item]), config);
        let rows: Vec<Vec<(u32, f64)>> = (0..log.num_items).into_par_iter().map(row).collect();
        Self(Sparse::from_rows(rows))
    }

    /// All items, in order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = ItemId> + use<> {
        (0..self.0.rows()).map(ItemId::new)
    }

    /// Whether the item stands near another one.
    pub fn has_neighbors(&self, item: ItemId) -> bool {
        !self.0.row(item.index()).0.is_empty()
    }

    /// The items that co-occur most with `item`, at most `most` of them, best first; ties to the first item.
    pub fn neighbors(&self, item: ItemId, most: usize) -> Vec<ItemId> {
        let (columns, values) = self.0.row(item.index());
        let mut found: Vec<(f64, u32)> = values.iter().copied().zip(columns.iter().copied()).collect();
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.into_iter().take(most).map(|(_, item)| ItemId::new(item as usize)).collect()
    }

    /// Positive pointwise mutual information, `max(0, ln(m_ij m / (m_i m_j)))`.
    pub(super) fn information(&self) -> Sparse {
        let sums: Vec<f64> = (0..self.0.rows()).map(|row| self.0.row(row).1.iter().sum()).collect();
        let total: f64 = sums.iter().sum();
        let row = |row: usize| {
            let (columns, values) = self.0.row(row);
            let informative = columns
                .iter()
                .zip(values)
                .map(|(&column, count)| (column, (count * total / (sums[row] * sums[column as usize])).ln()));
            informative.filter(|(_, value)| *value > 0.0).collect()
        };
        Sparse::from_rows((0..self.0.rows()).into_par_iter().map(row).collect())
    }
}

/// Where each item stands: users and positions in their training items.
fn occurrences(log: &Log) -> Vec<Vec<(UserId, u32)>> {
    let mut places = vec![Vec::new(); log.num_items];
    for user in log.users() {
        for (position, item) in (0..).zip(log.train_items(user)) {
            places[item.index()].push((user, position));
        }
    }
    places
}

/// The items near one item, in order, each with its weighted count.
fn near(
    log: &Log,
    (item, places): (ItemId, &[(UserId, u32)]),
    config: &CollaborativeConfig,
) -> Vec<(u32, f64)> {
    let mut found = Vec::new();
    for &(user, position) in places {
        let (items, position) = (log.train_items(user), position as usize);
        let last = (position + config.window).min(items.len() - 1);
        let near = (position.saturating_sub(config.window)..=last).filter(|at| items[*at] != item);
        found.extend(near.map(|at| (items[at].index() as u32, config.weighting.at(at.abs_diff(position)))));
    }
    // Stable: the weights of a pair are added up in the order of the users.
    found.sort_by_key(|(other, _)| *other);
    found.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
    found
}
