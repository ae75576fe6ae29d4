//! Every format that is read from outside, by name; also what the targets of `tests/fuzz` read.

use recalign::config::{Data, load};
use recalign::data::build;
use recalign::run::verify::verify;
use recalign::stages::tokenize;
use std::path::Path;

/// Whether the files of a format in `dir` are accepted.
pub(super) fn accepts(dir: &Path, format: &str) -> bool {
    match format {
        "toml" => load(&dir.join("experiment.toml"), &[]).is_ok(),
        "policy" => policy::checkpoint::read(dir, &burn::prelude::Device::flex()).is_ok(),
        "ids" => tokenize::load(dir).is_ok(),
        "run" => verify(dir).is_ok_and(|verdicts| verdicts.iter().all(|verdict| verdict.problems.is_empty())),
        _ => build(&section(dir, format)).is_ok(),
    }
}

const COLUMNS: &str = "columns = { user = 'user', item = 'item', timestamp = 'time', feedback = ['rating'] }";

fn section(dir: &Path, name: &str) -> Data {
    let source = match name {
        "csv" => format!("{{ kind = 'csv', file = 'log.csv', {COLUMNS} }}"),
        "jsonl" => format!("{{ kind = 'jsonl', file = 'log.jsonl', {COLUMNS} }}"),
        "inter" => format!("{{ kind = 'recbole', file = 'log.inter', {COLUMNS} }}"),
        "parquet" => format!("{{ kind = 'parquet', file = 'log.parquet', {COLUMNS} }}"),
        "sequences" => "{ kind = 'sequences-json', file = 'log.json' }".into(),
        _ => "{ kind = 's3rec', file = 'log.txt' }".into(),
    };
    let vectors = match name {
        "vectors" => "embeddings = { kind = 'file', file = 'vectors.safetensors' }",
        _ => "",
    };
    toml::from_str(&format!("path = {:?}\nsource = {source}\n{vectors}", dir.display().to_string())).unwrap()
}
