//! Stages that belong to an alignment arm, by name.

/// A stage of an alignment arm: `sample-<arm>-<round>` or `align-<arm>-<round>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmStage<'a> {
    /// Which half of the round.
    pub phase: Phase,
    /// Name of the arm.
    pub arm: &'a str,
    /// Round, from 1 (0 and up are accepted).
    pub round: u32,
}

/// The halves of an alignment round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Beam candidates, scored and paired.
    Sample,
    /// The policy update.
    Align,
}

impl<'a> ArmStage<'a> {
    /// Reads a stage name; `None` for stages that belong to no arm.
    pub fn parse(stage: &'a str) -> Option<Self> {
        let (phase, rest) = match stage.split_once('-')? {
            ("sample", rest) => (Phase::Sample, rest),
            ("align", rest) => (Phase::Align, rest),
            _ => return None,
        };
        let (arm, round) = rest.rsplit_once('-')?;
        (!arm.is_empty()).then_some(())?;
        Some(Self { phase, arm, round: round.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arm_stages_are_recognised_even_when_the_arm_has_dashes() {
        let parsed = ArmStage::parse("align-s-dpo-12");
        assert_eq!(parsed, Some(ArmStage { phase: Phase::Align, arm: "s-dpo", round: 12 }));
        assert_eq!(ArmStage::parse("sample-ipa-1").map(|stage| stage.phase), Some(Phase::Sample));
        for other in ["pretrain", "align-1", "align--1", "reward-proxy", "align-ipa"] {
            assert_eq!(ArmStage::parse(other), None, "{other}");
        }
    }
}
