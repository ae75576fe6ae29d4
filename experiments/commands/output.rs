//! Standard output: results only.

use anyhow::Context as _;
use std::borrow::Cow;
use std::io::Write as _;

/// Writes `text` to stdout.
///
/// # Errors
/// Stdout cannot be written. A reader that has gone away is reported too; [`super::exit::code`] makes it no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let text = printable(text);
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// `text` with everything that a terminal would obey instead of show written out: names of files and texts of items come
/// from others.
pub fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        let turns_text = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns_text || (c.is_control() && c != '\n' && c != '\t')
    };
    if !text.contains(obeyed) {
        return text.into();
    }
    let shown = |c: char| if obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(shown).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(printable("a\tb\n\u{fc}"), "a\tb\n\u{fc}");
        assert_eq!(printable("\u{1b}[31mred\u{9b}\r\u{202e}"), "\\u{1b}[31mred\\u{9b}\\u{d}\\u{202e}");
    }
}
