//! Stage 1: the log, the items and their vectors as open files, with a data card.

use crate::config::Data;
use crate::data::artifacts;
use crate::data::{self, Dataset};
use crate::run::context::StageContext;
use std::path::{Path, PathBuf};

pub use crate::data::input_files;

/// Reads and filters the log of `[data]` and writes
/// - `interactions.parquet`: `user item position timestamp`, then one column per feedback signal;
/// - `items.parquet`: `item raw_id text`, then one column per attribute; `users.parquet`: `user raw_id`;
/// - `embeddings.safetensors`: `embeddings`, `[items, width]` f32;
/// - `split.json`: the rule and what each part holds; `data_card.json`: [`reports::schema::DataCard`].
///
/// # Errors
/// Every defect of the input files ([`data::error::DataError`]); a full disk.
pub fn ingest(section: &Data, context: &StageContext) -> anyhow::Result<()> {
    let (dataset, card) = data::build(section)?;
    tracing::info!(users = card.users, items = card.items, interactions = card.interactions, "read the log");
    for (what, count) in &card.mended {
        tracing::warn!("the log: {count} interactions: {what}");
    }
    Ok(artifacts::write(&dataset, &card, |file| -> PathBuf { context.path(file) })?)
}

/// Reads what [`ingest`] wrote.
///
/// # Errors
/// If a file is missing or is not what [`ingest`] writes.
pub fn load(dir: &Path) -> anyhow::Result<Dataset> {
    Ok(artifacts::load(dir)?)
}
