//! Histories as tables: JSON lines, CSV, Parquet.

use super::history::History;
use anyhow::Context as _;
use polars::prelude::{AnyValue, DataFrame, ParquetReader, SerReader as _};
use serde_json::{Map, Number, Value, json};
use std::fs::File;
use std::path::Path;

/// One object per line, an array of them, or what `trackio get metric --json` prints. Nested objects are keys with dots, as W&B has them.
pub(super) fn json(bytes: &[u8]) -> anyhow::Result<History> {
    let text = std::str::from_utf8(bytes).context("the file is not UTF-8")?;
    let rows = match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => rows,
        Ok(Value::Object(object)) if object.contains_key("values") => metric(&object),
        Ok(row) => vec![row],
        Err(_) => lines(text)?,
    };
    let objects = rows.into_iter().zip(1..).map(|(row, number)| match row {
        Value::Object(row) => Ok(flat(row)),
        other => anyhow::bail!("row {number} is no object: {}", short(&other.to_string())),
    });
    Ok(History { rows: objects.collect::<anyhow::Result<_>>()?, ..History::default() })
}

fn lines(text: &str) -> anyhow::Result<Vec<Value>> {
    let filled = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let row =
        |(line, number)| value(line).with_context(|| format!("line {number} is no JSON: {}", short(line)));
    filled.map(row).collect()
}

/// A text that must be an object.
pub(super) fn object(text: &str) -> anyhow::Result<Map<String, Value>> {
    match value(text).with_context(|| format!("no JSON: {}", short(text)))? {
        Value::Object(object) => Ok(object),
        other => anyhow::bail!("no object: {}", short(&other.to_string())),
    }
}

fn value(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&strict(text)))
}

/// A line of Python's that is no JSON: its words for what is no finite number become texts.
fn strict(line: &str) -> String {
    let quote = |line: String, word: &str| {
        let spaced = line.replace(&format!(": {word}"), &format!(": \"{word}\""));
        spaced.replace(&format!(":{word}"), &format!(":\"{word}\""))
    };
    ["-Infinity", "Infinity", "NaN"].into_iter().fold(line.to_owned(), quote)
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A metric's values as rows.
fn metric(object: &Map<String, Value>) -> Vec<Value> {
    let key = object.get("metric").and_then(Value::as_str).unwrap_or("value");
    let run = object.get("run").cloned().unwrap_or_default();
    let values = object.get("values").and_then(Value::as_array);
    let row = |at: &Value| json!({ "step": at["step"], key: at["value"], "run_name": run });
    values.into_iter().flatten().map(row).collect()
}

/// Nested objects flattened.
pub(super) fn flat(row: Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    for (key, value) in row {
        match value {
            Value::Object(inner) => {
                found.extend(flat(inner).into_iter().map(|(below, value)| (format!("{key}.{below}"), value)));
            }
            value => drop(found.insert(key, value)),
        }
    }
    found
}

/// A header and rows; empty cells are what was not logged.
pub(super) fn csv(bytes: &[u8]) -> anyhow::Result<History> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().context("the header cannot be read")?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.context("a row cannot be read")?;
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        rows.push(cells.map(|(key, cell)| (key.to_owned(), cell.into())).collect());
    }
    Ok(History { rows, ..History::default() })
}

/// A table of rows, with the settings of trackio's `NAME_configs.parquet` where that lies beside it.
pub(super) fn parquet(path: &Path) -> anyhow::Result<History> {
    let mut history = History { rows: rows(&frame(path)?)?, ..History::default() };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!("{stem}_configs.parquet"));
    if beside.is_file() {
        for mut row in rows(&frame(&beside)?)? {
            let run = row.remove("run_name").and_then(|name| name.as_str().map(str::to_owned));
            row.retain(|key, _| {
                !key.starts_with('_') && !["id", "run_id", "created_at"].contains(&key.as_str())
            });
            history.config.insert(run.unwrap_or_default(), row);
        }
    }
    Ok(history)
}

fn frame(path: &Path) -> anyhow::Result<DataFrame> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    ParquetReader::new(file).finish().with_context(|| format!("{} is not valid Parquet", path.display()))
}

fn rows(frame: &DataFrame) -> anyhow::Result<Vec<Map<String, Value>>> {
    let row = |row: usize| {
        let cells =
            frame.columns().iter().map(|column| Ok((column.name().to_string(), cell(&column.get(row)?))));
        cells.collect::<anyhow::Result<Map<_, _>>>()
    };
    (0..frame.height()).map(row).collect()
}

fn cell(value: &AnyValue<'_>) -> Value {
    if let Some(number) = value.is_primitive_numeric().then(|| value.try_extract::<f64>().ok()).flatten() {
        // What JSON has no number for stays a word, which is read as the number it says.
        return Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number);
    }
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => (*value).into(),
        other => other.str_value().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_arrays_and_single_metrics_are_the_same_rows() {
        let lines =
            b"{\"_step\": 1, \"a\": {\"b\": 2}}\n\n{\"_step\": 2, \"a\": {\"b\":NaN}, \"note\": \"a: b\"}\n";
        let rows = json(lines).unwrap().rows;
        assert_eq!(Value::Object(rows[0].clone()), json!({"_step": 1, "a.b": 2}));
        assert_eq!(rows[1]["a.b"], json!("NaN"));
        assert_eq!(json(b"[{\"_step\": 1, \"a\": {\"b\": 2}}]").unwrap().rows[0], rows[0]);
        let one =
            json(b"{\"run\": \"r\", \"metric\": \"loss\", \"values\": [{\"step\": 3, \"value\": 0.5}]}")
                .unwrap();
        assert_eq!(Value::Object(one.rows[0].clone()), json!({"step": 3, "loss": 0.5, "run_name": "r"}));
    }

    #[test]
    fn what_is_no_row_is_named() {
        let error = format!("{:#}", json(b"{\"_step\": 1}\nnonsense\n").unwrap_err());
        assert!(error.contains("line 2") && error.contains("nonsense"), "{error}");
        assert!(json(b"[1]").unwrap_err().to_string().contains("row 1"));
        assert!(json(&[0xff]).is_err() && csv(b"a,b\n1\n").is_err());
    }
}
