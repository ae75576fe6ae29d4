//! Properties of whole indexings.

use super::super::{Collisions, Items, LearnedConfig, Normalize, SweepOrder, quantize};
use super::*;
use crate::history::History;
use crate::ids::ItemId;
use std::collections::BTreeSet;

const ITEMS: usize = 240;

/// Users with nine items of one of twelve groups; the vectors know another grouping, into eight.
fn items() -> (Embeddings, Log) {
    let key = Key::new(21);
    let history = |user: usize| {
        let draw = |at| (key.at(user as u64).at(at).unit() * (ITEMS / 12) as f64) as usize;
        let items = (0..9).map(|at| ItemId::new(user % 12 + 12 * draw(at))).collect();
        History { items, ..History::default() }
    };
    let log = Log { histories: (0..600).map(history).collect(), num_items: ITEMS, signals: Vec::new() };
    let value = |item: usize, column: usize| {
        let noise = |row: usize| key.named("vector").at(row as u64).at(column as u64).unit() as f32 - 0.5;
        4.0 * noise(10_000 + item % 8) + noise(item)
    };
    (Embeddings::new(6, (0..ITEMS * 6).map(|at| value(at / 6, at % 6)).collect()), log)
}

fn config(quantizer: Quantizer, levels: usize, codes: usize) -> QuantizeConfig {
    QuantizeConfig {
        quantizer,
        levels,
        codes,
        iterations: 20,
        sweep_order: SweepOrder::Index,
        normalize: Normalize::None,
        rq_vae: LearnedConfig::default(),
    }
}

fn indexed(config: &QuantizeConfig, seed: u64) -> Quantized {
    let (vectors, log) = items();
    quantize(Items { log: Some(&log), ..Items::from(&vectors) }, config, Key::new(seed)).unwrap()
}

const ALL: [Quantizer; 6] = [
    Quantizer::ItemId,
    Quantizer::Random,
    Quantizer::Sequential,
    Quantizer::Collaborative,
    Quantizer::Semantic,
    Quantizer::Hybrid,
];

#[test]
fn every_item_has_an_id_of_its_own_and_codes_are_in_range() {
    for quantizer in ALL {
        let quantized = indexed(&config(quantizer, 3, 16), 1);
        let ids: BTreeSet<_> = quantized.codes.iter().collect();
        assert_eq!(ids.len(), ITEMS, "{quantizer:?}");
        let catalog = quantized.catalog(Collisions::Digit).unwrap();
        let last_is_item = matches!(quantizer, Quantizer::ItemId | Quantizer::Hybrid);
        for (level, &size) in catalog.level_sizes().iter().enumerate() {
            let is_item = last_is_item && level + 1 == catalog.levels();
            assert!(if is_item { size == ITEMS } else { size <= 16 }, "{quantizer:?}: {size}");
        }
        let mut before = 1.0;
        for &residual in &quantized.residuals {
            assert!(residual <= before + 1e-6, "{quantizer:?}: {:?}", quantized.residuals);
            before = residual;
        }
    }
}

#[test]
fn one_seed_gives_one_indexing_for_any_number_of_threads() {
    for quantizer in ALL {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| indexed(&config(quantizer, 3, 8), 2))
        };
        assert_eq!(run(1), run(2), "{quantizer:?}");
    }
    assert_ne!(indexed(&config(ALL[1], 3, 8), 2).codes, indexed(&config(ALL[1], 3, 8), 3).codes);
}

#[test]
fn item_ids_ignore_levels_and_codes_and_lose_nothing() {
    let quantized = indexed(&config(Quantizer::ItemId, 3, 16), 1);
    assert!(quantized.codes.iter().enumerate().all(|(item, codes)| *codes == [item as Code]));
    assert_eq!(quantized.reconstruct(), items().0);
    assert_eq!(quantized.residuals, [0.0]);
}

#[test]
fn more_items_than_sixteen_bits_have_ids() {
    let vectors = Embeddings::new(1, (0..70_000).map(|item| item as f32).collect());
    let quantized = quantize(&vectors, &config(Quantizer::ItemId, 1, 2), Key::new(1)).unwrap();
    let catalog = quantized.catalog(Collisions::Digit).unwrap();
    assert_eq!(catalog.level_sizes(), [70_000]);
    assert_eq!(catalog.semantic_id(ItemId::new(69_999)).codes(), [69_999]);
}

/// The first codes of the items of a group, when items `item % groups` belong together.
fn first_codes(quantized: &Quantized, groups: usize) -> Vec<BTreeSet<Code>> {
    let mut codes = vec![BTreeSet::new(); groups];
    for (item, id) in quantized.codes.iter().enumerate() {
        codes[item % groups].insert(id[0]);
    }
    codes
}

#[test]
fn trees_find_the_groups_of_histories_and_of_vectors() {
    for (quantizer, groups) in
        [(Quantizer::Collaborative, 12), (Quantizer::Hybrid, 12), (Quantizer::Semantic, 8)]
    {
        let found = first_codes(&indexed(&config(quantizer, 3, groups), 1), groups);
        assert!(found.iter().all(|codes| codes.len() == 1), "{quantizer:?}: {found:?}");
        assert_eq!(found.iter().flatten().collect::<BTreeSet<_>>().len(), groups, "{quantizer:?}");
    }
}

#[test]
fn held_out_items_change_no_code() {
    let (vectors, log) = items();
    let mut other = log.clone();
    for history in &mut other.histories {
        let end = history.items.len();
        history.items[end - 2..].copy_from_slice(&[ItemId::new(0), ItemId::new(1)]);
    }
    for quantizer in ALL {
        let run = |log| {
            let items = Items { log: Some(log), ..Items::from(&vectors) };
            quantize(items, &config(quantizer, 3, 16), Key::new(1)).unwrap().codes
        };
        assert!(run(&log) == run(&other), "{quantizer:?}");
    }
}

#[test]
fn what_cannot_be_indexed_is_refused_by_name() {
    let (vectors, log) = items();
    let refused = |log, config: QuantizeConfig| {
        quantize(Items { log, ..Items::from(&vectors) }, &config, Key::new(1)).unwrap_err().to_string()
    };
    let message = refused(None, config(Quantizer::Sequential, 2, 10));
    assert_eq!(message, "2 levels of 10 codes name only 100 of 240 items; use more levels or codes");
    let message = refused(None, config(Quantizer::Collaborative, 2, 16));
    assert_eq!(message, "this quantizer reads training histories, but was given none");
    let other = Log { num_items: 9, ..log };
    let message = refused(Some(&other), config(Quantizer::Hybrid, 2, 16));
    assert_eq!(message, "the histories are over 9 items, but there are vectors of 240");
    let message = refused(None, config(Quantizer::Semantic, 1, 16));
    assert!(message.starts_with("levels = 1 is out of range, must be between 2"), "{message}");
}
