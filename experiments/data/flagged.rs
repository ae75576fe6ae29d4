//! A list of items in a file: one id per line.

use super::Item;
use super::error::{DataError, Place, shown};
use super::problems::Problems;
use std::collections::HashMap;
use std::path::Path;

/// For every item whether the file names it. Blank lines say nothing.
///
/// # Errors
/// The file cannot be read; every line that is the id of no item.
pub(super) fn read(path: &Path, items: &[Item]) -> Result<Vec<bool>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Read {
        path: path.into(),
        key: "align.flooding",
        source,
    })?;
    let rows: HashMap<&str, usize> =
        items.iter().enumerate().map(|(row, item)| (item.raw_id.as_str(), row)).collect();
    let mut flagged = vec![false; items.len()];
    let mut problems = Problems::default();
    for (line, id) in (1..).zip(text.lines().map(str::trim)).filter(|(_, id)| !id.is_empty()) {
        match rows.get(id) {
            Some(&row) => flagged[row] = true,
            None => problems.add(|| DataError::Value {
                place: Place::line(path, line),
                column: "the id".into(),
                value: shown(id),
                expected: "an item of this data",
            }),
        }
    }
    problems.or(flagged)
}
