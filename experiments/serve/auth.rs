//! The bearer token. It comes from the environment or a file, never from the command line, and is never shown.

use anyhow::{Context as _, ensure};
use std::fmt;
use std::path::Path;
use subtle::ConstantTimeEq as _;

/// The environment variable that holds it.
pub const VARIABLE: &str = "RECALIGN_TOKEN";
/// Shorter ones can be guessed.
const LEAST_BYTES: usize = 16;

/// A secret that requests carry as `Authorization: Bearer TOKEN`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// A token.
    ///
    /// # Errors
    /// It is too short, or has characters that a header cannot carry.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        ensure!(
            text.len() >= LEAST_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()),
            "the token must be at least {LEAST_BYTES} printable ASCII characters without spaces"
        );
        Ok(Self(text.to_owned()))
    }

    /// The token of a file, or of [`VARIABLE`]; `None` where there is neither.
    ///
    /// # Errors
    /// The file cannot be read, or what is found is no token.
    pub fn find(file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token file {}", path.display()))?;
            return Self::new(&text).with_context(|| path.display().to_string()).map(Some);
        }
        let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        text.map(|text| Self::new(&text).context(VARIABLE)).transpose()
    }

    /// Whether an `Authorization` header carries it. Takes as long for a wrong token as for a nearly right one.
    pub fn admits(&self, header: Option<&[u8]>) -> bool {
        let given = header.and_then(|header| header.strip_prefix(b"Bearer "));
        given.is_some_and(|given| given.ct_eq(self.0.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted_and_nothing_shows_it() {
        let token = Token::new("0123456789abcdef\n").unwrap();
        assert!(token.admits(Some(b"Bearer 0123456789abcdef")));
        for wrong in ["Bearer 0123456789abcde", "Bearer 0123456789abcdefg", "0123456789abcdef", "Bearer "] {
            assert!(!token.admits(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!token.admits(None));
        assert!(!format!("{token:?}").contains("0123"));
        let error = Token::new("short-secret").unwrap_err().to_string();
        assert!(!error.contains("short-secret"), "{error}");
    }
}
