//! What is wrong with a log, seen from the labels, and what is done about it.
//!
//! | defect | rule |
//! |---|---|
//! | negative watch time | counts as 0 |
//! | more than [`MOST_WATCHED`] durations watched | counts as that many |
//! | the log has no column for a head | the head is not predicted |
//! | a head's labels are all alike | the head is not predicted |
//! | the same in `KuaiRand`'s and `KuaiRec`'s tables | ingest bounds them, counts them in the data card and warns |
//! | an item whose duration is not known | ingest gives it the usual one, so that its shares and bounds are guesses |
//! | an event that stands twice (user, item, time) | both count; ingest drops the second of logs with a clock |
//! | time that goes backwards | the order of the history counts; ingest sorts logs with a clock |

use super::{Feedback, Head, Labels, Session, sessions};
use policy::ids::{ItemId, UserId};
use std::collections::BTreeSet;
use std::fmt;

/// Durations that an item is watched at most: replays beyond are counters gone wrong.
pub const MOST_WATCHED: f64 = 20.0;

/// A defect, and how often it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogProblem {
    /// Interactions with a watch time below 0.
    NegativeWatchTime(u64),
    /// Interactions that last more than [`MOST_WATCHED`] durations.
    ImpossibleWatchTime(u64),
    /// No column has what this head needs.
    MissingHead(Head),
    /// All labels of this head are alike.
    OneClass(Head),
    /// Interactions with items whose duration is not known.
    UnknownDuration(u64),
    /// Interactions that repeat an earlier one's user, item and time.
    RepeatedEvent(u64),
    /// Interactions before which time goes backwards.
    TimeGoesBackwards(u64),
}

impl fmt::Display for LogProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegativeWatchTime(count) => {
                write!(f, "{count} interactions have a negative watch time; it counts as 0")
            }
            Self::ImpossibleWatchTime(count) => write!(
                f,
                "{count} interactions last more than {MOST_WATCHED} durations of their item; they count as that many"
            ),
            Self::MissingHead(head) => {
                write!(f, "no feedback column tells {}; it is not predicted", head.name())
            }
            Self::OneClass(head) => {
                write!(f, "every training label of {} is the same; it is not predicted", head.name())
            }
            Self::UnknownDuration(count) => write!(
                f,
                "{count} interactions are with items of unknown duration; the log's usual one stands for it"
            ),
            Self::RepeatedEvent(count) => {
                write!(f, "{count} interactions repeat an earlier one's user, item and time; all count")
            }
            Self::TimeGoesBackwards(count) => {
                write!(f, "{count} interactions are older than the one before; the order of the log counts")
            }
        }
    }
}

/// What is wrong with the training interactions of `users`, in the order of the table above.
pub fn problems(feedback: Feedback<'_>, labels: &Labels, users: &[UserId]) -> Vec<LogProblem> {
    let counted = |problem: fn(u64) -> LogProblem, count: u64| (count > 0).then(|| problem(count));
    let (negative, impossible) = watch_times(&feedback, labels, users);
    let mut found: Vec<LogProblem> = [
        counted(LogProblem::NegativeWatchTime, negative),
        counted(LogProblem::ImpossibleWatchTime, impossible),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.extend(heads(labels, feedback.log.signals.is_empty()));
    let (repeated, backwards) = events(&feedback, users);
    found.extend(counted(LogProblem::RepeatedEvent, repeated));
    found.extend(counted(LogProblem::TimeGoesBackwards, backwards));
    found
}

fn watch_times(feedback: &Feedback<'_>, labels: &Labels, users: &[UserId]) -> (u64, u64) {
    let (mut negative, mut impossible) = (0, 0);
    if !labels.knows_watch_time() {
        return (0, 0);
    }
    for Session { user, start, .. } in sessions(feedback.log, users, 1) {
        let watched = feedback.raw_watch_time(&labels.columns, user, start);
        negative += u64::from(watched.time < 0.0);
        impossible +=
            u64::from(watched.duration.is_some_and(|duration| watched.time > MOST_WATCHED * duration));
    }
    (negative, impossible)
}

/// A log without any feedback misses nothing: `next` is what is left, and says so in every table. Nor does one of clicks.
fn heads(labels: &Labels, no_feedback: bool) -> Vec<LogProblem> {
    let possible = labels.columns.heads();
    let problem = |head: &Head| {
        if labels.heads.contains(head) {
            None
        } else if possible.contains(head) {
            Some(LogProblem::OneClass(*head))
        } else {
            (!no_feedback).then_some(LogProblem::MissingHead(*head))
        }
    };
    let usual = [Head::Swt, Head::Vtr, Head::Wtr, Head::Ltr];
    let asked = if possible == [Head::Ctr] { &possible[..] } else { &usual };
    asked.iter().filter_map(problem).collect()
}

fn events(feedback: &Feedback<'_>, users: &[UserId]) -> (u64, u64) {
    let (mut repeated, mut backwards) = (0, 0);
    for &user in users {
        let items = feedback.log.train_items(user);
        let times = &feedback.log.history(user).timestamps[..items.len()];
        let mut seen: BTreeSet<(i64, ItemId)> = BTreeSet::new();
        repeated +=
            items.iter().zip(times).filter(|(item, time)| !seen.insert((**time, **item))).count() as u64;
        backwards += times.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    }
    (repeated, backwards)
}
