//! How the candidates of a rollout are found.

use serde::{Deserialize, Serialize};

/// `sample.method`. All walk the trie; whatever draws them, candidates carry their log-probability under the policy itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// The most probable items (`OneRec`, 2502.18965; `MiniOneRec`).
    #[default]
    Beam,
    /// Beams in groups, each shunning the codes that earlier groups chose at the same level (Vijayakumar et al. 2016, 1610.02424,
    /// Hamming diversity).
    DiverseBeam {
        /// Groups that share the beam width.
        #[serde(default = "groups")]
        groups: usize,
        /// Nats taken off a hypothesis per earlier group hypothesis that chose the same code; 0.5 is the paper's.
        #[serde(default = "penalty")]
        penalty: f64,
    },
    /// Independent draws, code by code; an item may be drawn twice.
    Sample {
        /// Log-probabilities are divided by it: 1 is the policy itself.
        #[serde(default = "one")]
        temperature: f64,
        /// Most probable codes among which is drawn, at each level; absent for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        top_k: Option<usize>,
        /// Least probability of the most probable codes among which is drawn, at each level (nucleus, 1904.09751); 1 for all.
        #[serde(default = "one")]
        top_p: f64,
    },
    /// Draws of whole items without replacement (stochastic beam search, Kool et al. 2019, 1903.06059).
    GumbelTopK {
        /// As in `sample`.
        #[serde(default = "one")]
        temperature: f64,
    },
}

const fn groups() -> usize {
    4
}
const fn penalty() -> f64 {
    0.5
}
const fn one() -> f64 {
    1.0
}
