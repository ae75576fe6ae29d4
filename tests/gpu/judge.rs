//! The session reward model: training, then scores.

use super::agree;
use burn::prelude::Device;
use policy::embeddings::Embeddings;
use policy::history::{History, Log};
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use reward::context::{Context, Sizes, Source};
use reward::features::{ItemFeatures, ItemIdentity, ItemTables};
use reward::fusion::Fusion;
use reward::judge::{Judge, Request};
use reward::labels::WatchLabel;
use reward::model::Kind;
use reward::model_judge::{ModelJudge, Trained};
use reward::training::{Apprentice, Trainer, TrainingConfig, WEIGHT_DECAY};
use std::sync::Arc;

const ITEMS: usize = 40;
const FEATURES: usize = 16;
const CONFIG: TrainingConfig = TrainingConfig {
    kind: Kind::Session,
    score_weights: Vec::new(),
    width: 16,
    negatives: 2,
    epochs: 2,
    batch_size: 16,
    learning_rate: 1e-3,
    weight_decay: WEIGHT_DECAY,
    label_noise: 0.0,
};

fn log() -> Log {
    let history = |user: usize| History {
        items: (0..12).map(|at| ItemId::new((17 * user + 7 * at) % ITEMS)).collect(),
        timestamps: (0..12).collect(),
        feedback: (0..12).map(|at| f32::from((user + at).is_multiple_of(3))).collect(),
    };
    Log { histories: (0..8).map(history).collect(), num_items: ITEMS, signals: vec!["like".into()] }
}

fn context(log: &Log, users: &[UserId]) -> Context {
    let values = (0..(ITEMS * FEATURES) as u64).map(|at| (Key::new(6).at(at).unit() * 2.0 - 1.0) as f32);
    let embeddings = Embeddings::new(FEATURES, values.collect());
    let items = ItemTables { embeddings: &embeddings, attributes: None };
    let sizes = Sizes {
        item_features: ItemFeatures::Embeddings,
        item_identity: ItemIdentity::Hidden,
        history_items: 6,
        session_items: 3,
        watch_label: WatchLabel::Median,
        watch: None,
        propensity: None,
    };
    Context::fit(Source { log, items, attribute_names: &[] }, sizes, users).unwrap()
}

/// Losses and gradient norms of three updates, then every score of every user.
fn judged(device: &Device) -> Vec<f64> {
    let log = log();
    let users: Vec<UserId> = log.users().collect();
    let context = context(&log, &users);
    let apprentice = Apprentice { users: &users, key: Key::new(7), device };
    let mut trainer = Trainer::new(&context, CONFIG, &apprentice).unwrap();
    let reports: Vec<_> = (0..3).map(|_| trainer.step().unwrap().unwrap().report).collect();
    let trained = Trained { name: "proxy".into(), model: trainer.into_model(), fusion: Fusion::default() };
    let judge = ModelJudge::new(trained, Arc::new(context), device).unwrap();
    let items: Vec<ItemId> = (0..ITEMS).map(ItemId::new).collect();
    let known = |user: &UserId| user.index() + 1;
    let requests: Vec<_> =
        users.iter().map(|user| Request { user: *user, known: known(user), candidates: &items }).collect();
    let scores = judge.score(&requests).concat();
    let seen = reports.iter().flat_map(|report| [report.loss, report.grad_norm]);
    seen.chain(scores.iter().flat_map(|score| &score.heads).copied().map(f64::from)).collect()
}

#[test]
fn judges_agree() {
    agree("session reward model, 3 updates and scores", judged);
}
