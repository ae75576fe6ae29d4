//! `[pretrain.sessions]`: several items by one decoding.

use super::is_default;
use serde::{Deserialize, Serialize};

/// `[pretrain.sessions]`: a decoding writes several items, each given those before it (OneRec). The targets are all runs of so many
/// different items within the sessions of training histories; lists are made of the most probable sessions. Alignment and
/// serving take such a policy's first items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Items that a decoding writes (OneRec: 5).
    pub items: usize,
    /// Seconds without interaction after which a new session starts; absent: a history is one session.
    #[serde(skip_serializing_if = "is_default")]
    pub gap: Option<i64>,
    /// Only sessions of at least so many interactions are learnt (OneRec: 5).
    pub min_length: usize,
    /// Only sessions in which a signal's sum is above a bound (OneRec: the time watched; its bound is not published).
    #[serde(skip_serializing_if = "is_default")]
    pub watched: Option<SignalSum>,
    /// Only sessions in which one of these signals is positive (OneRec: likes, collects, shares); empty: all.
    pub positive: Vec<String>,
}

/// A bound on a signal's sum over a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalSum {
    /// A feedback column of the log.
    pub signal: String,
    /// What the sum must be above.
    pub above: f64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { items: 5, gap: None, min_length: 0, watched: None, positive: Vec::new() }
    }
}
