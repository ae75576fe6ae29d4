//! Embedding files: a safetensors tensor or a Parquet column of lists, checked before anything uses them.

use super::error::DataError;
use super::table::read_file;
use crate::guarded::guarded;
use half::{bf16, f16};
use polars::prelude::*;
use policy::embeddings::Embeddings;
use safetensors::{Dtype, SafeTensors};
use std::io::Cursor;
use std::path::Path;

/// Reads a table of vectors as 32-bit floats.
///
/// # Errors
/// If the file is incomplete, holds no such table, has rows of width 0 or of different widths, or holds NaN or
/// infinity.
pub(super) fn read(path: &Path, name: Option<&str>) -> Result<Embeddings, DataError> {
    let bytes = read_file(path, "data.embeddings.file")?;
    let (width, values) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => safetensors(path, &bytes, name)?,
        Some("parquet") => parquet(path, &bytes, name)?,
        _ => {
            return Err(bad(
                path,
                "the name ends neither in .safetensors nor in .parquet",
                "rename or convert it",
            ));
        }
    };
    if width == 0 || values.is_empty() {
        return Err(bad(path, "the vectors have width 0", "export them again"));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let problem = format!("row {}, column {} is {}", at / width + 1, at % width + 1, values[at]);
        return Err(bad(path, problem, "every value must be finite as a 32-bit float"));
    }
    Ok(Embeddings::new(width, values))
}

/// Checks that there is one vector per item that the file should describe.
pub(super) fn check_rows(
    path: &Path,
    found: &Embeddings,
    items: usize,
    described_by: &str,
) -> Result<(), DataError> {
    if found.rows() == items {
        return Ok(());
    }
    Err(bad(
        path,
        format!("{} rows, but {described_by} has {items} items", found.rows()),
        "row r must belong to the r-th data line of the item table (without one: to the r-th id in order); \
         embed the items again, or leave `data.embeddings` out to use features of the log itself",
    ))
}

/// An error about a file of vectors.
pub(super) fn bad(path: &Path, problem: impl Into<String>, remedy: &str) -> DataError {
    DataError::Embeddings { path: path.into(), problem: problem.into(), remedy: remedy.into() }
}

fn safetensors(path: &Path, bytes: &[u8], name: Option<&str>) -> Result<(usize, Vec<f32>), DataError> {
    let broken = |source| DataError::Safetensors { path: path.into(), bytes: bytes.len() as u64, source };
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut names = file.names();
    names.sort_unstable();
    let name = choose(path, name, &names)?;
    let tensor = file.tensor(name).map_err(broken)?;
    let &[_, width] = tensor.shape() else {
        let problem = format!("tensor `{name}` has shape {:?}, expected [items, width]", tensor.shape());
        return Err(bad(path, problem, "store one row per item"));
    };
    let data = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F16 => convert(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => convert(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F32 => convert(data, f32::from_le_bytes),
        Dtype::F64 => convert(data, |bytes| f64::from_le_bytes(bytes) as f32),
        other => {
            let problem = format!("tensor `{name}` holds {other:?}");
            return Err(bad(path, problem, "store it as F16, BF16, F32 or F64"));
        }
    };
    Ok((width, values))
}

fn convert<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
}

/// The named one, or the only one.
fn choose<'a>(path: &Path, name: Option<&'a str>, found: &[&'a str]) -> Result<&'a str, DataError> {
    let missing = |problem: String| {
        let remedy = format!("set `data.embeddings.name` (or `--tensor`) to one of: {}", found.join(", "));
        bad(path, problem, &remedy)
    };
    match (name, found) {
        (Some(name), _) if found.contains(&name) => Ok(name),
        (Some(name), _) => Err(missing(format!("there is no `{name}`"))),
        (None, [only]) => Ok(only),
        (None, _) => Err(missing(format!("{} tables of vectors", found.len()))),
    }
}

fn parquet(path: &Path, bytes: &[u8], name: Option<&str>) -> Result<(usize, Vec<f32>), DataError> {
    let broken = |source| DataError::Parquet {
        path: path.into(),
        problem: "not a complete Parquet file of vectors".into(),
        source: Some(source),
    };
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = guarded(|| reader.schema()).map_err(broken)?;
    let lists = schema
        .iter()
        .filter(|(_, field)| matches!(field.dtype, ArrowDataType::List(_) | ArrowDataType::LargeList(_)));
    let names: Vec<&str> = lists.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return Err(bad(
            path,
            "no column of (variable-size) lists",
            "store vectors as lists of numbers or as safetensors",
        ));
    }
    let name = choose(path, name, &names)?;
    let frame = guarded(|| reader.with_columns(Some(vec![name.into()])).finish()).map_err(broken)?;
    let column =
        frame.column(name).and_then(|column| column.cast(&DataType::List(Box::new(DataType::Float32))));
    let column = column.map_err(broken)?;
    flatten(path, column.list().map_err(broken)?)
}

fn flatten(path: &Path, lists: &ListChunked) -> Result<(usize, Vec<f32>), DataError> {
    let (mut width, mut values) = (None, Vec::new());
    for (row, list) in lists.amortized_iter().enumerate() {
        let list = list.as_ref().map(AsRef::as_ref);
        let floats = list.and_then(|list| list.f32().ok()).filter(|floats| floats.null_count() == 0);
        let Some(floats) = floats else {
            return Err(bad(
                path,
                format!("row {} has missing values", row + 1),
                "every item needs a whole vector",
            ));
        };
        let expected = *width.get_or_insert(floats.len());
        if floats.len() != expected {
            let problem =
                format!("row {} has {} values, the rows before have {expected}", row + 1, floats.len());
            return Err(bad(path, problem, "every item needs a vector of the same width"));
        }
        values.extend(floats.into_no_null_iter());
    }
    Ok((width.unwrap_or(0), values))
}
