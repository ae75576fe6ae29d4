//! SHA-256 of files and directories.

use super::layout::MANIFEST;
use anyhow::Context as _;
use reports::schema::FileRecord;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Files by relative path, `/` between directories.
pub type Hashes = BTreeMap<String, FileRecord>;

/// Large enough that system calls do not matter, small enough to stay in cache.
const CHUNK: usize = 1 << 16;

/// Hex SHA-256 of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Size and hash of a file, read in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> anyhow::Result<FileRecord> {
    let cannot_read = || format!("cannot read {}", path.display());
    anyhow::ensure!(!path.is_dir(), "{} is a directory, a file is needed", path.display());
    let mut file = File::open(path).with_context(cannot_read)?;
    let (mut digest, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk).with_context(cannot_read)? {
            0 => {
                return Ok(FileRecord { bytes, sha256: hex(&digest.finalize()) });
            }
            read => {
                digest.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Size and hash of every file below `dir`, except its manifest.
///
/// # Errors
/// A file cannot be read, is a symbolic link, or has a name that is not Unicode.
pub fn of_tree(dir: &Path) -> anyhow::Result<Hashes> {
    let mut hashes = Hashes::new();
    add_tree(dir, "", &mut hashes)?;
    hashes.remove(MANIFEST);
    Ok(hashes)
}

fn add_tree(dir: &Path, prefix: &str, hashes: &mut Hashes) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        let path = entry.path();
        // Nothing here makes links; one that leads upwards would never end.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        anyhow::ensure!(!is_link, "{} is a link to somewhere else", path.display());
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("the name of {} is not Unicode", path.display()))?;
        if path.is_dir() {
            add_tree(&path, &format!("{prefix}{name}/"), hashes)?;
        } else {
            hashes.insert(format!("{prefix}{name}"), of_file(&path)?);
        }
    }
    Ok(())
}

/// What differs between the files of a manifest and those on disk, one line per file.
pub(crate) fn differences(recorded: &Hashes, found: &Hashes) -> Vec<String> {
    let names = recorded.keys().chain(found.keys()).collect::<BTreeSet<_>>();
    let differences = names.into_iter().filter_map(|name| match (recorded.get(name), found.get(name)) {
        (Some(_), None) => Some(format!("{name} is missing")),
        (None, Some(_)) => Some(format!("{name} is not in the manifest")),
        (Some(old), Some(new)) if old.bytes != new.bytes => {
            Some(format!("{name} has {} bytes, {} were committed", new.bytes, old.bytes))
        }
        (Some(old), Some(new)) if old != new => {
            Some(format!("{name} has changed since it was committed (its SHA-256 differs)"))
        }
        _ => None,
    });
    differences.collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_abc_is_the_published_one() {
        // FIPS 180-4, example of the one-block message.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), expected);
    }

    #[test]
    fn a_file_longer_than_a_chunk_hashes_like_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=3 * CHUNK).map(|i| (i % 251) as u8).collect();
        let path = dir.path().join("file");
        fs::write(&path, &bytes).unwrap();
        let record = of_file(&path).unwrap();
        assert_eq!((record.bytes, record.sha256), (bytes.len() as u64, of_bytes(&bytes)));
    }
}
