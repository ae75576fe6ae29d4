//! From logged feedback to the targets of the reward models.
//!
//! OneRec (2502.18965) names the targets - session watch time, view-through, follow, like - and not how they become
//! 0 and 1. The following is a reconstruction:
//!
//! | head | a list of items is positive when |
//! |---|---|
//! | `swt` | its watch time is above the median of the training sessions of the same length |
//! | `vtr` | at least half of its items were viewed through (`long_view`, else `watch_ratio >= 0.9`) |
//! | `wtr` | at least one item led to a follow |
//! | `ltr` | at least one item was liked |
//! | `ctr` | at least one item was clicked (logs that tell none of these, such as the Open Bandit Dataset) |
//! | `next` | the user really saw these items (logs without feedback; see [`crate::batch`]) |
//!
//! For a list of one item - how candidates are scored - each is a property of that item. With
//! [`WatchLabel::DurationAware`], `swt` compares watch times within the user and the items' durations.

mod duration;
pub mod problems;

use duration::DurationAware;
use policy::history::Log;
use policy::ids::UserId;
use problems::MOST_WATCHED;
use serde::{Deserialize, Serialize};

/// What a head predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// Session watch time.
    Swt,
    /// View-through.
    Vtr,
    /// Follow.
    Wtr,
    /// Like.
    Ltr,
    /// Click.
    Ctr,
    /// Interacted with at all.
    Next,
}

impl Head {
    /// The paper's short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swt => "swt",
            Self::Vtr => "vtr",
            Self::Wtr => "wtr",
            Self::Ltr => "ltr",
            Self::Ctr => "ctr",
            Self::Next => "next",
        }
    }
}

/// Consecutive interactions of a user: positions `start .. start + length` of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: UserId,
    /// Position of the first item; everything before is known.
    pub start: usize,
    /// Number of items, at least 1.
    pub length: usize,
}

/// Every session of `length` items within the training part of these users' histories that has at least one known
/// interaction before it.
pub fn sessions<'a>(log: &'a Log, users: &'a [UserId], length: usize) -> impl Iterator<Item = Session> + 'a {
    users.iter().flat_map(move |&user| {
        let end = (log.train_items(user).len() + 1).saturating_sub(length);
        (1..end).map(move |start| Session { user, start, length })
    })
}

/// Which heads a log supports, and their labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    heads: Vec<Head>,
    columns: Columns,
    /// Median watch time of training sessions of length 1, 2, ...
    watch_medians: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_aware: Option<DurationAware>,
}

/// When a session's watch time counts as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchLabel {
    /// Above the median of training sessions of the same length.
    #[default]
    Median,
    /// In the upper quarter of what the user watches of items about as long (OneRec-V2).
    DurationAware,
}

/// Where the signals are; names differ between logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    like: Option<usize>,
    follow: Option<usize>,
    long_view: Option<usize>,
    watch_ratio: Option<usize>,
    watch_time: Option<usize>,
    /// Where nothing else is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    click: Option<usize>,
}

impl Columns {
    fn find(signals: &[String]) -> Self {
        let find = |names: &[&str]| signals.iter().position(|signal| names.contains(&signal.as_str()));
        let told = Self {
            click: None,
            like: find(&["like", "is_like"]),
            follow: find(&["follow", "is_follow"]),
            long_view: find(&["long_view", "view_through"]),
            watch_ratio: find(&["watch_ratio"]),
            watch_time: find(&["watch_time", "play_time", "play_time_ms"]),
        };
        let click = find(&["click", "is_click"]).filter(|_| told.heads().is_empty());
        Self { click, ..told }
    }
    fn heads(&self) -> Vec<Head> {
        let watched = self.watch_time.or(self.watch_ratio).map(|_| Head::Swt);
        let viewed = self.long_view.or(self.watch_ratio).map(|_| Head::Vtr);
        let followed = self.follow.map(|_| Head::Wtr);
        let liked = self.like.map(|_| Head::Ltr);
        let clicked = self.click.map(|_| Head::Ctr);
        [watched, viewed, followed, liked, clicked].into_iter().flatten().collect()
    }
}

/// Watching this share of an item counts as viewing it through, where the log has no `long_view`.
const VIEWED_THROUGH: f32 = 0.9;

/// Feedback with what is needed to turn watch ratios into watch time.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// The log.
    pub log: &'a Log,
    /// Duration per item in any unit; without it every item counts as equally long.
    pub durations: Option<&'a [f32]>,
}

impl Feedback<'_> {
    fn value(&self, user: UserId, position: usize, column: usize) -> f32 {
        self.log.history(user).feedback[position * self.log.signals.len() + column]
    }
    /// Within `[0, MOST_WATCHED durations]`. A large bound is a whole number, as milliseconds are: one fraction among them would have
    /// all counted in smaller units ([`crate::watch`]).
    fn watch_time(&self, columns: &Columns, user: UserId, position: usize) -> f64 {
        const LARGE: f64 = 1e4;
        let Watched { time, duration } = self.raw_watch_time(columns, user, position);
        let bound = duration.map_or(f64::INFINITY, |duration| MOST_WATCHED * duration);
        time.clamp(0.0, if bound >= LARGE { bound.round() } else { bound })
    }
    /// As it was logged.
    fn raw_watch_time(&self, columns: &Columns, user: UserId, position: usize) -> Watched {
        let item = self.log.history(user).items[position];
        let known = self.durations.map(|durations| f64::from(durations[item.index()]));
        if let Some(column) = columns.watch_time {
            // An unknown duration is stored as 0, that is exp(0) = 1 here: no bound.
            return Watched {
                time: f64::from(self.value(user, position, column)),
                duration: known.filter(|d| *d > 1.0),
            };
        }
        let ratio = columns.watch_ratio.map_or(0.0, |column| self.value(user, position, column));
        let duration = known.unwrap_or(1.0);
        Watched { time: f64::from(ratio) * duration, duration: Some(duration) }
    }
}

/// A watch time with the duration of the item, where it is known.
struct Watched {
    time: f64,
    duration: Option<f64>,
}

impl Labels {
    /// The heads this log supports and what makes a watch long, over sessions of 1 to `session_items` items of `users`.
    /// A head is kept when both classes occur among the sessions of one item; a log that leaves no head gets `next`.
    pub fn fit(
        feedback: Feedback<'_>,
        users: &[UserId],
        (session_items, watch): (usize, WatchLabel),
    ) -> Self {
        let columns = Columns::find(&feedback.log.signals);
        let duration_aware =
            (watch == WatchLabel::DurationAware).then(|| DurationAware::fit(&feedback, &columns, users));
        let median = |length| {
            let watched = |session: Session| total_watch_time(&feedback, &columns, session);
            median(sessions(feedback.log, users, length).map(watched).collect())
        };
        let mut labels = Self {
            heads: columns.heads(),
            watch_medians: (1..=session_items).map(median).collect(),
            duration_aware,
            columns,
        };
        let mut seen = vec![[false; 2]; labels.heads.len()];
        for session in sessions(feedback.log, users, 1) {
            for (head, seen) in labels.heads.iter().zip(&mut seen) {
                seen[usize::from(labels.label(&feedback, *head, session))] = true;
            }
        }
        labels.heads =
            labels.heads.iter().zip(seen).filter(|(_, seen)| *seen == [true; 2]).map(|(h, _)| *h).collect();
        if labels.heads.is_empty() {
            labels.heads.push(Head::Next);
        }
        labels
    }
    /// The heads, in the order of the labels.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }
    /// Whether the only target is what the user interacted with, so that lists nobody saw must be sampled.
    pub fn needs_negatives(&self) -> bool {
        self.heads == [Head::Next]
    }
    /// Appends 0 or 1 per head of an observed session to `out`.
    pub fn append(&self, feedback: Feedback<'_>, session: Session, out: &mut Vec<f32>) {
        out.extend(self.heads.iter().map(|&head| f32::from(self.label(&feedback, head, session))));
    }

    /// The watch time of an observed session, in the log's unit; absent where the log does not tell.
    pub fn watch_time(&self, feedback: Feedback<'_>, session: Session) -> Option<f32> {
        self.knows_watch_time().then(|| total_watch_time(&feedback, &self.columns, session) as f32)
    }
    /// The watch time above which that of one item counts as long; `None` where it depends on the user's other watches.
    pub fn watch_threshold(&self) -> Option<f64> {
        self.watch_medians.first().copied().filter(|_| self.duration_aware.is_none())
    }
    /// Whether the log tells watch times.
    pub fn knows_watch_time(&self) -> bool {
        self.columns.watch_time.or(self.columns.watch_ratio).is_some()
    }

    fn label(&self, feedback: &Feedback<'_>, head: Head, session: Session) -> bool {
        let Session { user, start, length } = session;
        let count = |column: Option<usize>, least: f32| {
            let above = |&position: &usize| {
                column.is_some_and(|column| feedback.value(user, position, column) >= least)
            };
            (start..start + length).filter(above).count()
        };
        match head {
            Head::Swt => match &self.duration_aware {
                Some(rule) => rule.label(feedback, &self.columns, session),
                None => total_watch_time(feedback, &self.columns, session) > self.watch_medians[length - 1],
            },
            Head::Vtr => {
                let viewed = match self.columns.long_view {
                    Some(column) => count(Some(column), 0.5),
                    None => count(self.columns.watch_ratio, VIEWED_THROUGH),
                };
                2 * viewed >= length
            }
            Head::Wtr => count(self.columns.follow, 0.5) > 0,
            Head::Ltr => count(self.columns.like, 0.5) > 0,
            Head::Ctr => count(self.columns.click, 0.5) > 0,
            Head::Next => true,
        }
    }
}

fn total_watch_time(feedback: &Feedback<'_>, columns: &Columns, session: Session) -> f64 {
    let positions = session.start..session.start + session.length;
    positions.map(|position| feedback.watch_time(columns, session.user, position)).sum()
}

/// The lower median; 0 for no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;
    use policy::ids::ItemId;

    /// One user, five training items (positions 0 to 4) and two held out, with the given signals.
    fn log(signals: &[&str], rows: &[&[f32]]) -> Log {
        let items: Vec<ItemId> = (0..rows.len()).map(ItemId::new).collect();
        let feedback = rows.iter().flat_map(|row| row.to_vec()).collect();
        let history = History { timestamps: vec![0; items.len()], items, feedback };
        Log { histories: vec![history], num_items: 7, signals: signals.iter().map(|s| (*s).into()).collect() }
    }
    fn fit(log: &Log, durations: Option<&[f32]>) -> Labels {
        Labels::fit(Feedback { log, durations }, &[UserId::new(0)], (2, WatchLabel::Median))
    }
    fn labels(log: &Log, durations: Option<&[f32]>, start: usize, length: usize) -> Vec<f32> {
        let mut out = Vec::new();
        let session = Session { user: UserId::new(0), start, length };
        fit(log, durations).append(Feedback { log, durations }, session, &mut out);
        out
    }
    const ROWS: [&[f32]; 7] =
        [&[1.0, 0.0], &[0.2, 0.0], &[0.95, 1.0], &[0.4, 0.0], &[1.5, 0.0], &[9.0, 1.0], &[9.0, 1.0]];

    #[test]
    fn each_label_equals_its_hand_value() {
        let log = log(&["watch_ratio", "like"], &ROWS);
        assert_eq!(fit(&log, None).heads(), [Head::Swt, Head::Vtr, Head::Ltr]);
        // Watch times of positions 1 to 4: .2 .95 .4 1.5, lower median .4; pairs 1.15 1.35 1.9, median 1.35.
        assert_eq!(labels(&log, None, 1, 1), [0.0, 0.0, 0.0]);
        assert_eq!(labels(&log, None, 2, 1), [1.0, 1.0, 1.0]);
        assert_eq!(labels(&log, None, 1, 2), [0.0, 1.0, 1.0]);
        assert_eq!(labels(&log, None, 3, 2), [1.0, 1.0, 0.0]);
    }

    #[test]
    fn clicks_are_predicted_where_nothing_else_is_told() {
        let clicks = log(&["click", "place"], &ROWS);
        assert_eq!(fit(&clicks, None).heads(), [Head::Ctr]);
        assert_eq!(labels(&clicks, None, 2, 1), [1.0]);
        assert_eq!(labels(&clicks, None, 3, 1), [0.0]);
        let liked = log(&["click", "like"], &ROWS);
        assert_eq!(fit(&liked, None).heads(), [Head::Ltr]);
    }

    #[test]
    fn durations_turn_ratios_into_watch_time() {
        let log = log(&["watch_ratio", "like"], &ROWS);
        let durations = [1.0, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert!(labels(&log, Some(&durations), 1, 1)[0] > 0.5);
    }

    /// Times of positions 0 to 4: 1 .2 .95 .4 1.5 (times durations). Position 4 is the longest watch of the short items; among
    /// long items, position 2 is the only one.
    #[test]
    fn duration_aware_labels_compare_within_the_bucket() {
        let log = log(&["watch_ratio", "like"], &ROWS);
        let durations = [1.0, 1.0, 100.0, 1.0, 1.0, 1.0, 1.0];
        let feedback = Feedback { log: &log, durations: Some(&durations) };
        let labels = Labels::fit(feedback, &[UserId::new(0)], (1, WatchLabel::DurationAware));
        let long =
            |start| labels.label(&feedback, Head::Swt, Session { user: UserId::new(0), start, length: 1 });
        // Ranks of positions 1 to 4: (0 + .5) / 4, .5 (alone), (1 + .5) / 4, (3 + .5) / 4; three of four are at most .5.
        assert_eq!([1, 2, 3, 4].map(long), [false, false, false, true]);
        let rule = labels.duration_aware.as_ref().unwrap();
        assert_eq!(serde_json::to_value(rule).unwrap()["threshold"], 0.5);
    }

    #[test]
    fn defects_of_a_log_are_named_and_bounded() {
        use problems::{LogProblem, problems};
        let mut rows = ROWS;
        rows[1] = &[-3.0, 0.0];
        rows[2] = &[144.0, 0.0];
        let mut log = log(&["watch_ratio", "like"], &rows);
        log.histories[0].items[4] = log.histories[0].items[3];
        log.histories[0].timestamps = vec![5, 6, 4, 7, 7, 8, 9];
        let feedback = Feedback { log: &log, durations: None };
        let labels = fit(&log, None);
        let found = problems(feedback, &labels, &[UserId::new(0)]);
        let expected = [
            LogProblem::NegativeWatchTime(1),
            LogProblem::ImpossibleWatchTime(1),
            LogProblem::MissingHead(Head::Wtr),
            LogProblem::OneClass(Head::Ltr),
            LogProblem::RepeatedEvent(1),
            LogProblem::TimeGoesBackwards(1),
        ];
        assert_eq!(found, expected);
        assert!(found[3].to_string().contains("every training label of ltr is the same"), "{}", found[3]);
        let time = |start| labels.watch_time(feedback, Session { user: UserId::new(0), start, length: 1 });
        assert_eq!([time(1), time(2), time(3)], [Some(0.0), Some(20.0), Some(0.4)]);
    }

    #[test]
    fn a_good_log_and_one_without_feedback_have_no_problems() {
        let users = [UserId::new(0)];
        let none: [&[f32]; 7] = [&[]; 7];
        let log = log(&[], &none);
        let found = problems::problems(Feedback { log: &log, durations: None }, &fit(&log, None), &users);
        assert_eq!(found, []);
    }

    #[test]
    fn held_out_feedback_never_counts() {
        let mut changed = ROWS;
        changed[5] = &[0.0, 0.0];
        changed[6] = &[0.0, 0.0];
        let signals = ["watch_ratio", "like"];
        assert_eq!(fit(&log(&signals, &ROWS), None), fit(&log(&signals, &changed), None));
    }

    #[test]
    fn a_head_with_one_class_is_dropped_and_no_head_leaves_next() {
        let rows: [&[f32]; 7] = [&[0.0]; 7];
        assert_eq!(fit(&log(&["follow"], &rows), None).heads(), [Head::Next]);
        let none: [&[f32]; 7] = [&[]; 7];
        assert!(fit(&log(&[], &none), None).needs_negatives());
    }

    #[test]
    fn sessions_start_after_a_known_item_and_end_in_the_training_part() {
        let rows: [&[f32]; 7] = [&[0.0]; 7];
        let log = log(&["like"], &rows);
        let starts = |length| sessions(&log, &[UserId::new(0)], length).map(|s| s.start).collect::<Vec<_>>();
        assert_eq!(starts(1), [1, 2, 3, 4]);
        assert_eq!(starts(4), [1]);
        assert!(starts(5).is_empty());
    }
}
