//! Properties of whole quantisations.

use super::*;
use std::collections::BTreeMap;

/// `items` vectors around `topics` random directions.
fn embeddings(items: usize, width: usize, topics: usize) -> Embeddings {
    let key = Key::new(11).named("vectors");
    let value = |row: usize, column: usize| key.at(row as u64).at(column as u64).unit() as f32 - 0.5;
    let values = (0..items * width).map(|i| {
        let (item, column) = (i / width, i % width);
        4.0 * value(1_000_000 + item % topics, column) + value(item, column)
    });
    Embeddings::new(width, values.collect())
}

fn config(quantizer: Quantizer, levels: usize, codes: usize) -> QuantizeConfig {
    QuantizeConfig {
        quantizer,
        levels,
        codes,
        iterations: 20,
        sweep_order: SweepOrder::Shuffled,
        normalize: Normalize::None,
        rq_vae: LearnedConfig::default(),
    }
}
const BOTH: [Quantizer; 2] = [Quantizer::BalancedResidualKmeans, Quantizer::ResidualKmeans];

fn sizes(quantized: &Quantized, level: usize) -> BTreeMap<Code, usize> {
    let mut sizes = BTreeMap::new();
    for codes in &quantized.codes {
        *sizes.entry(codes[level]).or_default() += 1;
    }
    sizes
}

#[test]
fn balanced_clusters_differ_by_at_most_one_item_at_every_level() {
    let embeddings = embeddings(515, 8, 7);
    for sweep_order in [SweepOrder::Index, SweepOrder::Shuffled] {
        let config = QuantizeConfig { sweep_order, ..config(Quantizer::BalancedResidualKmeans, 3, 16) };
        let quantized = quantize(&embeddings, &config, Key::new(1)).unwrap();
        for level in 0..3 {
            let sizes = sizes(&quantized, level);
            assert_eq!(sizes.len(), 16, "all codes are used");
            assert!(sizes.values().all(|&size| size == 32 || size == 33), "{sizes:?}");
            let entropy = quality::code_use(quantized.codes.iter().map(|c| c[level]), 16).entropy;
            assert!((entropy - 16f64.ln()).abs() < 1e-3, "entropy {entropy}");
        }
    }
}

#[test]
fn the_residual_shrinks_with_every_level() {
    let embeddings = embeddings(600, 8, 20);
    for quantizer in BOTH {
        let quantized = quantize(&embeddings, &config(quantizer, 4, 16), Key::new(2)).unwrap();
        let mut before = 1.0;
        for &residual in &quantized.residuals {
            assert!(residual < before, "{quantizer:?}: {:?}", quantized.residuals);
            before = residual;
        }
    }
}

#[test]
fn the_reported_residual_is_the_error_of_the_reconstruction() {
    let embeddings = embeddings(300, 8, 20);
    for quantizer in BOTH {
        let quantized = quantize(&embeddings, &config(quantizer, 3, 16), Key::new(2)).unwrap();
        let reconstructed = quantized.reconstruct();
        let pairs = || embeddings.values().iter().zip(reconstructed.values());
        let error: f64 = pairs().map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let input: f64 = pairs().map(|(x, _)| f64::from(*x).powi(2)).sum();
        let reported = quantized.residuals[2];
        assert!(
            (error / input - reported).abs() < 1e-6,
            "{quantizer:?}: {} against {reported}",
            error / input
        );
    }
}

#[test]
fn with_as_many_codes_as_items_each_item_is_its_own_cluster() {
    let embeddings = embeddings(40, 4, 40);
    for quantizer in BOTH {
        let quantized = quantize(&embeddings, &config(quantizer, 1, 40), Key::new(3)).unwrap();
        assert_eq!(sizes(&quantized, 0).len(), 40, "{quantizer:?}");
        assert!(quantized.residuals[0] < 1e-10, "{quantizer:?}: {:?}", quantized.residuals);
    }
}

#[test]
fn items_of_plain_kmeans_are_at_their_nearest_code() {
    let embeddings = embeddings(400, 6, 9);
    let quantized = quantize(&embeddings, &config(Quantizer::ResidualKmeans, 2, 12), Key::new(4)).unwrap();
    assert_eq!(quantized.codes, quantized.codes_of_new(&embeddings, NewItems::Argmin));
}

#[test]
fn well_separated_topics_are_found() {
    let embeddings = embeddings(200, 16, 8);
    for quantizer in BOTH {
        let quantized = quantize(&embeddings, &config(quantizer, 1, 8), Key::new(5)).unwrap();
        let topics: BTreeMap<_, _> = (0..8).map(|topic| (quantized.codes[topic][0], topic)).collect();
        // Balanced sweeps start from random items and may settle on a worse split; k-means++ separates all topics.
        if quantizer == Quantizer::ResidualKmeans {
            assert_eq!(topics.len(), 8);
            assert!((0..200).all(|item| topics[&quantized.codes[item][0]] == item % 8));
        }
        assert!(quantized.residuals[0] < 0.5, "{quantizer:?}: {:?}", quantized.residuals);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // More than one block of points, and wide enough for leading directions.
    let embeddings = embeddings(2500, 80, 50);
    for quantizer in BOTH {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| quantize(&embeddings, &config(quantizer, 2, 32), Key::new(6)).unwrap())
        };
        assert_eq!(run(1), run(3), "{quantizer:?}");
    }
}

#[test]
fn another_key_gives_another_quantisation() {
    let embeddings = embeddings(200, 8, 50);
    for quantizer in BOTH {
        let run = |seed| quantize(&embeddings, &config(quantizer, 2, 16), Key::new(seed)).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).codes, run(2).codes, "{quantizer:?}");
    }
}

/// Clusters around a point far from the origin: without centring, f32 inner products would lose the differences.
#[test]
fn a_large_common_offset_costs_no_quality() {
    let near = embeddings(300, 8, 10);
    let far = Embeddings::new(8, near.values().iter().map(|value| value + 4096.0).collect());
    for quantizer in BOTH {
        let error = |embeddings: &Embeddings| {
            let reconstructed =
                quantize(embeddings, &config(quantizer, 1, 10), Key::new(7)).unwrap().reconstruct();
            let pairs = embeddings.values().iter().zip(reconstructed.values());
            pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>()
        };
        let (near, far) = (error(&near), error(&far));
        assert!((far / near - 1.0).abs() < 0.05, "{quantizer:?}: {far} against {near}");
    }
}

#[test]
fn identical_items_get_different_codes_when_balanced_and_the_same_otherwise() {
    let embeddings = Embeddings::new(3, [1.0, 2.0, 3.0].repeat(12));
    let balanced = quantize(&embeddings, &config(BOTH[0], 2, 4), Key::new(8)).unwrap();
    assert!(sizes(&balanced, 0).values().all(|&size| size == 3));
    let plain = quantize(&embeddings, &config(BOTH[1], 2, 4), Key::new(8)).unwrap();
    assert_eq!(plain.group_sizes(), [12]);
    assert!(balanced.residuals.iter().chain(&plain.residuals).all(|&residual| residual < 1e-10));
}

#[test]
fn zero_vectors_survive_normalisation() {
    let normal = normalized(&Embeddings::new(2, vec![3.0, 4.0, 0.0, 0.0]), Normalize::Unit);
    assert_eq!(normal.values(), [0.6, 0.8, 0.0, 0.0]);
    let zeros = Embeddings::new(2, vec![0.0; 8]);
    let quantized = quantize(&zeros, &config(BOTH[0], 1, 2), Key::new(9)).unwrap();
    assert_eq!(quantized.residuals, [0.0]);
}

#[test]
fn what_cannot_be_quantised_is_refused_by_name() {
    let refused = |embeddings: &Embeddings, config: QuantizeConfig| {
        quantize(embeddings, &config, Key::new(1)).unwrap_err().to_string()
    };
    let ten = embeddings(10, 2, 2);
    assert_eq!(
        refused(&ten, config(BOTH[0], 2, 11)),
        "codes = 11 is more than the 10 items; use at most 10 codes per level"
    );
    for (key, config) in [
        ("levels", config(BOTH[0], 0, 4)),
        ("codes", config(BOTH[0], 1, 0)),
        ("iterations", QuantizeConfig { iterations: 0, ..config(BOTH[1], 1, 4) }),
    ] {
        assert!(refused(&ten, config).starts_with(&format!("{key} = 0 is out of range")));
    }
    for bad in [f32::NAN, f32::INFINITY, -1e20] {
        let mut values = ten.values().to_vec();
        values[7] = bad;
        let message = refused(&Embeddings::new(2, values), config(BOTH[0], 1, 4));
        assert!(
            message.starts_with(&format!("the vector of item 3 has the value {bad} in column 1")),
            "{message}"
        );
    }
}
