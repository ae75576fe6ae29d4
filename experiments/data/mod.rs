//! From files on disk to a [`Dataset`]: readers for every [`Source`], filters, item texts and vectors.
//!
//! Nothing a file contains is trusted: text is stripped of control characters, every number is checked, and a defect
//! is reported with its file and line (see [`error::DataError`]).

mod arrange;
pub mod artifacts;
mod card;
mod durations;
pub mod error;
mod features;
mod flagged;
mod histories;
mod interactions;
mod item_vectors;
mod items;
mod names;
pub(crate) mod new_items;
mod problems;
mod published;
mod raw;
pub(crate) mod recommendations;
mod s3rec;
mod sequences;
mod table;
mod vectors;
mod world;

use crate::config::{Config, Data, EmbeddingSource, ItemTable, Source};
use arrange::Arranged;
use error::DataError;
use items::Texts;
use policy::embeddings::Embeddings;
use policy::history::Log;
use problems::Problems;
use raw::RawLog;
use reports::schema::DataCard;
use std::path::{Path, PathBuf};
use table::{Dialect, Format, Header, Quotes};

/// Everything later stages know about users and items.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Histories over dense ids.
    pub log: Log,
    /// Indexed by [`policy::ids::ItemId`].
    pub items: Vec<Item>,
    /// Raw user ids, indexed by [`policy::ids::UserId`].
    pub users: Vec<String>,
    /// One vector per item.
    pub embeddings: Embeddings,
    /// Numeric attributes per item, one column per name; `None` when the source has none.
    pub attributes: Option<Embeddings>,
    /// Names of the columns of `attributes`.
    pub attribute_names: Vec<String>,
}

/// What a file says about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The id used in the file.
    pub raw_id: String,
    /// Its text without control characters; data, never instructions. Empty when there is none.
    pub text: String,
}

/// Reads, filters and describes the log of `[data]`.
///
/// # Errors
/// All defects of the input files, up to [`error::MOST_PROBLEMS`] of them in one error.
pub fn build(data: &Data) -> Result<(Dataset, DataCard), DataError> {
    if let Source::World(config) = &data.source {
        return world::build(data, config);
    }
    input_files(data).iter().try_for_each(|path| check_size(path, data.max_file_bytes))?;
    let mut problems = Problems::default();
    let raw = problems.keep(read(data));
    let texts = data.items.as_ref().map(|table| problems.keep(Texts::read(&item_path(data, table), table)));
    // Both files are read before anything is refused, so that one run shows the defects of both.
    let (Some(raw), true) = (raw, problems.is_empty()) else {
        return Err(problems.or(()).expect_err("a log that cannot be read is a problem"));
    };
    let texts = texts.flatten().unwrap_or_default();
    let arranged = arrange::arrange(&raw, data)?;
    let (embeddings, origin) = item_vectors::choose(data, &raw, &arranged, &texts)?;
    let card = card::describe(data, &raw, &arranged, &texts, origin);
    Ok((dataset(&raw, arranged, &texts, embeddings), card))
}

/// Only the histories of [`build`], from a log that is read from a file.
///
/// # Errors
/// All defects of the log's file.
///
/// # Panics
/// If the source is the built-in world.
pub(crate) fn read_log(data: &Data) -> Result<Log, DataError> {
    Ok(arrange::arrange(&read(data)?, data)?.log)
}

/// The files that [`build`] reads; the artifacts of this stage depend on their contents.
pub fn input_files(data: &Data) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        log_file(&data.source).map(|file| log_path(data, file)).into_iter().collect();
    if !files.is_empty() {
        files.extend(data.items.as_ref().map(|table| item_path(data, table)));
        if let EmbeddingSource::File { file, .. } = &data.embeddings {
            files.push(inside(data, file));
        }
    }
    files
}

/// The file of `align.flooding`.
pub(crate) fn flooding_file(config: &Config) -> Option<PathBuf> {
    config.align.flooding.as_ref().map(|file| inside(&config.data, file))
}

/// For every item whether that file names it; `None` without a file.
///
/// # Errors
/// It cannot be read; a line is the id of no item.
pub(crate) fn flooding(config: &Config, dataset: &Dataset) -> Result<Option<Vec<bool>>, DataError> {
    flooding_file(config).map(|path| flagged::read(&path, &dataset.items)).transpose()
}

/// Files that cannot be looked at say so when they are read.
fn check_size(path: &Path, most: Option<u64>) -> Result<(), DataError> {
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    match most.filter(|most| size > *most) {
        None => Ok(()),
        Some(most) => Err(DataError::Setting {
            key: "data.max_file_bytes",
            value: most.to_string(),
            problem: format!("is less than the {size} bytes of {}", path.display()),
            remedy: "raise it, or give another file".into(),
        }),
    }
}

fn read(data: &Data) -> Result<RawLog, DataError> {
    let delimited = |separator, quotes, header| Format::Delimited(Dialect { separator, quotes, header });
    let path = |file: &Path| log_path(data, file);
    match &data.source {
        Source::World(_) => unreachable!("the world is generated, not read"),
        Source::S3rec { file } => s3rec::read(&path(file)),
        Source::Kuairand { file, watched } => interactions::read_kuairand(&path(file), *watched),
        Source::Kuairec { file, watched } => published::read_kuairec(&path(file), *watched),
        Source::OpenBandit { file } => published::read_open_bandit(&path(file)),
        Source::SequencesJson { file } => sequences::read(&path(file)),
        Source::Csv { file, separator, columns } => {
            let separator = u8::try_from(*separator).map_err(|_| DataError::Setting {
                key: "data.source.separator",
                value: format!("{separator:?}"),
                problem: "is not an ASCII character".into(),
                remedy: "use `,`, `;`, a tab or another ASCII character".into(),
            })?;
            interactions::read(&path(file), delimited(separator, Quotes::Enclose, Header::Names), columns)
        }
        Source::Parquet { file, columns } => interactions::read(&path(file), Format::Parquet, columns),
        Source::Jsonl { file, columns } => interactions::read(&path(file), Format::JsonLines, columns),
        Source::Recbole { file, columns } => {
            interactions::read(&path(file), delimited(b'\t', Quotes::Plain, Header::Typed), columns)
        }
    }
}

fn log_file(source: &Source) -> Option<&Path> {
    match source {
        Source::World(_) => None,
        Source::S3rec { file }
        | Source::Kuairand { file, .. }
        | Source::Kuairec { file, .. }
        | Source::OpenBandit { file }
        | Source::SequencesJson { file }
        | Source::Csv { file, .. }
        | Source::Parquet { file, .. }
        | Source::Jsonl { file, .. }
        | Source::Recbole { file, .. } => Some(file),
    }
}

/// `data.path` itself if it is a file, else the source's file inside it.
fn log_path(data: &Data, file: &Path) -> PathBuf {
    data.path.clone().filter(|path| path.is_file()).unwrap_or_else(|| inside(data, file))
}

/// A file inside `data.path` if that is no file, else relative to the working directory.
fn inside(data: &Data, file: &Path) -> PathBuf {
    data.path.as_ref().filter(|path| !path.is_file()).map_or_else(|| file.into(), |path| path.join(file))
}

fn item_path(data: &Data, table: &ItemTable) -> PathBuf {
    inside(data, &table.file)
}

fn dataset(raw: &RawLog, arranged: Arranged, texts: &Texts, embeddings: Embeddings) -> Dataset {
    let item = |item: &u32| {
        let raw_id = raw.items.name(*item);
        Item { raw_id: raw_id.into(), text: texts.text(raw_id).into() }
    };
    let attributes = raw.attributes.as_ref().map(|attributes| {
        let width = attributes.names.len();
        let row = |item: &u32| &attributes.values[*item as usize * width..][..width];
        Embeddings::new(width, arranged.items.iter().flat_map(row).copied().collect())
    });
    Dataset {
        items: arranged.items.iter().map(item).collect(),
        log: arranged.log,
        users: arranged.users,
        embeddings,
        attributes,
        attribute_names: raw.attributes.as_ref().map_or(Vec::new(), |attributes| attributes.names.clone()),
    }
}
