//! The experiment file: TOML, `version = 1`, every key known, every problem reported at once.
//!
//! [`load`] reads the file, applies `--set` overrides, refuses what it does not know, checks every range and
//! applies the budget. Each section is defined beside its neighbours in `config/`; a stage receives only checked
//! sections.

mod alarms;
mod align;
mod budget;
mod check;
mod data;
mod document;
mod evaluate;
mod model;
mod node;
mod pretrain;
mod problem;
mod reward;
mod sample;
mod sessions;
mod strict;
mod tokenize;
mod wording;

pub use self::align::{Align, Arm, Keep, Reference, Stale};
pub use self::reward::{Attainable, Reward};
pub use alarms::{Alarm, Alarms, KINDS, Then};
pub(crate) use check::{NAME, is_name};
pub use data::{Columns, Data, EmbeddingSource, ItemTable, Source, TieOrder, Watched};
pub use evaluate::{Evaluate, FreeBeams};
pub use model::{Architecture, EncoderInput, Model};
pub use pretrain::{Encoding, Pretrain, Targets, Ties};
pub use problem::{ConfigError, Problem};
pub use sample::Sample;
pub use sessions::{Sessions, SignalSum};
pub use tokenize::{Tokenize, Vectors};

use document::Document;
use reports::schema::Stages;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Format version, 1.
    pub version: u32,
    /// Name, seed, budget.
    pub run: Run,
    /// Where the log comes from and how it is filtered.
    pub data: Data,
    /// Items to semantic IDs.
    #[serde(default)]
    pub tokenize: Tokenize,
    /// Size of the policy.
    #[serde(default)]
    pub model: Model,
    /// Next-token training.
    #[serde(default)]
    pub pretrain: Pretrain,
    /// The judges.
    #[serde(default)]
    pub reward: Reward,
    /// Beam candidates and pairs.
    #[serde(default)]
    pub sample: Sample,
    /// Alignment rounds and arms.
    #[serde(default)]
    pub align: Align,
    /// What is measured at the end.
    #[serde(default)]
    pub evaluate: Evaluate,
}

/// `[run]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name of the run; its directory is `runs/<name>`.
    pub name: String,
    /// All randomness derives from it.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// `smoke` shrinks every stage so that the whole run takes seconds.
    #[serde(default)]
    pub budget: Budget,
    /// `pretraining` ends with an evaluation of the pretrained policy: no judges, no arms.
    #[serde(default)]
    pub stages: Stages,
}

const fn default_seed() -> u64 {
    42
}

/// How much work a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// As configured.
    #[default]
    Full,
    /// All stages, in seconds: a check that everything works, worth nothing as a result.
    Smoke,
}

impl Config {
    /// The arms that run.
    pub fn arms(&self) -> &[Arm] {
        match self.run.stages {
            Stages::Alignment => &self.align.arms,
            Stages::Pretraining => &[],
        }
    }

    /// The configuration as TOML; loading this text gives an equal `Config`.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field of a configuration has a TOML form")
    }
}

/// Reads, overrides, checks and resolves an experiment file.
///
/// `overrides` are `key=value` texts: a dotted key (array elements by number, `align.arms.0.name`) and a TOML value;
/// what does not parse as TOML is taken as a string.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read, is not TOML, or has problems - all of which it lists.
pub fn load(path: &Path, overrides: &[String]) -> Result<Config, ConfigError> {
    read_checked(path, overrides, Config::check).map(Config::within_budget)
}

/// As [`load`], of a text of our own that no file holds; `name` stands for the file in messages.
pub(crate) fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Config, ConfigError> {
    let document = Document::parse(Path::new(name), text)?;
    checked(document, overrides, Config::check).map(Config::within_budget)
}

/// Reads any strict file. What `check` finds is reported together with what the types refuse.
pub(crate) fn read_checked<T: Serialize + DeserializeOwned>(
    path: &Path,
    overrides: &[String],
    check: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, ConfigError> {
    checked(Document::read(path)?, overrides, check)
}

fn checked<T: Serialize + DeserializeOwned>(
    mut document: Document,
    overrides: &[String],
    check: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, ConfigError> {
    let mut problems = document.apply(overrides);
    let outcome = strict::deserialize::<T>(document.table());
    problems.extend(outcome.problems);
    if let Some(value) = &outcome.value {
        let found = check(value).into_iter();
        problems.extend(found.filter(|problem| problem.is_independent_of(&outcome.repaired)));
    }
    match outcome.value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(document.explain(problems)),
    }
}

/// Keys of later versions are left out of the resolved file where nobody asked for them: runs of before keep their
/// fingerprints.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The dotted key of `key` in the table `prefix`.
pub(crate) fn join_key(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}
