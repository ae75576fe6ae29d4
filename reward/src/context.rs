//! What the judges of a run share: the log, the item features, and how feedback becomes inputs and labels.

use crate::features::{Behaviour, FeatureError, FeatureTable, ItemFeatures, ItemIdentity, ItemTables};
use crate::labels::problems::{self, LogProblem};
use crate::labels::{Feedback, Labels, Session, WatchLabel, sessions};
use crate::propensity::{Propensity, PropensityError};
use crate::watch::{self, Codec};
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use thiserror::Error;

/// Everything about inputs and labels that was fitted or chosen; stored beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextConfig {
    /// What a judge knows of an item.
    pub item_features: ItemFeatures,
    /// Whether it also learns what every item is worth.
    #[serde(default, skip_serializing_if = "ItemIdentity::is_hidden")]
    pub item_identity: ItemIdentity,
    /// Most recent items that describe the user.
    pub history_items: usize,
    /// Most items of a training session.
    pub session_items: usize,
    /// Names of the log's feedback columns.
    pub signals: Vec<String>,
    /// Scale of the feedback beside the history's items.
    pub behaviour: Behaviour,
    /// Heads and thresholds.
    pub labels: Labels,
    /// How watch times are learned, where a head predicts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Codec>,
    /// With which probability interactions were shown, where training corrects for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<Propensity>,
}

/// Choices that are made before anything is fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What a judge knows of an item.
    pub item_features: ItemFeatures,
    /// Whether it also learns what every item is worth.
    pub item_identity: ItemIdentity,
    /// Most recent items that describe the user.
    pub history_items: usize,
    /// Most items of a training session.
    pub session_items: usize,
    /// When a watch time counts as long.
    pub watch_label: WatchLabel,
    /// How watch time is predicted as a number.
    pub watch: Option<watch::Kind>,
    /// The feedback column that training weights interactions by the inverse of.
    pub propensity: Option<String>,
}

/// A log and item tables that do not fit the stored description.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ContextError {
    /// The item tables cannot be used.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// A watch-time head or duration-aware labels are asked for and the log has no watch time.
    #[error(
        "reward.{key} needs watch times, but this log has none of the columns watch_time, play_time, play_time_ms, \
         watch_ratio; remove the key"
    )]
    NoWatchTime {
        /// `watch_time` or `watch_label`.
        key: &'static str,
    },
    /// The propensities cannot be used.
    #[error(transparent)]
    Propensity(#[from] PropensityError),
    /// The log has other feedback columns than the judge was trained on.
    #[error("the judge was trained on the feedback columns [{trained}], this log has [{found}]")]
    Signals {
        /// Columns at training.
        trained: String,
        /// Columns now.
        found: String,
    },
}

/// A log with item tables, as the stages hold them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What users did.
    pub log: &'a Log,
    /// What items are.
    pub items: ItemTables<'a>,
    /// Names of the columns of the attributes.
    pub attribute_names: &'a [String],
}

impl Source<'_> {
    /// `exp` of the attribute `log_duration`, where there is one.
    fn durations(&self) -> Option<Vec<f32>> {
        Some(self.attribute("log_duration")?.map(f32::exp).collect())
    }
    /// Items of which the attribute `duration_known` says that their duration is a guess.
    fn guessed(&self) -> HashSet<ItemId> {
        let known = self.attribute("duration_known").into_iter().flatten().enumerate();
        known.filter(|(_, known)| *known <= 0.0).map(|(item, _)| ItemId::new(item)).collect()
    }
    fn attribute(&self, name: &str) -> Option<impl Iterator<Item = f32>> {
        let attributes = self.items.attributes?;
        let column = self.attribute_names.iter().position(|found| found == name)?;
        (column < attributes.width())
            .then(|| (0..attributes.rows()).map(move |item| attributes.row(item)[column]))
    }
}

fn codec(
    kind: watch::Kind,
    feedback: Feedback<'_>,
    (labels, users): (&Labels, &[UserId]),
) -> Result<Codec, ContextError> {
    let times = sessions(feedback.log, users, 1).map(|session| labels.watch_time(feedback, session));
    let times: Option<Vec<f64>> = times.map(|time| time.map(f64::from)).collect();
    match times {
        Some(times) if !times.is_empty() && labels.knows_watch_time() => Ok(Codec::fit(kind, &times)),
        _ => Err(ContextError::NoWatchTime { key: "watch_time" }),
    }
}

/// The shared part of the judges. Owns a copy of the log, so that judges borrow nothing.
#[derive(Clone, Debug)]
pub struct Context {
    log: Log,
    features: Arc<FeatureTable>,
    durations: Option<Vec<f32>>,
    /// Items whose duration is not known, where the log says so.
    guessed: Arc<HashSet<ItemId>>,
    config: ContextConfig,
}

impl Context {
    /// Fits scales, heads and thresholds on the training interactions of `users` (the training users of both judges,
    /// never the evaluation users).
    ///
    /// # Errors
    /// If the item tables cannot be used.
    pub fn fit(source: Source<'_>, sizes: Sizes, users: &[UserId]) -> Result<Self, ContextError> {
        let durations = source.durations();
        let feedback = Feedback { log: source.log, durations: durations.as_deref() };
        let labels = Labels::fit(feedback, users, (sizes.session_items, sizes.watch_label));
        if sizes.watch_label == WatchLabel::DurationAware && !labels.knows_watch_time() {
            return Err(ContextError::NoWatchTime { key: "watch_label" });
        }
        let watch = sizes.watch.map(|kind| codec(kind, feedback, (&labels, users))).transpose()?;
        let propensity =
            sizes.propensity.map(|name| Propensity::fit(&name, source.log, users)).transpose()?;
        let behaviour = Behaviour::fit(source.log, users);
        let config = ContextConfig {
            item_features: sizes.item_features,
            item_identity: sizes.item_identity,
            history_items: sizes.history_items,
            session_items: sizes.session_items,
            signals: source.log.signals.clone(),
            behaviour: match &propensity {
                Some(propensity) => propensity.hide_from(behaviour),
                None => behaviour,
            },
            labels,
            watch,
            propensity,
        };
        Self::restore(source, config)
    }

    /// The context of a stored description.
    ///
    /// # Errors
    /// If the item tables cannot be used or the log has other feedback columns.
    pub fn restore(source: Source<'_>, config: ContextConfig) -> Result<Self, ContextError> {
        if source.log.signals != config.signals {
            let (trained, found) = (config.signals.join(", "), source.log.signals.join(", "));
            return Err(ContextError::Signals { trained, found });
        }
        let features = FeatureTable::new(config.item_features, source.items, source.log.num_items)?.into();
        let (durations, guessed) = (source.durations(), source.guessed().into());
        Ok(Self { log: source.log.clone(), features, durations, guessed, config })
    }

    /// The same over other histories of the same items.
    ///
    /// # Panics
    /// If the log is of another catalog or has other feedback columns.
    #[must_use]
    pub fn over(&self, log: Log) -> Self {
        let same = log.num_items == self.log.num_items && log.signals == self.log.signals;
        assert!(same, "histories of another catalog or with other feedback");
        // Not a clone of the whole with its log: a service asks for this with every request that a judge ranks.
        let (features, durations) = (self.features.clone(), self.durations.clone());
        Self { log, features, durations, guessed: self.guessed.clone(), config: self.config.clone() }
    }

    /// The same with another watch-time head, whose scales are fitted on `users`.
    ///
    /// # Errors
    /// The log has no watch times.
    pub fn with_watch(&self, kind: watch::Kind, users: &[UserId]) -> Result<Self, ContextError> {
        let watch = Some(codec(kind, self.feedback(), (&self.config.labels, users))?);
        Ok(Self { config: ContextConfig { watch, ..self.config.clone() }, ..self.clone() })
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }
    /// The standardised item features.
    pub fn features(&self) -> &FeatureTable {
        &self.features
    }
    /// What to store beside the weights.
    pub fn config(&self) -> &ContextConfig {
        &self.config
    }
    /// Names of the heads, in order.
    pub fn head_names(&self) -> Vec<String> {
        self.config.labels.heads().iter().map(|head| head.name().to_string()).collect()
    }
    /// What is wrong with the log of these users, see [`problems::problems`].
    pub fn problems(&self, users: &[UserId]) -> Vec<LogProblem> {
        let found = problems::problems(self.feedback(), &self.config.labels, users);
        let guessed = |user: &UserId| {
            self.log.train_items(*user).iter().filter(|item| self.guessed.contains(item)).count() as u64
        };
        let guessed: u64 = users.iter().map(guessed).sum();
        found.into_iter().chain((guessed > 0).then_some(LogProblem::UnknownDuration(guessed))).collect()
    }
    pub(crate) fn feedback(&self) -> Feedback<'_> {
        self.feedback_of(&self.log)
    }
    /// What a head's label of one interaction of its log is; `None` of a head that the judges do not have, or whose labels are no
    /// property of what was logged (`next`).
    pub fn label(&self, head: &str, session: Session) -> Option<f64> {
        let labels = &self.config().labels;
        let column = labels.heads().iter().position(|known| known.name() == head)?;
        let mut row = Vec::new();
        labels.append(self.feedback(), session, &mut row);
        (!labels.needs_negatives()).then(|| f64::from(row[column]))
    }
    /// The feedback of a log over the same items.
    pub(crate) fn feedback_of<'a>(&'a self, log: &'a Log) -> Feedback<'a> {
        Feedback { log, durations: self.durations.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Rule};

    #[test]
    fn items_of_unknown_duration_are_named_among_the_problems() {
        let log = testing::log(8, Rule::LikeByFeature);
        let (embeddings, users) = (testing::embeddings(), testing::ids(0..8));
        let known = (0..log.num_items).flat_map(|item| [2.0, f32::from(u8::from(item != 1))]);
        let attributes = policy::embeddings::Embeddings::new(2, known.collect());
        let names = ["log_duration", "duration_known"].map(String::from);
        let items = ItemTables { embeddings: &embeddings, attributes: Some(&attributes) };
        let source = Source { log: &log, items, attribute_names: &names };
        let context = Context::fit(source, testing::sizes(), &users).unwrap();
        let own =
            |user: &UserId| log.train_items(*user).iter().filter(|item| item.index() == 1).count() as u64;
        let expected = users.iter().map(own).sum();
        assert!(expected > 0);
        assert!(context.problems(&users).contains(&LogProblem::UnknownDuration(expected)));
        let all_known = testing::context(&log, 8).problems(&users);
        assert!(!all_known.iter().any(|problem| matches!(problem, LogProblem::UnknownDuration(_))));
    }
}
