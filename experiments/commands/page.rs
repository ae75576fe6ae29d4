//! Directories of rendered files, replaced as a whole.

use crate::run::commit;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Replaces `target` by these files; returns the page.
pub(super) fn publish(files: Vec<(String, Vec<u8>)>, target: &Path) -> anyhow::Result<PathBuf> {
    let mut partial = target.file_name().context("the page needs a directory with a name")?.to_owned();
    partial.push(".partial");
    let partial = target.with_file_name(partial);
    commit::fresh_directory(&partial)?;
    for (name, bytes) in files {
        let path = partial.join(name);
        commit::create_directory(path.parent().unwrap_or(&partial))?;
        // Committing flushes them all.
        std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    commit::commit_directory(&partial, target)?;
    Ok(target.join("index.html"))
}
