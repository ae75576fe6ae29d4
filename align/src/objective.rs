//! Every objective an arm can have, chosen by `kind`.

use crate::grpo::Grpo;
use crate::ipa::Ipa;
use serde::{Deserialize, Serialize};

/// What an arm optimises. A key of another objective is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Objective {
    /// Next-token prediction with DPO on best and worst candidates.
    Ipa(Ipa),
    /// Policy gradient on group-relative advantages.
    Grpo(Grpo),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_chooses_the_keys() {
        let objective: Objective = serde_json::from_str(r#"{"kind": "ipa", "beta": 0.5}"#).unwrap();
        assert_eq!(objective, Objective::Ipa(Ipa { beta: 0.5, ..Ipa::default() }));
        let foreign = serde_json::from_str::<Objective>(r#"{"kind": "grpo", "beta": 0.5}"#).unwrap_err();
        assert!(foreign.to_string().contains("unknown field `beta`"), "{foreign}");
    }

    #[test]
    fn defaults_survive_a_round_trip() {
        for objective in [Objective::Ipa(Ipa::default()), Objective::Grpo(Grpo::default())] {
            let text = serde_json::to_string(&objective).unwrap();
            assert_eq!(serde_json::from_str::<Objective>(&text).unwrap(), objective);
        }
    }
}
