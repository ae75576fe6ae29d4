//! Which vectors describe the items.

use super::arrange::Arranged;
use super::error::DataError;
use super::items::Texts;
use super::names::sorted_ids;
use super::raw::RawLog;
use super::{features, inside, vectors};
use crate::config::{Data, EmbeddingSource};
use policy::embeddings::Embeddings;
use std::path::Path;

/// Item vectors as `[data.embeddings]` says, and a sentence on where they come from.
///
/// # Errors
/// If the file does not fit the items, or the choice does not fit the data.
pub(super) fn choose(
    data: &Data,
    raw: &RawLog,
    arranged: &Arranged,
    texts: &Texts,
) -> Result<(Embeddings, String), DataError> {
    let hashed = |width: usize| {
        let all: Vec<String> =
            arranged.items.iter().map(|item| texts.text(raw.items.name(*item)).into()).collect();
        let empty = all.iter().filter(|text| text.is_empty()).count();
        let origin = format!("hashed text, width {width}, {empty} items without text");
        (features::hashed_text(&all, width), origin)
    };
    let co_occurrence = |width: usize| {
        let origin = format!("co-occurrence in training, width {width}");
        (features::co_occurrence(&arranged.log, width), origin)
    };
    match &data.embeddings {
        EmbeddingSource::HashedText { width: 0 } | EmbeddingSource::CoOccurrence { width: 0 } => {
            Err(no_width())
        }
        EmbeddingSource::HashedText { .. } if texts.len() == 0 => Err(no_text()),
        EmbeddingSource::HashedText { width } => Ok(hashed(*width)),
        EmbeddingSource::CoOccurrence { width } => Ok(co_occurrence(*width)),
        EmbeddingSource::Auto if texts.has_text() => Ok(hashed(features::AUTO_WIDTH)),
        EmbeddingSource::Auto => Ok(co_occurrence(features::AUTO_WIDTH)),
        EmbeddingSource::File { file, name } => {
            let path = inside(data, file);
            let vectors = file_vectors(&path, name.as_deref(), raw, arranged, (data.items.is_some(), texts))?;
            let origin = format!("file {}, width {}", file.display(), vectors.width());
            Ok((vectors, origin))
        }
    }
}

pub(super) fn no_width() -> DataError {
    DataError::Setting {
        key: "data.embeddings.width",
        value: "0".into(),
        problem: "makes no vectors".into(),
        remedy: format!("use for example {}", features::AUTO_WIDTH),
    }
}

fn no_text() -> DataError {
    DataError::Setting {
        key: "data.embeddings.kind",
        value: "\"hashed-text\"".into(),
        problem: "needs item texts".into(),
        remedy: "name an item table in `[data.items]`, or use `co-occurrence`".into(),
    }
}

/// The rows of an embedding file that belong to the catalog, in its order.
fn file_vectors(
    path: &Path,
    name: Option<&str>,
    raw: &RawLog,
    arranged: &Arranged,
    (has_table, texts): (bool, &Texts),
) -> Result<Embeddings, DataError> {
    let vectors = vectors::read(path, name)?;
    let rows: Vec<Option<usize>> = if has_table {
        vectors::check_rows(path, &vectors, texts.len(), "the item table")?;
        arranged.items.iter().map(|item| texts.row(raw.items.name(*item))).collect()
    } else {
        vectors::check_rows(path, &vectors, raw.items.len(), "the log")?;
        let mut place = vec![0; raw.items.len()];
        sorted_ids(&raw.items).iter().enumerate().for_each(|(row, item)| place[*item as usize] = row);
        arranged.items.iter().map(|item| Some(place[*item as usize])).collect()
    };
    let unknown = arranged.items.iter().zip(&rows).filter(|(_, row)| row.is_none());
    if let Some((item, _)) = unknown.clone().next() {
        let (count, id) = (unknown.count(), raw.items.name(*item));
        let problem = format!("{count} items of the log are not in the item table, for example `{id}`");
        return Err(vectors::bad(
            path,
            problem,
            "complete the item table and the embeddings, or use hashed text",
        ));
    }
    let values = rows.into_iter().flatten().flat_map(|row| vectors.row(row)).copied().collect();
    Ok(Embeddings::new(vectors.width(), values))
}
