//! Damaged checkpoints are never continued from.

use super::small;
use crate::support::{copy_tree, mutate, rounds};
use policy::random::Key;
use recalign::run::checkpoint::Checkpoint;
use std::fs;
use std::path::{Path, PathBuf};

/// A run left after step 3 of its second stage, with checkpoints of steps 2 and 3.
fn interrupted() -> tempfile::TempDir {
    interrupted_in("second")
}

fn interrupted_in(stage: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    small::run_until(dir.path(), Some((stage, 3))).unwrap_err();
    dir
}

const SCRATCH: &str = "stages/02-second.work/scratch";

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_of(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[test]
fn two_checkpoints_are_kept() {
    let run = interrupted();
    let mut kept: Vec<_> = fs::read_dir(run.path().join(SCRATCH))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["checkpoint-000002", "checkpoint-000003", "metrics.jsonl"]);
}

#[test]
fn no_damaged_checkpoint_is_continued_from_and_the_result_is_the_same() {
    let original = interrupted();
    for round in 0..rounds(150) {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(original.path(), copy.path());
        let files = files_of(&copy.path().join(SCRATCH));
        let key = Key::new(8).named("checkpoints").at(round as u64);
        let file = &files[(key.bits() % files.len() as u64) as usize];
        let damage = mutate(file, key.named("damage"));
        small::run(copy.path()).unwrap();
        let name = file.strip_prefix(copy.path()).unwrap().display();
        small::assert_undisturbed(copy.path(), &format!("{damage} in {name}"));
    }
}

#[test]
fn where_every_checkpoint_is_damaged_the_stage_starts_anew() {
    let run = interrupted();
    for file in files_of(&run.path().join(SCRATCH)) {
        fs::write(file, "").unwrap();
    }
    small::run(run.path()).unwrap();
    small::assert_undisturbed(run.path(), "after the damage");
}

#[test]
fn a_checkpoint_of_another_stage_is_not_continued_from() {
    let (run, other) = (interrupted(), interrupted_in("first"));
    let scratch = run.path().join(SCRATCH);
    fs::remove_dir_all(&scratch).unwrap();
    copy_tree(&other.path().join("stages/01-first.work/scratch"), &scratch);
    small::run(run.path()).unwrap();
    small::assert_undisturbed(run.path(), "after the damage");
}

#[test]
fn a_cursor_of_another_kind_is_an_error_that_names_the_checkpoint() {
    fn ask(checkpoint: &Checkpoint) -> String {
        format!("{:#}", checkpoint.cursor::<Vec<String>>().unwrap_err())
    }
    let dir = tempfile::tempdir().unwrap();
    let (_config, path) = crate::support::experiment(crate::support::MINIMAL);
    let config = recalign::config::load(&path, &[]).unwrap();
    let open = || {
        let device = recalign::device::DeviceChoice::Cpu;
        recalign::run::Run::open(dir.path(), &config, device, recalign::run::Resume::Auto).unwrap()
    };
    open()
        .stage("s", &1, &[], |context| {
            context.save((1, &7), |_| Ok(()))?;
            anyhow::bail!("left")
        })
        .unwrap_err();
    let work = |context: &recalign::run::StageContext| {
        let message = ask(&context.resume()?.unwrap());
        assert!(message.contains("the cursor of") && message.contains("checkpoint-000001"), "{message}");
        Ok(())
    };
    open().stage("s", &1, &[], work).unwrap();
}
