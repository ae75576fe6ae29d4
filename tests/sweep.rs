//! Sweeps through the program: comparison, resuming, failing rows, broken files.

use crate::faults::small::timeless;
use crate::support::{outcome, project, recalign, rounds};
use policy::random::Key;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// A directory with a sweep file in it; QUICKSTART in the text stands for the built-in world's experiment file.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        let quickstart = project("experiments/configs/quickstart.toml");
        fs::write(fixture.file(), text.replace("QUICKSTART", quickstart.to_str().unwrap())).unwrap();
        fixture
    }
    fn file(&self) -> PathBuf {
        self.dir.path().join("sweep.toml")
    }
    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
    fn path(&self, path: &str) -> PathBuf {
        self.out().join(path)
    }
    fn arguments(&self) -> Vec<String> {
        let (file, out) = (self.file(), self.out());
        let arguments = ["sweep", file.to_str().unwrap(), "--dir", out.to_str().unwrap()];
        arguments.map(String::from).to_vec()
    }
    fn run(&self, more: &[&str]) -> (i32, String, String) {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        outcome(&arguments)
    }
    fn results(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("sweep/sweep.json")).unwrap()).unwrap()
    }
    fn states(&self) -> Vec<String> {
        let results = self.results();
        let runs = results["runs"].as_array().unwrap().iter();
        runs.map(|run| format!("{}: {}", run["directory"].as_str().unwrap(), run["state"].as_str().unwrap()))
            .collect()
    }
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

const SMALL: &str = r#"
version = 1
name = "small"
baseline = "plain"
set = ["run.budget=smoke", "run.stages=pretraining"]

[[rows]]
name = "plain"
config = "QUICKSTART"
seeds = [1, 2]
published = [
    { label = "TIGER", metric = "recall@10", value = 0.0648, source = "arXiv 2305.05065" },
    { label = "TIGER", metric = "ndcg@10", value = 0.0384, source = "arXiv 2305.05065" },
]

[[rows]]
name = "slower"
config = "QUICKSTART"
set = ["pretrain.learning_rate=1e-4"]
seeds = [1]

[[published]]
name = "GRID"
metrics = { "recall@10" = 0.0639 }
source = "arXiv 2507.22224"
"#;

#[test]
fn rows_are_run_compared_and_never_run_twice() {
    let fixture = Fixture::new(SMALL);
    let (code, stdout, log) = fixture.run(&[]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(stdout.trim(), format!("comparison: {}", fixture.path("sweep/index.html").display()));
    for file in
        ["index.html", "report.md", "figures/ranking.svg", "figures/ranking.csv", "figures/training.csv"]
    {
        assert!(fixture.path("sweep").join(file).is_file(), "{file}");
    }
    assert_eq!(
        fixture.states(),
        ["plain-seed1: finished", "plain-seed2: finished", "slower-seed1: finished"]
    );
    compared(&fixture.results());
    // The same data and tokenizer under the same seed are computed once, and verify in both places.
    assert_eq!(log.matches("taken over from").count(), 2, "{log}");
    for run in ["plain-seed1", "plain-seed2", "slower-seed1"] {
        let (code, stdout, _) = outcome(&["verify", fixture.path(run).to_str().unwrap()]);
        assert_eq!(code, 0, "{stdout}");
    }
    let (code, stdout, log) = fixture.run(&["--json"]);
    assert_eq!((code, log.matches("started").count()), (0, 0), "{log}");
    assert_eq!(log.matches("already done").count(), 3 * 4, "{log}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["runs"][2]["state"], "finished");
    let (code, _, log) = fixture.run(&["--resume", "never"]);
    assert_eq!(code, 2);
    assert!(log.contains("plain-seed1 already holds 4 finished stage(s)"), "{log}");
    chosen_rows_are_compared_alone(&fixture);
    an_older_programs_results_stay(&fixture);
}

fn chosen_rows_are_compared_alone(fixture: &Fixture) {
    let (code, _, log) = fixture.run(&["--rows", "slower"]);
    assert_eq!((code, log.matches("already done").count()), (0, 4), "{log}");
    assert_eq!(fixture.states(), ["slower-seed1: finished"]);
    let results = fixture.results();
    assert!(results["baseline"].is_null(), "{}", results["baseline"]);
    assert_eq!(results["published"].as_array().unwrap().len(), 1);
    let (code, _, log) = fixture.run(&["--rows", "slower,faster"]);
    assert!(
        code == 2 && log.contains("--rows faster: the sweep has no such row, its rows are plain, slower"),
        "{log}"
    );
    assert_eq!(fixture.run(&[]).0, 0);
}

fn an_older_programs_results_stay(fixture: &Fixture) {
    let of = fixture.path("plain-seed2/stages/04-evaluate/fingerprint.json");
    let mut fingerprint: Value = serde_json::from_slice(&fs::read(&of).unwrap()).unwrap();
    fingerprint["code"] = "0.1.0+1".into();
    fs::remove_file(&of).unwrap();
    fs::write(&of, fingerprint.to_string()).unwrap();
    let page = fs::read(fixture.path("sweep/index.html")).unwrap();
    let (code, _, log) = fixture.run(&[]);
    assert!(code == 2 && log.contains("plain-seed2/stages/04-evaluate (0.1.0+1)"), "{log}");
    assert!(log.contains("of an older program: 1,") && log.contains("--allow-drift"), "{log}");
    assert_eq!(fs::read(fixture.path("sweep/index.html")).unwrap(), page);
    let (_, plan, _) = fixture.run(&["--dry-run"]);
    assert!(plan.contains("of an older program: 1;"), "{plan}");
}

fn compared(results: &Value) {
    let lines = results["lines"].as_array().unwrap();
    let labels: Vec<_> = lines.iter().map(|line| line["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["plain", "slower", "popularity", "markov", "co-occurrence"]);
    let metric = |line: usize, key: &str| lines[line]["metrics"][key].clone();
    let by_seed: Vec<f64> = serde_json::from_value(metric(0, "ndcg@10")["by_seed"].clone()).unwrap();
    let pooled = metric(0, "ndcg@10")["estimate"]["value"].as_f64().unwrap();
    let (least, most) = (by_seed[0].min(by_seed[1]), by_seed[0].max(by_seed[1]));
    assert!(by_seed.len() == 2 && least <= pooled && pooled <= most, "{by_seed:?} {pooled}");
    assert!(lines[0]["differences"].as_object().unwrap().is_empty());
    let difference = &lines[1]["differences"]["ndcg@10"];
    assert!(difference["low"].as_f64() <= difference["value"].as_f64(), "{difference}");
    let run = &results["runs"][0];
    assert!(run["parameters"].as_u64().unwrap() > 1000 && run["tokenizer"]["gini"].is_number(), "{run}");
    let validation = &run["validation"][0];
    assert!(
        validation["cpu_seconds"].as_f64().unwrap() > 0.0 && validation["ndcg"].is_number(),
        "{validation}"
    );
    let published = results["published"].as_array().unwrap();
    assert_eq!(
        (published.len(), &published[0]["row"], &published[1]["row"]),
        (2, &"plain".into(), &Value::Null)
    );
    assert_eq!(published[0]["metrics"]["ndcg@10"], 0.0384);
}

#[test]
fn a_failing_row_is_recorded_and_the_others_go_on() {
    let fixture = Fixture::new(
        r#"
version = 1
name = "failing"
until = "tokenize"
set = ["run.budget=smoke"]
[[rows]]
name = "broken"
config = "QUICKSTART"
set = ["data.source={kind='csv', file='nowhere.csv', columns={user='u', item='i'}}", "data.path=."]
[[rows]]
name = "sound"
config = "QUICKSTART"
"#,
    );
    let (code, stdout, log) = fixture.run(&[]);
    assert_eq!(code, 1, "{log}");
    assert!(stdout.starts_with("comparison: "), "{stdout}");
    assert!(
        log.contains("1 of 2 runs failed, the first is broken-seed42: stage ingest cannot start"),
        "{log}"
    );
    assert_eq!(fixture.states(), ["broken-seed42: failed", "sound-seed42: finished"]);
    let report = fs::read_to_string(fixture.path("sweep/report.md")).unwrap();
    assert!(report.contains("nowhere.csv") && report.contains("1 of 2 runs are finished."), "{report}");
    assert!(fixture.path("sound-seed42/stages/02-tokenize").is_dir());
    assert!(!fixture.path("sound-seed42/stages/03-pretrain").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_continues_where_it_was() {
    let fixture = Fixture::new(
        r#"
version = 1
name = "interrupted"
until = "pretrain"
[[rows]]
name = "quick"
config = "QUICKSTART"
set = ["run.budget=smoke"]
[[rows]]
name = "slow"
config = "QUICKSTART"
set = ["data.max_users=200", "pretrain.checkpoint_every=5", "pretrain.max_steps=60"]
"#,
    );
    let arguments = fixture.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = recalign(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let scratch = fixture.path("slow-seed42/stages/03-pretrain.work/scratch");
    let checkpointed = || fs::read_dir(&scratch).is_ok_and(|mut entries| entries.next().is_some());
    while !checkpointed() {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended before it could be stopped");
        std::thread::sleep(Duration::from_millis(5));
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fixture.states(), ["quick-seed42: finished", "slow-seed42: unfinished"]);
    let manifest = fixture.path("quick-seed42/stages/03-pretrain/manifest.json");
    let before = modified(&manifest);
    let (code, _, log) = fixture.run(&[]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("continues an interrupted attempt"), "{log}");
    assert_eq!(modified(&manifest), before, "a finished run was run again");
    assert_eq!(fixture.states(), ["quick-seed42: finished", "slow-seed42: finished"]);
}

#[test]
fn a_dry_run_lists_the_runs_of_the_grid_and_writes_nothing() {
    let fixture = Fixture::new(
        r#"
version = 1
name = "grid"
until = "evaluate"
[grid]
model.d_model = [64, 128]
"tokenize.quantizer" = ["residual-kmeans", "balanced-residual-kmeans"]
[[rows]]
name = "t5"
config = "QUICKSTART"
seeds = [1, 2]
"#,
    );
    let (code, stdout, log) = fixture.run(&["--dry-run", "--set", "run.stages=pretraining"]);
    assert_eq!(code, 0, "{log}");
    let rows: Vec<Vec<&str>> = stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 9, "{stdout}");
    assert_eq!(rows[0][..5], ["t5-d_model64-residual-kmeans", "1", "4", "evaluate", "unknown"]);
    // Data and tokenizer of a seed are shared by what differs in the model alone.
    assert!(stdout.ends_with("total: unknown, from the manifests of finished stages; 10 stages are done or shared, 22 unknown\n"), "{stdout}");
    assert!(rows[7][5].ends_with("t5-d_model128-balanced-residual-kmeans-seed2"), "{stdout}");
    assert!(!fixture.out().exists());
}

/// Hashes of everything that the stages of a run wrote.
fn outputs(run: &Path) -> Vec<(String, Value)> {
    let entries = fs::read_dir(run.join("stages")).unwrap();
    let stage = |path: PathBuf| -> (String, Value) {
        let manifest: Value = serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), manifest["outputs"].clone())
    };
    let mut found: Vec<_> = entries.map(|entry| stage(entry.unwrap().path())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn runs_at_a_time_write_the_same_bytes_and_compute_shared_stages_once() {
    let (alone, together) = (Fixture::new(SMALL), Fixture::new(SMALL));
    assert_eq!(alone.run(&[]).0, 0);
    let (code, _, log) = together.run(&["--jobs", "2"]);
    assert_eq!(code, 0, "{log}");
    let runs = ["plain-seed1", "plain-seed2", "slower-seed1"];
    for run in runs {
        assert_eq!(outputs(&alone.path(run)), outputs(&together.path(run)), "{run}");
    }
    let logs = runs.map(|run| fs::read_to_string(together.path(&format!(".logs/{run}.log"))).unwrap());
    assert_eq!(logs.concat().matches("taken over from").count(), 2, "{logs:?}");
    // The page lists costs, which differ; the numbers do not.
    assert_eq!(alone.results()["lines"], together.results()["lines"]);
    seen_side_by_side(&alone);
}

const OBJECTIVES: &str = r#"
version = 1
name = "objectives"
baseline = "grpo"
set = ["run.budget=smoke", "align.rounds=1"]
[[rows]]
name = "grpo"
config = "QUICKSTART"
seeds = [1, 2]
set = ['align.arms=[{ name = "aligned", objective = { kind = "grpo" } }]']
[[rows]]
name = "dpo"
config = "QUICKSTART"
seeds = [1, 2]
set = ['align.arms=[{ name = "aligned", objective = { kind = "dpo" } }]']
"#;

/// The page of a sweep and the reports of its runs, rendered once more from manifests without times.
fn timeless_pages(fixture: &Fixture) -> Vec<String> {
    let runs = ["grpo-seed1", "grpo-seed2", "dpo-seed1", "dpo-seed2"];
    for run in runs {
        for stage in fs::read_dir(fixture.path(run).join("stages")).unwrap() {
            let manifest = stage.unwrap().path().join("manifest.json");
            fs::write(&manifest, timeless(&fs::read(&manifest).unwrap())).unwrap();
        }
        fs::remove_dir_all(fixture.path(run).join("report")).unwrap();
    }
    assert_eq!(fixture.run(&[]).0, 0);
    let page = |path: &str| fs::read_to_string(fixture.path(path)).unwrap();
    let own = runs.map(|run| page(&format!("{run}/report/index.html")));
    [page("sweep/index.html"), page("sweep/report.md"), page("sweep/sweep.json")]
        .into_iter()
        .chain(own)
        .collect()
}

#[test]
fn a_sweep_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one() {
    let (whole, killed) = (Fixture::new(OBJECTIVES), Fixture::new(OBJECTIVES));
    assert_eq!(whole.run(&[]).0, 0);
    let lines = whole.results()["lines"].clone();
    let trained = lines.as_array().unwrap().iter().filter(|line| line["role"] != "baseline");
    let labels: Vec<&str> = trained.map(|line| line["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["pretrained", "grpo", "dpo"], "the rows share their policies");
    let arguments = killed.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for kill in 0..rounds(5) as u64 {
        let mut child = recalign(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(3.0 * Key::new(7).at(kill).unit()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (code, _, log) = killed.run(&[]);
    assert_eq!(code, 0, "{log}");
    for run in ["grpo-seed1", "grpo-seed2", "dpo-seed1", "dpo-seed2"] {
        assert_eq!(outputs(&whole.path(run)), outputs(&killed.path(run)), "{run}");
    }
    for (whole, killed) in timeless_pages(&whole).into_iter().zip(timeless_pages(&killed)) {
        let differing = whole.lines().zip(killed.lines()).find(|(whole, killed)| whole != killed);
        assert_eq!(differing, None);
        assert_eq!(whole.len(), killed.len());
    }
}

/// The finished runs once more, by the commands that look at runs.
fn seen_side_by_side(fixture: &Fixture) {
    let (page, out) = (fixture.path("page"), fixture.out());
    let path = |name: &str| fixture.path(name).to_str().unwrap().to_owned();
    let (code, stdout, log) =
        outcome(&["compare", out.to_str().unwrap(), "--to", page.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{log}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["rows"], serde_json::json!(["plain", "slower"]));
    let report = fs::read_to_string(page.join("report.md")).unwrap();
    assert!(report.contains("| `pretrain.learning_rate` | `0.004` | `0.0001` |"), "{report}");
    let difference = &fixture.results()["lines"][1]["differences"]["ndcg@10"];
    let compared: Value = serde_json::from_slice(&fs::read(page.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(&compared["lines"][1]["differences"]["ndcg@10"], difference);
    let (out, to) = (out.to_str().unwrap(), page.to_str().unwrap());
    let (code, _, log) = outcome(&["compare", out, "--baseline", "slower", "--to", to]);
    assert_eq!(code, 0, "{log}");
    let turned: Value = serde_json::from_slice(&fs::read(page.join("sweep.json")).unwrap()).unwrap();
    let value = |difference: &Value| difference["value"].as_f64().unwrap();
    let back = value(&turned["lines"][0]["differences"]["ndcg@10"]);
    assert!((back + value(difference)).abs() < 1e-12, "{back}: {difference}");
    let (code, _, log) = outcome(&["compare", out, "--baseline", "faster", "--to", to]);
    assert!(code == 2 && log.contains("no row faster; there are plain, slower"), "{log}");
    let (code, _, log) = outcome(&["compare", &path("plain-seed1"), &path("plain-seed1"), "--to", to]);
    assert!(code == 2 && log.contains("nothing to compare it with"), "{log}");
    let (code, _, log) = outcome(&["compare", out, "--to", out]);
    assert!(code == 2 && log.contains("choose another --to"), "{log}");
    let (code, stdout, _) = outcome(&["watch", &path("plain-seed1"), "--once"]);
    assert!(code == 0 && stdout.contains("evaluate") && stdout.contains("pretrain  loss"), "{stdout}");
    let (code, _, log) = outcome(&["watch", out, "--once"]);
    assert!(code == 2 && log.contains("is not a run directory"), "{log}");
}

#[test]
fn a_search_drops_rows_and_a_budget_of_runs_is_continued() {
    let fixture = Fixture::new(
        r#"
version = 1
name = "search"
until = "pretrain"
set = ["run.budget=smoke", "run.stages=pretraining"]
[random]
draws = 4
seed = 1
[random.keys]
"pretrain.learning_rate" = { low = 1e-4, high = 1e-2, scale = "log" }
[halving]
key = "pretrain.weight_decay"
rungs = [0.0, 0.05]
keep = 0.25
[[rows]]
name = "t5"
config = "QUICKSTART"
seeds = [1]
"#,
    );
    let (code, _, log) = fixture.run(&["--max-runs", "2"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(fixture.states().iter().filter(|state| state.ends_with("unfinished")).count(), 4, "{log}");
    assert_eq!(fs::read_dir(fixture.path("rung1")).unwrap().count(), 2);
    let (code, _, log) = fixture.run(&[]);
    assert_eq!(code, 0, "{log}");
    let states = fixture.states();
    let count = |end: &str| states.iter().filter(|state| state.ends_with(end)).count();
    assert_eq!((count(": finished"), count(": dropped")), (1, 3), "{states:?}");
    assert_eq!(fs::read_dir(fixture.path("rung1")).unwrap().count(), 4);
    let report = fs::read_to_string(fixture.path("sweep/report.md")).unwrap();
    assert!(report.contains("place 2 of 4, 1 kept") && report.contains("place 4 of 4, 1 kept"), "{report}");
    let (_, stdout, _) = fixture.run(&["--dry-run"]);
    assert!(
        stdout.contains("before: 4 runs with pretrain.weight_decay=0.0, ranked by validation/ndcg@10"),
        "{stdout}"
    );
    assert!(stdout.contains("0 unknown"), "{stdout}");
}

/// The error of a broken sweep file, without its first line.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let fixture = Fixture::new(text);
    let (code, stdout, log) = fixture.run(&["--dry-run"]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{log}");
    let start = fixture.dir.path().to_str().unwrap().to_owned() + "/";
    log.replace(&start, "").lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn everything_wrong_with_a_sweep_file_is_reported_at_once() {
    let found = problems(
        r#"version = 1
name = "broken sweep"
basline = "a"
[[rows]]
name = "a"
config = "nowhere.toml"
[[rows]]
name = "a"
config = "QUICKSTART"
seeds = [1, 1]
published = [{ label = "x", metric = "recal@10", value = 0.1, source = "y" }]
[grid]
model.d_model = []
"#,
    );
    let expected = [
        "sweep.toml:2: `name` = broken sweep is out of range, must be 1 to 100 letters, digits, `-` or `_`, not starting with `-`",
        "sweep.toml:3: unknown key `basline`; did you mean `baseline`?",
        "sweep.toml:6: row `a`: cannot read the configuration nowhere.toml: No such file or directory (os error 2)",
        "sweep.toml:8: `rows.1.name`: there are two rows `a`; names become directories, give each row its own",
        "sweep.toml:10: `rows.1.seeds` = [1, 1] is out of range, must be a list of different numbers",
        "sweep.toml:11: `rows.1.published.0`: `recal@10` is no metric; for example recall@10 or ndcg@10",
        "sweep.toml:13: `grid.model.d_model` = [] is out of range, must be a list of at least one value",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_row_that_is_no_experiment_says_what_is_wrong_with_it() {
    let head = "version = 1\nname = 'x'\n";
    let row = "[[rows]]\nname = 'a'\nconfig = 'QUICKSTART'\n";
    let first = |text: &str| problems(text)[0].clone();
    let line = first(&format!("{head}{row}set = ['model.d_modle=3']\n"));
    assert!(
        line.starts_with("sweep.toml:5: row `a`: ") && line.ends_with("quickstart.toml has 1 problem(s):"),
        "{line}"
    );
    let nested = problems(&format!("{head}{row}set = ['model.d_modle=3']\n"));
    assert_eq!(nested[1], "--set: unknown key `model.d_modle`; did you mean `d_model`?");
    assert_eq!(
        first(&format!("{head}baseline = 'b'\n{row}")),
        "sweep.toml:3: `baseline` = \"b\" is no row; the rows are a"
    );
    let line = first(&format!("{head}until = 'pretain'\n{row}"));
    assert!(
        line.starts_with("sweep.toml:3: `until` = \"pretain\" is no stage of row `a`; its stages are ingest"),
        "{line}"
    );
    let empty = "sweep.toml:3: `grid` is empty: give it keys with lists of values, for example model.d_model = [64, 128], or remove it";
    assert_eq!(first(&format!("{head}[grid]\n{row}")), empty);
    assert_eq!(
        first(&format!("{head}rows = []\n")),
        "sweep.toml:3: `rows` is empty, must have at least one row"
    );
}

#[test]
fn every_committed_sweep_is_good() {
    for entry in fs::read_dir(project("experiments/sweeps")).unwrap() {
        let path = entry.unwrap().path();
        let (code, _, log) = outcome(&["sweep", path.to_str().unwrap(), "--dry-run"]);
        assert_eq!(code, 0, "{}: {log}", path.display());
    }
}
