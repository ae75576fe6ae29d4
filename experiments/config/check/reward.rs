//! The judges.

use super::Check;
use crate::config::{Attainable, Config, Reward, Source};
use reward::fusion::Fusion;
use reward::labels::WatchLabel;
use reward::model::Kind;

pub(super) fn reward(reward: &Reward, check: &mut Check) {
    check.within("reward.width", reward.width, 4..=4096);
    check.within("reward.session_items", reward.session_items, 1..=100);
    check.within("reward.history_items", reward.history_items, 1..=1000);
    check.within("reward.negatives", reward.negatives, 1..=100);
    check.positive("reward.epochs", reward.epochs);
    check.positive("reward.batch_size", reward.batch_size);
    check.learning_rate("reward.learning_rate", reward.learning_rate);
    check.within("reward.weight_decay", reward.weight_decay, 0.0..=10.0);
    let share = reward.evaluation_share;
    check.that("reward.evaluation_share", share > 0.0 && share <= 0.9, share, "above 0 and at most 0.9");
    check.within("reward.ensemble", reward.ensemble, 0..=100);
    check.within("reward.inferred_users", reward.inferred_users, 0..=10_000);
    check.within("reward.resamples", reward.resamples, 0..=1_000_000);
    for (at, &share) in reward.learning_curve.iter().enumerate() {
        let key = format!("reward.learning_curve.{at}");
        check.that(key, share > 0.0 && share <= 1.0, share, "above 0 and at most 1");
    }
    for (at, &share) in reward.label_noise.iter().enumerate() {
        let key = format!("reward.label_noise.{at}");
        check.that(key, share > 0.0 && share <= 0.5, share, "above 0 and at most 0.5: half is noise alone");
    }
    reward_models(reward, check);
}

/// Only of a world is everything known.
pub(super) fn attainable(config: &Config, check: &mut Check) {
    let Config { data, reward, .. } = config;
    inferred(config, check);
    if reward.attainable == Attainable::Unknown {
        return;
    }
    if !matches!(data.source, Source::World(_)) {
        let message = "`reward.attainable` = \"measured\" needs the truth: a `data.source` of kind \"world\"";
        check.between_keys("reward.attainable", message.into(), "data.source");
    }
    if reward.watch_label != WatchLabel::Median {
        let message = "`reward.attainable` = \"measured\" needs `reward.watch_label` = \"median\": what is long in comparison with \
                       a user's other watches is no property of one impression";
        check.between_keys("reward.attainable", message.into(), "reward.watch_label");
    }
}

/// The world's laws of a slate are of its users and its service.
fn inferred(config: &Config, check: &mut Check) {
    let Config { data, reward, .. } = config;
    if reward.inferred_users == 0 {
        return;
    }
    if reward.attainable == Attainable::Unknown {
        let message = "`reward.inferred_users` needs `reward.attainable` = \"measured\"";
        check.between_keys("reward.inferred_users", message.into(), "reward.attainable");
    }
    if matches!(&data.source, Source::World(world) if world.feed.is_some()) {
        let message =
            "`reward.inferred_users` needs users who pick their items: a world without `data.source.feed`";
        check.between_keys("reward.inferred_users", message.into(), "data.source.feed");
    }
}

/// What an architecture cannot do.
fn reward_models(reward: &Reward, check: &mut Check) {
    let kinds = [Some(reward.architecture), reward.held_out_architecture];
    let any = |kind| kinds.contains(&Some(kind));
    if reward.watch_time.is_some() && (any(Kind::Session) || any(Kind::Metric)) {
        let message = "`reward.watch_time` is a head of point-wise judges with towers: it needs `reward.architecture` (and \
                       `reward.held_out_architecture`, where given) to be \"towers\", \"retrieval\" or \"p-score\"";
        check.between_keys("reward.watch_time", message.into(), "reward.architecture");
    }
    if reward.watch_baseline.is_some() && [None, reward.watch_baseline].contains(&reward.watch_time) {
        let message = "`reward.watch_baseline` is compared with `reward.watch_time`, which must be another one of \
                       \"regression\", \"ordinal\" and \"generative\"";
        check.between_keys("reward.watch_baseline", message.into(), "reward.watch_time");
    }
    let corrects_less = any(Kind::PScore) || any(Kind::Metric) || reward.watch_time.is_some();
    if reward.propensity.is_some() && corrects_less {
        let message = "`reward.propensity` corrects the heads alone: leave out `reward.watch_time`, and use \"session\" or \
                       \"towers\" as `reward.architecture`";
        check.between_keys("reward.propensity", message.into(), "reward.architecture");
    }
    let learnable =
        matches!(&reward.fusion, Fusion::WeightedSum { weights } if weights.values().all(|w| *w >= 0.0));
    if any(Kind::PScore) && !learnable {
        let message = "`reward.fusion` must be a weighted-sum without negative weights for `reward.architecture` = \"p-score\": \
                       the score is learned, the weights are those of the heads in its loss";
        check.between_keys("reward.fusion", message.into(), "reward.architecture");
    }
}
