//! The files of the ingest stage: Parquet, safetensors and JSON that any other tool reads.

use super::error::DataError;
use super::{Dataset, Item, vectors};
use polars::prelude::*;
use policy::embeddings::Embeddings;
use policy::history::{History, Log};
use policy::ids::ItemId;
use reports::schema::DataCard;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const INTERACTIONS: &str = "interactions.parquet";
const ITEMS: &str = "items.parquet";
const USERS: &str = "users.parquet";
const EMBEDDINGS: &str = "embeddings.safetensors";
/// Columns of the interactions before the signals, which must have other names.
pub const RESERVED: [&str; 4] = ["user", "item", "position", "timestamp"];
/// Columns before the attributes.
const ITEM_COLUMNS: usize = 3;

/// Writes every artifact to the path that `path_of` gives its name.
///
/// # Errors
/// If a file cannot be written.
pub fn write(dataset: &Dataset, card: &DataCard, path_of: impl Fn(&str) -> PathBuf) -> Result<(), DataError> {
    write_parquet(&path_of(INTERACTIONS), interactions(&dataset.log))?;
    write_parquet(&path_of(ITEMS), items(dataset))?;
    let users = ids("user", dataset.users.len());
    write_parquet(&path_of(USERS), vec![users, Column::new("raw_id".into(), &dataset.users)])?;
    write_embeddings(&path_of(EMBEDDINGS), &dataset.embeddings)?;
    write_json(&path_of("split.json"), &split(&dataset.log))?;
    write_json(&path_of("data_card.json"), card)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// If a file is missing or is not what [`write()`] writes.
pub fn load(dir: &Path) -> Result<Dataset, DataError> {
    let items = load_items(dir)?;
    let users_path = dir.join(USERS);
    let users = text_column(&users_path, &read_parquet(&users_path)?, "raw_id")?;
    let log = read_log(&dir.join(INTERACTIONS), users.len(), items.items.len())?;
    Ok(Dataset { log, users, ..items })
}

/// Files that [`load_items`] reads.
pub const ITEM_FILES: [&str; 2] = [ITEMS, EMBEDDINGS];

/// What [`write()`] wrote of the items, with nobody's histories.
///
/// # Errors
/// If a file is missing or is not what [`write()`] writes.
pub fn load_items(dir: &Path) -> Result<Dataset, DataError> {
    let path = dir.join(ITEMS);
    let frame = read_parquet(&path)?;
    let texts = |name| text_column(&path, &frame, name);
    let items = texts("raw_id")?.into_iter().zip(texts("text")?);
    let items: Vec<_> = items.map(|(raw_id, text)| Item { raw_id, text }).collect();
    let attribute_names = names_after(&frame, ITEM_COLUMNS);
    let attributes = (!attribute_names.is_empty())
        .then(|| {
            float_rows(&path, &frame, &attribute_names)
                .map(|values| Embeddings::new(attribute_names.len(), values))
        })
        .transpose()?;
    let embeddings = vectors::read(&dir.join(EMBEDDINGS), Some("embeddings"))?;
    vectors::check_rows(&dir.join(EMBEDDINGS), &embeddings, items.len(), ITEMS)?;
    let log = Log { num_items: items.len(), ..Log::default() };
    Ok(Dataset { log, items, users: Vec::new(), embeddings, attributes, attribute_names })
}

fn ids(name: &str, count: usize) -> Column {
    Column::new(name.into(), (0..count as u32).collect::<Vec<_>>())
}

fn interactions(log: &Log) -> Vec<Column> {
    let histories = || log.histories.iter();
    let user = |(user, history): (u32, &History)| vec![user; history.items.len()];
    let users: Vec<u32> = (0..).zip(histories()).flat_map(user).collect();
    let items: Vec<u32> =
        histories().flat_map(|history| history.items.iter().map(|item| item.index() as u32)).collect();
    let positions: Vec<u32> = histories().flat_map(|history| 0..history.items.len() as u32).collect();
    let times: Vec<i64> = histories().flat_map(|history| history.timestamps.iter().copied()).collect();
    let [user, item, position, timestamp] = RESERVED;
    let mut columns = vec![
        Column::new(user.into(), users),
        Column::new(item.into(), items),
        Column::new(position.into(), positions),
        Column::new(timestamp.into(), times),
    ];
    let width = log.signals.len();
    for (at, name) in log.signals.iter().enumerate() {
        let values = histories().flat_map(|history| history.feedback.iter().skip(at).step_by(width).copied());
        columns.push(Column::new(name.as_str().into(), values.collect::<Vec<f32>>()));
    }
    columns
}

fn items(dataset: &Dataset) -> Vec<Column> {
    let raw_ids: Vec<&str> = dataset.items.iter().map(|item| item.raw_id.as_str()).collect();
    let texts: Vec<&str> = dataset.items.iter().map(|item| item.text.as_str()).collect();
    let mut columns = vec![
        ids("item", raw_ids.len()),
        Column::new("raw_id".into(), raw_ids),
        Column::new("text".into(), texts),
    ];
    for (table, (at, name)) in dataset
        .attributes
        .iter()
        .flat_map(|table| std::iter::repeat(table).zip(dataset.attribute_names.iter().enumerate()))
    {
        let values: Vec<f32> = (0..table.rows()).map(|row| table.row(row)[at]).collect();
        columns.push(Column::new(name.as_str().into(), values));
    }
    columns
}

/// Leave-one-out and what each part holds.
fn split(log: &Log) -> serde_json::Value {
    let users = log.histories.len();
    let interactions: usize = log.histories.iter().map(|history| history.items.len()).sum();
    json!({
        "rule": "leave-one-out",
        "test": { "position": "last", "interactions": users },
        "validation": { "position": "last but one", "interactions": users },
        "train": { "position": "all before", "interactions": interactions - 2 * users },
    })
}

fn read_log(path: &Path, users: usize, num_items: usize) -> Result<Log, DataError> {
    let frame = read_parquet(path)?;
    let signals = names_after(&frame, RESERVED.len());
    let feedback = float_rows(path, &frame, &signals)?;
    let broken = |source| unexpected(path, Some(source));
    let column = |name: &str| frame.column(name).map_err(broken);
    let owners: Vec<u32> = column("user")?.u32().map_err(broken)?.into_no_null_iter().collect();
    let items: Vec<u32> = column("item")?.u32().map_err(broken)?.into_no_null_iter().collect();
    let times: Vec<i64> = column("timestamp")?.i64().map_err(broken)?.into_no_null_iter().collect();
    let inside = owners.iter().all(|user| (*user as usize) < users)
        && items.iter().all(|item| (*item as usize) < num_items);
    if !inside || owners.len() != frame.height() || times.len() != frame.height() {
        return Err(unexpected(path, None));
    }
    let mut histories = vec![History::default(); users];
    for (row, user) in owners.iter().enumerate() {
        let history = &mut histories[*user as usize];
        history.items.push(ItemId::new(items[row] as usize));
        history.timestamps.push(times[row]);
        history.feedback.extend(&feedback[row * signals.len()..][..signals.len()]);
    }
    Ok(Log { histories, num_items, signals })
}

fn names_after(frame: &DataFrame, columns: usize) -> Vec<String> {
    frame.get_column_names().into_iter().skip(columns).map(ToString::to_string).collect()
}

/// The named columns of floats, row-major.
fn float_rows(path: &Path, frame: &DataFrame, names: &[String]) -> Result<Vec<f32>, DataError> {
    let column = |name: &String| {
        let values = frame.column(name).and_then(|column| column.f32().cloned());
        values
            .map(|values| values.into_no_null_iter().collect::<Vec<_>>())
            .map_err(|source| unexpected(path, Some(source)))
    };
    let columns = names.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    if columns.iter().any(|column| column.len() != frame.height()) {
        return Err(unexpected(path, None));
    }
    Ok((0..frame.height()).flat_map(|row| columns.iter().map(move |column| column[row])).collect())
}

fn text_column(path: &Path, frame: &DataFrame, name: &str) -> Result<Vec<String>, DataError> {
    let column = frame
        .column(name)
        .and_then(|column| column.str().cloned())
        .map_err(|source| unexpected(path, Some(source)))?;
    Ok(column.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

fn unexpected(path: &Path, source: Option<PolarsError>) -> DataError {
    let problem = "not a file of the ingest stage; run the stage again".into();
    DataError::Parquet { path: path.into(), problem, source }
}

fn read_parquet(path: &Path) -> Result<DataFrame, DataError> {
    let file = std::fs::File::open(path).map_err(|source| DataError::Read {
        path: path.into(),
        key: "the run directory",
        source,
    })?;
    crate::guarded::parquet(file).map_err(|source| unexpected(path, Some(source)))
}

fn write_parquet(path: &Path, columns: Vec<Column>) -> Result<(), DataError> {
    let mut bytes = Vec::new();
    let written = DataFrame::new_infer_height(columns)
        .and_then(|mut frame| ParquetWriter::new(&mut bytes).finish(&mut frame));
    written.map_err(|source| DataError::Parquet {
        path: path.into(),
        problem: "cannot be written".into(),
        source: Some(source),
    })?;
    write_bytes(path, &bytes)
}

/// Writes vectors as the one tensor `embeddings`.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_embeddings(path: &Path, table: &Embeddings) -> Result<(), DataError> {
    let bytes: Vec<u8> = table.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![table.rows(), table.width()], &bytes);
    // Readers of the Hugging Face family want to be told the layout.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = view.and_then(|view| safetensors::serialize([("embeddings", view)], Some(metadata)));
    write_bytes(path, &file.expect("the buffer has the size of the table"))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), DataError> {
    let mut text = serde_json::to_vec_pretty(value).expect("cards hold numbers and text");
    text.push(b'\n');
    write_bytes(path, &text)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    std::fs::write(path, bytes).map_err(|source| DataError::Write { path: path.into(), source })
}
