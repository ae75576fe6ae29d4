//! Curves of other trackers, from files that they wrote themselves (`tests/golden/make_trackers.py`).

use crate::support::{outcome, project};
use std::fs;
use std::path::{Path, PathBuf};

struct Imported {
    dir: tempfile::TempDir,
}

impl Imported {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    fn to(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn import(&self, (tool, file): (&str, &str), name: &str, more: &[&str]) -> (i32, String) {
        let file = project("tests/golden/trackers").join(file);
        import_path(tool, &file, &[&["--to", self.to(name).to_str().unwrap()], more].concat())
    }
    fn values(&self, name: &str, key: &str) -> Vec<(u64, Option<f64>)> {
        let text = fs::read_to_string(self.to(name).join("metrics.jsonl")).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.filter(|row| row["key"] == key)
            .map(|row| (row["step"].as_u64().unwrap(), row["value"].as_f64()))
            .collect()
    }
}

fn import_path(tool: &str, file: &Path, more: &[&str]) -> (i32, String) {
    let (code, stdout, log) = outcome(&[&["import", tool, file.to_str().unwrap()], more].concat());
    (code, stdout + &log)
}

#[test]
fn wandbs_offline_file_is_read_whole() {
    let imported = Imported::new();
    let (code, log) = imported.import(("wandb", "offline.wandb"), "run", &["--stage", "align-grpo-1"]);
    assert_eq!(code, 0, "{log}");
    let margins = imported.values("run", "rewards/margins");
    assert_eq!(margins.len(), 120, "the file has several blocks");
    for (at, (step, value)) in margins.into_iter().enumerate() {
        assert_eq!((step, value), (10 * at as u64, Some((at as f64 / 10.0).sin())));
    }
    assert_eq!(
        imported.values("run", "loss").last(),
        Some(&(1200, None)),
        "what is no number is kept as such"
    );
    assert_eq!(imported.values("run", "nested.inner").len(), 120);
    let config = fs::read_to_string(imported.to("run").join("config.toml")).unwrap();
    let settings = reports::config::flatten(&config);
    assert_eq!((settings["run.name"].as_str(), settings["run.seed"].as_str()), ("\"grpo-imported\"", "7"));
    assert!(config.contains("\"model.width\" = \"128\"") && config.contains("offline.wandb"), "{config}");
    assert!(log.contains("120 values are neither numbers"), "{log}");
}

#[test]
fn a_file_that_was_cut_by_a_kill_gives_what_it_has() {
    let imported = Imported::new();
    let bytes = fs::read(project("tests/golden/trackers/offline.wandb")).unwrap();
    let cut = imported.to("cut.wandb");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let to = imported.to("run");
    let (code, log) = import_path("wandb", &cut, &["--to", to.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");
    assert!((20..120).contains(&imported.values("run", "kl").len()));
}

#[test]
fn tables_of_both_tools_are_read() {
    let imported = Imported::new();
    let (code, log) = imported.import(("trackio", "demo.parquet"), "b", &["--run", "b"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(imported.values("b", "loss")[3], (30, Some(0.5)));
    let config = fs::read_to_string(imported.to("b").join("config.toml")).unwrap();
    assert!(config.contains("learning_rate = \"0.1\"") && config.contains("seed = 7"), "{config}");
    let (code, log) = imported.import(("wandb", "history.jsonl"), "lines", &[]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(imported.values("lines", "loss")[1], (10, Some(1.0)));
    let (code, log) =
        imported.import(("wandb", "chart.csv"), "chart", &["--run", "b", "--stage", "pretrain"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(imported.values("chart", "loss").len(), 40);
    assert_eq!(imported.values("chart", "loss")[2], (2, Some(1.0)));
}

#[test]
fn trackios_database_is_read_while_it_is_written() {
    let imported = Imported::new();
    let (code, log) = imported.import(("trackio", "demo.db"), "b", &["--run", "b"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(imported.values("b", "loss")[3], (30, Some(0.5)));
    let config = fs::read_to_string(imported.to("b").join("config.toml")).unwrap();
    assert!(config.contains("\"model.width\" = \"128\"") && config.contains("seed = 7"), "{config}");

    let open = imported.to("open.db");
    fs::copy(project("tests/golden/trackers/demo.db"), &open).unwrap();
    let writer = rusqlite::Connection::open(&open).unwrap();
    let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let more = "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES ('other', '', 'b', 3, '{\"kl\": NaN}')";
    writer.execute(more, []).unwrap();
    let to = imported.to("other").to_str().unwrap().to_owned();
    let (code, log) = import_path("trackio", &open, &["--to", &to, "--run", "b (other)"]);
    assert_eq!(code, 0, "what only the write-ahead log has, of a second run called b: {log}");
    assert_eq!(imported.values("other", "kl"), [(3, None)]);
    let (code, log) = import_path("trackio", &open, &["--to", &to, "--run", "b"]);
    assert!(code == 2 && log.contains("there are a, b ("), "{log}");
}

#[test]
fn a_database_that_is_damaged_or_of_another_tool_is_refused() {
    let imported = Imported::new();
    let bytes = fs::read(project("tests/golden/trackers/demo.db")).unwrap();
    let mut torn = bytes.clone();
    torn[4096..].fill(0x5a);
    let view = imported.to("view.db");
    let database = rusqlite::Connection::open(&view).unwrap();
    database.execute_batch("CREATE VIEW metrics AS SELECT 1 AS id").unwrap();
    drop(database);
    let cases: [(&[u8], &str); 4] = [
        (b"no database at all, only a text that is long enough", "file is not a database"),
        (&torn, "the database is damaged"),
        (&bytes[..bytes.len() / 2], "the database is damaged"),
        (&fs::read(&view).unwrap(), "it has no table `metrics`"),
    ];
    for (bytes, reason) in cases {
        let file = imported.to("bad.db");
        fs::write(&file, bytes).unwrap();
        let to = imported.to("none");
        let (code, log) = import_path("trackio", &file, &["--to", to.to_str().unwrap(), "--run", "b"]);
        assert!(code == 2 && log.contains(reason) && !to.exists(), "{reason}: {log}");
    }
}

#[test]
fn imported_runs_are_compared_and_reported() {
    let imported = Imported::new();
    for run in ["a", "b"] {
        let (code, log) = imported.import(("trackio", "demo.parquet"), run, &["--run", run]);
        assert_eq!(code, 0, "{log}");
    }
    let [a, b, to] = ["a", "b", "page"].map(|name| imported.to(name).to_str().unwrap().to_owned());
    let (code, _, log) = outcome(&["compare", &a, &b, "--to", &to]);
    assert_eq!(code, 0, "{log}");
    let curves = fs::read_to_string(imported.to("page/figures/alignment.csv")).unwrap();
    assert!(curves.contains("kl") && curves.lines().count() > 40, "{curves}");
    let (code, _, log) = outcome(&["report", &a]);
    assert_eq!(code, 0, "{log}");
    let loss = fs::read_to_string(imported.to("a/report/figures/optimisation.csv")).unwrap();
    assert!(loss.contains(",30,0.25"), "{loss}");
}

#[test]
fn what_cannot_be_imported_is_refused_with_a_reason_and_leaves_nothing() {
    let imported = Imported::new();
    let nonsense = imported.to("x.wandb");
    let mut log = b":W&B\xe1\xbe\x00".to_vec();
    log.extend([0, 0, 0, 0, 2, 0, 1, 0xff, 0xff]);
    for (bytes, reason) in
        [(b"nonsense".as_slice(), "does not begin with :W&B"), (&log, "in the middle of a field")]
    {
        fs::write(&nonsense, bytes).unwrap();
        let to = imported.to("none");
        let (code, log) = import_path("wandb", &nonsense, &["--to", to.to_str().unwrap()]);
        assert!(code == 2 && log.contains(reason) && !to.exists(), "{log}");
    }
    let cases = [
        (("trackio", "demo.parquet"), [].as_slice(), "choose one with --run: a, b"),
        (("trackio", "demo.parquet"), &["--run", "c"], "there is no run c"),
        (("trackio", "demo.parquet"), &["--stage", "../x"], "align-ARM-ROUND"),
        (("wandb", "../make_trackers.py"), &[], "reads files that end with"),
        (("wandb", "nowhere.csv"), &[], "cannot read"),
        (("trackio", "demo_configs.parquet"), &["--run", "a"], "no row with a step"),
    ];
    for (what, more, reason) in cases {
        let (code, log) = imported.import(what, "none", more);
        assert!(code == 2 && log.contains(reason) && !imported.to("none").exists(), "{reason}: {log}");
    }
    fs::create_dir(imported.to("full")).unwrap();
    fs::write(imported.to("full/mine"), "").unwrap();
    let (code, log) = imported.import(("wandb", "history.jsonl"), "full", &[]);
    assert!(code == 2 && log.contains("not empty") && imported.to("full/mine").exists(), "{log}");
}
