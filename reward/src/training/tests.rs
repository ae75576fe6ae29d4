use super::*;
use crate::context::Sizes;
use crate::features::ItemIdentity;
use crate::fusion::Fusion;
use crate::model_judge::{ModelJudge, Trained};
use crate::quality::{Examination, ExaminationResult};
use crate::statistics::HeadStatistics;
use crate::testing::{self, Rule, ids};
use std::sync::Arc;

fn config(epochs: usize) -> TrainingConfig {
    TrainingConfig {
        kind: Kind::Session,
        score_weights: vec![1.0],
        width: 16,
        negatives: 1,
        epochs,
        batch_size: 64,
        learning_rate: 3e-3,
        weight_decay: WEIGHT_DECAY,
        label_noise: 0.0,
    }
}
fn train(
    context: &Context,
    users: std::ops::Range<usize>,
    config: TrainingConfig,
) -> (RewardModel, Vec<TrainingStep>) {
    let users = ids(users);
    let apprentice = Apprentice { users: &users, key: Key::new(7), device: &Device::flex() };
    let mut trainer = Trainer::new(context, config, &apprentice).unwrap();
    let mut steps = Vec::new();
    while let Some(step) = trainer.step().unwrap() {
        steps.push(step);
    }
    assert_eq!(steps.len() as u64, trainer.total_steps());
    (trainer.into_model(), steps)
}
/// Trains on users 0 to 79 and examines on users 80 to 119.
fn examine(rule: Rule) -> ExaminationResult {
    examine_as(rule, config(16))
}
fn examine_as(rule: Rule, config: TrainingConfig) -> ExaminationResult {
    let context = Arc::new(testing::context(&testing::log(120, rule), 80));
    let (model, _) = train(&context, 0..80, config);
    let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
    let judge = ModelJudge::new(trained, context.clone(), &Device::flex()).unwrap();
    Examination::new(&context, &ids(80..120), 1, Key::new(8)).examine(&judge)
}

#[test]
fn a_like_that_depends_on_a_feature_is_learnt() {
    let result = examine(Rule::LikeByFeature);
    let head = &result.heads[0];
    // A coin decides one like of ten, so .9 is the best that can be had.
    assert!(head.auc.unwrap() > 0.8 && head.ece < 0.15, "{head:?}");
}

#[test]
fn towers_and_the_learned_score_learn_it_too() {
    for kind in [Kind::Towers, Kind::Retrieval, Kind::PScore, Kind::Metric] {
        let result = examine_as(Rule::LikeByFeature, TrainingConfig { kind, ..config(16) });
        assert!(result.heads[0].auc.unwrap() > 0.8, "{kind:?}: {:?}", result.heads[0]);
        // With one head the learned score must rank as the head does.
        let context = testing::context(&testing::log(120, Rule::LikeByFeature), 80);
        let truth = Examination::new(&context, &ids(80..120), 1, Key::new(8)).truth(0);
        let statistics = HeadStatistics::new(truth.rows(&result.fused));
        let fused = statistics.auc(&[1.0; 40]).unwrap();
        assert!(fused > 0.8, "{kind:?}: {fused}");
    }
}

#[test]
fn what_only_an_items_identity_tells_is_learnt_where_items_may_be_told_apart() {
    let log = testing::log(120, Rule::LikeByItem);
    let auc = |item_identity| {
        let sizes = Sizes { item_identity, ..testing::sizes() };
        let context = Arc::new(testing::context_of(&log, 80, sizes));
        let (model, _) = train(&context, 0..80, TrainingConfig { kind: Kind::Towers, ..config(16) });
        let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
        let judge = ModelJudge::new(trained, context.clone(), &Device::flex()).unwrap();
        let questions = Examination::new(&context, &ids(80..120), 1, Key::new(8));
        questions.examine(&judge).heads[0].auc.unwrap()
    };
    let (hidden, learned) = (auc(ItemIdentity::Hidden), auc(ItemIdentity::Learned));
    assert!(learned > 0.8 && learned > hidden + 0.05, "{hidden} hidden, {learned} learned");
}

#[test]
fn labels_turned_over_half_of_the_time_teach_nothing_and_a_tenth_does_little_harm() {
    let auc = |label_noise| {
        let config = TrainingConfig { label_noise, ..config(16) };
        examine_as(Rule::LikeByFeature, config).heads[0].auc.unwrap()
    };
    assert!((auc(0.5) - 0.5).abs() < 0.15 && auc(0.1) > 0.75, "{} {}", auc(0.5), auc(0.1));
}

/// 360 labels: the standard error of a chance AUC is .03, the bound 4 of them.
#[test]
fn a_like_that_depends_on_nothing_is_not_learnt() {
    let auc = examine(Rule::LikeAtRandom).heads[0].auc.unwrap();
    assert!((auc - 0.5).abs() < 0.12, "{auc}");
}

#[test]
fn without_feedback_what_suits_the_user_is_learnt_from_the_history() {
    let result = examine(Rule::SeeByFeature);
    assert!((result.heads[0].base_rate - 0.5).abs() < 1e-9);
    // Half of the sampled items suit the user too: no judge can exceed about .75.
    assert!(result.heads[0].auc.unwrap() > 0.66, "{:?}", result.heads[0].auc);
    assert_eq!(result.fused.len(), 40 * 9 * 2);
}

#[test]
fn training_is_a_function_of_its_key_and_lowers_the_loss() {
    let context = testing::context(&testing::log(40, Rule::LikeByFeature), 40);
    let ((a, steps), (b, _)) = (train(&context, 0..40, config(4)), train(&context, 0..40, config(4)));
    assert_eq!(crate::checkpoint::to_bytes(&a).unwrap(), crate::checkpoint::to_bytes(&b).unwrap());
    let mean = |steps: &[TrainingStep]| steps.iter().map(|s| s.report.loss).sum::<f64>() / steps.len() as f64;
    assert!(mean(&steps[steps.len() - 4..]) < mean(&steps[..4]) - 0.05, "{steps:?}");
}

#[test]
fn users_without_sessions_are_refused() {
    let mut log = testing::log(4, Rule::LikeByFeature);
    for history in &mut log.histories {
        history.items.truncate(3);
        history.timestamps.truncate(3);
        history.feedback.truncate(3);
    }
    let context = testing::context(&log, 4);
    let apprentice = Apprentice { users: &ids(0..4), key: Key::new(7), device: &Device::flex() };
    let error = Trainer::new(&context, config(1), &apprentice).err().unwrap();
    assert_eq!(error, TrainingError::NoSessions { users: 4 });
}

#[test]
fn another_log_is_judged_by_its_own_labels_given_the_own_histories() {
    let log = testing::log(60, Rule::LikeByFeature);
    let context = Arc::new(testing::context(&log, 40));
    let (model, _) = train(&context, 0..40, config(8));
    let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
    let judge = ModelJudge::new(trained, context.clone(), &Device::flex()).unwrap();
    let mut other = log.clone();
    // One user has nothing there.
    other.histories[59] = policy::history::History::default();
    let auc = |other: &policy::history::Log| {
        let examination = Examination::elsewhere(&context, other, &ids(40..60));
        assert_eq!(examination.len(), 19 * 12);
        examination.examine(&judge).heads[0].auc.unwrap()
    };
    let straight = auc(&other);
    for history in &mut other.histories {
        history.feedback.iter_mut().for_each(|like| *like = 1.0 - *like);
    }
    assert!(straight > 0.7 && (auc(&other) - (1.0 - straight)).abs() < 1e-9, "{straight}");
}

#[test]
fn interactions_that_were_hardly_ever_shown_count_for_more() {
    // Liked items are shown nine times as often as others: uncorrected, the judge believes that most are liked.
    let mut log = testing::log(120, Rule::LikeAtRandom);
    log.signals.push("shown".into());
    for (user, history) in log.histories.iter_mut().enumerate() {
        let coin = |at: usize| Key::new(21).at(user as u64).at(at as u64).unit();
        let likes = std::mem::take(&mut history.feedback);
        let shown = |like: f32| if like > 0.5 { 0.9 } else { 0.1 };
        let kept: Vec<usize> =
            (0..likes.len()).filter(|&at| at > 9 || coin(at) < f64::from(shown(likes[at]))).collect();
        history.items = kept.iter().map(|&at| history.items[at]).collect();
        history.timestamps = (0..kept.len() as i64).collect();
        history.feedback = kept.iter().flat_map(|&at| [likes[at], shown(likes[at])]).collect();
    }
    let mean = |propensity: Option<&str>| {
        let embeddings = testing::embeddings();
        let items = crate::features::ItemTables { embeddings: &embeddings, attributes: None };
        let source = crate::context::Source { log: &log, items, attribute_names: &[] };
        let sizes = crate::context::Sizes { propensity: propensity.map(String::from), ..testing::sizes() };
        let context = Arc::new(Context::fit(source, sizes, &ids(0..120)).unwrap());
        let config = TrainingConfig { kind: Kind::Towers, ..config(6) };
        let (model, _) = train(&context, 0..120, config);
        let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
        let judge = ModelJudge::new(trained, context.clone(), &Device::flex()).unwrap();
        let result = Examination::new(&context, &ids(0..120), 1, Key::new(8)).examine(&judge);
        result.predictions[0].iter().sum::<f64>() / result.predictions[0].len() as f64
    };
    let (plain, corrected) = (mean(None), mean(Some("shown")));
    assert!(plain > 0.75 && (corrected - 0.5).abs() < 0.12, "{plain} {corrected}");
}
