//! Exported directories: what is in them, what verification finds, and that transformers computes the same.
#![expect(clippy::print_stderr, reason = "tests say what they skip")]

use crate::directories::{copied, export, item_context, json_of, qwen3, t5};
use crate::support::{copy_tree, outcome, project, python};
use reports::schema::RunRecord;
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn files(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn verify(dir: &Path) -> (i32, String, String) {
    outcome(&["export", "verify", dir.to_str().unwrap()])
}

#[test]
fn an_export_has_what_serving_teams_need_and_verifies() {
    let (_dir, to) = copied();
    let expected = [
        "README.md",
        "SHA256SUMS",
        "codebooks.safetensors",
        "config.json",
        "generation_config.json",
        "judge",
        "manifest.json",
        "model.safetensors",
        "recommend.py",
        "reference_io.safetensors",
        "serving.json",
        "sid_map.parquet",
        "sid_trie.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(files(&to), expected.map(String::from).into());
    let (code, stdout, log) = verify(&to);
    assert_eq!(code, 0, "{log}");
    assert!(stdout.contains("replayed 32 requests: logits differ by 0.0e0"), "{stdout}");

    let manifest = json_of(&to.join("manifest.json"));
    let record: RunRecord = serde_json::from_slice(&fs::read(t5().join("run.json")).unwrap()).unwrap();
    assert_eq!(manifest["run"]["config_sha256"], record.config_sha256);
    let lineage: Vec<_> = manifest["lineage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["directory"].as_str().unwrap())
        .collect();
    let stages =
        ["01-ingest", "02-tokenize", "03-pretrain", "04-reward", "05-sample-ipa-1", "06-align-ipa-1"];
    assert_eq!(lineage, [stages.as_slice(), &["09-evaluate"]].concat(), "the other arm is no ancestor");

    let card = fs::read_to_string(to.join("README.md")).unwrap();
    for expected in
        ["library_name: transformers", "| recall@5 |", "| ipa |", "worth nothing as a recommender"]
    {
        assert!(card.contains(expected), "{expected} is not in\n{card}");
    }
    let users = fs::read_to_string(to.join("judge/config.json")).unwrap();
    assert!(
        !users.contains("evaluation") && !to.join("judge/split.json").exists(),
        "who was trained on is private"
    );
}

/// Each of these loads without an error in some version of transformers and computes something else, or is refused.
#[test]
fn the_layout_avoids_the_traps_of_hugging_face() {
    let (_dir, to) = copied();
    let config = json_of(&to.join("config.json"));
    for (key, expected) in [
        ("model_type", Value::from("t5")),
        ("tie_word_embeddings", true.into()),
        ("is_encoder_decoder", true.into()),
        ("pad_token_id", 0.into()),
        ("decoder_start_token_id", 0.into()),
        ("eos_token_id", 1.into()),
        ("layer_norm_epsilon", 1e-6.into()),
        ("feed_forward_proj", "relu".into()),
        ("torch_dtype", "float32".into()),
    ] {
        assert_eq!(config[key], expected, "{key}");
    }
    let generation = json_of(&to.join("generation_config.json"));
    assert_eq!(
        (&generation["decoder_start_token_id"], generation.get("eos_token_id")),
        (&Value::from(0), None)
    );
    let bytes = fs::read(to.join("model.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let names: BTreeSet<&str> = tensors.names().into_iter().collect();
    assert!(names.contains("shared.weight"));
    assert!(
        !names.iter().any(|name| name.starts_with("lm_head") || name.contains("embed_tokens")),
        "{names:?}"
    );
    let words = json_of(&to.join("tokenizer.json"))["model"]["vocab"].as_object().unwrap().len();
    assert_eq!(config["vocab_size"], words, "every row of the embedding has a word");
}

#[test]
fn any_flipped_byte_is_found_and_its_file_named() {
    let (_dir, to) = copied();
    let judge = files(&to.join("judge")).into_iter().map(|file| format!("judge/{file}"));
    let all: Vec<String> = files(&to).into_iter().filter(|file| file != "judge").chain(judge).collect();
    for file in &all {
        let path = to.join(file);
        let whole = fs::read(&path).unwrap();
        for at in (0..8).map(|part| part * (whole.len() - 1) / 7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            let found = recalign::export::manifest::differences(&to).unwrap();
            assert!(
                found.iter().any(|line| line.starts_with(file.as_str())),
                "byte {at} of {file}: {found:?}"
            );
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let found = recalign::export::manifest::differences(&to).unwrap();
        assert!(found.iter().any(|line| line.starts_with(file.as_str())), "{file} cut short: {found:?}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(&to).0, 0, "everything is back");
    let weights = to.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let (code, stdout, log) = verify(&to);
    assert_eq!(code, 1, "{stdout}");
    assert!(log.contains("first mismatch: model.safetensors has changed"), "{log}");
    fs::write(to.join("more.txt"), "x").unwrap();
    assert!(verify(&to).1.contains("more.txt is not in the manifest"));
}

/// Consistent hashes do not help who replaced the weights: the answers are others.
#[test]
fn other_weights_under_correct_hashes_fail_the_golden_requests() {
    let (dir, to) = copied();
    let other = dir.path().join("other");
    export(t5(), &other, &["--policy", "pretrained"]);
    fs::copy(other.join("model.safetensors"), to.join("model.safetensors")).unwrap();
    rehash(&to);
    let (code, stdout, log) = verify(&to);
    assert_eq!(code, 1, "{stdout}");
    assert!(log.contains("golden requests: logits differ"), "{log}");
}

/// Makes manifest and sums fit the files again.
fn rehash(to: &Path) {
    let mut manifest = json_of(&to.join("manifest.json"));
    let sha256 = |file: &str| recalign::run::hash::of_file(&to.join(file)).unwrap().sha256;
    manifest["files"]["model.safetensors"]["sha256"] = sha256("model.safetensors").into();
    fs::write(to.join("manifest.json"), serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
    let files = manifest["files"].as_object().unwrap().iter();
    let lines = files.map(|(name, file)| (name.as_str(), file["sha256"].as_str().unwrap().to_owned()));
    let lines = lines.chain([("manifest.json", sha256("manifest.json"))]);
    let sums = lines.fold(String::new(), |sums, (name, sha256)| sums + &sha256 + "  " + name + "\n");
    fs::write(to.join("SHA256SUMS"), sums).unwrap();
}

#[test]
fn two_exports_of_one_policy_are_the_same_bytes_and_a_rounded_one_is_close() {
    let (dir, to) = copied();
    let (again, rounded) = (dir.path().join("again"), dir.path().join("rounded"));
    // What an interrupted export left is no obstacle.
    fs::create_dir(dir.path().join("again.partial")).unwrap();
    fs::create_dir(&again).unwrap();
    export(t5(), &again, &["--policy", "ipa"]);
    for file in ["manifest.json", "SHA256SUMS"] {
        assert_eq!(fs::read(to.join(file)).unwrap(), fs::read(again.join(file)).unwrap(), "{file}");
    }
    export(t5(), &rounded, &["--policy", "ipa", "--dtype", "bf16"]);
    assert_eq!(json_of(&rounded.join("config.json"))["torch_dtype"], "bfloat16");
    let size = |dir: &Path| fs::metadata(dir.join("model.safetensors")).unwrap().len();
    assert!(size(&rounded) * 10 < size(&to) * 6, "{} of {}", size(&rounded), size(&to));
    assert_eq!(verify(&rounded).0, 0);
    let (code, stdout, log) =
        outcome(&["export", "diff", to.to_str().unwrap(), rounded.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{log}");
    let difference: Value = serde_json::from_str(&stdout).unwrap();
    let answers = &difference["answers"];
    let drift = answers["score_drift"].as_f64().unwrap();
    assert!(drift > 0.0 && drift < 0.1, "{difference}");
    assert!(answers["overlap"].as_f64().unwrap() > 0.9, "{difference}");
    assert_eq!(difference["catalog"]["moved"], 0);
    assert_eq!(difference["settings"][0][0], "policy_sha256");
}

#[test]
fn what_cannot_be_exported_is_refused_with_the_remedy() {
    let (dir, to) = copied();
    let (run, occupied) = (t5().to_str().unwrap(), to.to_str().unwrap());
    let fresh = dir.path().join("fresh");
    let fresh = fresh.to_str().unwrap();
    let nowhere = dir.path().to_str().unwrap();
    for (arguments, expected) in [
        (&["export", run, "--to", occupied, "--policy", "ipa"][..], "is there and not empty"),
        (&["export", run, "--to", fresh], "choose one with --policy: pretrained, ipa, grpo"),
        (&["export", run, "--to", fresh, "--policy", "dpo"], "the run has no policy dpo"),
        (&["export", run, "--to", fresh, "--policy", "ipa", "--golden", "0"], "use at least 1"),
        (&["export", nowhere, "--to", fresh], "has no run.json"),
        (&["export", "verify", nowhere], "is not an exported directory"),
        (&["export", run], "--to"),
    ] {
        let (code, _, log) = outcome(arguments);
        assert_eq!(code, 2, "{arguments:?}: {log}");
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
    assert_eq!(files(dir.path()), ["export".to_owned()].into(), "nothing half-written remains");
}

#[test]
fn a_damaged_run_is_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    copy_tree(t5(), &run);
    let weights = run.join("stages/06-align-ipa-1/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(weights, bytes).unwrap();
    let to = dir.path().join("to");
    let arguments = ["export", run.to_str().unwrap(), "--to", to.to_str().unwrap(), "--policy", "ipa"];
    let (code, _, log) = outcome(&arguments);
    assert_eq!(code, 2);
    assert!(log.contains("is not what the run committed: model.safetensors has changed"), "{log}");
    assert!(!to.exists());
}

#[test]
fn what_hugging_face_cannot_express_is_a_native_bundle_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("export");
    let stdout = export(item_context(), &to, &[]);
    assert!(
        stdout.contains("a native bundle: Hugging Face's layouts cannot express this architecture"),
        "{stdout}"
    );
    let found = files(&to);
    for absent in ["tokenizer.json", "generation_config.json", "recommend.py", "judge"] {
        assert!(!found.contains(absent), "{absent}");
    }
    assert_eq!(json_of(&to.join("serving.json"))["layout"], "native");
    assert_eq!(verify(&to).0, 0);
}

#[test]
fn transformers_computes_the_same_from_the_directory_alone() {
    let Some(python) = python() else {
        eprintln!(
            "skipped: no Python with transformers at RECALIGN_PYTHON or ~/.cache/recalign-peers/bin/python"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for (run, policy) in [(t5(), "ipa"), (qwen3(), "pretrained")] {
        let to = dir.path().join(run.file_name().unwrap());
        export(run, &to, &["--policy", policy, "--golden", "24"]);
        let output =
            Command::new(&python).arg(project("experiments/bench/parity.py")).arg(&to).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}
