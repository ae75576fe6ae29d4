//! The command line as scripts see it: verbs, messages, exit codes.

use crate::support::{MINIMAL, experiment, outcome, recalign};
use std::process::Stdio;

#[test]
fn help_lists_every_verb_and_every_exit_code() {
    let (code, stdout, _) = outcome(&["--help"]);
    assert_eq!(code, 0);
    for word in [
        "run", "sweep", "compare", "watch", "report", "verify", "evaluate", "inspect", "rollout", "arena",
        "export", "serve", "simulate", "label", "bench", "doctor", "130", "143", "NO_COLOR",
    ] {
        assert!(stdout.contains(word), "--help does not mention {word}:\n{stdout}");
    }
    let verbs: Vec<_> = stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert_eq!(
        verbs,
        [
            "run", "sweep", "compare", "watch", "ui", "report", "verify", "evaluate", "inspect", "arena",
            "export", "import", "publish", "serve", "rollout", "simulate", "label", "bench", "doctor",
            "help",
        ],
        "a verb was added or lost"
    );
}

#[test]
fn the_options_of_run_are_these_and_no_others() {
    let (_, stdout, _) = outcome(&["run", "--help"]);
    let options: Vec<_> = stdout
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.trim_end_matches([',', '.', ';']))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let expected = [
        "--allow-drift",
        "--device",
        "--dry-run",
        "--help",
        "--json",
        "--quiet",
        "--resume",
        "--run-dir",
        "--set",
        "--until",
        "--verbose",
    ];
    assert_eq!(options, expected, "settings belong into the experiment file:\n{stdout}");
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion_and_its_line() {
    let (_dir, path) = experiment(&format!("{MINIMAL}[pretrain]\nepoch = 3\n"));
    let (code, stdout, stderr) = outcome(&["run", path.to_str().unwrap(), "--dry-run"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("experiment.toml:7: unknown key `pretrain.epoch`; did you mean `epochs`?"),
        "{stderr}"
    );
}

#[test]
fn several_problems_are_reported_at_once() {
    let (_dir, path) = experiment(&format!("{MINIMAL}[model]\nd_model = 'wide'\ndropout = 1.5\n"));
    let sets = ["--set", "align.rounds=0", "--set", "evaluate.beamwidth=5"];
    let arguments = [&["run", path.to_str().unwrap(), "--dry-run"][..], &sets].concat();
    let (code, _, stderr) = outcome(&arguments);
    assert_eq!(code, 2);
    for expected in [
        "has 4 problem(s)",
        "experiment.toml:7: `model.d_model` is string \"wide\", must be a whole number, not negative",
        "experiment.toml:8: `model.dropout` = 1.5 is out of range, must be at least 0 and below 1",
        "--set: `align.rounds` = 0 is out of range, must be 1 to 1000",
        "--set: unknown key `evaluate.beamwidth`; did you mean `beam_width`?",
    ] {
        assert!(stderr.contains(expected), "missing {expected:?} in\n{stderr}");
    }
}

#[test]
fn what_cannot_run_exits_with_2_and_says_why() {
    let (dir, path) = experiment(MINIMAL);
    let file = path.to_str().unwrap();
    let empty = dir.path().to_str().unwrap();
    for (arguments, expected) in [
        (&["run", "nowhere.toml"][..], "cannot read the configuration nowhere.toml"),
        (&["run", file, "--device", "gpu"], "use cpu, cuda:N"),
        (&["run", file, "--dry-run", "--set", "seed"], "write it as key=value"),
        (&["verify", empty], "has no run.json"),
        (&["report", empty], "has no run.json"),
        (&["inspect", "run", empty], "has no run.json"),
        (&["walk"], "unrecognized subcommand"),
    ] {
        let (code, _, stderr) = outcome(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn text_that_is_not_toml_names_the_line() {
    let (_dir, path) = experiment("version = 1\n[run\nname = 'x'\n");
    let (code, _, stderr) = outcome(&["run", path.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(stderr.contains("experiment.toml:2: not valid TOML"), "{stderr}");
}

#[test]
fn a_dry_run_prints_the_resolved_configuration_and_writes_nothing() {
    let (dir, path) = experiment(MINIMAL);
    let runs = dir.path().join("run");
    let arguments = ["run", path.to_str().unwrap(), "--dry-run", "-q", "--run-dir", runs.to_str().unwrap()];
    let (code, stdout, stderr) = outcome(&arguments);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("[pretrain]") && stdout.contains("seed = 42"), "{stdout}");
    assert!(!runs.exists());
}

#[test]
fn doctor_finds_a_working_processor() {
    let (code, stdout, _) = outcome(&["doctor"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("cpu: ok") && stdout.contains("threads"), "{stdout}");
}

#[test]
fn bench_prints_one_record_with_the_keys_that_the_peers_print() {
    let (code, stdout, stderr) =
        outcome(&["bench", "trie", "--runs", "1", "--warmup", "0", "--threads", "1", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let record: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    for key in ["best", "median", "step_s_min", "step_s_median", "bytes_per_item", "lookups_per_s"] {
        assert!(record[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {stdout}");
    }
    assert!(record["cpu_s_median"].is_number() && record["variant"].is_string(), "{stdout}");
    assert_eq!((&record["workload"], &record["unit"]), (&"W-trie".into(), &"items/s".into()));
    assert_eq!((&record["threads"], &record["runs"]), (&1.into(), &1.into()));
}

#[test]
fn bench_refuses_options_that_it_would_ignore() {
    for (arguments, expected) in [
        (&["bench", "beam", "--dropout", "0.1"][..], "--dropout is an option of train"),
        (&["bench", "train", "--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (&["bench", "trie", "--write", "."], "--write is an option of train, beam, scaling, epoch"),
        (&["bench", "beam", "--write", "nowhere"], "--write needs a directory"),
        (&["bench", "beam", "--batches", "4"], "--batches is an option of epoch"),
        (&["bench", "epoch", "--runs", "4"], "--runs is not an option of epoch"),
        (&["bench", "epoch"], "epoch needs an experiment file"),
        (&["bench", "trie", "--runs", "0"], "invalid value '0' for '--runs"),
    ] {
        let (code, _, stderr) = outcome(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (_dir, path) = experiment(MINIMAL);
    let mut command = recalign(&["run", path.to_str().unwrap(), "--dry-run", "-q"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_with_its_code_and_the_directory_can_be_continued() {
    let (dir, path) = experiment(MINIMAL);
    let run = dir.path().join("run");
    // Far more work than the signals leave time for.
    let world = ["--set", "data.source.users=3000"];
    let place = ["run", path.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let arguments = [&place[..], &world].concat();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let child = recalign(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        // The listener is set up just after the lock was taken.
        while !std::fs::read_to_string(run.join(".lock")).is_ok_and(|owner| owner == child.id().to_string()) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        let kill =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("the same command continues from here"), "{stderr}");
    }
    let (code, stdout, _) = outcome(&["verify", run.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}");
}
