//! `recalign inspect sids` and the vectors that semantic IDs are made from, through the program.

use crate::support::{MINIMAL, experiment, outcome, recalign};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A run of the built-in world up to its semantic IDs.
fn tokenized(vectors: &str, threads: &str) -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = experiment(MINIMAL);
    let run = dir.path().join("run");
    let vectors = format!("tokenize.vectors={vectors}");
    let place = ["run", path.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let settings = ["--set", "run.budget=smoke", "--set", &vectors, "--until", "tokenize"];
    let mut command = recalign(&[&place[..], &settings].concat());
    let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, run)
}

fn inspect(run: &Path, more: &[&str]) -> (i32, String, String) {
    outcome(&[&["inspect", "sids", run.to_str().unwrap()], more].concat())
}

fn json(run: &Path, more: &[&str]) -> Value {
    let (code, stdout, stderr) = inspect(run, &[more, &["--json"]].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn every_choice_of_vectors_gives_ids_that_do_not_depend_on_the_number_of_threads() {
    let mut seen = Vec::new();
    for vectors in ["text", "collaborative", "fused", "aligned"] {
        let (one, two) = (tokenized(vectors, "1"), tokenized(vectors, "2"));
        for file in ["semantic_ids.parquet", "codebooks.safetensors", "quality.json"] {
            let read = |run: &Path| fs::read(run.join("stages/02-tokenize").join(file)).unwrap();
            assert!(read(&one.1) == read(&two.1), "{vectors}: {file} depends on the number of threads");
        }
        let summary = json(&one.1, &[]);
        assert_eq!(summary["vectors"], vectors);
        assert!(summary["cooccurrence_hit_rate"].as_f64().is_some_and(|rate| rate > 0.0), "{summary}");
        let unknown: Vec<_> = fs::read_to_string(one.1.join("metrics.jsonl"))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().to_owned())
            .filter(|key| reports::glossary::lookup(key).is_none())
            .collect();
        assert!(unknown.is_empty(), "not in the glossary: {unknown:?}");
        seen.push(fs::read(one.1.join("stages/02-tokenize/codebooks.safetensors")).unwrap());
    }
    assert!((1..4).all(|at| !seen[..at].contains(&seen[at])), "two choices give the same codebooks");
}

#[test]
fn the_summary_describes_levels_collisions_and_prefixes_and_a_prefix_lists_its_items() {
    let (_dir, run) = tokenized("text", "2");
    let (code, text, stderr) = inspect(&run, &[]);
    assert_eq!(code, 0, "{stderr}");
    for expected in
        ["200 items, balanced-residual-kmeans over text vectors", "perplexity", "prefixes of most items"]
    {
        assert!(text.contains(expected), "missing {expected:?} in\n{text}");
    }
    let summary = json(&run, &[]);
    assert_eq!(summary["level_gini"].as_array().unwrap().len(), summary["levels"].as_array().unwrap().len());
    let largest = &summary["largest_prefixes"][0];
    let code = largest["prefix"][0].to_string();
    let group = json(&run, &["--prefix", &code, "-n", "1000"]);
    assert_eq!(group["count"], largest["count"]);
    let items = group["items"].as_array().unwrap();
    assert_eq!(items.len() as u64, group["count"].as_u64().unwrap());
    assert!(items.iter().all(|item| item["codes"][0] == largest["prefix"][0] && item["text"] != ""));
    let (_, listed, _) = inspect(&run, &["--prefix", &code, "-n", "1"]);
    assert!(listed.starts_with(&format!("{code}: {} items\n", group["count"])), "{listed}");
    assert_eq!(listed.lines().count(), 2);
}

#[test]
fn what_cannot_be_inspected_is_said_with_exit_code_2() {
    let (_dir, run) = tokenized("text", "2");
    let ids = json(&run, &[]);
    let long = vec!["0"; ids["levels"].as_array().unwrap().len() + 1].join(",");
    let refused = |more: &[&str], expected: &str| {
        let (code, _, stderr) = inspect(&run, more);
        assert_eq!(code, 2, "{more:?}: {stderr}");
        assert!(stderr.contains(expected), "{more:?}: {stderr}");
    };
    refused(&["--prefix", "99"], "code 99 at level 1, whose codes are 0 to 31");
    refused(&["--prefix", "1,x"], "invalid value 'x' for '--prefix <CODES>'");
    refused(&["--prefix", "5000000000"], "invalid value '5000000000'");
    refused(&["--prefix", &long], "but the IDs of this run have");
    let (code, _, stderr) = outcome(&["inspect", "run", run.to_str().unwrap(), "--prefix", "1"]);
    assert!(code == 2 && stderr.contains("--prefix is an option of sids"), "{stderr}");

    for file in ["02-tokenize/semantic_ids.parquet", "02-tokenize/quality.json", "01-ingest/items.parquet"] {
        let path = run.join("stages").join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        refused(&[], file.split('/').next_back().unwrap());
        fs::write(&path, &bytes).unwrap();
    }
    fs::remove_dir_all(run.join("stages/02-tokenize")).unwrap();
    refused(&[], "has no finished tokenize stage");
}
