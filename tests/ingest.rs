//! Ingest: counts of public data sets, one clear message per broken input, the same log from every format.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests: they may panic, and they say what they skip"
)]

mod broken;
mod embeddings;
mod formats;
mod public;

use polars::prelude::*;
use recalign::config::Data;
use recalign::data::error::DataError;
use recalign::data::{Dataset, build};
use reports::schema::DataCard;
use std::path::Path;
use tempfile::TempDir;

/// A directory with input files that is gone after the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        Self::new().and(name, content)
    }
    fn and(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), content).unwrap();
        self
    }
    fn data(&self, keys: &str) -> Data {
        section(self.0.path(), keys)
    }
    fn build(&self, keys: &str) -> Result<(Dataset, DataCard), DataError> {
        build(&self.data(keys))
    }
    fn dataset(&self, keys: &str) -> Dataset {
        self.build(keys).unwrap_or_else(|error| panic!("{}", full(error))).0
    }
    /// The message must contain every part.
    #[track_caller]
    fn refuses(&self, keys: &str, parts: &[&str]) -> String {
        let message = full(self.build(keys).expect_err("the input is broken"));
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
        message
    }
}

fn section(path: &Path, keys: &str) -> Data {
    toml::from_str(&format!("path = {:?}\n{keys}", path.display().to_string())).unwrap()
}

fn full(error: DataError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

const CSV: &str = r#"source = { kind = "csv", file = "log.csv", columns = { user = "user", item = "item", timestamp = "time", feedback = ["rating"] } }"#;
const PLAIN_CSV: &str =
    r#"source = { kind = "csv", file = "log.csv", columns = { user = "user", item = "item" } }"#;
const S3REC: &str = r#"source = { kind = "s3rec", file = "log.txt" }"#;
const JSON: &str = r#"source = { kind = "sequences-json", file = "log.json" }"#;
const JSONL: &str = r#"source = { kind = "jsonl", file = "log.jsonl", columns = { user = "user", item = "item", timestamp = "time", feedback = ["rating"] } }"#;
const RECBOLE: &str = r#"source = { kind = "recbole", file = "log.inter", columns = { user = "user", item = "item", timestamp = "time", feedback = ["rating"] } }"#;
const PARQUET: &str = r#"source = { kind = "parquet", file = "log.parquet", columns = { user = "user", item = "item", timestamp = "time", feedback = ["rating"] } }"#;

/// Three users, items 1 to 4.
const FOUR_ITEMS: &str = "1 1 2 3 4\n2 2 3 4\n3 4 1 2\n";

fn embedding_file(file: &str) -> String {
    format!("{S3REC}\nembeddings = {{ kind = \"file\", file = \"{file}\" }}")
}

/// A Parquet file of these columns.
fn parquet(columns: Vec<Column>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut DataFrame::new_infer_height(columns).unwrap()).unwrap();
    bytes
}
