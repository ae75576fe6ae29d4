//! What reads files from outside, each with small files that it accepts.

use super::formats;
use polars::prelude::*;
use policy::model::{Policy, PolicyConfig, T5Config};
use policy::random::Key;
use std::fs;
use std::path::{Path, PathBuf};

/// A reader over files in a directory of its own.
pub(super) struct Reader {
    dir: tempfile::TempDir,
    name: &'static str,
}

const NAMES: [&str; 11] =
    ["toml", "csv", "jsonl", "inter", "s3rec", "sequences", "parquet", "vectors", "policy", "ids", "run"];

impl Reader {
    /// The reader of this name, with its files.
    pub(super) fn named(name: &str) -> Self {
        let name = NAMES.into_iter().find(|known| *known == name).unwrap();
        let reader = Self { dir: tempfile::tempdir().unwrap(), name };
        reader.write();
        reader
    }

    /// Its files with what they hold.
    pub(super) fn originals(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(self.dir.path(), &mut files);
        files.sort();
        files
    }

    /// Whether the files are accepted.
    pub(super) fn read(&self) -> bool {
        formats::accepts(self.dir.path(), self.name)
    }

    fn write(&self) {
        let dir = self.dir.path();
        let file = |name: &str, content: &[u8]| fs::write(dir.join(name), content).unwrap();
        match self.name {
            "toml" => {
                let example = crate::support::project("experiments/configs/quickstart.toml");
                file("experiment.toml", &fs::read(example).unwrap());
            }
            "csv" => file("log.csv", b"user,item,time,rating\na,x,1,5\na,y,2,4\na,z,3,1\nb,x,1,2\nb,y,2,3\nb,\"z,z\",3,4\nb,w,4,5\n"),
            "jsonl" => file(
                "log.jsonl",
                b"{\"user\":1,\"item\":\"x\",\"time\":1,\"rating\":5}\n{\"user\":1,\"item\":\"y\",\"time\":2,\"rating\":4}\n{\"user\":1,\"item\":\"z\",\"time\":3,\"rating\":1}\n",
            ),
            "inter" => file(
                "log.inter",
                b"user:token\titem:token\ttime:float\trating:float\na\tx\t1\t5\na\ty\t2\t4\na\tz\t3\t1\nb\tx\t1\t2\nb\ty\t2\t3\nb\tz\t3\t3\n",
            ),
            "s3rec" => file("log.txt", b"1 1 2 3 4\n2 2 3 4\n3 4 1 2\n"),
            "sequences" => file("log.json", br#"{"0": [0, 1, 2, 3], "1": [1, 2, 3], "2": [3, 0, 1]}"#),
            "parquet" => file("log.parquet", &parquet()),
            "vectors" => {
                file("log.txt", b"1 1 2 3 4\n2 2 3 4\n3 4 1 2\n");
                file("vectors.safetensors", &vectors());
            }
            "policy" => write_policy(dir),
            "ids" => crate::support::copy_tree(&crate::kills::WHOLE.0.path().join("stages/02-tokenize"), dir),
            _ => crate::faults::small::run(dir).unwrap(),
        }
    }
}

fn collect(dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.file_name().is_none_or(|name| name != ".lock") {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

fn parquet() -> Vec<u8> {
    let columns = vec![
        Column::new("user".into(), ["a", "a", "a", "b", "b", "b"]),
        Column::new("item".into(), ["x", "y", "z", "x", "y", "z"]),
        Column::new("time".into(), [1i64, 2, 3, 1, 2, 3]),
        Column::new("rating".into(), [5.0, 4.0, 1.0, 2.0, 3.0, 4.0]),
    ];
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut DataFrame::new_infer_height(columns).unwrap()).unwrap();
    bytes
}

fn vectors() -> Vec<u8> {
    let values: Vec<u8> = (0..8).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 2], &values).unwrap();
    safetensors::serialize([("embeddings".to_string(), view)], None).unwrap()
}

/// The smallest policy.
pub(super) fn write_policy(dir: &Path) {
    let size = PolicyConfig::T5(T5Config {
        vocab_size: 16,
        d_model: 4,
        d_kv: 2,
        d_ff: 4,
        num_heads: 2,
        num_layers: 1,
        num_decoder_layers: 1,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.0,
        ..T5Config::default()
    });
    let model = Policy::new(&size, Key::new(1), &burn::prelude::Device::flex()).unwrap();
    policy::checkpoint::write(&model, &size, dir).unwrap();
}
