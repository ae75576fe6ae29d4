//! The item table: one row per item, with an id and text columns.

use super::error::DataError;
use super::problems::Problems;
use super::table::{Dialect, Format, Table, Wanted};
use crate::config::ItemTable;
use std::collections::HashMap;
use std::path::Path;

/// Texts by raw item id.
#[derive(Debug, Default)]
pub(super) struct Texts {
    rows: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    /// Reads the table. Text is data from elsewhere: control characters become blanks.
    ///
    /// # Errors
    /// As [`Table::read`], and for every item that is listed twice or has no id.
    pub(super) fn read(path: &Path, table: &ItemTable) -> Result<Self, DataError> {
        let mut wanted = vec![Wanted::new(&table.id, "data.items.id")];
        wanted.extend(table.text.iter().map(|column| Wanted::new(column, "data.items.text")));
        let columns = Table::read(path, Format::Delimited(Dialect::TABS), &wanted)?;
        let mut rows = HashMap::with_capacity(columns.height());
        let mut problems = Problems::default();
        for (row, id) in columns.texts(&table.id).enumerate() {
            let id = id.map_or("", str::trim);
            if let Some(first) = rows.insert(id.to_owned(), row) {
                let line = |row| columns.source.place(row);
                problems.add(|| DataError::Repeated {
                    first: Some(line(first).at.number()),
                    place: line(row),
                    what: "item",
                    id: id.into(),
                });
            }
        }
        let mut texts = vec![String::new(); columns.height()];
        for column in &table.text {
            for (text, part) in texts.iter_mut().zip(columns.texts(column)) {
                append(text, part.unwrap_or_default());
            }
        }
        problems.or(Self { rows, texts })
    }
    /// Number of data lines.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }
    /// Whether any item has a text.
    pub(super) fn has_text(&self) -> bool {
        self.texts.iter().any(|text| !text.is_empty())
    }
    /// How many items of the table are not known elsewhere.
    pub(super) fn count_outside(&self, known: impl Fn(&str) -> bool) -> usize {
        self.rows.keys().filter(|id| !known(id)).count()
    }
    /// The data line (from 0) of an item.
    pub(super) fn row(&self, id: &str) -> Option<usize> {
        self.rows.get(id).copied()
    }
    /// The text of an item; empty where the table does not know it.
    pub(super) fn text(&self, id: &str) -> &str {
        self.row(id).map_or("", |row| &self.texts[row])
    }
}

/// Adds a part after `; `, blanks and control characters squeezed to one blank.
pub(super) fn append(text: &mut String, part: &str) {
    let words = part
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty());
    let mut separator = if text.is_empty() { "" } else { "; " };
    for word in words {
        text.push_str(separator);
        text.push_str(word);
        separator = " ";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_text() {
        let mut text = String::new();
        append(&mut text, "  red\u{1b}[31m \u{0}lip\tstick ");
        append(&mut text, "\u{7}");
        append(&mut text, "OPI");
        assert_eq!(text, "red [31m lip stick; OPI");
    }
}
