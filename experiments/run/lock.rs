//! One writer per run directory.

use super::layout::Layout;
use anyhow::Context as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};

/// An exclusive lock that the operating system releases when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing the file would do, were it not for child processes, which share it until they become another program.
    fn drop(&mut self) {
        // The file is closed next: there is nothing to do about an error.
        drop(self.file.unlock());
    }
}

impl Lock {
    /// Takes the lock of a run directory.
    ///
    /// # Errors
    /// Another process holds it, or the lock file cannot be opened.
    pub fn acquire(layout: &Layout) -> anyhow::Result<Self> {
        let path = layout.lock();
        let failed = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(occupied(layout, &mut file)),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        file.set_len(0).with_context(failed)?;
        file.rewind().with_context(failed)?;
        write!(file, "{}", std::process::id()).with_context(failed)?;
        Ok(Self { file })
    }
}

fn occupied(layout: &Layout, file: &mut File) -> anyhow::Error {
    let mut owner = String::new();
    let owner = match file.read_to_string(&mut owner) {
        Ok(1..) => format!("process {owner}"),
        _ => "another process".into(),
    };
    anyhow::anyhow!(
        "{} is being written by {owner}; wait for it, stop it, or choose another directory",
        layout.root().display()
    )
}
