//! `[data]`: where the log comes from and how it is filtered.

use reward::world::WorldConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Directory or file of the log; relative to the working directory. Not used by the world.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The format, with its own keys.
    pub source: Source,
    /// Order of interactions with equal timestamps.
    #[serde(default)]
    pub tie_order: TieOrder,
    /// Keep only users and items with at least this many interactions, repeated to a fixed point; 0 keeps all.
    #[serde(default)]
    pub k_core: u32,
    /// Keep only the first this many users (after filters).
    #[serde(default)]
    pub max_users: Option<usize>,
    /// Item vectors for the tokenizer and the judges.
    #[serde(default)]
    pub embeddings: EmbeddingSource,
    /// Item file: a table with an id column and text or attribute columns. Relative to `path` if that is a directory.
    #[serde(default)]
    pub items: Option<ItemTable>,
    /// Files larger than this many bytes are refused before they are read; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_bytes: Option<u64>,
}

/// `[data.source]`, tagged by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// The built-in simulator with known truth: `users`, `items`, `seed` (the run's seed does not change the data), and
    /// mechanisms that are off by default; the keys are the fields of [`WorldConfig`].
    World(WorldConfig),
    /// S3-Rec text: `user item item ...` per line, chronological; optionally a tab and gaps in seconds.
    S3rec {
        /// File inside `data.path`.
        file: PathBuf,
    },
    /// `KuaiRand` feedback table, tab-separated.
    Kuairand {
        /// File inside `data.path`.
        file: PathBuf,
        /// How much was watched: the share of the video (`watch_ratio`, the default), or the time (`play_time_ms`).
        #[serde(default, skip_serializing_if = "super::is_default")]
        watched: Watched,
    },
    /// `KuaiRec`'s `small_matrix.csv` or `big_matrix.csv`; rows without a time count as their user's earliest.
    Kuairec {
        /// File inside `data.path`.
        file: PathBuf,
        /// As of `kuairand`.
        #[serde(default, skip_serializing_if = "super::is_default")]
        watched: Watched,
    },
    /// A campaign of the Open Bandit Dataset: `click`, `propensity`, `place`; users are told apart by their four features alone.
    OpenBandit {
        /// File inside `data.path`.
        file: PathBuf,
    },
    /// `{"user": [item, item, ...]}`, the LETTER / `CollisionGenRec` layout.
    SequencesJson {
        /// File inside `data.path`.
        file: PathBuf,
    },
    /// Any delimited text with a header.
    Csv {
        /// File inside `data.path`.
        file: PathBuf,
        /// One character, `,` by default.
        #[serde(default = "comma")]
        separator: char,
        /// Which column is what.
        columns: Columns,
    },
    /// Parquet.
    Parquet {
        /// File inside `data.path`.
        file: PathBuf,
        /// Which column is what.
        columns: Columns,
    },
    /// One JSON object per line.
    Jsonl {
        /// File inside `data.path`.
        file: PathBuf,
        /// Which field is what.
        columns: Columns,
    },
    /// `RecBole` atomic file: tab-separated, header `name:type`.
    Recbole {
        /// File inside `data.path`.
        file: PathBuf,
        /// Which column is what (names without the type suffix).
        columns: Columns,
    },
}

/// The signal for how much of a video was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// Played over duration, at most 5.
    #[default]
    Ratio,
    /// Milliseconds played.
    Milliseconds,
}

/// Which column of a table is what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// User id column (any text).
    pub user: String,
    /// Item id column (any text).
    pub item: String,
    /// Timestamp column (a number, any unit); without it rows count as chronological.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// Numeric feedback columns, kept under their names.
    #[serde(default)]
    pub feedback: Vec<String>,
}

/// `tie_order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TieOrder {
    /// As stored.
    #[default]
    Original,
    /// Interactions with equal timestamps are shuffled with this seed: `tie_order = { shuffled = 0 }`.
    Shuffled(u64),
}

/// `[data.items]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemTable {
    /// Tab-separated file with a header.
    pub file: PathBuf,
    /// Column with the item id used in the log.
    pub id: String,
    /// Columns joined into the item's text.
    pub text: Vec<String>,
}

/// `[data.embeddings]`, tagged by `kind`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EmbeddingSource {
    /// The source's own (the world has them), else hashed text, else co-occurrence.
    #[default]
    Auto,
    /// A safetensors tensor or a Parquet column of lists; row r belongs to the r-th data line of the item table.
    File {
        /// `.safetensors` or `.parquet` inside `data.path`.
        file: PathBuf,
        /// Tensor or column name; the only one by default.
        #[serde(default)]
        name: Option<String>,
    },
    /// Feature hashing of the item text's words, tf-idf weighted, unit length.
    HashedText {
        /// Width.
        width: usize,
    },
    /// A random projection of which users interacted with the item in training.
    CoOccurrence {
        /// Width.
        width: usize,
    },
}

const fn comma() -> char {
    ','
}
