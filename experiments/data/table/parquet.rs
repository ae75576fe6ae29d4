//! Parquet columns as text.

use super::super::error::DataError;
use super::{Wanted, check_columns, distinct};
use crate::guarded::guarded;
use polars::prelude::*;
use std::io::Cursor;
use std::path::Path;

/// Reads the wanted columns.
pub(super) fn read(path: &Path, bytes: &[u8], wanted: &[Wanted]) -> Result<DataFrame, DataError> {
    let broken = |source| DataError::Parquet {
        path: path.into(),
        problem: "not a complete Parquet file".into(),
        source: Some(source),
    };
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = guarded(|| reader.schema()).map_err(broken)?;
    let found: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    check_columns(path, wanted, &found)?;
    for name in distinct(wanted) {
        let dtype = &schema.get(&name).expect("the column was checked").dtype;
        if !is_scalar(dtype) {
            return Err(DataError::Parquet {
                path: path.into(),
                problem: format!("column `{name}` has type {dtype:?}; write it as text or as plain numbers"),
                source: None,
            });
        }
    }
    let frame = guarded(|| reader.with_columns(Some(distinct(wanted))).finish()).map_err(broken)?;
    let columns = frame.columns().iter().map(|column| column.cast(&DataType::String));
    let columns = columns.collect::<PolarsResult<Vec<_>>>().map_err(broken)?;
    DataFrame::new(frame.height(), columns).map_err(broken)
}

/// Types whose text is what a reader of the file would expect.
fn is_scalar(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    matches!(
        dtype,
        T::Utf8
            | T::LargeUtf8
            | T::Utf8View
            | T::Boolean
            | T::Float32
            | T::Float64
            | T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32
            | T::UInt64
    )
}
