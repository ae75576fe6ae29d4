//! Standard output: results only.

use anyhow::Context as _;
use std::io::Write as _;

/// Writes `text` to stdout.
///
/// # Errors
/// Stdout cannot be written. A reader that has gone away is reported too; [`super::exit::code`] makes it no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to standard output")
}
