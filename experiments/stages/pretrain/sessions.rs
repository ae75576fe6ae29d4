//! Which runs of a training history are learnt as sessions (OneRec, 2502.18965).
//!
//! OneRec's sessions are the items that a service returned for one request, of which it learns those of high quality: enough of
//! them watched, long enough in total, one liked, collected or shared. A log does not name requests: here a session is what a
//! user did without a pause, and every `items` neighbours of one of high quality are a target behind all that came before.

use crate::config;
use anyhow::Context as _;
use policy::history::{History, Log};
use policy::ids::UserId;
use std::collections::BTreeSet;
use std::ops::Range;

/// What is a target.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Items of a target.
    pub items: usize,
    gap: Option<i64>,
    min_length: usize,
    /// Column of the feedback, and what its sum must pass.
    watched: Option<(usize, f64)>,
    /// Columns of the feedback, of which one must be positive.
    positive: Vec<usize>,
}

impl Rule {
    /// Every item is one.
    pub fn point_wise() -> Self {
        Self { items: 1, gap: None, min_length: 0, watched: None, positive: Vec::new() }
    }

    /// What the configuration asks for.
    ///
    /// # Errors
    /// A signal is not one of the log's, or no training history has a target.
    pub fn new(sessions: Option<&config::Sessions>, log: &Log) -> anyhow::Result<Self> {
        let Some(sessions) = sessions else { return Ok(Self::point_wise()) };
        let watched = sessions.watched.as_ref();
        let watched = watched.map(|sum| column(&sum.signal, log).map(|column| (column, sum.above)));
        let positive = sessions.positive.iter().map(|signal| column(signal, log));
        let rule = Self {
            items: sessions.items,
            gap: sessions.gap,
            min_length: sessions.min_length,
            watched: watched.transpose()?,
            positive: positive.collect::<anyhow::Result<_>>()?,
        };
        anyhow::ensure!(
            log.users().any(|user| !rule.starts(log, user).is_empty()),
            "no training history has a session of {} different items as `pretrain.sessions` wants them; ask for fewer items, a \
             longer gap, or less of the quality",
            sessions.items
        );
        Ok(rule)
    }

    /// Positions of a user's training items at which a target starts, ascending.
    pub fn starts(&self, log: &Log, user: UserId) -> Vec<usize> {
        let (history, length) = (log.history(user), log.train_items(user).len());
        let different = |start: &usize| {
            let items = &history.items[*start..start + self.items];
            items.iter().collect::<BTreeSet<_>>().len() == items.len()
        };
        self.sessions(history, length)
            .into_iter()
            .filter(|session| self.is_of_high_quality(history, session, log.signals.len()))
            .flat_map(|session| session.start.max(1)..(session.end + 1).saturating_sub(self.items))
            .filter(different)
            .collect()
    }

    /// The first `length` interactions, cut where there is a pause.
    fn sessions(&self, history: &History, length: usize) -> Vec<Range<usize>> {
        let times = &history.timestamps;
        let pause =
            |at: &usize| self.gap.is_some_and(|gap| times[*at].abs_diff(times[at - 1]) > gap.unsigned_abs());
        let cuts: Vec<usize> = [0].into_iter().chain((1..length).filter(pause)).chain([length]).collect();
        cuts.windows(2).map(|cut| cut[0]..cut[1]).collect()
    }

    fn is_of_high_quality(&self, history: &History, session: &Range<usize>, signals: usize) -> bool {
        let values =
            |column: usize| session.clone().map(move |at| f64::from(history.feedback[at * signals + column]));
        session.len() >= self.min_length
            && self.watched.is_none_or(|(column, above)| values(column).sum::<f64>() > above)
            && (self.positive.is_empty()
                || self.positive.iter().any(|&column| values(column).any(|value| value > 0.0)))
    }
}

fn column(signal: &str, log: &Log) -> anyhow::Result<usize> {
    log.signals.iter().position(|name| name == signal).with_context(|| {
        let known = if log.signals.is_empty() { "none".to_owned() } else { log.signals.join(", ") };
        format!("`pretrain.sessions` names the signal {signal:?}; the log's signals are: {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::ItemId;

    /// Eight training interactions in two sittings, and two held out.
    fn log() -> Log {
        let history = History {
            items: [0, 1, 2, 3, 4, 5, 4, 6, 7, 8].map(ItemId::new).to_vec(),
            timestamps: vec![0, 10, 20, 30, 500, 510, 520, 530, 540, 550],
            // Seconds watched, liked.
            feedback: [[9., 0.]; 4].into_iter().chain([[2., 1.]; 6]).flatten().collect(),
        };
        let signals = vec!["watched".into(), "like".into()];
        Log { histories: vec![history], num_items: 9, signals }
    }

    fn starts(sessions: &config::Sessions) -> Vec<usize> {
        let log = log();
        Rule::new(Some(sessions), &log).unwrap().starts(&log, UserId::new(0))
    }

    fn of(items: usize) -> config::Sessions {
        config::Sessions { items, ..config::Sessions::default() }
    }

    #[test]
    fn sessions_of_one_item_are_all_positions_but_the_first() {
        assert_eq!(starts(&of(1)), [1, 2, 3, 4, 5, 6, 7]);
        let log = log();
        assert_eq!(Rule::new(None, &log).unwrap().starts(&log, UserId::new(0)), starts(&of(1)));
    }

    #[test]
    fn targets_lie_within_a_sitting_and_hold_no_item_twice() {
        // Items 4 5 4 repeat one; the last two interactions are held out.
        assert_eq!(starts(&of(3)), [1, 2, 3, 5]);
        assert_eq!(starts(&config::Sessions { gap: Some(60), ..of(3) }), [1, 5]);
        assert_eq!(starts(&config::Sessions { gap: Some(60), ..of(2) }), [1, 2, 4, 5, 6]);
    }

    #[test]
    fn only_sessions_of_high_quality_are_learnt() {
        let two = config::Sessions { gap: Some(60), ..of(2) };
        let liked = config::Sessions { positive: vec!["like".into()], ..two.clone() };
        assert_eq!(starts(&liked), [4, 5, 6]);
        let watched = |above| config::SignalSum { signal: "watched".into(), above };
        // 36 seconds in the first sitting, 8 in the second.
        assert_eq!(starts(&config::Sessions { watched: Some(watched(8.0)), ..two.clone() }), [1, 2]);
        assert_eq!(starts(&config::Sessions { watched: Some(watched(7.0)), ..two.clone() }), [1, 2, 4, 5, 6]);
        let error = |sessions: &config::Sessions| Rule::new(Some(sessions), &log()).unwrap_err().to_string();
        assert!(error(&config::Sessions { min_length: 5, ..two.clone() }).contains("no training history"));
        let unknown = config::Sessions { positive: vec!["follow".into()], ..two };
        assert!(
            error(&unknown).contains("\"follow\"; the log's signals are: watched, like"),
            "{}",
            error(&unknown)
        );
    }
}
