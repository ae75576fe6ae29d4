//! What the run directory promises when the disk or the process fails: a failure or a kill at every single operation on
//! files, a disk that fills up, checkpoints that are damaged.
//!
//! Operations fail in a child process, by a small library that is preloaded into it (`failing_io.c`), so that nothing of
//! the program itself is changed for the test. Where there is no C compiler, these tests say so and pass.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "child processes tell the tests, and tests what they skip or found"
)]

pub(crate) mod library;
mod mutants;
pub(crate) mod small;

use crate::support::rounds;
use library::{Attempt, Faults, Library};
use std::path::Path;

/// Numbers of Linux.
const EIO: &str = "5";
const ENOSPC: &str = "28";
const EROFS: &str = "30";

/// Runs the small pipeline when it is started as a process of its own, see [`library::Library::attempt`].
#[test]
#[ignore = "the child process of the tests beside it"]
fn child() {
    let Ok(dir) = std::env::var("FAULT_ROOT") else { return };
    // The test's own name is on this line.
    println!();
    if let Err(error) = small::run(Path::new(&dir)) {
        println!("failed: {error:#}");
        std::process::exit(2);
    }
}

/// After an attempt under faults: the next one continues from the newest checkpoint that was complete, or from a newer one,
/// and ends with the bytes of an undisturbed run.
fn recovers(library: &Library, (dir, first): (&Path, &Attempt), what: &str) {
    let second = library.attempt(dir, &Faults::default());
    assert_eq!(second.code, Some(0), "{what}: {}", second.output);
    if let Some((stage, saved)) = first.last_save() {
        let resumed = second.resumed(&stage);
        assert!(
            resumed.is_some_and(|resumed| resumed >= saved) || second.skips(&stage),
            "{what}: saved {stage} {saved}, then: {}",
            second.output
        );
    }
    small::assert_undisturbed(dir, what);
}

/// Ways for an operation to fail, each a test.
const MODES: u64 = 3;

/// Every operation fails in one of the three ways, number `part` of them; under torture each in all ways.
fn fails_everywhere(part: u64, (mode, errno): (&str, &str)) {
    let Some(library) = Library::compiled() else { return };
    let (operations, _) = library.measure();
    assert!(operations > 100, "the pipeline under test does {operations} operations");
    let each = if rounds(1) > 1 { 1 } else { MODES };
    for at in (1..=operations).filter(|at| at % each == part % each) {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let faults = Faults::at(at, (mode, errno));
        let attempt = library.attempt(&run, &faults);
        let what = format!("{mode} at operation {at} of {operations}");
        match attempt.code {
            None => assert_eq!(mode, "kill", "{what}: {}", attempt.output),
            Some(0) => {}
            Some(code) => {
                assert_eq!(code, 2, "{what}: {}", attempt.output);
                assert!(attempt.output.contains("failed: "), "{what}: {}", attempt.output);
            }
        }
        recovers(&library, (&run, &attempt), &what);
    }
}

#[test]
fn a_kill_at_any_operation_costs_at_most_the_work_since_the_last_checkpoint() {
    fails_everywhere(0, ("kill", EIO));
}

#[test]
fn an_operation_that_fails_once_is_reported_and_the_next_run_continues() {
    fails_everywhere(1, ("once", EIO));
}

#[test]
fn a_disk_that_stays_broken_from_any_operation_on_is_reported_and_the_next_run_continues() {
    fails_everywhere(2, ("stay", EROFS));
}

#[test]
fn a_disk_that_fills_up_at_any_level_is_reported_and_the_next_run_continues() {
    let Some(library) = Library::compiled() else { return };
    let (_, bytes) = library.measure();
    let levels = rounds(50) as u64;
    for level in 0..levels {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let faults = Faults::full_after(bytes * level / levels);
        let attempt = library.attempt(&run, &faults);
        let what = format!("full at {level} of {levels}");
        assert_eq!(attempt.code, Some(2), "{what}: {}", attempt.output);
        assert!(attempt.output.contains("No space left on device"), "{what}: {}", attempt.output);
        recovers(&library, (&run, &attempt), &what);
    }
}

#[test]
fn a_full_disk_is_reported_when_a_stage_ends_too() {
    let Some(library) = Library::compiled() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let attempt = library.attempt(&run, &Faults::at(1, ("stay", ENOSPC)));
    assert_eq!(attempt.code, Some(2));
    recovers(&library, (&run, &attempt), "full from the start");
}
