//! Items that come after a run, and codebooks that are made anew: through the program, and through the service's sockets.

use crate::directories::{export, exported, json_of, policy, refreshed, semantic_ids, t5};
use crate::serve::client::{Client, Serving};
use crate::support::{copy_tree, outcome};
use polars::prelude::*;
use recalign::run::commit::rename;
use recalign::run::hash::of_file;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The vectors that the run's items had.
fn vectors() -> Vec<Vec<f32>> {
    let bytes = fs::read(t5().join("stages/01-ingest/embeddings.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("embeddings").unwrap();
    let values: Vec<f32> =
        view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    values.chunks(view.shape()[1]).map(<[f32]>::to_vec).collect()
}

/// A new item's id and vector.
type Row<'a> = (&'a str, Vec<f32>);

/// A table of new items.
fn table(path: &Path, rows: &[Row<'_>]) {
    let mut vectors = ListPrimitiveChunkedBuilder::<Float32Type>::new(
        "vector".into(),
        rows.len(),
        rows.len(),
        DataType::Float32,
    );
    for (_, vector) in rows {
        vectors.append_slice(vector);
    }
    let ids: Vec<&str> = rows.iter().map(|(id, _)| *id).collect();
    let texts: Vec<String> = ids.iter().map(|id| format!("what {id} is")).collect();
    let columns = vec![
        Column::new("raw_id".into(), ids),
        Column::new("text".into(), texts),
        vectors.finish().into_series().into_column(),
    ];
    let mut table = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap()).finish(&mut table).unwrap();
}

/// Forty items, each as some old one is.
fn forty() -> Vec<(String, Vec<f32>)> {
    let vectors = vectors();
    (0..40).map(|item| (format!("new-{item}"), vectors[item * 5].clone())).collect()
}

fn borrowed(items: &[(String, Vec<f32>)]) -> Vec<Row<'_>> {
    items.iter().map(|(id, vector)| (id.as_str(), vector.clone())).collect()
}

fn assign(dir: &Path, items: &Path, to: &Path, more: &[&str]) -> (i32, String, String) {
    let [dir, items, to] = [dir, items, to].map(|path| path.to_str().unwrap());
    outcome(&[&["export", "assign", dir, "--items", items, "--to", to], more].concat())
}

#[test]
fn new_items_get_codes_by_the_codebooks_old_ids_stay_and_the_result_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let (items, to) = (dir.path().join("items.parquet"), dir.path().join("grown"));
    table(&items, &borrowed(&forty()));
    let (code, stdout, log) = assign(exported(), &items, &to, &["--json"]);
    assert_eq!(code, 0, "{log}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let (old, new) = (semantic_ids(exported()), semantic_ids(&to));
    assert_eq!(new[..old.len()], old, "rows and IDs of old items");
    assert_eq!((&report["assigned"], &report["items"]), (&json!(40), &json!(new.len())));
    let distinct: std::collections::BTreeSet<_> = new.iter().map(|(_, codes)| codes).collect();
    assert_eq!(distinct.len(), new.len(), "all are told apart");

    let texts = ParquetReader::new(fs::File::open(t5().join("stages/01-ingest/items.parquet")).unwrap());
    let texts = texts.finish().unwrap();
    let texts: Vec<&str> = texts.column("text").unwrap().str().unwrap().iter().flatten().collect();
    let mut moved = 0;
    for (at, added) in report["added"].as_array().unwrap().iter().enumerate() {
        let codes: Vec<u32> = serde_json::from_value(added["semantic_id"].clone()).unwrap();
        assert_eq!((&added["id"], &codes), (&json!(new[old.len() + at].0), &new[old.len() + at].1));
        moved += usize::from(added.get("nearest_codes").is_some());
        let beside = &added["neighbours"][0];
        let row = old.iter().position(|(id, _)| beside["id"] == json!(id)).unwrap();
        let shared = codes.iter().zip(&old[row].1).take_while(|(a, b)| a == b).count();
        assert_eq!(beside["shared_codes"], json!(shared), "{added}");
        assert_eq!(beside["text"], json!(texts[row]));
        assert_eq!(added["text"], json!(format!("what new-{at} is")));
    }
    assert_eq!(report["not_nearest"], json!(moved));
    // The run had no collisions, so that its policy knows no digit: items with the vectors of old ones make way.
    assert!(moved > 0 && report["collisions"] == 0, "{report}");

    let manifest = json_of(&to.join("manifest.json"));
    let sha256 = |path: &Path| of_file(path).unwrap().sha256;
    assert_eq!(manifest["parent"]["manifest_sha256"], sha256(&exported().join("manifest.json")));
    assert_eq!(manifest["parent"]["added"][0]["sha256"], sha256(&items));
    assert_eq!(manifest["lineage"], json_of(&exported().join("manifest.json"))["lineage"]);
    assert!(
        fs::read_to_string(to.join("README.md"))
            .unwrap()
            .contains("- 40 items that the policy was not trained with")
    );
    let (code, stdout, log) = outcome(&["export", "verify", to.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");
    assert!(stdout.contains("replayed 32 requests"), "{stdout}");
    let again = dir.path().join("again");
    assert_eq!(assign(exported(), &items, &again, &[]).0, 0);
    assert_eq!(
        fs::read(to.join("SHA256SUMS")).unwrap(),
        fs::read(again.join("SHA256SUMS")).unwrap(),
        "the same bytes"
    );
}

#[test]
fn vectors_may_be_a_tensor_and_the_table_text_and_items_can_be_added_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("items.csv"), "raw_id,text\nred,\"a red\tone\"\nblue,\n").unwrap();
    let vectors: Vec<u8> = vectors()[..2].concat().iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = vec![2, vectors.len() / 8];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &vectors).unwrap();
    fs::write(path("vectors.safetensors"), safetensors::serialize([("v", view)], None).unwrap()).unwrap();
    let vectors = path("vectors.safetensors");
    let (code, stdout, log) =
        assign(exported(), &path("items.csv"), &path("one"), &["--vectors", vectors.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");
    assert!(stdout.contains("added 2 items") && stdout.contains("red (a red one)"), "{stdout}");
    table(&path("more.parquet"), &borrowed(&forty()[..1]));
    assert_eq!(assign(&path("one"), &path("more.parquet"), &path("two"), &[]).0, 0);
    let old = semantic_ids(&path("one"));
    assert_eq!(semantic_ids(&path("two"))[..old.len()], old);
    // Twice the same, and an item that was added before.
    let (code, _, log) = assign(&path("two"), &path("more.parquet"), &path("three"), &[]);
    assert_eq!(code, 2);
    assert!(log.contains("`new-0`, expected an item that the directory does not have yet"), "{log}");
    let json = ["--vectors", vectors.to_str().unwrap()];
    let (code, _, log) = assign(&path("two"), &path("items.csv"), &path("three"), &json);
    assert_eq!(code, 2);
    assert!(log.contains("items.csv, line 2") && log.contains("`red`") && log.contains("`blue`"), "{log}");
}

#[test]
fn what_cannot_be_added_is_refused_with_its_place_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let good = vectors()[0].clone();
    let with = |at: usize, value: f32| {
        let mut vector = good.clone();
        vector[at] = value;
        vector
    };
    let old = semantic_ids(exported())[3].0.clone();
    let cases: [(&[Row<'_>], String); 8] = [
        (&[("a", good.clone()), ("b", with(2, f32::NAN))], "row 2, column 3 is NaN".into()),
        (&[("a", with(0, f32::INFINITY))], "row 1, column 1 is inf".into()),
        (&[("a", with(1, 1e30))], "cannot be quantised".into()),
        (
            &[("a", good[1..].to_vec())],
            format!("the vectors have {} values, the codebooks of", good.len() - 1),
        ),
        (
            &[("a", good.clone()), ("b", good[1..].to_vec())],
            "every item needs a vector of the same width".into(),
        ),
        (&[("a", good.clone()), ("a", good.clone())], "row 2: item `a` occurs twice".into()),
        (
            &[("a", good.clone()), (&old, good.clone())],
            format!("column `raw_id` is `{old}`, expected an item that"),
        ),
        (&[(" ", good.clone())], "expected an id".into()),
    ];
    for (at, (rows, expected)) in cases.iter().enumerate() {
        let items = path(&format!("{at}.parquet"));
        table(&items, rows);
        let (code, _, log) = assign(exported(), &items, &path("to"), &[]);
        assert_eq!(code, 2, "{expected}: {log}");
        assert!(log.contains(expected.as_str()), "{expected} is not in {log}");
    }
    fs::write(path("items.csv"), "raw_id\na\n").unwrap();
    fs::write(path("broken.parquet"), "PAR1 no").unwrap();
    fs::write(path("items.xml"), "<a/>").unwrap();
    for (items, expected) in [
        ("items.csv", "has no vectors; name their file with --vectors"),
        ("broken.parquet", "not a complete Parquet file"),
        ("items.xml", "ends in none of"),
        ("absent.parquet", "absent.parquet; check `--items`"),
    ] {
        let (code, _, log) = assign(exported(), &path(items), &path("to"), &[]);
        assert_eq!(code, 2, "{log}");
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
    let items = path("good.parquet");
    table(&items, &[("a", good.clone())]);
    let (code, _, log) = assign(exported(), &items, exported(), &[]);
    assert_eq!(code, 2);
    assert!(log.contains("is there and not empty"), "{log}");

    let damaged = path("damaged");
    copy_tree(exported(), &damaged);
    let codebooks = damaged.join("codebooks.safetensors");
    let mut bytes = fs::read(&codebooks).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&codebooks, bytes).unwrap();
    let (code, _, log) = assign(&damaged, &items, &path("to"), &[]);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("does not verify: codebooks.safetensors has changed"), "{log}");
    assert!(!path("to").exists() && !path("to.partial").exists(), "nothing half-made remains");
}

#[cfg(unix)]
#[test]
fn the_service_takes_new_items_up_without_a_restart_and_recommends_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    copy_tree(exported(), &path("served"));
    fs::write(path("token"), "a-secret-of-the-test\n").unwrap();
    let serving = Serving::start(&path("served"), &["--token-file", path("token").to_str().unwrap()]);
    let mut client = Client::new(serving.address).with_token("a-secret-of-the-test");
    let mut ask =
        |wish: Value| client.post("/v1/recommend", &json!({ "requests": [wish] })).1["results"][0].clone();
    let wish = json!({"history": ["new-0"], "allow": ["new-1", "new-2"]});
    let before = ask(wish.clone());
    assert_eq!((&before["skipped"], &before["items"]), (&json!([0]), &json!([])));

    table(&path("items.parquet"), &borrowed(&forty()));
    let (code, _, log) = assign(&path("served"), &path("items.parquet"), &path("grown"), &[]);
    assert_eq!(code, 0, "{log}");
    rename(&path("served"), &path("old")).unwrap();
    rename(&path("grown"), &path("served")).unwrap();
    let (status, answer) =
        Client::new(serving.address).with_token("a-secret-of-the-test").post("/v1/reload", &json!({}));
    assert_eq!(status, 200, "{answer}");
    let after = ask(wish);
    assert_eq!((&after["skipped"], after["items"].as_array().unwrap().len()), (&json!([]), 2), "{after}");
    let new = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items.iter().filter(|item| item["id"].as_str().unwrap().starts_with("new-")).count()
    };
    let found = ask(json!({"history": [semantic_ids(exported())[0].0, "new-3"], "k": 100, "beam": 100}));
    assert!(new(&found) > 0, "of 240 items 40 are new; some must be among the 100 best: {found}");
    // The judge was trained before: new items follow those that it knows.
    let judged = ask(json!({"history": ["new-3"], "k": 100, "beam": 100, "rank_by": "judge"}));
    let items = judged["items"].as_array().unwrap();
    assert!(items.len() == 100 && new(&judged) > 0, "{judged}");
    for item in items {
        let later = item["id"].as_str().unwrap().starts_with("new-");
        assert_eq!(item.get("judge").is_none(), later, "{item}");
    }
    assert!(items.is_sorted_by_key(|item| item.get("judge").is_none()), "{judged}");
}

#[test]
fn items_with_the_vector_of_an_old_one_get_its_codes_and_another_digit_while_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (items, to) = (dir.path().join("items.parquet"), dir.path().join("grown"));
    table(&items, &borrowed(&forty()));
    let (code, stdout, log) = assign(refreshed(), &items, &to, &["--json"]);
    assert_eq!(code, 0, "{log}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let (old, new) = (semantic_ids(refreshed()), semantic_ids(&to));
    let digits = 1 + old.iter().map(|(_, codes)| codes[2]).max().unwrap();
    assert_eq!(new[..old.len()], old);
    let mut collisions = 0;
    for (at, (id, codes)) in new.iter().enumerate().skip(old.len()) {
        let before: Vec<u32> = new[..at]
            .iter()
            .filter(|(_, other)| other[..2] == codes[..2])
            .map(|(_, other)| other[2])
            .collect();
        let free = (0..digits).find(|digit| !before.contains(digit));
        assert_eq!(free, Some(codes[2]), "{id}: the smallest digit that is free and that the policy knows");
        assert_eq!(report["added"][at - old.len()]["shared_with"], json!(before.len()));
        collisions += usize::from(!before.is_empty());
    }
    assert!(collisions > 20, "{collisions} of 40 items share codes");
    assert_eq!(report["collisions"], json!(collisions));
    // The policy knows 16 x 16 codes with so many digits.
    let room = 256 * digits as usize - old.len();
    let vectors = vectors();
    let many: Vec<(String, Vec<f32>)> =
        (0..=room).map(|item| (format!("many-{item}"), vectors[0].clone())).collect();
    table(&items, &borrowed(&many));
    let (code, _, log) = assign(refreshed(), &items, &dir.path().join("full"), &[]);
    assert_eq!(code, 2);
    assert!(log.contains(&format!("no semantic ID is free for item `many-{room}`")), "{log}");
}

fn migrate(old: &Path, new: &Path, more: &[&str]) -> (i32, String, String) {
    outcome(&[&["export", "migrate", old.to_str().unwrap(), new.to_str().unwrap()], more].concat())
}

#[test]
fn a_refresh_reports_what_moves_and_what_the_policy_makes_of_it() {
    let (code, stdout, log) = migrate(exported(), refreshed(), &["--json"]);
    assert_eq!(code, 0, "{log}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let (old, new) = (semantic_ids(exported()), semantic_ids(refreshed()));
    assert_eq!(report["level_sizes"][0], json!([32, 32, 32]));
    let [catalog, levels, answers] = ["catalog", "levels", "answers"].map(|key| &report[key]);
    assert_eq!(
        (&catalog["kept"], &catalog["moved"]),
        (&json!(0), &json!(200)),
        "IDs have other lengths or codes"
    );
    assert_eq!(levels.as_array().unwrap().len(), 3, "the levels that both have");
    for level in 0..3 {
        let moved = old.iter().zip(&new).filter(|(a, b)| a.1[level] != b.1[level]).count();
        assert_eq!(levels[level]["moved"], json!(moved as f64 / 200.0));
        // By hand: whom each item stands with, before and after.
        let company = |ids: &[(String, Vec<u32>)], item: usize| -> std::collections::BTreeSet<usize> {
            let shares = |other: &usize| ids[*other].1[..=level] == ids[item].1[..=level];
            (0..ids.len()).filter(|other| *other != item).filter(shares).collect()
        };
        let pairs = (0..200).map(|item| (company(&old, item), company(&new, item)));
        let indices: Vec<f64> = pairs
            .filter(|(a, b)| !a.is_empty() || !b.is_empty())
            .map(|(a, b)| a.intersection(&b).count() as f64 / a.union(&b).count() as f64)
            .collect();
        let expected = indices.iter().sum::<f64>() / indices.len() as f64;
        match levels[level]["jaccard"].as_f64() {
            Some(jaccard) => assert!((jaccard - expected).abs() < 1e-9, "{jaccard} and {expected}"),
            None => assert!(indices.is_empty()),
        }
    }
    assert_eq!((&answers["requests"], &answers["gone"]), (&json!(32), &json!(0)));
    assert_eq!(answers["log_probs"]["count"], 320);
    let [least, mean, size, most] =
        ["least", "mean", "mean_absolute", "most"].map(|key| answers["log_probs"][key].as_f64().unwrap());
    assert!(least <= mean && mean <= most && mean.abs() <= size && size > 0.0, "{answers}");

    let (code, stdout, log) = migrate(exported(), refreshed(), &[]);
    assert_eq!(code, 0, "{log}");
    assert!(
        stdout.contains("codes: 32 x 32 x 32 -> 16 x 16 x ") && stdout.contains("same neighbours"),
        "{stdout}"
    );
}

#[test]
fn a_directory_against_itself_moves_nothing_and_a_damaged_one_is_refused() {
    let (code, stdout, log) = migrate(exported(), exported(), &["--json"]);
    assert_eq!(code, 0, "{log}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["catalog"], json!({"kept": 200, "moved": 0, "removed": 0, "added": 0}));
    for level in report["levels"].as_array().unwrap() {
        assert_eq!((&level["moved"], &level["prefix_moved"]), (&json!(0.0), &json!(0.0)));
        assert!(level["jaccard"].is_null() || level["jaccard"] == 1.0, "{level}");
    }
    let answers = &report["answers"];
    assert_eq!((&answers["overlap"], &answers["same_first"]), (&json!(1.0), &json!(1.0)));
    let size = answers["log_probs"]["mean_absolute"].as_f64().unwrap();
    assert!(size < 1e-4, "scored alone as in the beam: {size}");

    let dir = tempfile::tempdir().unwrap();
    let (damaged, before) = (dir.path().join("damaged"), dir.path().join("pretrained"));
    export(t5(), &before, &["--policy", "pretrained"]);
    let (code, stdout, log) = migrate(&before, exported(), &["--json"]);
    assert_eq!(code, 0, "{log}");
    let aligned: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(aligned["catalog"]["kept"], 200, "alignment moves no ID");
    let answers = &aligned["answers"];
    assert!(answers["overlap"].as_f64().unwrap() > 0.5, "a round of a smoke run changes little: {answers}");
    assert!(answers["log_probs"]["mean_absolute"].as_f64().unwrap() > size, "but something: {answers}");

    copy_tree(exported(), &damaged);
    fs::write(damaged.join("serving.json"), "{}").unwrap();
    let (code, _, log) = migrate(exported(), &damaged, &[]);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("does not verify: serving.json"), "{log}");
}

#[test]
fn during_a_roll_out_codes_of_the_directory_before_are_understood() {
    let serving = Serving::start(refreshed(), &["--also-reads", exported().to_str().unwrap()]);
    let mut client = serving.client();
    let (old, new) = (semantic_ids(exported()), semantic_ids(refreshed()));
    let mut ask = |wish: Value| client.post("/v1/recommend", &json!({ "requests": [wish] }));
    // The new directory has 16 codes on its first level.
    let moved: Vec<usize> = (0..old.len()).filter(|item| old[*item].1[0] >= 16).take(3).collect();
    let of = |ids: &[(String, Vec<u32>)], at: usize| json!(ids[moved[at]].1);
    let by_id = ask(json!({"history": [old[moved[0]].0, old[moved[1]].0], "block": [old[moved[2]].0]}));
    assert_eq!(by_id.0, 200);
    for wish in [
        json!({"history": [of(&old, 0), of(&old, 1)], "block": [of(&old, 2)]}),
        json!({"history": [of(&old, 0), old[moved[1]].0], "block": [old[moved[2]].0]}),
        json!({"history": [of(&old, 0), of(&old, 1)], "block": [of(&old, 2)], "codes_of": policy(exported())}),
        json!({"history": [of(&new, 0), of(&new, 1)], "block": [of(&new, 2)], "codes_of": policy(refreshed())}),
    ] {
        assert_eq!(ask(wish.clone()), by_id, "{wish}");
    }
    let unknown = ask(json!({"history": [[31, 31, 31], of(&old, 0)], "codes_of": policy(exported())}));
    assert_eq!(
        unknown.1["results"][0]["skipped"],
        json!([0]),
        "of a known policy, an item that it does not have"
    );
    for (wish, why) in [
        (json!({"history": [[99, 0, 0]]}), "not all of the codes are known to"),
        (json!({"history": [of(&old, 0), of(&new, 0)]}), "not all of the codes are known to"),
        (json!({"history": [of(&old, 0)], "codes_of": "somebody"}), "is of another policy than"),
    ] {
        let (status, body) = ask(wish);
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!((status, &body["error"]["code"]), (409, &json!("codes")), "{body}");
        assert!(message.contains(why) && message.contains("requests[0].codes_of"), "{message}");
        assert!(message.contains(&policy(exported())) && message.contains(&policy(refreshed())), "{message}");
    }
    let candidates = json!([of(&old, 0), old[moved[1]].0]);
    let scores = client.post("/v1/score", &json!({"requests": [{"history": [], "candidates": candidates}]}));
    assert!(scores.1["results"][0]["log_probs"][0].is_number(), "{scores:?}");
    let metrics = client.get("/metrics").2;
    for (codes, count) in [("current", 1), ("old", 5), ("refused", 3)] {
        let line = format!("recalign_code_requests_total{{codes=\"{codes}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    let model: Value = serde_json::from_str(&client.get("/v1/model").2).unwrap();
    assert_eq!(model["also_reads"], json!(policy(exported())));
}

#[test]
fn without_a_roll_out_codes_are_those_of_the_directory_that_serves() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    let (id, codes) = semantic_ids(exported())[7].clone();
    let mut ask = |wish: Value| client.post("/v1/recommend", &json!({ "requests": [wish] }));
    let by_id = ask(json!({"history": [id]}));
    assert_eq!(ask(json!({"history": [codes]})), by_id);
    assert_eq!(ask(json!({"history": [codes], "codes_of": policy(exported())})), by_id);
    let (status, body) = ask(json!({"history": [codes], "codes_of": policy(refreshed())}));
    assert_eq!(status, 409, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains(&policy(exported())), "{body}");
    let (code, _, log) =
        outcome(&["serve", exported().to_str().unwrap(), "--also-reads", t5().to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(log.contains("is not an exported directory"), "{log}");
}
