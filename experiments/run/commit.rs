//! The only place where files get their final names: everything is on disk before it becomes visible, and it becomes
//! visible by one rename. A kill at any moment leaves the old state or the new one.

use anyhow::Context as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// Creates a directory and those above it.
///
/// # Errors
/// The system refuses.
pub fn create_directory(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the directory {}", path.display()))
}

/// Removes a directory with everything in it, if it is there.
///
/// # Errors
/// The system refuses.
pub fn remove_directory(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes `path` an empty directory.
///
/// # Errors
/// The system refuses.
pub fn fresh_directory(path: &Path) -> anyhow::Result<()> {
    remove_directory(path)?;
    create_directory(path)
}

/// Writes a whole file, or leaves the old one.
///
/// # Errors
/// The system refuses, for example because the disk is full.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().context("a file needs a name")?.to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    let written = write().with_context(|| format!("cannot write {}", path.display()));
    if written.is_err() {
        // Best effort: the write's own error is the one to report.
        drop(fs::remove_file(&temporary));
        return written;
    }
    rename(&temporary, path)
}

/// Flushes `partial` with everything in it and gives it the name `target`, replacing a directory of that name.
///
/// Replacing takes two renames. A kill between them leaves neither name: the stage counts as not run and runs again,
/// it is never mistaken for the old or a half-written one.
///
/// # Errors
/// The system refuses.
pub fn commit_directory(partial: &Path, target: &Path) -> anyhow::Result<()> {
    sync_tree(partial).with_context(|| format!("cannot flush {}", partial.display()))?;
    if !target.exists() {
        return rename(partial, target);
    }
    let mut replaced = target.as_os_str().to_owned();
    replaced.push(super::layout::REPLACED);
    let replaced = Path::new(&replaced);
    remove_directory(replaced)?;
    rename(target, replaced)?;
    rename(partial, target)?;
    remove_directory(replaced)
}

/// Renames and makes the rename durable.
///
/// # Errors
/// The system refuses.
#[expect(clippy::disallowed_methods, reason = "this is the module that commits")]
pub fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_directory(parent).with_context(|| format!("cannot flush {}", parent.display()))
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_directory(dir)
}

fn sync_directory(dir: &Path) -> std::io::Result<()> {
    // Windows cannot open a directory as a file, and its renames need no flush.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path, name: &str, content: &str) -> std::path::PathBuf {
        let dir = root.join(name);
        create_directory(&dir.join("inner")).unwrap();
        fs::write(dir.join("inner/file"), content).unwrap();
        dir
    }

    #[test]
    fn a_committed_directory_replaces_the_old_one_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = tree(root.path(), "stage", "old");
        fs::write(target.join("only-in-old"), "").unwrap();
        commit_directory(&tree(root.path(), "stage.partial", "new"), &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("inner/file")).unwrap(), "new");
        assert!(!target.join("only-in-old").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing else remains");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        write_file(&path, b"old").unwrap();
        create_directory(&root.path().join("file.tmp")).unwrap();
        let error = write_file(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error:#}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
