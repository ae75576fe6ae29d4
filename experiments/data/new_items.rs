//! Items that come after a policy was trained: a table with the columns `raw_id` and, if there is one, `text` - as in the
//! ingest stage's `items.parquet` - and one vector per row, in the same Parquet file or in another one.

use super::error::{DataError, shown};
use super::items::append;
use super::problems::Problems;
use super::table::{Dialect, Format, Header, Quotes, Table, Wanted};
use super::vectors;
use policy::embeddings::Embeddings;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const ID: &str = "raw_id";
const TEXT: &str = "text";

/// Where they are.
#[derive(Clone, Debug)]
pub struct NewItemFiles {
    /// The table: Parquet, JSON lines, comma- or tab-separated text, by its extension.
    pub items: PathBuf,
    /// Parquet or safetensors, row by row as the table; absent: a column of lists in the table itself.
    pub vectors: Option<PathBuf>,
    /// The tensor or column, if there are several.
    pub tensor: Option<String>,
}

/// What the files say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewItems {
    pub(crate) ids: Vec<String>,
    /// Empty where there is none.
    pub(crate) texts: Vec<String>,
    /// One row per item.
    pub(crate) vectors: Embeddings,
}

impl NewItemFiles {
    /// All files, once each.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.items), self.vectors.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Reads them.
    ///
    /// # Errors
    /// A file is missing, damaged or not of such a format; every item without an id, that is there twice, or is `known`; a vector
    /// is not finite; there are more or fewer vectors than items.
    pub(crate) fn read(&self, known: impl Fn(&str) -> bool) -> Result<NewItems, DataError> {
        let format = self.format()?;
        for (path, key) in self.paths().zip(["--items", "--vectors"]) {
            let unreadable = |source| DataError::Read { path: path.into(), key, source };
            std::fs::metadata(path).map_err(unreadable)?;
        }
        let (table, columns) = self.table(format)?;
        let ids = ids(&table, known)?;
        let text = |part: Option<&str>| {
            let mut text = String::new();
            append(&mut text, part.unwrap_or_default());
            text
        };
        let texts = match columns {
            [_] => vec![String::new(); ids.len()],
            _ => table.texts(TEXT).map(text).collect(),
        };
        Ok(NewItems { vectors: self.read_vectors(format, ids.len())?, ids, texts })
    }

    fn format(&self) -> Result<Format, DataError> {
        let delimited =
            |separator, quotes| Format::Delimited(Dialect { separator, quotes, header: Header::Names });
        match self.items.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Format::Parquet),
            Some("jsonl") => Ok(Format::JsonLines),
            Some("csv") => Ok(delimited(b',', Quotes::Enclose)),
            Some("tsv" | "txt") => Ok(delimited(b'\t', Quotes::Plain)),
            _ => Err(self.setting("ends in none of .parquet, .jsonl, .csv, .tsv", "rename or convert it")),
        }
    }

    /// The table, and the columns that it has.
    fn table(&self, format: Format) -> Result<(Table, &'static [&'static str]), DataError> {
        let wanted = [ID, TEXT].map(|column| Wanted::new(column, "--items"));
        match Table::read(&self.items, format, &wanted) {
            Err(DataError::MissingColumn { column, .. }) if column == TEXT => {
                Ok((Table::read(&self.items, format, &wanted[..1])?, &[ID]))
            }
            read => Ok((read?, &[ID, TEXT])),
        }
    }

    fn read_vectors(&self, format: Format, items: usize) -> Result<Embeddings, DataError> {
        if self.vectors.is_none() && format != Format::Parquet {
            return Err(self.setting("has no vectors", "name their file with --vectors"));
        }
        let path = self.vectors.as_ref().unwrap_or(&self.items);
        let vectors = vectors::read(path, self.tensor.as_deref())?;
        if vectors.rows() == items {
            return Ok(vectors);
        }
        let problem = format!("{} rows, but {} has {items} items", vectors.rows(), self.items.display());
        Err(vectors::bad(path, problem, "row r must belong to the r-th item"))
    }

    fn setting(&self, problem: &str, remedy: &str) -> DataError {
        DataError::Setting {
            key: "--items",
            value: self.items.display().to_string(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

fn ids(table: &Table, known: impl Fn(&str) -> bool) -> Result<Vec<String>, DataError> {
    let mut problems = Problems::default();
    let mut rows = HashMap::new();
    let ids: Vec<&str> = table.texts(ID).map(|id| id.unwrap_or_default().trim()).collect();
    for (row, &id) in ids.iter().enumerate() {
        let bad = |expected| DataError::Value {
            place: table.source.place(row),
            column: format!("column `{ID}`"),
            value: shown(id),
            expected,
        };
        if id.is_empty() {
            problems.add(|| bad("an id"));
        } else if known(id) {
            problems.add(|| bad("an item that the directory does not have yet"));
        } else if let Some(first) = rows.insert(id, row) {
            problems.add(|| DataError::Repeated {
                first: Some(table.source.place(first).at.number()),
                place: table.source.place(row),
                what: "item",
                id: shown(id),
            });
        }
    }
    problems.or(ids.into_iter().map(str::to_owned).collect())
}
