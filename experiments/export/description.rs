//! `serving.json`: what neither weights nor tables say.

use policy::log_prob::LogProbSpace;
use policy::model::PolicyConfig;
use serde::{Deserialize, Serialize};

/// The file.
pub const FILE: &str = "serving.json";
/// Layout version of an exported directory.
pub const SCHEMA: u32 = 1;

/// What a program needs to know to serve the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Who can load the weights.
    pub layout: Layout,
    /// `t5`, `qwen3`, ...
    pub architecture: String,
    /// `pretrained` or the arm's name.
    pub policy: String,
    /// SHA-256 over the names, shapes and values of the exported weights.
    pub policy_sha256: String,
    /// Number of items.
    pub items: usize,
    /// Codes per level, coarsest first.
    pub level_sizes: Vec<usize>,
    /// Token of code 0 of each level; code `c` of level `l` is token `offsets[l] + c`.
    pub offsets: Vec<usize>,
    /// Most recent items of a history that are read, oldest first, `level_sizes.len()` tokens each. An empty history is one
    /// item of pad tokens (0). `qwen3` reads one more token 0 between history and answer.
    pub history_items: usize,
    /// Over which codes probabilities are normalised: those that may follow in the trie, or all tokens.
    pub log_prob_space: LogProbSpace,
    /// The beam that the run was evaluated with.
    pub beam_width: usize,
    /// How far from `reference_io.safetensors` another program may be.
    pub tolerance: Tolerance,
}

/// Who can load the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `transformers` and what reads its directories.
    HuggingFace,
    /// This program alone.
    Native,
}

/// Largest absolute differences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Of a logit, computed in 32-bit floats from the exported weights.
    pub logits: f64,
    /// Of an item's log-probability, likewise.
    pub log_prob: f64,
    /// Of a logit, computed in bfloat16: rounding of activations, measured at .24 to .37 on logits of +-8.
    pub logits_bf16: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { logits: 1e-4, log_prob: 1e-4, logits_bf16: 0.5 }
    }
}

impl Layout {
    /// The layout that can express this policy.
    pub fn of(config: &PolicyConfig) -> Self {
        match config {
            PolicyConfig::T5(t5) if t5.is_plain() => Self::HuggingFace,
            PolicyConfig::Qwen3(_) => Self::HuggingFace,
            _ => Self::Native,
        }
    }
}

/// The architecture's name in configuration files.
pub(super) fn architecture(config: &PolicyConfig) -> &'static str {
    match config {
        PolicyConfig::T5(_) => "t5",
        PolicyConfig::ItemContext(_) => "item-context",
        PolicyConfig::Qwen3(_) => "qwen3",
        PolicyConfig::LazyDecoder(_) => "lazy-decoder",
        PolicyConfig::OneRecMoe(_) => "onerec-moe",
    }
}
