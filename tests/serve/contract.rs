//! What `/openapi.json` promises, held against the service by `schemathesis`, where a Python has it: every route, valid and broken
//! requests, every status, type and shape of an answer.
#![expect(clippy::print_stderr, reason = "tests say what they skip")]

use super::client::Serving;
use crate::directories::{export, exported, item_context, policy, refreshed, semantic_ids};
use crate::support::python;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOKEN: &str = "a-secret-of-the-test";
/// Requests that are made up per route and kind.
const EXAMPLES: &str = "40";

fn schemathesis() -> Option<PathBuf> {
    let program = python().map(|python| python.with_file_name("schemathesis")).filter(|path| path.is_file());
    if program.is_none() {
        eprintln!(
            "skipped: no schemathesis beside the Python of RECALIGN_PYTHON or ~/.cache/recalign-peers/bin/python"
        );
    }
    program
}

/// Fails with what was found. Requests are valid, or of all modes: broken ones too.
fn holds(program: &Path, serving: &Serving, (document, mode): (&Value, &str)) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openapi.json");
    fs::write(&file, document.to_string()).unwrap();
    let (url, token) = (format!("http://{}", serving.address), format!("Authorization: Bearer {TOKEN}"));
    let output = Command::new(program)
        .args(["run", file.to_str().unwrap(), "--url", &url, "--header", &token])
        .args([
            "--mode",
            mode,
            "--max-examples",
            EXAMPLES,
            "--seed",
            "1",
            "--continue-on-failure",
            "--no-color",
        ])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), serving.log());
}

fn document(serving: &Serving) -> Value {
    let (status, _, text) = serving.client().with_token(TOKEN).get("/openapi.json");
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

/// The document with items and policies that exist: drawn codes are hardly ever those of an item.
fn narrowed(mut document: Value) -> Value {
    let items = [exported(), refreshed()].map(semantic_ids);
    let named = |at: usize| items.iter().flat_map(move |ids| [json!(ids[at].0), json!(ids[at].1)]);
    let names: Vec<Value> =
        (0..40).flat_map(named).chain([json!("nobody"), json!([]), json!([99])]).collect();
    let schemas = &mut document["components"]["schemas"];
    schemas["Item"] = json!({ "enum": names });
    for request in ["Recommend", "Score"] {
        schemas[request]["properties"]["codes_of"] =
            json!({ "enum": [null, policy(exported()), policy(refreshed()), "somebody"] });
    }
    document
}

#[test]
fn schemathesis_finds_nothing_on_any_route_with_codes_of_two_directories() {
    let Some(program) = schemathesis() else { return };
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token");
    fs::write(&secret, TOKEN).unwrap();
    let more = ["--token-file", secret.to_str().unwrap(), "--also-reads", exported().to_str().unwrap()];
    let serving = Serving::start(refreshed(), &more);
    let document = document(&serving);
    holds(&program, &serving, (&document, "all"));
    holds(&program, &serving, (&narrowed(document), "positive"));
}

#[test]
fn schemathesis_finds_nothing_under_other_limits_and_without_a_judge() {
    let Some(program) = schemathesis() else { return };
    let dir = tempfile::tempdir().unwrap();
    let native = dir.path().join("native");
    export(item_context(), &native, &[]);
    let serving = Serving::start(&native, &["--max-batch", "3", "--max-beam", "20"]);
    holds(&program, &serving, (&document(&serving), "all"));
}
