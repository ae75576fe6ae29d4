//! Scores of the point-wise judge: every user's whole catalog, as often as sampling and evaluation would like to ask.

use super::canonical;
use super::harness::{Case, Outcome, Timing};
use burn::prelude::Device;
use policy::embeddings::Embeddings;
use policy::history::{History, Log};
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use reward::context::{Context, Sizes, Source};
use reward::features::{ItemFeatures, ItemIdentity, ItemTables};
use reward::fusion::Fusion;
use reward::judge::{Judge as _, Request};
use reward::labels::WatchLabel;
use reward::model::{Kind, RewardModel};
use reward::model_judge::{ModelJudge, Trained};
use reward::training::model_config;
use std::hint::black_box;
use std::sync::Arc;

const USERS: usize = 50;
const FEATURES: usize = 64;
const SIGNALS: [&str; 4] = ["watch_ratio", "long_view", "follow", "like"];
/// Width of a judge as configured by default.
const WIDTH: usize = 64;

/// Times (user, item) pairs scored by untrained towers of the default size with four heads.
pub(super) fn run(timing: Timing) -> anyhow::Result<Outcome> {
    let judge = judge()?;
    let catalog: Vec<ItemId> = (0..canonical::ITEMS).map(ItemId::new).collect();
    let request = |user| Request { user: UserId::new(user), known: 20, candidates: &catalog };
    let requests: Vec<_> = (0..USERS).map(request).collect();
    let (seconds, ()) = timing.steps((), |()| {
        black_box(judge.score(&requests));
        Ok(())
    })?;
    let case = Case {
        workload: "W-judge",
        variant: "towers".into(),
        unit: "pairs",
        units: (USERS * canonical::ITEMS) as f64,
        gflop_per_unit: None,
    };
    Ok(Outcome::new(case, seconds, [("width", WIDTH.into()), ("heads", judge.heads().len().into())]))
}

fn judge() -> anyhow::Result<ModelJudge> {
    let log = log();
    let values = (0..(canonical::ITEMS * FEATURES) as u64).map(|at| Key::new(1).at(at).unit() as f32);
    let embeddings = Embeddings::new(FEATURES, values.collect());
    let sizes = Sizes {
        item_features: ItemFeatures::Embeddings,
        item_identity: ItemIdentity::Hidden,
        history_items: 20,
        session_items: 1,
        watch_label: WatchLabel::Median,
        watch: None,
        propensity: None,
    };
    let users: Vec<UserId> = log.users().collect();
    let items = ItemTables { embeddings: &embeddings, attributes: None };
    let context = Arc::new(Context::fit(Source { log: &log, items, attribute_names: &[] }, sizes, &users)?);
    let config = model_config(&context, Kind::Towers, WIDTH);
    let model = RewardModel::new(&config, Key::new(2), &Device::flex().autodiff());
    let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
    Ok(ModelJudge::new(trained, context, &Device::flex())?)
}

/// Histories of 24 random items with random feedback.
fn log() -> Log {
    const LENGTH: u64 = 24;
    let history = |user: u64| {
        let key = Key::new(3).at(user);
        let item = |at| ItemId::new((key.at(at).unit() * canonical::ITEMS as f64) as usize);
        let signal = |at| (key.named("feedback").at(at).unit() * 2.0).floor() as f32;
        History {
            items: (0..LENGTH).map(item).collect(),
            timestamps: (0..LENGTH as i64).collect(),
            feedback: (0..LENGTH * SIGNALS.len() as u64).map(signal).collect(),
        }
    };
    Log {
        histories: (0..USERS as u64).map(history).collect(),
        num_items: canonical::ITEMS,
        signals: SIGNALS.map(String::from).to_vec(),
    }
}
