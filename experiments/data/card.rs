//! The data card: what a reader of the results must know about the log.

use super::arrange::Arranged;
use super::items::Texts;
use super::raw::RawLog;
use crate::config::{Data, Source, TieOrder};
use policy::history::{Log, Split};
use reports::schema::DataCard;
use std::collections::{BTreeMap, HashSet};

/// The card of a log that was read from files.
pub(super) fn describe(
    data: &Data,
    raw: &RawLog,
    arranged: &Arranged,
    texts: &Texts,
    embeddings: String,
) -> DataCard {
    let mut card = of_log(data, &arranged.log, embeddings);
    card.duplicate_rows = arranged.duplicate_rows;
    card.tie_share = arranged.tie_share;
    card.removed.clone_from(&arranged.removed);
    card.mended.clone_from(&arranged.mended);
    let catalog: HashSet<&str> = arranged.items.iter().map(|item| raw.items.name(*item)).collect();
    let outside = texts.count_outside(|id| catalog.contains(id));
    if outside > 0 {
        card.removed.insert("items of the item table without interactions".into(), outside as u64);
    }
    card
}

/// The part of the card that the filtered log itself tells.
pub(super) fn of_log(data: &Data, log: &Log, embeddings: String) -> DataCard {
    let interactions: usize = log.histories.iter().map(|history| history.items.len()).sum();
    let users = log.histories.len();
    DataCard {
        source: source(&data.source).into(),
        tie_order: match data.tie_order {
            TieOrder::Original => "original".into(),
            TieOrder::Shuffled(seed) => format!("shuffled({seed})"),
        },
        users: users as u64,
        items: log.num_items as u64,
        interactions: interactions as u64,
        density: interactions as f64 / (users * log.num_items) as f64,
        lengths: lengths(log),
        repeats: repeats(log),
        duplicate_rows: 0,
        tie_share: None,
        cold_test_items: cold_test_items(log),
        signals: signal_means(log, interactions),
        removed: BTreeMap::new(),
        mended: BTreeMap::new(),
        embeddings,
    }
}

/// Share of neighbouring interactions at the same time, of a log with a clock.
pub(super) fn tie_share(log: &Log) -> f64 {
    let pairs = || log.histories.iter().flat_map(|history| history.timestamps.windows(2));
    let ties = pairs().filter(|pair| pair[0] == pair[1]).count();
    ties as f64 / pairs().count().max(1) as f64
}

fn source(source: &Source) -> &'static str {
    match source {
        Source::World(_) => "world",
        Source::S3rec { .. } => "s3rec",
        Source::Kuairand { .. } => "kuairand",
        Source::Kuairec { .. } => "kuairec",
        Source::OpenBandit { .. } => "open-bandit",
        Source::SequencesJson { .. } => "sequences-json",
        Source::Csv { .. } => "csv",
        Source::Parquet { .. } => "parquet",
        Source::Jsonl { .. } => "jsonl",
        Source::Recbole { .. } => "recbole",
    }
}

/// Quantiles of the history length by nearest rank.
fn lengths(log: &Log) -> BTreeMap<String, f64> {
    let mut lengths: Vec<usize> = log.histories.iter().map(|history| history.items.len()).collect();
    lengths.sort_unstable();
    let last = lengths.len() - 1;
    let quantiles = [("min", 0.0), ("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
    quantiles
        .map(|(name, share)| (name.into(), lengths[(share * last as f64).round() as usize] as f64))
        .into()
}

fn repeats(log: &Log) -> u64 {
    let repeats = log.histories.iter().map(|history| {
        let mut items = history.items.clone();
        items.sort_unstable();
        items.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
    });
    repeats.sum()
}

/// Test targets (one per user) that no training history contains.
fn cold_test_items(log: &Log) -> u64 {
    let counts = log.train_counts();
    log.users().filter(|user| counts[log.target(*user, Split::Test).index()] == 0).count() as u64
}

fn signal_means(log: &Log, interactions: usize) -> BTreeMap<String, f64> {
    let mut sums = vec![0.0; log.signals.len()];
    let width = sums.len().max(1);
    for row in log.histories.iter().flat_map(|history| history.feedback.chunks_exact(width)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    log.signals.iter().cloned().zip(sums.into_iter().map(|sum| sum / interactions as f64)).collect()
}
