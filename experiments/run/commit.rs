//! The only place where files get their final names: everything is on disk before it becomes visible, and it becomes
//! visible by one rename. A kill at any moment leaves the old state or the new one.

use anyhow::Context as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
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

/// Takes a directory its name away, then removes it, if it is there: a kill meanwhile leaves no half of it under that name.
///
/// # Errors
/// The system refuses.
pub fn discard_directory(path: &Path) -> anyhow::Result<()> {
    let mut discarded = path.as_os_str().to_owned();
    discarded.push(super::layout::PARTIAL);
    let discarded = Path::new(&discarded);
    remove_directory(discarded)?;
    if !path.exists() {
        return Ok(());
    }
    rename(path, discarded)?;
    remove_directory(discarded)
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

/// Writes `bytes` at `offset` of a file that grows, cuts off what was behind, and flushes it.
///
/// # Errors
/// The system refuses.
pub fn append(path: &Path, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.set_len(offset)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Gives a file that never changes a second name; across file systems, copies it.
///
/// # Errors
/// The system refuses both.
pub fn link_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Flushes `partial` with everything in it and gives it the name `target`, replacing a directory of that name.
///
/// Replacing takes two renames. A kill between them leaves the old directory under a name that [`restore_directory`]
/// takes back.
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

/// Ends a replacement that was interrupted: `replaced` becomes `target` again, or is removed where there is a new one.
///
/// # Errors
/// The system refuses.
pub fn restore_directory(replaced: &Path, target: &Path) -> anyhow::Result<()> {
    if target.exists() { remove_directory(replaced) } else { rename(replaced, target) }
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
