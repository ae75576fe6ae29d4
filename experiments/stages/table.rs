//! Parquet tables of numbers and text, for artifacts that people and other programs read.

use crate::run::commit::write_file;
use anyhow::Context as _;
use polars::prelude::{ChunkedArray, Column, DataFrame, DataType, ParquetWriter, PolarsNumericType};
use std::path::Path;

/// Writes columns of equal length.
pub(crate) fn write(path: &Path, columns: Vec<Column>) -> anyhow::Result<()> {
    let height = columns.first().map_or(0, Column::len);
    let mut bytes = Vec::new();
    DataFrame::new(height, columns)
        .and_then(|mut table| ParquetWriter::new(&mut bytes).finish(&mut table))
        .with_context(|| format!("cannot encode {}", path.display()))?;
    write_file(path, &bytes)
}

/// A table and where it came from.
pub(super) struct Table {
    frame: DataFrame,
    name: String,
}

/// Reads a table.
pub(super) fn read(path: &Path) -> anyhow::Result<Table> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
    let frame = crate::guarded::parquet(file).with_context(|| format!("{name} is not valid Parquet"))?;
    Ok(Table { frame, name })
}

impl Table {
    /// Names of the columns.
    pub(super) fn columns(&self) -> Vec<String> {
        self.frame.get_column_names().iter().map(ToString::to_string).collect()
    }
    /// A column of whole numbers.
    pub(super) fn integers(&self, column: &str) -> anyhow::Result<Vec<usize>> {
        let values = self.cast(column, &DataType::UInt32)?;
        Ok(self.filled(column, values.u32()?)?.into_iter().map(|value| value as usize).collect())
    }
    /// A column of numbers.
    pub(super) fn numbers(&self, column: &str) -> anyhow::Result<Vec<f64>> {
        let values = self.cast(column, &DataType::Float64)?;
        let values = self.filled(column, values.f64()?)?;
        let bad = values.iter().position(|value| !value.is_finite());
        anyhow::ensure!(
            bad.is_none(),
            "{}: {column} is not finite in row {}",
            self.name,
            bad.unwrap_or(0) + 1
        );
        Ok(values)
    }
    /// A column of one text in every row.
    pub(super) fn constant(&self, column: &str) -> anyhow::Result<String> {
        let values = self.cast(column, &DataType::String)?;
        let mut values = values.str()?.iter();
        let first =
            values.next().flatten().with_context(|| format!("{}: column {column} is empty", self.name))?;
        anyhow::ensure!(
            values.all(|value| value == Some(first)),
            "{}: column {column} has several values",
            self.name
        );
        Ok(first.to_owned())
    }
    /// A column of text.
    pub(super) fn texts(&self, column: &str) -> anyhow::Result<Vec<String>> {
        let values = self.cast(column, &DataType::String)?;
        let values: Option<Vec<String>> = values.str()?.iter().map(|text| text.map(str::to_owned)).collect();
        values.with_context(|| format!("{}: column {column} has empty cells", self.name))
    }
    fn cast(&self, column: &str, to: &DataType) -> anyhow::Result<Column> {
        let found =
            self.frame.column(column).with_context(|| format!("{} has no column {column}", self.name))?;
        found.strict_cast(to).with_context(|| format!("{}: column {column} is not {to}", self.name))
    }
    fn filled<T: PolarsNumericType>(
        &self,
        column: &str,
        values: &ChunkedArray<T>,
    ) -> anyhow::Result<Vec<T::Native>> {
        let values: Option<Vec<_>> = values.iter().collect();
        values.with_context(|| format!("{}: column {column} has empty cells", self.name))
    }
}
