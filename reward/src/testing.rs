//! Small logs with a known rule, for tests.

use crate::context::{Context, Sizes, Source};
use crate::features::{ItemFeatures, ItemIdentity, ItemTables};
use crate::labels::WatchLabel;
use policy::embeddings::Embeddings;
use policy::history::{History, Log};
use policy::ids::{ItemId, UserId};
use policy::random::Key;

/// Width of the test items' features.
pub(crate) const FEATURES: usize = 4;
/// Items of the test logs.
pub(crate) const ITEMS: usize = 60;

/// Standard normal-ish features in `[-1, 1]`.
pub(crate) fn embeddings() -> Embeddings {
    let values = (0..(ITEMS * FEATURES) as u64).map(|i| (Key::new(5).at(i).unit() * 2.0 - 1.0) as f32);
    Embeddings::new(FEATURES, values.collect())
}

/// What users of a test log do.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// Like what has a positive first feature, nine times of ten.
    LikeByFeature,
    /// Like every third item, nine times of ten: no feature tells which.
    LikeByItem,
    /// Like at random, as often.
    LikeAtRandom,
    /// No feedback; users with an even id see items with a positive first feature, the others the rest.
    SeeByFeature,
}

/// A log of `users` users with twelve interactions each.
pub(crate) fn log(users: usize, rule: Rule) -> Log {
    let items = embeddings();
    let history = |user: usize| {
        let mut history = History::default();
        let key = Key::new(11).at(user as u64);
        let suits = |item: usize| (items.row(item)[0] > 0.0) == user.is_multiple_of(2);
        let mut draws = (0..).map(|draw| (key.at(draw).unit() * ITEMS as f64) as usize);
        while history.items.len() < 12 {
            let item = draws.next().expect("endless");
            if rule == Rule::SeeByFeature && !suits(item) || history.items.contains(&ItemId::new(item)) {
                continue;
            }
            history.timestamps.push(history.items.len() as i64);
            let coin = key.named("coin").at(history.items.len() as u64).unit();
            match rule {
                Rule::LikeByFeature => {
                    history.feedback.push(f32::from((items.row(item)[0] > 0.0) == (coin < 0.9)));
                }
                Rule::LikeByItem => history.feedback.push(f32::from((item % 3 == 0) == (coin < 0.9))),
                Rule::LikeAtRandom => history.feedback.push(f32::from(coin < 0.5)),
                Rule::SeeByFeature => {}
            }
            history.items.push(ItemId::new(item));
        }
        history
    };
    let signals = if rule == Rule::SeeByFeature { vec![] } else { vec!["like".to_string()] };
    Log { histories: (0..users).map(history).collect(), num_items: ITEMS, signals }
}

/// The context of a log, fitted on its first `users` users.
pub(crate) fn context(log: &Log, users: usize) -> Context {
    context_of(log, users, sizes())
}

/// The same with other choices.
pub(crate) fn context_of(log: &Log, users: usize, sizes: Sizes) -> Context {
    let embeddings = embeddings();
    let items = ItemTables { embeddings: &embeddings, attributes: None };
    Context::fit(Source { log, items, attribute_names: &[] }, sizes, &ids(0..users)).unwrap()
}

/// Short histories and sessions, no watch time.
pub(crate) fn sizes() -> Sizes {
    Sizes {
        item_features: ItemFeatures::Embeddings,
        item_identity: ItemIdentity::Hidden,
        history_items: 6,
        session_items: 3,
        watch_label: WatchLabel::Median,
        watch: None,
        propensity: None,
    }
}

/// Users by number.
pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<UserId> {
    range.map(UserId::new).collect()
}
