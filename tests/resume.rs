//! What happens around a stage: committing, skipping, running again, tampering, interruption, concurrent writers.

use crate::support::{MINIMAL, experiment, outcome};
use recalign::config::{Config, load};
use recalign::device::DeviceChoice;
use recalign::run::commit::rename;
use recalign::run::stop::{Interrupted, SIGINT};
use recalign::run::verify::verify;
use recalign::run::{Drift, Input, Resume, Run, StageOutput};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

struct Fixture {
    dir: tempfile::TempDir,
    config: Config,
}

impl Fixture {
    fn new() -> Self {
        let (dir, path) = experiment(MINIMAL);
        let config = load(&path, &[]).unwrap();
        Self { dir, config }
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("run")
    }
    fn open(&self) -> Run {
        self.strict().with_drift(Drift::Allowed)
    }
    /// As without `--allow-drift`.
    fn strict(&self) -> Run {
        Run::open(&self.path(), &self.config, DeviceChoice::Cpu, Resume::Auto).unwrap()
    }
    fn stage(&self, path: &str) -> PathBuf {
        self.path().join("stages").join(path)
    }
    /// Stages `first` and `second` (which reads `first`); returns which of them did their work.
    fn pipeline(&self, sections: [u32; 2]) -> Vec<String> {
        Self::stages(&self.open(), sections)
    }
    fn stages(run: &Run, sections: [u32; 2]) -> Vec<String> {
        let first = write_stage(run, "first", (sections[0], &[]));
        let second = write_stage(run, "second", (sections[1], &[Input::from(&first)]));
        [first, second].into_iter().filter(|stage| !stage.reused).map(|stage| stage.name).collect()
    }
}

/// A stage whose output is its section, with one metric.
fn write_stage(run: &Run, name: &str, (section, inputs): (u32, &[Input])) -> StageOutput {
    let work = |context: &recalign::run::context::StageContext| {
        fs::write(context.path("value.txt"), section.to_string())?;
        fs::create_dir(context.path("inner"))?;
        fs::write(context.path("inner/more.txt"), name)?;
        context.metric(1, "loss", f64::from(section))
    };
    run.stage(name, &section, inputs, work).unwrap()
}

fn problems(run: &Path) -> Vec<String> {
    let verdicts = verify(run).unwrap();
    verdicts.into_iter().flat_map(|verdict| verdict.problems).collect()
}

#[test]
fn a_second_run_skips_what_is_done() {
    let fixture = Fixture::new();
    assert_eq!(fixture.pipeline([1, 2]), ["first", "second"]);
    let before = fs::metadata(fixture.stage("01-first/value.txt")).unwrap().modified().unwrap();
    assert_eq!(fixture.pipeline([1, 2]), [""; 0]);
    assert_eq!(fs::metadata(fixture.stage("01-first/value.txt")).unwrap().modified().unwrap(), before);
    assert_eq!(problems(&fixture.path()), [""; 0]);
}

#[test]
fn a_changed_section_runs_its_stage_and_those_that_read_it_again() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    assert_eq!(fixture.pipeline([1, 3]), ["second"]);
    assert_eq!(fixture.pipeline([5, 3]), ["first", "second"]);
    assert_eq!(fs::read_to_string(fixture.stage("01-first/value.txt")).unwrap(), "5");
    assert_eq!(problems(&fixture.path()), [""; 0]);
}

#[test]
fn a_changed_seed_or_budget_runs_everything_again() {
    let mut fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    fixture.config.run.seed += 1;
    assert_eq!(fixture.pipeline([1, 2]), ["first", "second"]);
    fixture.config.run.budget = recalign::config::Budget::Smoke;
    assert_eq!(fixture.pipeline([1, 2]), ["first", "second"]);
}

#[test]
fn a_changed_external_file_runs_its_reader_again_and_fails_verification() {
    let fixture = Fixture::new();
    let data = fixture.dir.path().join("data.csv");
    let reused = |content: &str| {
        fs::write(&data, content).unwrap();
        write_stage(&fixture.open(), "ingest", (1, &[Input::File(data.clone())])).reused
    };
    assert!(!reused("a"));
    assert!(reused("a"));
    assert!(!reused("b"));
    assert_eq!(problems(&fixture.path()), [""; 0]);
    fs::write(&data, "c").unwrap();
    assert!(problems(&fixture.path())[0].contains("data.csv has changed since it was read"));
    fs::remove_file(&data).unwrap();
    assert_eq!(problems(&fixture.path()), [""; 0], "data may be elsewhere");
}

#[test]
fn tampering_is_detected_by_verify_and_repaired_by_resume() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    for tamper in [
        &(|dir: &Path| fs::write(dir.join("value.txt"), "7")) as &dyn Fn(&Path) -> std::io::Result<()>,
        &|dir| fs::write(dir.join("value.txt"), "longer"),
        &|dir| fs::remove_file(dir.join("inner/more.txt")),
        &|dir| fs::write(dir.join("extra"), ""),
        &|dir| fs::write(dir.join("metrics.jsonl"), ""),
    ] {
        tamper(&fixture.stage("01-first")).unwrap();
        assert!(!problems(&fixture.path()).is_empty());
        let run = fixture.path();
        let (code, stdout, stderr) = outcome(&["verify", run.to_str().unwrap()]);
        assert_eq!(code, 1);
        assert!(stdout.contains("MISMATCH stages/01-first"), "{stdout}");
        assert!(stderr.contains("does not verify"), "{stderr}");
        assert_eq!(
            fixture.pipeline([1, 2]),
            ["first"],
            "its output is the same again, so its reader need not run"
        );
        let (code, stdout, _) = outcome(&["verify", run.to_str().unwrap()]);
        assert_eq!(code, 0, "{stdout}");
    }
}

#[test]
fn a_stage_made_from_other_inputs_than_are_there_breaks_the_lineage() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    write_stage(&fixture.open(), "first", (9, &[]));
    let found = problems(&fixture.path());
    assert_eq!(found, ["was made from another first/value.txt than stages/01-first holds"]);
}

#[test]
fn a_leftover_partial_directory_is_never_taken_for_a_stage() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    rename(&fixture.stage("02-second"), &fixture.stage("02-second.partial")).unwrap();
    assert_eq!(fixture.pipeline([1, 2]), ["second"]);
    assert!(!fixture.stage("02-second.partial").exists());
}

#[test]
fn a_kill_between_the_renames_of_a_replacement_leaves_the_old_stage() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    rename(&fixture.stage("02-second"), &fixture.stage("02-second.replaced")).unwrap();
    assert_eq!(fixture.pipeline([1, 2]), [""; 0]);
    assert_eq!(problems(&fixture.path()), [""; 0]);
}

#[test]
fn a_stage_whose_manifest_is_damaged_runs_again() {
    let fixture = Fixture::new();
    for damage in ["", "{}", "not JSON"] {
        fixture.pipeline([1, 2]);
        fs::write(fixture.stage("02-second/manifest.json"), damage).unwrap();
        assert!(problems(&fixture.path())[0].contains("is no stage manifest"));
        assert_eq!(fixture.pipeline([1, 2]), ["second"]);
        assert_eq!(problems(&fixture.path()), [""; 0]);
    }
}

#[test]
fn a_changed_number_in_a_manifest_breaks_its_seal() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    let path = fixture.stage("02-second/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replacen("\"seconds\": ", "\"seconds\": 1", 1);
    assert_ne!(text, changed);
    fs::write(&path, changed).unwrap();
    let found = problems(&fixture.path());
    assert!(found[0].contains("its seal does not fit"), "{found:?}");
}

/// The files that say what a run directory is a run of.
fn description(fixture: &Fixture) -> [String; 2] {
    ["config.toml", "run.json"].map(|file| fs::read_to_string(fixture.path().join(file)).unwrap())
}

#[test]
fn a_changed_section_is_refused_unless_drift_is_allowed_and_nothing_is_touched() {
    let mut fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    let before = description(&fixture);
    fixture.config.pretrain.epochs += 1;
    let run = fixture.strict();
    let error = run.stage("first", &7, &[], |_| panic!("the stage must not run")).unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("a finished stage first of another configuration"), "{message}");
    assert!(message.contains("1 -> 7") && message.contains("--allow-drift"), "{message}");
    drop(run);
    assert_eq!(description(&fixture), before);
    assert_eq!(fs::read_to_string(fixture.stage("01-first/value.txt")).unwrap(), "1");
    assert_eq!(problems(&fixture.path()), [""; 0]);
}

#[test]
fn allowed_drift_is_recorded_and_shown() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    fixture.pipeline([7, 2]);
    let notes: Vec<String> =
        verify(&fixture.path()).unwrap().into_iter().flat_map(|verdict| verdict.notes).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("replaced one that differed: : 1 -> 7"), "{notes:?}");
    assert!(notes[1].contains("input first/value.txt changed"), "{notes:?}");
}

#[test]
fn an_unfinished_stage_of_another_configuration_is_kept_unless_drift_is_allowed() {
    let fixture = Fixture::new();
    let attempt = |run: &Run, section: u32| {
        let work = |context: &recalign::run::StageContext| {
            if section > 0 {
                context.save((1, &()), |dir| Ok(fs::write(dir.join("hours"), "")?))?;
            }
            anyhow::bail!("interrupted")
        };
        format!("{:#}", run.stage("long", &section, &[], work).unwrap_err())
    };
    attempt(&fixture.strict(), 1);
    let refusal = attempt(&fixture.strict(), 2);
    assert!(refusal.contains("an unfinished stage long of another configuration"), "{refusal}");
    assert!(fixture.stage("01-long.work/scratch/checkpoint-000001/hours").is_file());
    assert_eq!(attempt(&fixture.open(), 2), "stage long failed: interrupted");
    // An attempt that failed before its first checkpoint has nothing to lose.
    assert_eq!(attempt(&fixture.open(), 0), "stage long failed: interrupted");
    assert_eq!(attempt(&fixture.strict(), 3), "stage long failed: interrupted");
}

#[test]
fn a_kill_between_a_commit_and_the_metrics_of_the_run_is_made_good() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    fs::write(fixture.path().join("metrics.jsonl"), "").unwrap();
    fixture.pipeline([1, 2]);
    assert_eq!(problems(&fixture.path()), [""; 0]);
}

#[test]
fn a_stage_that_ends_as_it_is_asked_to_stop_is_kept() {
    let fixture = Fixture::new();
    let run = fixture.open();
    let work = |_: &recalign::run::StageContext| {
        run.stop_flag().request(SIGINT);
        Ok(())
    };
    run.stage("last", &0, &[], work).unwrap();
    assert!(fixture.stage("01-last/manifest.json").is_file());
    assert!(run.stage("next", &0, &[], |_| Ok(())).is_err());
}

#[test]
fn a_failing_stage_leaves_nothing_but_its_scratch_space() {
    let fixture = Fixture::new();
    let attempts = Cell::new(0);
    let attempt = |section: u32| {
        fixture.open().stage("long", &section, &[], |context| {
            let checkpoint = context.scratch().join("checkpoint");
            attempts.set(fs::read_to_string(&checkpoint).map_or(0, |text| text.parse().unwrap()) + 1);
            fs::write(&checkpoint, attempts.get().to_string())?;
            fs::write(context.path("half"), "")?;
            anyhow::ensure!(attempts.get() == 3, "not yet");
            Ok(())
        })
    };
    let error = attempt(1).unwrap_err();
    assert_eq!(format!("{error:#}"), "stage long failed: not yet");
    assert!(!fixture.stage("01-long").exists() && !fixture.stage("01-long.partial").exists());
    attempt(1).unwrap_err();
    assert_eq!(attempts.get(), 2, "the scratch space is found again");
    attempt(2).unwrap_err();
    assert_eq!(attempts.get(), 1, "but not by a stage with another section");
    attempt(2).unwrap_err();
    attempt(2).unwrap();
    assert!(!fixture.stage("01-long.work").exists(), "and it ends with the commit");
}

#[test]
fn a_requested_stop_ends_the_stage_with_the_reason() {
    let fixture = Fixture::new();
    let run = fixture.open();
    let error = run.stage("endless", &0, &[], |context| {
        run.stop_flag().request(SIGINT);
        loop {
            context.check_stop()?;
        }
    });
    let error = error.unwrap_err();
    assert_eq!(error.root_cause().downcast_ref(), Some(&Interrupted { signal: SIGINT }));
    assert!(run.stage("next", &0, &[], |_| Ok(())).is_err(), "no further stage starts");
}

#[test]
fn a_metric_that_is_not_finite_fails_its_stage() {
    let fixture = Fixture::new();
    let error =
        fixture.open().stage("s", &0, &[], |context| context.metric(3, "loss", f64::NAN)).unwrap_err();
    assert_eq!(format!("{error:#}"), "stage s failed: s: metric loss is NaN at step 3");
    assert_eq!(recalign::commands::exit::code(&error), 1);
}

#[test]
fn the_metrics_of_the_run_are_those_of_its_stages_in_order() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    fixture.pipeline([3, 2]);
    let expected = r#"{"stage":"first","step":1,"key":"loss","value":3.0}
{"stage":"second","step":1,"key":"loss","value":2.0}
"#;
    assert_eq!(fs::read_to_string(fixture.path().join("metrics.jsonl")).unwrap(), expected);
}

#[test]
fn metrics_go_on_from_those_of_the_checkpoint() {
    let fixture = Fixture::new();
    let first = |context: &recalign::run::context::StageContext| {
        context.metric(1, "loss", 0.1)?;
        context.save((1, &()), |_| Ok(()))?;
        context.metric(2, "loss", 9.0)?;
        anyhow::bail!("interrupted")
    };
    fixture.open().stage("s", &0, &[], first).unwrap_err();
    // What a killed process wrote of a later checkpoint.
    let log = fixture.stage("01-s.work/scratch/metrics.jsonl");
    fs::write(&log, fs::read_to_string(&log).unwrap() + "{\"stage\":\"s\",\"st").unwrap();
    let second = |context: &recalign::run::context::StageContext| {
        assert_eq!(context.resume()?.map(|checkpoint| checkpoint.step), Some(1));
        context.metric(2, "loss", 0.2)?;
        context.save((2, &()), |_| Ok(())).map(drop)
    };
    fixture.open().stage("s", &0, &[], second).unwrap();
    let expected = r#"{"stage":"s","step":1,"key":"loss","value":0.1}
{"stage":"s","step":2,"key":"loss","value":0.2}
"#;
    assert_eq!(fs::read_to_string(fixture.stage("01-s/metrics.jsonl")).unwrap(), expected);
}

#[test]
fn a_stage_that_gets_another_number_moves_and_is_not_run_again() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    let run = fixture.open();
    assert!(!write_stage(&run, "new", (0, &[])).reused);
    assert!(write_stage(&run, "first", (1, &[])).reused);
    assert!(fixture.stage("02-first/manifest.json").is_file() && !fixture.stage("01-first").exists());
}

#[test]
fn two_writers_are_refused() {
    let fixture = Fixture::new();
    let first = fixture.open();
    let error = Run::open(&fixture.path(), &fixture.config, DeviceChoice::Cpu, Resume::Auto).err().unwrap();
    let expected = format!("is being written by process {}", std::process::id());
    assert!(error.to_string().contains(&expected), "{error:#}");
    drop(first);
    fixture.open();
}

#[test]
fn resume_never_refuses_a_directory_with_finished_stages() {
    let fixture = Fixture::new();
    fixture.open();
    let open = || Run::open(&fixture.path(), &fixture.config, DeviceChoice::Cpu, Resume::Never);
    drop(open().unwrap());
    fixture.pipeline([1, 2]);
    let error = open().err().unwrap();
    assert!(error.to_string().contains("2 finished stage(s)"), "{error:#}");
    assert!(error.to_string().contains("--run-dir DIR"), "{error:#}");
}

#[test]
fn the_resolved_configuration_is_stored_and_hashed() {
    let fixture = Fixture::new();
    fixture.open();
    assert_eq!(load(&fixture.path().join("config.toml"), &[]).unwrap(), fixture.config);
    fs::write(fixture.path().join("config.toml"), "version = 2").unwrap();
    assert_eq!(problems(&fixture.path()), ["config.toml is not the configuration that run.json names"]);
}

#[test]
fn inspect_run_lists_the_stages() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    let (code, stdout, _) = outcome(&["inspect", "run", fixture.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("run test: seed 42") && stdout.contains("01-first") && stdout.contains("02-second")
    );
}
