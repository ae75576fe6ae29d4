//! What can be wrong with an experiment file, in words that say what to change.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Why no configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the first error.
        line: usize,
        /// What the parser expected there.
        message: String,
    },
    /// The file is TOML, but not an experiment that can run.
    #[error("{} has {} problem(s):\n{}", path.display(), problems.len(), listed(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of the file.
        problems: Vec<Problem>,
    },
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// One thing to change in an experiment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, as `--set` takes it.
    pub key: String,
    /// What is wrong with which value, and what is allowed.
    pub message: String,
    /// `file:line` or `--set`, when the value comes from there.
    pub location: Option<String>,
    /// Further keys the judgement rests on.
    pub(super) depends_on: Vec<&'static str>,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), location: None, depends_on: Vec::new() }
    }

    /// Whether none of the keys this problem is about had to be repaired to get a configuration at all: a range
    /// is judged only where the user's own value stands.
    pub(super) fn is_independent_of(&self, repaired: &Repaired) -> bool {
        !repaired.touches(&self.key) && !self.depends_on.iter().any(|key| repaired.touches(key))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Keys whose values were replaced after a problem with them was reported.
#[derive(Debug, Default)]
pub(super) struct Repaired(BTreeSet<String>);

impl Repaired {
    pub(super) fn insert(&mut self, key: &str) {
        self.0.insert(key.to_owned());
    }

    /// Whether this key or one above it was repaired.
    pub(super) fn covers(&self, key: &str) -> bool {
        self.0.iter().any(|repaired| is_within(key, repaired))
    }

    /// Whether this key, one above it or one below it was repaired.
    fn touches(&self, key: &str) -> bool {
        self.0.iter().any(|repaired| is_within(key, repaired) || is_within(repaired, key))
    }
}

fn is_within(key: &str, ancestor: &str) -> bool {
    key.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repaired_section_covers_its_keys_but_not_its_namesakes() {
        let mut repaired = Repaired::default();
        repaired.insert("data.source");
        assert!(repaired.covers("data.source.file") && repaired.covers("data.source"));
        assert!(!repaired.covers("data.sources") && !repaired.covers("data"));
        assert!(repaired.touches("data") && !repaired.touches("run"));
    }
}
