//! What happens around a stage: committing, skipping, running again, tampering, interruption, concurrent writers.

use crate::support::{MINIMAL, experiment, outcome};
use recalign::config::{Config, load};
use recalign::device::DeviceChoice;
use recalign::run::commit::rename;
use recalign::run::stop::{Interrupted, SIGINT};
use recalign::run::verify::verify;
use recalign::run::{Input, Resume, Run, StageOutput};
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
        Run::open(&self.path(), &self.config, DeviceChoice::Cpu, Resume::Auto).unwrap()
    }
    fn stage(&self, path: &str) -> PathBuf {
        self.path().join("stages").join(path)
    }
    /// Stages `first` and `second` (which reads `first`); returns which of them did their work.
    fn pipeline(&self, sections: [u32; 2]) -> Vec<String> {
        let run = self.open();
        let first = write_stage(&run, "first", (sections[0], &[]));
        let second = write_stage(&run, "second", (sections[1], &[Input::from(&first)]));
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
fn a_kill_between_the_renames_of_a_replacement_only_costs_the_work() {
    let fixture = Fixture::new();
    fixture.pipeline([1, 2]);
    rename(&fixture.stage("02-second"), &fixture.stage("02-second.replaced")).unwrap();
    assert_eq!(fixture.pipeline([1, 2]), ["second"]);
    assert_eq!(problems(&fixture.path()), [""; 0]);
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
fn metrics_of_a_checkpoint_replace_those_so_far() {
    let fixture = Fixture::new();
    let work = |context: &recalign::run::context::StageContext| {
        context.metric(1, "loss", 1.0)?;
        let saved = context.metrics();
        context.metric(2, "loss", 2.0)?;
        context.restore_metrics(saved);
        Ok(())
    };
    fixture.open().stage("s", &0, &[], work).unwrap();
    let lines = fs::read_to_string(fixture.stage("01-s/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
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
