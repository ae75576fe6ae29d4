//! What is asked and answered, as JSON. Unknown keys are refused: a misspelt filter must not be ignored.

use policy::ids::{Code, SemanticId};
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/recommend` and `POST /v1/score`: a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch<T> {
    /// Answered in order.
    pub requests: Vec<T>,
}

/// A number without fraction, `3` or `3.0`: JSON does not tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Whole(u32);

impl TryFrom<f64> for Whole {
    type Error = String;
    fn try_from(number: f64) -> Result<Self, String> {
        let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        if whole { Ok(Self(number as u32)) } else { Err(format!("{number} is not a whole number from 0")) }
    }
}

impl Whole {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An item by its id in the log, or by the codes of its semantic ID (the best known item of these codes).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ItemRef {
    /// The id in the log.
    Id(String),
    /// All codes, coarsest first.
    Codes(Vec<Whole>),
}

impl ItemRef {
    /// Whether it is named by codes.
    pub const fn is_codes(&self) -> bool {
        matches!(self, Self::Codes(_))
    }

    /// The semantic ID, if it is named by codes.
    pub fn semantic_id(&self) -> Option<SemanticId> {
        match self {
            Self::Id(_) => None,
            Self::Codes(codes) => {
                Some(SemanticId::new(codes.iter().map(|code| code.get()).collect::<Vec<Code>>()))
            }
        }
    }
}

/// A wish for recommendations.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommend {
    /// Oldest first; items that are not in the catalog are skipped and told.
    pub history: Vec<ItemRef>,
    /// Most items to return.
    #[serde(default = "default_k")]
    pub k: Whole,
    /// Hypotheses of the search [default: as the run was evaluated]; at least `k` are kept. Fewer than `k` items are
    /// found where items that may not be returned take the places of a narrow beam.
    pub beam: Option<Whole>,
    /// Whether items of the history may be returned.
    #[serde(default)]
    pub seen: SeenItems,
    /// Not to be returned.
    #[serde(default)]
    pub block: Vec<ItemRef>,
    /// Nothing else may be returned. These are ranked exactly, without a beam.
    pub allow: Option<Vec<ItemRef>>,
    /// Who orders the candidates.
    #[serde(default)]
    pub rank_by: RankBy,
    /// The policy (as answers name it) whose semantic IDs the codes of this request are.
    pub codes_of: Option<String>,
}

const fn default_k() -> Whole {
    Whole(10)
}

/// Whether items of the history may be returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenItems {
    /// They may not.
    #[default]
    Exclude,
    /// They may.
    Allow,
}

/// Who orders the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankBy {
    /// Their probability.
    #[default]
    Policy,
    /// The proxy judge's score: best-of-n with `beam` candidates.
    Judge,
}

/// A wish for log-probabilities.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// As in [`Recommend`].
    pub history: Vec<ItemRef>,
    /// What to score.
    pub candidates: Vec<ItemRef>,
    /// As in [`Recommend`].
    pub codes_of: Option<String>,
}

/// The answers to a [`Batch`].
#[derive(Debug, Serialize)]
pub struct Answers {
    /// SHA-256 of the weights that answered.
    pub policy: String,
    /// In the order of the requests.
    pub results: Vec<Answer>,
}

/// The answer to one [`Task`](super::task::Task).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Positions of the history's items that the catalog does not have.
    pub skipped: Vec<usize>,
    /// What was asked for.
    #[serde(flatten)]
    pub found: Found,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Recommendations, best first.
    Items(Vec<Shown>),
    /// One per candidate; null where the catalog does not have it.
    LogProbs(Vec<Option<f64>>),
}

/// A recommended item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its id in the log.
    pub id: String,
    /// Its log-probability.
    pub log_prob: f64,
    /// The judge's score, if the judge was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        let wish: Recommend = serde_json::from_str(r#"{"history": [[1.0, 4294967295]], "k": 32.0}"#).unwrap();
        assert_eq!(wish.history, [ItemRef::Codes(vec![Whole(1), Whole(u32::MAX)])]);
        assert_eq!(wish.k.get(), 32);
        for k in ["-1", "0.5", "4294967296", "1e300"] {
            let error =
                serde_json::from_str::<Recommend>(&format!(r#"{{"history": [], "k": {k}}}"#)).unwrap_err();
            assert!(error.to_string().contains("is not a whole number from 0"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_filter_is_refused() {
        let error = serde_json::from_str::<Recommend>(r#"{"history": [], "blocked": []}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `blocked`"), "{error}");
    }
}
