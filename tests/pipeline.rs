//! The whole pipeline on a tiny world, through the program: determinism, resuming, what it leaves behind.

use crate::support::{outcome, project, recalign};
use polars::prelude::{ParquetReader, SerReader as _};
use reports::glossary::slice;
use reports::schema::{Evaluation, FileRecord, Manifest, MetricRow};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const SMOKE: [&str; 2] = ["--set", "run.budget=smoke"];

fn arguments<'a>(config: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", config, "--run-dir", run], SMOKE.as_slice(), more].concat()
}

fn quickstart() -> String {
    project("experiments/configs/quickstart.toml").to_str().unwrap().to_owned()
}

/// Every stage with its outputs' hashes.
fn stages(run: &Path) -> BTreeMap<String, BTreeMap<String, FileRecord>> {
    let manifests = fs::read_dir(run.join("stages")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let manifest: Manifest =
            serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), manifest.outputs)
    });
    manifests.collect()
}

#[test]
fn runs_of_one_seed_agree_to_the_byte_whatever_the_threads_and_a_second_run_skips_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let config = quickstart();
    for (run, threads) in [(&one, "1"), (&two, "2")] {
        let run = run.to_str().unwrap();
        let output =
            recalign(&arguments(&config, run, &[])).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let names: Vec<_> = stages(&one).into_keys().collect();
    let expected = [
        "01-ingest",
        "02-tokenize",
        "03-pretrain",
        "04-reward",
        "05-sample-ipa-1",
        "06-align-ipa-1",
        "07-sample-grpo-1",
        "08-align-grpo-1",
        "09-evaluate",
    ];
    assert_eq!(names, expected);
    for ((name, one), two) in stages(&one).iter().zip(stages(&two).values()) {
        assert_eq!(one, two, "{name} depends on the number of threads");
    }
    assert_eq!(fs::read(one.join("metrics.jsonl")).unwrap(), fs::read(two.join("metrics.jsonl")).unwrap());

    let (code, _, log) = outcome(&arguments(&config, one.to_str().unwrap(), &[]));
    assert_eq!((code, log.matches("already done").count()), (0, expected.len()), "{log}");
    examine(&one);
}

#[test]
fn a_run_that_ends_with_pretraining_is_evaluated_without_judges() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let only = ["--set", "run.stages=pretraining"];
    let config = quickstart();
    let (code, _, log) = outcome(&arguments(&config, run.to_str().unwrap(), &only));
    assert_eq!(code, 0, "{log}");
    let names: Vec<_> = stages(&run).into_keys().collect();
    assert_eq!(names, ["01-ingest", "02-tokenize", "03-pretrain", "04-evaluate"]);
    let evaluation = fs::read(run.join("stages/04-evaluate/evaluation.json")).unwrap();
    let evaluation: Evaluation = serde_json::from_slice(&evaluation).unwrap();
    let names: Vec<_> = evaluation.systems.iter().map(|system| system.name.as_str()).collect();
    assert_eq!(names, ["popularity", "markov", "co-occurrence", "pretrained"]);
    let measured: BTreeSet<_> =
        evaluation.systems.iter().flat_map(|system| system.metrics.keys().map(String::as_str)).collect();
    let (groups, all): (Vec<&str>, Vec<&str>) = measured.into_iter().partition(|key| slice(key).is_some());
    let expected = "coverage@10 diversity@10 gini@10 head_share@10 legal_mass ndcg@10 ndcg@5 popularity@10 recall@10 recall@5";
    assert_eq!(all, expected.split(' ').collect::<Vec<_>>());
    assert!(groups.contains(&"ndcg@10/tail") && groups.contains(&"recall@10/short-history"), "{groups:?}");
    assert_eq!(
        evaluation.slices.values().sum::<u64>(),
        2 * evaluation.users,
        "one group of either kind per user"
    );
    let manifest = fs::read(run.join("stages/03-pretrain/manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let times: Vec<f64> = manifest.marks.iter().map(|mark| mark.seconds).collect();
    assert!(!times.is_empty() && times.is_sorted() && times[0] > 0.0, "{times:?}");
    assert!(times.iter().all(|time| *time <= manifest.seconds));
    assert_eq!(outcome(&["verify", run.to_str().unwrap()]).0, 0);
    let report = fs::read_to_string(run.join("report/report.md")).unwrap();
    assert!(!report.contains("judge/") && !report.contains("## Judges"), "{report}");
    assert!(report.contains("in NDCG@10."), "{report}");
}

/// What a finished run must hold.
fn examine(run: &Path) {
    assert_eq!(outcome(&["verify", run.to_str().unwrap()]).0, 0);
    for file in ["index.html", "report.md", "run.json", "figures/headline.svg", "figures/headline.csv"] {
        assert!(run.join("report").join(file).is_file(), "report/{file} is missing");
    }
    let rows = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let keys: BTreeSet<String> =
        rows.lines().map(|line| serde_json::from_str::<MetricRow>(line).unwrap().key).collect();
    let unknown: Vec<_> = keys.iter().filter(|key| reports::glossary::lookup(key).is_none()).collect();
    assert!(unknown.is_empty(), "not in the glossary: {unknown:?}");
    for key in ["rewards/margins", "rewards/accuracies", "kl", "judge/oracle", "validation/ndcg@10"] {
        assert!(keys.contains(key), "{key} was not measured");
    }
    candidates_are_catalog_items(run);
    let evaluation = fs::read(run.join("stages/09-evaluate/evaluation.json")).unwrap();
    let evaluation: Evaluation = serde_json::from_slice(&evaluation).unwrap();
    let names: Vec<_> = evaluation.systems.iter().map(|system| system.name.as_str()).collect();
    assert_eq!(names, ["popularity", "markov", "co-occurrence", "pretrained", "ipa", "grpo"]);
    let unknown: Vec<_> = evaluation
        .systems
        .iter()
        .flat_map(|system| system.metrics.keys())
        .filter(|key| reports::glossary::lookup(key).is_none())
        .collect();
    assert!(unknown.is_empty(), "not in the glossary: {unknown:?}");
}

fn candidates_are_catalog_items(run: &Path) {
    let table = |path: &str| ParquetReader::new(fs::File::open(run.join(path)).unwrap()).finish().unwrap();
    let ids = table("stages/02-tokenize/semantic_ids.parquet");
    let rollouts = table("stages/05-sample-ipa-1/rollouts.parquet");
    let codes = |frame: &polars::prelude::DataFrame, row: usize, columns: &[String]| -> Vec<String> {
        columns.iter().map(|c| frame.column(c).unwrap().get(row).unwrap().to_string()).collect()
    };
    let levels = ids.get_column_names().iter().filter(|name| name.starts_with("code_")).count();
    let columns: Vec<String> =
        std::iter::once("item".into()).chain((0..levels).map(|l| format!("code_{l}"))).collect();
    let catalog: BTreeSet<_> = (0..ids.height()).map(|row| codes(&ids, row, &columns)).collect();
    assert!(rollouts.height() >= 32 * 8);
    assert!((0..rollouts.height()).all(|row| catalog.contains(&codes(&rollouts, row, &columns))));
}

/// Settings under which pretraining lasts long enough to be interrupted.
const SLOW: [&str; 10] = [
    "--set",
    "run.budget=full",
    "--set",
    "pretrain.ema_decay=0.9",
    "--set",
    "data.max_users=200",
    "--set",
    "pretrain.checkpoint_every=5",
    "--set",
    "pretrain.max_steps=60",
];

fn slow(config: &str, run: &str) -> Vec<String> {
    let arguments = [arguments(config, run, &[]), SLOW.to_vec(), vec!["--until", "pretrain"]].concat();
    arguments.into_iter().map(String::from).collect()
}

fn spawn(arguments: &[String]) -> Child {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    recalign(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until pretraining has a checkpoint; false if it finished first.
fn wait_for_checkpoint(run: &Path, child: &mut Child) -> bool {
    let scratch: PathBuf = run.join("stages/03-pretrain.work/scratch");
    for _ in 0..24_000 {
        let entries = fs::read_dir(&scratch).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().into_string().unwrap());
        if names.any(|name| name.starts_with("checkpoint-") && !name.ends_with(".partial")) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no checkpoint after two minutes");
}

#[test]
fn a_killed_and_an_interrupted_pretraining_continue_to_the_same_weights() {
    let dir = tempfile::tempdir().unwrap();
    let config = quickstart();
    let run = |name: &str| dir.path().join(name);
    let (whole, killed, stopped) = (run("whole"), run("killed"), run("stopped"));
    assert!(spawn(&slow(&config, whole.to_str().unwrap())).wait().unwrap().success());

    let arguments = slow(&config, killed.to_str().unwrap());
    let mut child = spawn(&arguments);
    assert!(wait_for_checkpoint(&killed, &mut child), "pretraining ended before it could be killed");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("stages/03-pretrain").exists());
    assert!(spawn(&arguments).wait().unwrap().success());

    let arguments = slow(&config, stopped.to_str().unwrap());
    let mut child = spawn(&arguments);
    assert!(wait_for_checkpoint(&stopped, &mut child), "pretraining ended before it could be stopped");
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(spawn(&arguments).wait().unwrap().success());

    let expected = &stages(&whole)["03-pretrain"];
    assert_eq!(&stages(&killed)["03-pretrain"], expected);
    assert_eq!(&stages(&stopped)["03-pretrain"], expected);
}

#[test]
fn a_budget_of_time_ends_training_after_a_validation() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = quickstart();
    let more = ["--set", "pretrain.max_cpu_minutes=1e-6", "--until", "pretrain"];
    let (code, _, log) = outcome(&arguments(&config, run.to_str().unwrap(), &more));
    assert_eq!(code, 0, "{log}");
    let rows = fs::read_to_string(run.join("stages/03-pretrain/metrics.jsonl")).unwrap();
    let rows: Vec<MetricRow> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let validations: Vec<u64> =
        rows.iter().filter(|row| row.key == "validation/ndcg@10").map(|row| row.step).collect();
    // The system counts CPU time in hundredths of a second: a few tiny steps fit into one. Without a budget there are 30.
    assert!(validations.len() == 1 && validations[0] < 30, "{validations:?}");
}

#[test]
fn an_unknown_last_stage_is_refused_with_the_names() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = quickstart();
    let (code, _, log) = outcome(&arguments(&config, run.to_str().unwrap(), &["--until", "pretain"]));
    assert_eq!(code, 2);
    assert!(
        log.contains("--until pretain: no such stage; the stages are ingest, tokenize, pretrain"),
        "{log}"
    );
}
