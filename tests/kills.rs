//! Runs that are killed and stopped wherever it happens, continued, and compared with undisturbed ones byte by byte:
//! weights, tables, metrics, and the report but for its times.

use crate::faults::library::{Faults, Library};
use crate::faults::small::{contents, timeless};
use crate::support::{copy_tree, experiment, outcome, project, recalign, rounds};
use policy::random::Key;
use recalign::config::{Config, load};
use recalign::device::DeviceChoice;
use recalign::pipeline;
use recalign::run::stop::{Interrupted, SIGTERM};
use recalign::run::{Resume, Run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const SMOKE: &str = "run.budget=smoke";

fn quickstart() -> PathBuf {
    project("experiments/configs/quickstart.toml")
}

/// An undisturbed run and the seconds it took.
pub(crate) static WHOLE: LazyLock<(tempfile::TempDir, f64)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let begun = now();
    let (code, _, log) = outcome(&arguments(&dir.path().display().to_string()));
    assert_eq!(code, 0, "{log}");
    (dir, begun.elapsed().as_secs_f64())
});

#[allow(clippy::disallowed_methods, reason = "this test is about time")]
fn now() -> Instant {
    Instant::now()
}

fn arguments(run: &str) -> [&str; 6] {
    static CONFIG: LazyLock<String> = LazyLock::new(|| quickstart().display().to_string());
    ["run", &CONFIG, "--run-dir", run, "--set", SMOKE]
}

/// Everything a run has, without times: the report is rendered from manifests without them.
fn results(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(run, copy.path());
    for stage in fs::read_dir(copy.path().join("stages")).unwrap() {
        let manifest = stage.unwrap().path().join("manifest.json");
        fs::write(&manifest, timeless(&fs::read(&manifest).unwrap())).unwrap();
    }
    let mut results = contents(run);
    results.retain(|name, _| !name.starts_with("report/"));
    let report = reports::render(copy.path()).unwrap().into_iter();
    results.extend(report.map(|(name, bytes)| (format!("report/{name}"), bytes)));
    results
}

/// Says which file differs instead of printing them all.
fn assert_same(run: &Path, what: &str) {
    let (expected, found) = (results(WHOLE.0.path()), results(run));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{what}");
    let differing: Vec<_> = expected.keys().filter(|name| expected[*name] != found[*name]).collect();
    assert_eq!(differing, [""; 0], "{what}");
    assert_eq!(outcome(&["verify", run.to_str().unwrap()]).0, 0, "{what}");
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_run_killed_at_random_times_ends_with_the_bytes_of_an_undisturbed_one() {
    let (kills, longest) = (rounds(20), WHOLE.1 / 2.0);
    let mut killed = 0;
    for round in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().to_str().unwrap();
        loop {
            let mut child = spawn(&mut recalign(&arguments(run)));
            let delay = Key::new(8).named("kill").at(killed as u64).unit() * longest;
            if killed < kills {
                std::thread::sleep(Duration::from_secs_f64(delay));
            } else {
                child.wait().unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "round {round}: {status}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        assert_same(dir.path(), &format!("round {round}, {killed} kills"));
        if killed >= kills {
            return;
        }
    }
}

#[test]
fn a_run_killed_within_its_commits_ends_with_the_bytes_of_an_undisturbed_one() {
    let Some(library) = Library::compiled() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().to_str().unwrap();
    for kill in 0..rounds(20) as u64 {
        let at = 1 + Key::new(8).named("operation").at(kill).bits() % 120;
        let mut command = recalign(&arguments(run));
        let faults = Faults::at(at, ("kill", "5"));
        let status = spawn(library.preload(&mut command, (dir.path(), &faults))).wait().unwrap();
        assert!(status.code().is_none_or(|code| code == 0), "kill {kill} at operation {at}: {status}");
    }
    assert!(spawn(&mut recalign(&arguments(run))).wait().unwrap().success());
    assert_same(dir.path(), "kills within commits");
}

/// Runs until the run directory is complete, stopping each session after as many checks as `checks` says of the stages
/// that are committed and of the session's number; returns how many sessions it took.
fn in_sessions(dir: &Path, config: &Config, checks: impl Fn(u64, u64) -> u64) -> u64 {
    for session in 0..1000 {
        let run = Run::open(dir, config, DeviceChoice::Cpu, Resume::Auto).unwrap();
        let stages = fs::read_dir(dir.join("stages")).unwrap().flatten().map(|entry| entry.path());
        let committed = stages.filter(|stage| stage.extension().is_none()).count() as u64;
        run.stop_flag().request_after(checks(committed, session), SIGTERM);
        match pipeline::run(&run, config, None) {
            Ok(()) => return session + 1,
            Err(error) => assert!(error.is::<Interrupted>(), "session {session}: {error:#}"),
        }
    }
    panic!("not finished after 1000 sessions");
}

#[test]
fn a_run_stopped_again_and_again_in_every_stage_ends_with_the_bytes_of_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = load(&quickstart(), &[SMOKE.into()]).unwrap();
    // A stage checks once before it starts; the examination of the judges and evaluation, which have no checkpoints, check for
    // every statistic and user.
    let sessions = in_sessions(dir.path(), &config, |committed, session| match committed {
        3 => 10 * (1 + session % 8),
        8 => 60 * (1 + session % 8),
        _ => committed + 2 + session % 16,
    });
    assert!(sessions > 10, "only {sessions} sessions");
    assert_same(dir.path(), "stopped again and again");
}

/// Four epochs of ten steps.
const FORTY_STEPS: &str = "\
version = 1
[run]
name = 'forty'
stages = 'pretraining'
[data]
source = { kind = 'world', users = 60, items = 80, seed = 1 }
[tokenize]
codes = 16
[model]
d_model = 16
num_heads = 2
d_kv = 8
d_ff = 32
encoder_layers = 1
decoder_layers = 1
[pretrain]
targets = 'last'
batch_size = 6
epochs = 4
warmup_steps = 5
patience = 9
[evaluate]
resamples = 100
";

#[test]
fn pretraining_continues_from_every_one_of_its_forty_steps() {
    let (dir, file) = experiment(FORTY_STEPS);
    let config = load(&file, &[]).unwrap();
    let (whole, stepwise) = (dir.path().join("whole"), dir.path().join("stepwise"));
    in_sessions(&whole, &config, |_, _| u64::MAX);
    let run = Run::open(&stepwise, &config, DeviceChoice::Cpu, Resume::Auto).unwrap();
    pipeline::run(&run, &config, Some("tokenize")).unwrap();
    drop(run);
    // One check for each stage before pretraining, one for itself, one before its first step: every session does one step
    // or one validation.
    let checks = |committed, _| if committed == 2 { 4 } else { u64::MAX };
    let sessions = in_sessions(&stepwise, &config, checks);
    assert!(sessions > 40, "{sessions} sessions for 40 steps");
    assert_eq!(contents(&stepwise.join("stages")), contents(&whole.join("stages")));
    assert_eq!(
        fs::read(stepwise.join("metrics.jsonl")).unwrap(),
        fs::read(whole.join("metrics.jsonl")).unwrap()
    );
    let metrics = fs::read_to_string(whole.join("stages/03-pretrain/metrics.jsonl")).unwrap();
    assert!(metrics.contains(r#""step":39,"key":"loss""#), "{metrics}");
}

#[test]
fn a_second_signal_stops_at_once_and_what_is_committed_stays() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = arguments(dir.path().to_str().unwrap());
    let mut child = spawn(&mut recalign(&arguments));
    while !dir.path().join("stages/01-ingest/manifest.json").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended at once");
        std::thread::sleep(Duration::from_millis(2));
    }
    for _ in 0..2 {
        let signal =
            Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
        // The first signal may have been enough.
        assert!(signal.unwrap().success() || child.try_wait().unwrap().is_some());
    }
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(dir.path().join("stages/01-ingest/manifest.json").is_file());
    assert!(spawn(&mut recalign(&arguments)).wait().unwrap().success());
    assert_same(dir.path(), "after two signals");
}

#[test]
fn a_clock_that_jumps_by_hours_changes_no_byte() {
    let Some(library) = Library::compiled() else { return };
    for seed in 1..=rounds(1) as u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut command = recalign(&arguments(dir.path().to_str().unwrap()));
        library.preload(&mut command, (dir.path(), &Faults::jumping_clock(seed)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        assert_same(dir.path(), &format!("a jumping clock, seed {seed}"));
    }
}

#[test]
fn of_two_processes_on_one_run_one_is_refused_and_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().to_str().unwrap();
    let mut first = spawn(&mut recalign(&arguments(run)));
    while !dir.path().join("run.json").is_file() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended at once");
        std::thread::sleep(Duration::from_millis(2));
    }
    let (code, _, log) = outcome(&arguments(run));
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("is being written by process"), "{log}");
    assert_eq!(outcome(&["inspect", "run", run]).0, 0);
    assert!(first.wait().unwrap().success());
    assert_same(dir.path(), "after a second process had tried");
}

#[test]
fn a_run_directory_that_vanishes_or_cannot_be_written_ends_the_run_with_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = recalign(&arguments(run.to_str().unwrap())).stderr(Stdio::piped()).spawn().unwrap();
    while !run.join("stages/01-ingest/manifest.json").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended at once");
        std::thread::sleep(Duration::from_millis(2));
    }
    // Something may be written meanwhile.
    while run.exists() {
        drop(fs::remove_dir_all(&run));
    }
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(output.status.code(), Some(2), "{log}");
    fs::write(&run, "a file").unwrap();
    let (code, _, log) = outcome(&arguments(run.to_str().unwrap()));
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("cannot create the directory"), "{log}");
}
