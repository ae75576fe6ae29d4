//! polars on files that may be damaged: its readers panic on some of them, and no user's file may end the program.

use polars::prelude::{DataFrame, ParquetReader, PolarsError, PolarsResult, SerReader as _};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` returns; a panic of it is an error.
pub(crate) fn guarded<T>(read: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
    // Nothing that the reader was working on is used after a panic.
    let panicked =
        |_| Err(PolarsError::ComputeError("the file is damaged in a way its reader cannot stand".into()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(panicked)
}

/// A whole Parquet file.
pub(crate) fn parquet(file: File) -> PolarsResult<DataFrame> {
    guarded(|| ParquetReader::new(file).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
        let error = guarded::<()>(|| panic!("as on a page that is shorter than it says")).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
