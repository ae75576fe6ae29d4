//! What we write for other programs, read by them: `TensorBoard`, `mlcroissant` and `MLflow`, where a Python has them.

use crate::support::{outcome, project};
use reports::schema::MetricRow;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The Python that may have them: `RECALIGN_PYTHON`, else `python3`.
fn python(module: &str) -> Option<String> {
    let python = std::env::var("RECALIGN_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        let skipped = format!("skipped: {python} has no {module}; set RECALIGN_PYTHON to one that has\n");
        drop(std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()));
    }
    has.then_some(python)
}

/// A run up to pretraining.
fn run(dir: &Path) {
    let config = project("experiments/configs/quickstart.toml");
    let (config, dir) = (config.to_str().unwrap(), dir.to_str().unwrap());
    let (code, _, log) =
        outcome(&["run", config, "--set", "run.budget=smoke", "--run-dir", dir, "--until", "pretrain"]);
    assert_eq!(code, 0, "{log}");
}

#[test]
fn other_programs_read_the_curves_and_the_data_card() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let events = dir.path().join("tensorboard/pretrain/events.out.tfevents.0.recalign");
    assert!(fs::metadata(events).unwrap().len() > 100);
    assert!(!dir.path().join("tensorboard/ingest").exists(), "a stage that measured nothing has no events");
    if let Some(python) = python("tensorboard") {
        curves_are_read(&python, dir.path());
    }
    if let Some(python) = python("mlcroissant") {
        data_card_is_valid(&python, dir.path());
    }
}

fn curves_are_read(python: &str, run: &Path) {
    let script = project("tests/golden/read_events.py");
    let read = Command::new(python).arg(script).arg(run.join("tensorboard")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: BTreeMap<String, BTreeMap<String, Vec<(u64, f64)>>> =
        serde_json::from_slice(&read.stdout).unwrap();
    let mut expected: BTreeMap<String, BTreeMap<String, Vec<(u64, f64)>>> = BTreeMap::new();
    for line in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines() {
        let MetricRow { stage, step, key, value } = serde_json::from_str(line).unwrap();
        // Event files hold 32 bits.
        expected.entry(stage).or_default().entry(key).or_default().push((step, f64::from(value as f32)));
    }
    assert_eq!(found, expected);
}

fn data_card_is_valid(python: &str, run: &Path) {
    let (code, _, log) = outcome(&["report", run.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");
    let card = run.join("report/cards/croissant.json");
    let read = "import json, sys, mlcroissant\n\
        data = mlcroissant.Dataset(sys.argv[1])\n\
        rows = [next(iter(data.records(name))) for name in ('interactions', 'items', 'users')]\n\
        print(json.dumps([sorted(row) for row in rows]))\n";
    let read = Command::new(python).args(["-c", read]).arg(&card).output().unwrap();
    let errors = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{errors}");
    let columns: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(columns[2], serde_json::json!(["users/raw_id", "users/user"]));
}

/// `MLflow`'s own server with its workers; all end when this is dropped.
#[cfg(unix)]
struct Mlflow {
    server: std::process::Child,
    url: String,
}

#[cfg(unix)]
impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = format!("-{}", self.server.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.server.wait());
    }
}

#[cfg(unix)]
impl Mlflow {
    fn start(python: &str, dir: &Path) -> Self {
        use std::os::unix::process::CommandExt as _;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = format!("sqlite:///{}", dir.join("store.db").display());
        let mut command = Command::new(python);
        command.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--workers", "1", "--backend-store-uri", &store, "--artifacts-destination"]);
        let log = fs::File::create(dir.join("log")).unwrap();
        command.arg(dir.join("artifacts")).current_dir(dir).process_group(0);
        let server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Self { server, url: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return started;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        panic!("the server did not come up: {}", fs::read_to_string(dir.join("log")).unwrap());
    }
}

/// What `MLflow`'s own client reads back of the only run of an experiment.
#[cfg(unix)]
const READ_MLFLOW: &str = "import json, sys, mlflow\n\
    client = mlflow.MlflowClient(sys.argv[1])\n\
    experiment = client.get_experiment_by_name('sweep & co')\n\
    [run] = client.search_runs([experiment.experiment_id])\n\
    history = {key: [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, key)] for key in run.data.metrics}\n\
    files = sorted(file.path for file in client.list_artifacts(run.info.run_id, 'report'))\n\
    print(json.dumps({'status': run.info.status, 'name': run.info.run_name, 'params': run.data.params, 'tags': run.data.tags, \
    'history': history, 'files': files}))\n";

#[cfg(unix)]
#[test]
fn mlflow_has_every_value_that_was_published() {
    let Some(python) = python("mlflow") else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = crate::directories::t5();
    let server = Mlflow::start(&python, dir.path());
    let arguments =
        ["publish", "mlflow", run.to_str().unwrap(), "--url", &server.url, "--experiment", "sweep & co"];
    let (code, stdout, log) = outcome(&arguments);
    assert_eq!(code, 0, "{log}");
    assert!(stdout.starts_with(&server.url), "{stdout}");
    let read = Command::new(python).args(["-c", READ_MLFLOW, &server.url]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(
        (&found["status"], found["params"]["model.architecture"].as_str()),
        (&"FINISHED".into(), Some("t5"))
    );
    assert!(found["tags"]["recalign.fingerprint.pretrain"].as_str().is_some_and(|hash| hash.len() == 64));
    assert_eq!(
        found["files"],
        serde_json::json!(["report/index.html", "report/report.md", "report/run.json"])
    );
    let mut expected: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for line in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines() {
        let MetricRow { stage, step, key, value } = serde_json::from_str(line).unwrap();
        expected.entry(format!("{stage}/{key}").replace('@', "_at_")).or_default().push((step, value));
    }
    for (key, mut values) in expected {
        let mut there: Vec<(u64, f64)> = serde_json::from_value(found["history"][&key].clone()).unwrap();
        let order = |a: &(u64, f64), b: &(u64, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
        values.sort_by(order);
        there.sort_by(order);
        assert_eq!(there, values, "{key}");
    }
    assert!(found["history"]["evaluate/ipa/ndcg_at_10"].is_array(), "what the evaluation measured");
    let (code, _, log) =
        outcome(&["publish", "mlflow", run.to_str().unwrap(), "--url", "http://127.0.0.1:1"]);
    assert!(code == 2 && log.contains("is the server running there?"), "{log}");
}
