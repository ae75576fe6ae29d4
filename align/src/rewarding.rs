//! What the candidates of a group are rewarded for.

use serde::{Deserialize, Serialize};

/// `reward` of `grpo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reward {
    /// What a judge says of them: the one that the arm's `pairs.label` names.
    #[default]
    Judge,
    /// Being what the user took next, and nothing else ([`reward::rule::rule`]). `MiniOneRec` (2510.24431).
    Rule,
    /// The same, and where the group has that item a penalty for the others, larger for those that the policy thinks more probable
    /// ([`reward::rule::rank_aware`]). `MiniOneRec`'s recipe.
    RankAware,
    /// How near their vectors - of texts, mostly - are to that of what the user took next ([`reward::similarity::cosine`]).
    /// `MiniOneRec`'s semantic reward.
    Semantic,
    /// The same of vectors made of what is taken near what in training histories. `MiniOneRec` asks a trained SASRec for the item's
    /// logit instead.
    Collaborative,
    /// The codes that they share with what the user took next, and being it ([`reward::reasoning::pars`]). After `REG4Rec` (2508.15308);
    /// a reconstruction.
    Pars,
    /// The same of the user's later actions too ([`reward::reasoning::msra`]), of the training part alone. After `REG4Rec`; a
    /// reconstruction, neither number is published.
    Msra {
        /// Actions after the next one; `sample.later` leaves as many.
        #[serde(default = "two")]
        later: usize,
        /// What an action counts less than the one before it, in `[0, 1]`.
        #[serde(default = "half")]
        discount: f64,
    },
}

const fn two() -> usize {
    2
}
const fn half() -> f64 {
    0.5
}
