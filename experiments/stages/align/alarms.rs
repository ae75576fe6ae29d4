//! Alarms: what a round watches while it trains, and what it does about it.

use crate::config::{Alarm, Alarms, Then};
use serde::{Deserialize, Serialize};
use tracing::warn;

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

/// What is watched: the metric, how it compares, what it means.
struct Watched {
    name: &'static str,
    metric: &'static str,
    alarm: Option<Alarm>,
    /// Whether the first value of the round is taken off.
    since: Since,
    /// Which way is alarming.
    bad: Bad,
    cause: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Zero,
    Start,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bad {
    Above,
    Below,
}

/// Kinds of alarms.
const KINDS: usize = 4;

/// What a round is watched for.
pub(super) struct Watch {
    watched: [Watched; KINDS],
}

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
        let watched = [
            Watched {
                name: "kl",
                metric: "kl",
                alarm: alarms.kl,
                since: Since::Zero,
                bad: Bad::Above,
                cause: "the policy left its reference; lower the learning rate or raise kl_weight",
            },
            Watched {
                name: "chosen_decline",
                metric: "logps/chosen",
                alarm: alarms.chosen_decline,
                since: Since::Start,
                bad: Bad::Below,
                cause: "preference learning takes probability from the preferred items too; add kind = \"ntp\" or loss = \"sft\"",
            },
            Watched {
                name: "grad_norm",
                metric: "grad_norm",
                alarm: alarms.grad_norm,
                since: Since::Zero,
                bad: Bad::Above,
                cause: "the update is about to diverge; lower the learning rate",
            },
            Watched {
                name: "zero_variance",
                metric: "frac_reward_zero_std",
                alarm: alarms.zero_variance,
                since: Since::Zero,
                bad: Bad::Above,
                cause: "the judge cannot tell a user's candidates apart: they teach nothing",
            },
        ];
        Self { watched }
    }

    /// Looks at a metric of a step.
    ///
    /// # Errors
    /// [`Raised`], if that is the alarm's policy.
    pub(super) fn look(
        &self,
        memory: &mut Memory,
        step: u64,
        (key, value): (&str, f64),
    ) -> Result<(), Raised> {
        for (index, watched) in self.watched.iter().enumerate() {
            let Some(Alarm { limit, then }) = watched.alarm.filter(|_| watched.metric == key) else {
                continue;
            };
            let first = *memory.first[index].get_or_insert(value);
            let value = if watched.since == Since::Start { value - first } else { value };
            let (bound, beyond) = match watched.bad {
                Bad::Above => (limit, value > limit),
                Bad::Below => (-limit, value < -limit),
            };
            if !beyond {
                continue;
            }
            let raised = Raised { name: watched.name, step, value, bound, cause: watched.cause };
            match then {
                Then::Stop => return Err(raised),
                Then::LowerTheStep => memory.scale *= LOWERED,
                Then::Warn => {}
            }
            if !std::mem::replace(&mut memory.warned[index], true) {
                warn!("{raised}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(then: Then) -> Watch {
        let alarm = |limit| Some(Alarm { limit, then });
        Watch::new(&Alarms { kl: alarm(1.0), chosen_decline: alarm(2.0), ..Alarms::default() })
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
