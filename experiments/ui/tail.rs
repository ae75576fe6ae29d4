//! Files of metric rows that grow while they are read.

use reports::error::ReportError;
use reports::load::Metrics;
use reports::schema::MetricRow;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a file's end in which the last row of some key is looked for.
const END: u64 = 1 << 16;

/// What was read of a file, and where to go on.
#[derive(Debug, Default)]
pub(super) struct Tail {
    offset: u64,
    lines: u64,
    /// The last line that was read: if it is not there any more, this is another file.
    last: Vec<u8>,
    /// Its rows.
    pub(super) metrics: Metrics,
}

impl Tail {
    /// Reads the whole lines that have come since, or everything when the file was replaced. No file is an empty one.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no metric row.
    pub(super) fn advance(&mut self, path: &Path) -> Result<(), ReportError> {
        let failed = |source| ReportError::Read { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        if !self.continues(&mut file).map_err(failed)? {
            *self = Self::default();
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        file.read_to_end(&mut bytes).map_err(failed)?;
        self.add(&bytes, path)
    }

    /// Whether the file still has what was read.
    fn continues(&self, file: &mut File) -> io::Result<bool> {
        let length = self.last.len() as u64;
        if file.metadata()?.len() < self.offset {
            return Ok(false);
        }
        let mut there = vec![0; self.last.len()];
        file.seek(SeekFrom::Start(self.offset - length))?;
        file.read_exact(&mut there)?;
        Ok(there == self.last)
    }

    fn add(&mut self, bytes: &[u8], path: &Path) -> Result<(), ReportError> {
        // What follows the last line feed is being written.
        for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let text = String::from_utf8_lossy(line);
            let row = if text.trim().is_empty() { Ok(()) } else { self.metrics.add(&text) };
            row.map_err(|source| ReportError::Malformed {
                path: path.to_owned(),
                line: self.lines as usize + 1,
                what: "metric row",
                source,
            })?;
            self.offset += line.len() as u64;
            self.lines += 1;
            line.clone_into(&mut self.last);
        }
        Ok(())
    }
}

/// The last rows of a file, oldest first, however long it is.
pub(super) fn last_rows(path: &Path) -> Vec<MetricRow> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // The first and the last line may be parts of lines.
    let bytes = read().unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Size and time of change of files: as long as they are the same, so is what was read.
pub(super) fn stamp(paths: impl IntoIterator<Item = PathBuf>) -> String {
    let line = |path: PathBuf| {
        let data = path.metadata().ok()?;
        Some(format!("{} {} {:?}\n", path.display(), data.len(), data.modified().ok()))
    };
    paths.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn row(step: u64) -> String {
        format!("{{\"stage\":\"pretrain\",\"step\":{step},\"key\":\"loss\",\"value\":1.5}}\n")
    }

    fn steps(tail: &Tail) -> Vec<u64> {
        tail.metrics.rows.iter().map(|row| row.step).collect()
    }

    #[test]
    fn only_what_is_new_is_read_and_half_a_line_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut tail = Tail::default();
        tail.advance(&path).unwrap();
        assert!(steps(&tail).is_empty(), "no file yet");
        fs::write(&path, row(1) + &row(2) + "{\"stage\":\"pre").unwrap();
        tail.advance(&path).unwrap();
        assert_eq!(steps(&tail), [1, 2]);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"train\",\"step\":3,\"key\":\"loss\",\"value\":NaN}\n").unwrap();
        let before = tail.offset;
        tail.advance(&path).unwrap();
        assert_eq!((steps(&tail), tail.metrics.not_finite.len()), (vec![1, 2], 1));
        assert!(tail.offset > before);
    }

    #[test]
    fn a_file_that_was_replaced_is_read_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut tail = Tail::default();
        fs::write(&path, row(1) + &row(2)).unwrap();
        tail.advance(&path).unwrap();
        fs::write(&path, row(5) + &row(6) + &row(7)).unwrap();
        tail.advance(&path).unwrap();
        assert_eq!(steps(&tail), [5, 6, 7]);
        fs::write(&path, row(9)).unwrap();
        tail.advance(&path).unwrap();
        assert_eq!(steps(&tail), [9]);
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, row(1) + "what\n").unwrap();
        let error = Tail::default().advance(&path).unwrap_err();
        assert!(matches!(error, ReportError::Malformed { line: 2, .. }), "{error}");
    }
}
