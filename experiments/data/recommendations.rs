//! Somebody else's recommendations: a Parquet table with one recommended item per row, columns `user`, `item`, `rank`.
//!
//! Users and items go by the ids of the log's file, as text or as whole numbers. Ranks count from 1 or from 0; a user's
//! ranks need not be consecutive, but each stands once.

use super::Dataset;
use super::error::{DataError, shown};
use super::problems::Problems;
use super::table::{Format, Table, Wanted};
use policy::ids::{ItemId, UserId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const COLUMNS: [&str; 3] = ["user", "item", "rank"];

/// A user's recommended items, best first.
pub(crate) type Recommended = (UserId, Vec<ItemId>);

/// The recommendations of a file, by user.
///
/// # Errors
/// The file is no such table; every user and item that the dataset does not have, every rank that is none or stands twice,
/// every item that a user is recommended twice.
pub(crate) fn read(path: &Path, dataset: &Dataset) -> Result<Vec<Recommended>, DataError> {
    let table =
        Table::read(path, Format::Parquet, &COLUMNS.map(|column| Wanted::new(column, "--recommendations")))?;
    let (users, items) =
        (numbers(dataset.users.iter()), numbers(dataset.items.iter().map(|item| &item.raw_id)));
    let mut problems = Problems::default();
    let mut lists: BTreeMap<usize, BTreeMap<u64, ItemId>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let [user_texts, item_texts, ranks] = COLUMNS.map(|column| table.texts(column).collect::<Vec<_>>());
    for row in 0..table.height() {
        let text = |texts: &[Option<&str>]| texts[row].unwrap_or_default().trim().to_owned();
        let (user, item, rank) = (text(&user_texts), text(&item_texts), text(&ranks));
        let bad = |column: &str, value: &str, expected| DataError::Value {
            place: table.source.place(row),
            column: format!("column `{column}`"),
            value: shown(value),
            expected,
        };
        let (known_user, known_item) = (users.get(user.as_str()), items.get(item.as_str()));
        let (Some(&known_user), Some(&known_item)) = (known_user, known_item) else {
            match known_user {
                None => problems.add(|| bad("user", &user, "a user of this data")),
                Some(_) => problems.add(|| bad("item", &item, "an item of this data")),
            }
            continue;
        };
        let Ok(place) = rank.parse::<u64>() else {
            problems.add(|| bad("rank", &rank, "a whole number from 0 or 1"));
            continue;
        };
        if !seen.insert((known_user, known_item)) {
            problems.add(|| bad("item", &item, "an item that this user is recommended once"));
        } else if lists.entry(known_user).or_default().insert(place, ItemId::new(known_item)).is_some() {
            problems.add(|| bad("rank", &rank, "a rank that this user's list has once"));
        }
    }
    let list =
        |(user, list): (usize, BTreeMap<u64, ItemId>)| (UserId::new(user), list.into_values().collect());
    problems.or(lists.into_iter().map(list).collect())
}

/// Row by raw id.
fn numbers<'a>(ids: impl Iterator<Item = &'a String>) -> HashMap<&'a str, usize> {
    ids.enumerate().map(|(row, id)| (id.as_str(), row)).collect()
}
