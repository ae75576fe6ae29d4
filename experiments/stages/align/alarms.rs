//! Alarms: what a round watches while it trains, and what it does about it.

use crate::config::{Alarm, Alarms, KINDS, Then};
use serde::{Deserialize, Serialize};

/// Something is beyond its bound. Where the alarm's policy is to stop, this ends the run; the policy that entered the round is
/// that of the stage before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("alarm {name} at step {step}: {value:.4} is beyond {bound}: {cause}")]
pub struct Raised {
    /// The key of the alarm.
    pub name: &'static str,
    /// The step.
    pub step: u64,
    /// What was measured.
    pub value: f64,
    /// What was allowed.
    pub bound: f64,
    /// What usually is behind it.
    pub cause: &'static str,
}

/// What is watched: the metric, when it is alarming, what that usually means.
struct Watched {
    /// As in the configuration.
    name: &'static str,
    metric: &'static str,
    bad: Bad,
    cause: &'static str,
}

/// When a value is alarming, given the limit and the first value of the round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// Above the limit.
    Above,
    /// Below the limit.
    Below,
    /// Fallen by more than the limit.
    Fallen,
    /// Risen by more than the limit.
    Risen,
    /// Further from 1 than the limit.
    FarFromOne,
}

impl Bad {
    /// What is compared, the bound, and whether the one is beyond the other.
    fn judge(self, (first, value): (f64, f64), limit: f64) -> (f64, f64, bool) {
        match self {
            Self::Above => (value, limit, value > limit),
            Self::Below => (value, limit, value < limit),
            Self::Fallen => (value - first, -limit, value - first < -limit),
            Self::Risen => (value - first, limit, value - first > limit),
            Self::FarFromOne => ((value - 1.0).abs(), limit, (value - 1.0).abs() > limit),
        }
    }
}

/// Every alarm there is.
static WATCHED: [Watched; KINDS] = [
    Watched {
        name: "goodhart",
        metric: "goodhart/held-out",
        bad: Bad::Above,
        cause: "the proxy is being exploited: it rises while a judge that was never trained against falls; stop \
                earlier, keep the policy closer or train the proxy on what the policy now shows",
    },
    Watched {
        name: "truth",
        metric: "goodhart/oracle",
        bad: Bad::Above,
        cause: "the judges are fooled together: what they reward is not what users want; the log that they learnt from is flawed",
    },
    Watched {
        name: "divergence",
        metric: "kl/pretrained",
        bad: Bad::Above,
        cause: "the policy is far from the pretrained one; lower the learning rate or hold it closer",
    },
    Watched {
        name: "kl",
        metric: "kl",
        bad: Bad::Above,
        cause: "the policy left its reference; lower the learning rate or raise kl_weight",
    },
    Watched {
        name: "entropy",
        metric: "entropy",
        bad: Bad::Fallen,
        cause: "the policy stops exploring: its draws are ever the same; lower the learning rate or sample hotter",
    },
    Watched {
        name: "legality",
        metric: "legality/free",
        bad: Bad::Below,
        cause: "the policy squeezes probability out of the catalog; add kind = \"format\" or kind = \"ntp\", or \
                learn in the full space",
    },
    Watched {
        name: "distinct",
        metric: "lists/distinct",
        bad: Bad::Below,
        cause: "lists become homogeneous: users are shown the same items; lower the learning rate or compare within \
                groups",
    },
    Watched {
        name: "head_share",
        metric: "lists/head_share",
        bad: Bad::Risen,
        cause: "exposure moves to popular items; the judge may reward popularity itself",
    },
    Watched {
        name: "stale",
        metric: "sampling/importance_sampling_ratio/mean",
        bad: Bad::FarFromOne,
        cause: "the rollouts are of another policy than the one that learns; sample more often",
    },
    Watched {
        name: "agreement",
        metric: "judge/agreement",
        bad: Bad::Fallen,
        cause: "the judges part on what the policy draws: it is unlike what they were trained on",
    },
    Watched {
        name: "chosen_decline",
        metric: "logps/chosen",
        bad: Bad::Fallen,
        cause: "preference learning takes probability from the preferred items too; add kind = \"ntp\" or loss = \"sft\"",
    },
    Watched {
        name: "grad_norm",
        metric: "grad_norm",
        bad: Bad::Above,
        cause: "the update is about to diverge; lower the learning rate",
    },
    Watched {
        name: "zero_variance",
        metric: "frac_reward_zero_std",
        bad: Bad::Above,
        cause: "the judge cannot tell a user's candidates apart: they teach nothing",
    },
];

/// What a round is watched for.
pub(super) struct Watch(Alarms);

/// What the alarms of a round have seen; a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// The first value each looked at.
    first: [Option<f64>; KINDS],
    warned: [bool; KINDS],
    scale: f64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { first: [None; KINDS], warned: [false; KINDS], scale: 1.0 }
    }
}

impl Memory {
    /// What the learning rate is multiplied by.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }
}

/// What the learning rate is multiplied by when an alarm lowers the step.
const LOWERED: f64 = 0.5;

impl Watch {
    pub(super) fn new(alarms: &Alarms) -> Self {
        Self(*alarms)
    }

    /// Looks at a metric of a step; says what is raised for the first time.
    ///
    /// # Errors
    /// [`Raised`], if that is the alarm's policy.
    pub(super) fn look(
        &self,
        memory: &mut Memory,
        step: u64,
        (key, value): (&str, f64),
    ) -> Result<Option<Raised>, Raised> {
        let Some(index) = WATCHED.iter().position(|watched| watched.metric == key) else { return Ok(None) };
        let watched = &WATCHED[index];
        let alarm = self.0.all().into_iter().find_map(|(name, alarm)| alarm.filter(|_| name == watched.name));
        let Some(Alarm { limit, then }) = alarm else { return Ok(None) };
        let first = *memory.first[index].get_or_insert(value);
        let (value, bound, beyond) = watched.bad.judge((first, value), limit);
        if !beyond {
            return Ok(None);
        }
        let raised = Raised { name: watched.name, step, value, bound, cause: watched.cause };
        match then {
            Then::Stop => return Err(raised),
            Then::LowerTheStep => memory.scale *= LOWERED,
            Then::Warn => {}
        }
        let known = std::mem::replace(&mut memory.warned[index], true);
        Ok((!known).then_some(raised))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn watch(then: Then) -> Watch {
        let alarm = |limit| Some(Alarm { limit, then });
        Watch::new(&Alarms { kl: alarm(1.0), chosen_decline: alarm(2.0), ..Alarms::default() })
    }

    #[test]
    fn every_alarm_of_the_configuration_is_watched() {
        let watched: BTreeSet<_> = WATCHED.iter().map(|watched| watched.name).collect();
        let configured: BTreeSet<_> = Alarms::default().all().iter().map(|(name, _)| *name).collect();
        assert_eq!(watched, configured);
    }

    /// Every alarm with a quiet course and one in which its failure is planted, from the second value on.
    #[test]
    fn every_alarm_is_silent_on_a_quiet_course_and_named_on_a_planted_failure() {
        for (name, limit, quiet, planted) in [
            ("goodhart", 1.96, [0.0, 1.9], [0.0, 2.4]),
            ("truth", 1.96, [0.0, 1.9], [0.0, 2.4]),
            ("divergence", 3.0, [0.1, 2.9], [0.1, 3.1]),
            ("entropy", 1.0, [5.0, 4.1], [5.0, 3.9]),
            ("legality", 0.9, [0.99, 0.91], [0.99, 0.4]),
            ("distinct", 0.05, [0.2, 0.06], [0.2, 0.01]),
            ("head_share", 0.2, [0.4, 0.59], [0.4, 0.61]),
            ("stale", 0.1, [1.0, 1.05], [1.0, 0.7]),
            ("agreement", 0.3, [0.8, 0.55], [0.8, 0.45]),
            ("kl", 1.0, [0.0, 0.9], [0.0, 1.1]),
            ("chosen_decline", 2.0, [-9.0, -10.9], [-9.0, -11.1]),
            ("grad_norm", 10.0, [1.0, 9.0], [1.0, 11.0]),
            ("zero_variance", 0.5, [0.0, 0.4], [0.0, 0.6]),
        ] {
            let toml = format!("{name} = {{ limit = {limit}, then = 'stop' }}");
            let watch = Watch::new(&toml::from_str(&toml).unwrap());
            let metric = WATCHED.iter().find(|watched| watched.name == name).unwrap().metric;
            let course = |values: [f64; 2]| {
                let mut memory = Memory::default();
                values.map(|value| watch.look(&mut memory, 7, (metric, value)))
            };
            assert_eq!(course(quiet), [Ok(None), Ok(None)], "{name}");
            let [first, second] = course(planted);
            assert_eq!(first, Ok(None), "{name}");
            assert_eq!(second.unwrap_err().name, name);
        }
    }

    #[test]
    fn a_quiet_run_raises_nothing_and_a_planted_blow_up_is_named() {
        let (watch, mut memory) = (watch(Then::Stop), Memory::default());
        for (step, kl) in [0.0, 0.4, 0.9].into_iter().enumerate() {
            watch.look(&mut memory, step as u64, ("kl", kl)).unwrap();
        }
        watch.look(&mut memory, 3, ("grad_norm", 1e9)).unwrap();
        let raised = watch.look(&mut memory, 3, ("kl", 1.1)).unwrap_err();
        assert_eq!((raised.name, raised.step), ("kl", 3));
        assert!(raised.to_string().contains("the policy left its reference"), "{raised}");
    }

    #[test]
    fn a_decline_counts_from_the_start_of_the_round() {
        let (watch, mut memory) = (watch(Then::Stop), Memory::default());
        watch.look(&mut memory, 0, ("logps/chosen", -9.0)).unwrap();
        watch.look(&mut memory, 1, ("logps/chosen", -10.9)).unwrap();
        assert_eq!(watch.look(&mut memory, 2, ("logps/chosen", -11.1)).unwrap_err().name, "chosen_decline");
    }

    #[test]
    fn warnings_change_nothing_and_lowering_halves_the_step_each_time() {
        let (warned, mut memory) = (watch(Then::Warn), Memory::default());
        warned.look(&mut memory, 0, ("kl", 5.0)).unwrap();
        assert!((memory.scale() - 1.0).abs() < f64::EPSILON);
        let lowered = watch(Then::LowerTheStep);
        lowered.look(&mut memory, 0, ("kl", 5.0)).unwrap();
        lowered.look(&mut memory, 1, ("kl", 5.0)).unwrap();
        assert!((memory.scale() - 0.25).abs() < f64::EPSILON);
    }
}
