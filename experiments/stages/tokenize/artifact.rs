//! The files of the tokenize stage, written and read back.

use crate::config::Tokenize;
use crate::run::commit::write_file;
use anyhow::{Context as _, ensure};
use polars::prelude::{Column, DataFrame, ParquetWriter};
use policy::catalog::Catalog;
use policy::embeddings::Embeddings;
use policy::ids::SemanticId;
use policy::quantize::{NewItems, Normalize, Quantized};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// One row per item.
pub const SEMANTIC_IDS: &str = "semantic_ids.parquet";
/// `level_0`, `level_1`, ...: one row per code; a collision digit has no vectors. Where they are of encodings, also
/// `encoder.0.weight`, `encoder.0.bias`, ... and the `decoder`.
pub const CODEBOOKS: &str = "codebooks.safetensors";
/// Key of the file's metadata that holds a [`CodebookInfo`] as JSON. One key only: several would be written in random order.
const INFO: &str = "recalign";

/// What the codebooks alone do not say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodebookInfo {
    /// Codes per level, the collision digit last when there is one.
    level_sizes: Vec<usize>,
    /// What was done to the vectors before the first level.
    pub(super) normalize: Normalize,
    /// How later items get their codes.
    pub(super) new_items: NewItems,
}

/// Writes the table of semantic IDs.
///
/// # Errors
/// If the system refuses.
pub fn write_semantic_ids(path: &Path, catalog: &Catalog, raw_ids: &[&str]) -> anyhow::Result<()> {
    let ids = catalog.semantic_ids();
    let mut columns = vec![
        Column::new("item".into(), (0..ids.len() as u32).collect::<Vec<_>>()),
        Column::new("raw_id".into(), raw_ids),
    ];
    columns.extend((0..catalog.levels()).map(|level| {
        let codes: Vec<u32> = ids.iter().map(|id| id.codes()[level]).collect();
        Column::new(code_column(level).into(), codes)
    }));
    let mut bytes = Vec::new();
    DataFrame::new(ids.len(), columns)
        .and_then(|mut table| ParquetWriter::new(&mut bytes).finish(&mut table))
        .with_context(|| format!("cannot encode {}", path.display()))?;
    write_file(path, &bytes)
}

/// Writes the codebooks and what is needed to give codes to later items.
pub(super) fn write_codebooks(
    path: &Path,
    quantized: &Quantized,
    catalog: &Catalog,
    config: &Tokenize,
) -> anyhow::Result<()> {
    let info = CodebookInfo {
        level_sizes: catalog.level_sizes().to_vec(),
        normalize: config.normalize,
        new_items: config.new_items,
    };
    let metadata = HashMap::from([(INFO.to_owned(), serde_json::to_string(&info)?)]);
    let tensors = tensors(quantized);
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|tensors| safetensors::serialize(tensors, Some(metadata)))
        .with_context(|| format!("cannot encode {}", path.display()))?;
    write_file(path, &bytes)
}

/// Names, shapes and bytes.
fn tensors(quantized: &Quantized) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let matrix = |name: String, table: &Embeddings| {
        (name, vec![table.rows(), table.width()], little_endian(table.values()))
    };
    let levels = quantized.codebooks.iter().enumerate();
    let mut tensors: Vec<_> =
        levels.map(|(level, codebook)| matrix(format!("level_{level}"), codebook)).collect();
    if let Some(autoencoder) = &quantized.autoencoder {
        for (half, layers) in [("encoder", &autoencoder.encoder), ("decoder", &autoencoder.decoder)] {
            for (at, layer) in layers.iter().enumerate() {
                tensors.push(matrix(format!("{half}.{at}.weight"), &layer.weight));
                let bias = (format!("{half}.{at}.bias"), vec![layer.bias.len()], little_endian(&layer.bias));
                tensors.push(bias);
            }
        }
    }
    tensors
}

/// The catalog that the stage wrote to `dir`. Items that share an ID are in item order; see [`Catalog::ordered_by`].
///
/// # Errors
/// If a file is missing or damaged, or the two files disagree.
pub fn load(dir: &Path) -> anyhow::Result<Catalog> {
    load_files(&dir.join(SEMANTIC_IDS), &dir.join(CODEBOOKS))
}

/// [`load`], wherever the two files are.
///
/// # Errors
/// As those of [`load`].
pub fn load_files(semantic_ids: &Path, codebooks: &Path) -> anyhow::Result<Catalog> {
    let info = read_info(codebooks)
        .with_context(|| format!("cannot read the codebooks of {}", codebooks.display()))?;
    read_semantic_ids(semantic_ids, info.level_sizes)
        .with_context(|| format!("cannot read the semantic IDs of {}", semantic_ids.display()))
}

/// The ids that the log uses, by item, of a table of semantic IDs.
///
/// # Errors
/// If it is missing or damaged.
pub fn raw_ids(semantic_ids: &Path) -> anyhow::Result<Vec<String>> {
    let read = || -> anyhow::Result<Vec<String>> {
        let table = crate::guarded::parquet(std::fs::File::open(semantic_ids)?)?;
        let ids = table.column("raw_id")?.str()?;
        ensure!(ids.null_count() == 0, "column `raw_id` has missing values");
        Ok(ids.iter().flatten().map(str::to_owned).collect())
    };
    read().with_context(|| format!("cannot read the item ids of {}", semantic_ids.display()))
}

pub(super) fn read_info(path: &Path) -> anyhow::Result<CodebookInfo> {
    let bytes = std::fs::read(path)?;
    // The tensors are not needed, but a truncated file must not pass.
    SafeTensors::deserialize(&bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
    let info = metadata.metadata().as_ref().and_then(|metadata| metadata.get(INFO));
    let info = info.with_context(|| format!("the file has no `{INFO}` metadata"))?;
    serde_json::from_str(info).with_context(|| format!("the `{INFO}` metadata is not understood"))
}

fn read_semantic_ids(path: &Path, level_sizes: Vec<usize>) -> anyhow::Result<Catalog> {
    let table = crate::guarded::parquet(std::fs::File::open(path)?)?;
    let items = integers(&table, "item")?;
    ensure!(items.iter().copied().eq(0..items.len() as u32), "column `item` is not 0, 1, 2, ...");
    let more = code_column(level_sizes.len());
    ensure!(table.column(&more).is_err(), "column `{more}` has no level in the codebooks");
    let mut codes = vec![Vec::with_capacity(level_sizes.len()); items.len()];
    for level in 0..level_sizes.len() {
        let name = code_column(level);
        codes.iter_mut().zip(integers(&table, &name)?).for_each(|(codes, code)| codes.push(code));
    }
    Ok(Catalog::new(codes.into_iter().map(SemanticId::new).collect(), level_sizes)?)
}

fn integers(table: &DataFrame, name: &str) -> anyhow::Result<Vec<u32>> {
    let column = table.column(name)?.u32()?;
    ensure!(column.null_count() == 0, "column `{name}` has missing values");
    Ok(column.into_no_null_iter().collect())
}

fn code_column(level: usize) -> String {
    format!("code_{level}")
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
