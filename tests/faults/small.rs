//! A pipeline of two stages that save a checkpoint after every step: all that a run directory does, in milliseconds.

use crate::support::{MINIMAL, experiment};
use recalign::config::load;
use recalign::device::DeviceChoice;
use recalign::run::{Drift, Resume, Run, StageContext, StageOutput, commit};
use reports::schema::Manifest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// Steps of each stage.
pub(super) const STEPS: u64 = 4;

/// What an undisturbed run leaves.
pub(super) static EXPECTED: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path()).unwrap();
    contents(dir.path())
});

/// Runs what is not finished.
pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    run_until(dir, None)
}

/// [`run`], left with an error after this step of this stage.
pub(super) fn run_until(dir: &Path, last: Option<(&str, u64)>) -> anyhow::Result<()> {
    let (_config, path) = experiment(MINIMAL);
    let run = Run::open(dir, &load(&path, &[])?, DeviceChoice::Cpu, Resume::Auto)?.with_drift(Drift::Refused);
    let first = stage(&run, "first", &[], |context| work("first", last, context))?;
    stage(&run, "second", &[(&first).into()], |context| work("second", last, context)).map(drop)
}

fn stage(
    run: &Run,
    name: &str,
    inputs: &[recalign::run::Input],
    work: impl FnOnce(&StageContext) -> anyhow::Result<()>,
) -> anyhow::Result<StageOutput> {
    let output = run.stage(name, &1, inputs, work)?;
    if output.reused {
        println!("reused {name}");
    }
    Ok(output)
}

fn work(name: &str, last: Option<(&str, u64)>, context: &StageContext) -> anyhow::Result<()> {
    let (mut step, mut weights) = match context.resume()? {
        None => (0, vec![1; 5000]),
        Some(checkpoint) => {
            let step: u64 = checkpoint.cursor()?;
            anyhow::ensure!(step == checkpoint.step, "a cursor of another step");
            println!("resumed {name} {step}");
            (step, fs::read(checkpoint.dir.join("weights"))?)
        }
    };
    while step < STEPS {
        step += 1;
        // Every step depends on all before it.
        for at in 1..weights.len() {
            weights[at] = weights[at].wrapping_mul(31).wrapping_add(weights[at - 1]).wrapping_add(step as u8);
        }
        context.metric(step, "loss", f64::from(weights[weights.len() - 1]) / 7.0)?;
        context.save((step, &step), |dir| {
            fs::write(dir.join("weights"), &weights)?;
            commit::create_directory(&dir.join("best"))?;
            commit::link_file(&dir.join("weights"), &dir.join("best/weights"))
        })?;
        println!("saved {name} {step}");
        anyhow::ensure!(last != Some((name, step)), "left as asked");
    }
    fs::write(context.path("weights"), &weights)?;
    Ok(())
}

/// Every file of a run directory, without what the clock wrote. The lock is none of its content.
pub(crate) fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    add(run, "", &mut files);
    files.remove(".lock");
    // The same rows once more, with times.
    files.retain(|name, _| !name.starts_with("tensorboard/"));
    for (name, bytes) in &mut files {
        if name.ends_with("manifest.json") {
            *bytes = timeless(bytes);
        }
    }
    files
}

/// Asserts that a run directory has what an undisturbed run has; says which files differ instead of printing them all.
pub(crate) fn assert_undisturbed(run: &Path, what: &str) {
    let found = contents(run);
    let names = EXPECTED.keys().chain(found.keys());
    let differing: BTreeSet<&String> = names.filter(|name| EXPECTED.get(*name) != found.get(*name)).collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

/// A manifest without times.
pub(crate) fn timeless(manifest: &[u8]) -> Vec<u8> {
    let manifest: Manifest = serde_json::from_slice(manifest).unwrap();
    let timeless =
        Manifest { seconds: 0.0, cpu_seconds: 0.0, peak_memory: None, marks: Vec::new(), ..manifest };
    serde_json::to_vec(&timeless).unwrap()
}

fn add(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            add(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
}
