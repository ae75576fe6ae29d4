//! The preloaded library and the processes it is preloaded into.

use crate::support::project;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `failing_io.c`, compiled.
pub(crate) struct Library {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

/// What goes wrong, as environment variables of the library.
#[derive(Default)]
pub(crate) struct Faults(Vec<(&'static str, String)>);

impl Faults {
    /// At operation `at`: how (`once`, `stay`, `kill`) and with which error number.
    pub(crate) fn at(at: u64, (mode, errno): (&str, &str)) -> Self {
        Self(vec![("FAULT_AT", at.to_string()), ("FAULT_MODE", mode.into()), ("FAULT_ERRNO", errno.into())])
    }
    /// The clock jumps at every reading.
    pub(crate) fn jumping_clock(seed: u64) -> Self {
        Self(vec![("FAULT_CLOCK", seed.to_string())])
    }
    /// After this many bytes.
    pub(crate) fn full_after(bytes: u64) -> Self {
        Self(vec![("FAULT_BYTES", bytes.to_string())])
    }
}

/// How a child process ended.
pub(crate) struct Attempt {
    /// `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

impl Attempt {
    /// The stage and step of the last checkpoint that was reported complete.
    pub(crate) fn last_save(&self) -> Option<(String, u64)> {
        let line = self.output.lines().rev().find_map(|line| line.strip_prefix("saved "))?;
        let (stage, step) = line.split_once(' ')?;
        Some((stage.into(), step.parse().ok()?))
    }
    /// The step from which the stage was continued.
    pub(crate) fn resumed(&self, stage: &str) -> Option<u64> {
        let prefix = format!("resumed {stage} ");
        self.output.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
    }
    /// Whether the stage was found finished.
    pub(crate) fn skips(&self, stage: &str) -> bool {
        self.output.lines().any(|line| line == format!("reused {stage}"))
    }
}

impl Library {
    /// `None`, with a message, where there is no C compiler or preloading.
    pub(crate) fn compiled() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failing_io.so");
        let source = project("tests/faults/failing_io.c");
        let flags = ["-shared", "-fPIC", "-O1", "-o"];
        let compiled = Command::new("cc").args(flags).arg(&path).arg(&source).arg("-ldl").status();
        if cfg!(target_os = "linux") && compiled.is_ok_and(|status| status.success()) {
            return Some(Self { _dir: dir, path });
        }
        eprintln!("skipped: faults are injected by a C library on Linux, and cc cannot build it here");
        None
    }

    /// Lets operations of the command on files below `root` fail.
    pub(crate) fn preload<'a>(
        &self,
        command: &'a mut Command,
        (root, faults): (&Path, &Faults),
    ) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.path).env("FAULT_ROOT", root);
        faults.0.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// The small pipeline in the run directory `run`, in a process of its own.
    pub(crate) fn attempt(&self, run: &Path, faults: &Faults) -> Attempt {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["faults::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        let output = self.preload(&mut command, (run, faults)).output().unwrap();
        let output_text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Attempt { code: output.status.code(), output: output_text }
    }

    /// Operations on files and bytes written by an undisturbed run.
    pub(crate) fn measure(&self) -> (u64, u64) {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let faults = Faults(vec![("FAULT_COUNT", count.display().to_string())]);
        let attempt = self.attempt(&dir.path().join("run"), &faults);
        assert_eq!(attempt.code, Some(0), "{}", attempt.output);
        let count = std::fs::read_to_string(count).unwrap();
        let (operations, bytes) = count.split_once(' ').unwrap();
        (operations.parse().unwrap(), bytes.parse().unwrap())
    }
}
