//! Items to semantic IDs: a quantiser over item vectors and training histories, then the catalog and what it is worth.
//!
//! Writes `semantic_ids.parquet` (`item`, `raw_id`, `code_0`, `code_1`, ...), `codebooks.safetensors` and `quality.json`.

mod artifact;
mod fitted;
mod vectors;

pub use artifact::{CODEBOOKS, SEMANTIC_IDS, load, load_files, raw_ids, write_semantic_ids};
pub use fitted::Fitted;

use crate::config::Tokenize;
use crate::data::Dataset;
use crate::run::context::StageContext;
use crate::run::{commit, to_json};
use anyhow::Context as _;
use policy::catalog::Catalog;
use policy::collaborative::counts::CoOccurrence;
use policy::collaborative::hit_rate::cooccurrence_hit_rate;
use policy::embeddings::Embeddings;
use policy::quantize::quality::{
    HitRateSample, code_use, collision_rate, embedding_hit_rate, gini, gini_over, reconstruction_error,
};
use policy::quantize::{Items, Quantization, Quantized, normalized};
use policy::random::Key;
use reports::schema::{LevelQuality, TokenizerQuality};
use vectors::Chosen;

/// Enough items for a standard error of the hit rate below 0.01.
const HIT_RATE: HitRateSample = HitRateSample { items: 1000, neighbors: 10 };

/// Runs the stage.
///
/// # Errors
/// If the item vectors cannot be quantised as configured, the run is interrupted, or a file cannot be written.
pub fn tokenize(config: &Tokenize, dataset: &Dataset, ctx: &StageContext) -> anyhow::Result<()> {
    let counts = CoOccurrence::of(&dataset.log, &config.collaborative);
    let Chosen { vectors, collaborative } = vectors::choose(config, (dataset, &counts), ctx)?;
    let items = Items { vectors: &vectors, log: Some(&dataset.log), collaborative: collaborative.as_ref() };
    let quantized = quantize(config, items, ctx)?;
    let vectors = normalized(&vectors, config.normalize);
    let quantized = quantized.separated(&vectors, config.collisions);
    let catalog = quantized.catalog(config.collisions).context("tokenize: no catalog from these codes")?;
    let raw_ids: Vec<&str> = dataset.items.iter().map(|item| item.raw_id.as_str()).collect();
    artifact::write_semantic_ids(&ctx.path(artifact::SEMANTIC_IDS), &catalog, &raw_ids)?;
    artifact::write_codebooks(&ctx.path(artifact::CODEBOOKS), &quantized, &catalog, config)?;
    let quality = quality(config, (&vectors, &counts), (&quantized, &catalog), ctx.key().named("hit-rate"));
    metrics(&quality, ctx)?;
    commit::write_file(&ctx.path("quality.json"), &to_json(&quality)?)
}

fn quantize(config: &Tokenize, items: Items<'_>, ctx: &StageContext) -> anyhow::Result<Quantized> {
    let mut quantization = Quantization::begin(items, &config.quantization(), ctx.key().named("quantize"))
        .context("tokenize: the items cannot be quantised as [tokenize] says")?;
    let progress = ctx.progress("steps", quantization.remaining() as u64);
    while quantization.remaining() > 0 {
        ctx.check_stop()?;
        quantization.step().context("tokenize: the items cannot be quantised")?;
        progress.inc(1);
    }
    Ok(quantization.finish())
}

fn quality(
    config: &Tokenize,
    (vectors, counts): (&Embeddings, &CoOccurrence),
    (quantized, catalog): (&Quantized, &Catalog),
    key: Key,
) -> TokenizerQuality {
    let groups = quantized.group_sizes();
    let reconstructed = quantized.reconstruct();
    let hit_rate = |vectors| cooccurrence_hit_rate(vectors, counts, HIT_RATE, key.named("co-occurrence"));
    TokenizerQuality {
        quantizer: name(&config.quantizer),
        vectors: Some(name(&config.vectors)),
        collisions: name(&config.collisions),
        levels: (0..catalog.levels()).map(|level| level_quality(level, quantized, catalog)).collect(),
        collision_rate: collision_rate(&groups),
        largest_collision: groups.iter().copied().max().unwrap_or(0),
        distinct_ids: groups.len() as u64,
        reconstruction_error: Some(reconstruction_error(vectors, &reconstructed)),
        embedding_hit_rate: embedding_hit_rate(vectors, &reconstructed, HIT_RATE, key),
        cooccurrence_hit_rate: hit_rate(&reconstructed),
        cooccurrence_hit_rate_of_vectors: hit_rate(vectors),
        gini: gini(&groups),
        gini_of_all_ids: Some(gini_over(&groups, possible_ids(quantized))),
    }
}

/// How many IDs the codebooks can name; more than an integer holds.
fn possible_ids(quantized: &Quantized) -> f64 {
    quantized.codebooks.iter().map(|codebook| codebook.rows() as f64).product()
}

/// The numbers that tokenizers are compared by, beside the curves of the other stages.
fn metrics(quality: &TokenizerQuality, ctx: &StageContext) -> anyhow::Result<()> {
    let rates = [
        ("sids/collision_rate", Some(quality.collision_rate)),
        ("sids/embedding_hit_rate", Some(quality.embedding_hit_rate)),
        ("sids/cooccurrence_hit_rate", quality.cooccurrence_hit_rate),
        ("sids/gini", Some(quality.gini)),
        ("sids/gini_of_all_ids", quality.gini_of_all_ids),
    ];
    for (key, value) in rates {
        value.map_or(Ok(()), |value| ctx.metric(0, key, value))?;
    }
    for (number, level) in (1..).zip(&quality.levels) {
        ctx.metric(0, &format!("sids/usage/{number}"), level.usage)?;
        ctx.metric(0, &format!("sids/entropy/{number}"), level.entropy)?;
    }
    Ok(())
}

fn level_quality(level: usize, quantized: &Quantized, catalog: &Catalog) -> LevelQuality {
    let size = catalog.level_sizes()[level];
    let usage = code_use(catalog.semantic_ids().iter().map(|id| id.codes()[level]), size);
    LevelQuality {
        size: size as u64,
        usage: usage.usage,
        entropy: usage.entropy,
        perplexity: Some(usage.perplexity()),
        residual: quantized.residuals.get(level).copied(),
    }
}

/// The name a configuration file uses for this option.
fn name(option: &impl serde::Serialize) -> String {
    match serde_json::to_value(option) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("options are written as names, not as {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::SemanticId;
    use policy::quantize::Collisions;

    /// Twelve items in four distant places, three at each.
    fn vectors() -> Embeddings {
        let values = (0..12).flat_map(|item| [(item % 4) as f32 * 10.0, (item / 4) as f32 * 0.1]);
        Embeddings::new(2, values.collect())
    }
    fn quantized(config: &Tokenize) -> Quantized {
        let settings = Tokenize { levels: 1, codes: 4, iterations: 10, ..config.clone() }.quantization();
        policy::quantize::quantize(&vectors(), &settings, Key::new(3)).unwrap()
    }

    /// Users who stay in one place, and two held-out items each.
    fn counts() -> CoOccurrence {
        let history = |place: usize| policy::history::History {
            items: [place, place + 4, place + 8, 0, 0].map(policy::ids::ItemId::new).to_vec(),
            ..policy::history::History::default()
        };
        let log = policy::history::Log {
            histories: (0..4).map(history).collect(),
            num_items: 12,
            signals: Vec::new(),
        };
        CoOccurrence::of(&log, &Tokenize::default().collaborative)
    }

    #[test]
    fn quality_describes_quantised_ids_and_the_digit_is_one_more_level() {
        let config =
            Tokenize { quantizer: policy::quantize::Quantizer::ResidualKmeans, ..Tokenize::default() };
        let quantized = quantized(&config);
        let catalog = quantized.catalog(Collisions::Digit).unwrap();
        let quality = quality(&config, (&vectors(), &counts()), (&quantized, &catalog), Key::new(1));
        // Before quantisation the two other items of a place are the nearest; ten of eleven items find them anyway.
        assert_eq!(quality.cooccurrence_hit_rate_of_vectors, Some(1.0));
        assert!(quality.cooccurrence_hit_rate.is_some_and(|rate| rate > 0.9));
        assert!(
            quality.gini_of_all_ids.is_some_and(|gini| gini.abs() < 1e-12),
            "all four IDs are used equally"
        );
        assert!(quality.levels[0].perplexity.is_some_and(|codes| (codes - 4.0).abs() < 1e-9));
        assert_eq!((quality.quantizer.as_str(), quality.collisions.as_str()), ("residual-kmeans", "digit"));
        assert_eq!((quality.distinct_ids, quality.largest_collision), (4, 3));
        assert!((quality.collision_rate - 1.0).abs() < 1e-12 && quality.gini.abs() < 1e-12);
        let sizes: Vec<_> =
            quality.levels.iter().map(|level| (level.size, level.residual.is_some())).collect();
        assert_eq!(sizes, [(4, true), (3, false)]);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for collisions in [Collisions::Digit, Collisions::Shared] {
            let config = Tokenize { collisions, ..Tokenize::default() };
            let quantized = quantized(&config);
            let catalog = quantized.catalog(collisions).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let path = |file| dir.path().join(file);
            artifact::write_semantic_ids(&path(artifact::SEMANTIC_IDS), &catalog, &["x"; 12]).unwrap();
            artifact::write_codebooks(&path(artifact::CODEBOOKS), &quantized, &catalog, &config).unwrap();
            assert_eq!(load(dir.path()).unwrap(), catalog);
        }
    }

    #[test]
    fn codebooks_are_read_as_they_were_fitted_with_the_encoder_and_without_a_digit() {
        use policy::quantize::learned::{Autoencoder, Dense};
        let layer = |width: usize, bias: &[f32]| Dense {
            weight: Embeddings::new(width, (0..width * bias.len()).map(|value| value as f32).collect()),
            bias: bias.to_vec(),
        };
        let config = Tokenize::default();
        let plain = Quantized { residuals: Vec::new(), ..quantized(&config) };
        let encoder = vec![layer(5, &[1.0, 2.0, 3.0]), layer(3, &[0.5, -0.5])];
        let autoencoder = Autoencoder { encoder, decoder: vec![layer(2, &[0.0; 5])] };
        let encoded = Quantized { autoencoder: Some(autoencoder), ..plain.clone() };
        for (quantized, width) in [(plain, 2), (encoded, 5)] {
            let catalog = quantized.catalog(Collisions::Digit).unwrap();
            assert_eq!(catalog.levels(), 2, "a digit tells three items at each place apart");
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(artifact::CODEBOOKS);
            artifact::write_codebooks(&path, &quantized, &catalog, &config).unwrap();
            let fitted = Fitted::read(&path, &catalog).unwrap();
            assert_eq!((&fitted.quantized, fitted.width()), (&quantized, width));
            assert_eq!((fitted.normalize, fitted.new_items), (config.normalize, config.new_items));
            let other = Catalog::new(vec![SemanticId::new([0])], vec![7]).unwrap();
            let message = format!("{:#}", Fitted::read(&path, &other).unwrap_err());
            assert!(message.contains("a codebook has 4 codes, the catalog 7"), "{message}");
        }
    }

    fn written() -> tempfile::TempDir {
        let catalog =
            Catalog::new(vec![SemanticId::new([1, 0]), SemanticId::new([0, 1])], vec![2, 2]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        artifact::write_semantic_ids(&dir.path().join(artifact::SEMANTIC_IDS), &catalog, &["a", "b"])
            .unwrap();
        let codebook = Embeddings::new(1, vec![0.0, 1.0]);
        let quantized = Quantized {
            codes: vec![vec![1, 0], vec![0, 1]],
            codebooks: vec![codebook.clone(), codebook],
            residuals: vec![0.5, 0.1],
            autoencoder: None,
        };
        let path = dir.path().join(artifact::CODEBOOKS);
        artifact::write_codebooks(&path, &quantized, &catalog, &Tokenize::default()).unwrap();
        dir
    }
    fn refusal(dir: &tempfile::TempDir) -> String {
        format!("{:#}", load(dir.path()).unwrap_err())
    }

    #[test]
    fn the_same_catalog_gives_the_same_bytes() {
        let (a, b) = (written(), written());
        for file in [artifact::SEMANTIC_IDS, artifact::CODEBOOKS] {
            let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
            assert_eq!(read(&a), read(&b), "{file}");
        }
    }

    #[test]
    fn a_truncated_or_missing_file_is_named() {
        for file in [artifact::SEMANTIC_IDS, artifact::CODEBOOKS] {
            let dir = written();
            let path = dir.path().join(file);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            assert!(refusal(&dir).contains(file), "{}", refusal(&dir));
            std::fs::remove_file(&path).unwrap();
            assert!(refusal(&dir).contains(file), "{}", refusal(&dir));
        }
    }

    #[test]
    fn a_code_outside_its_codebook_is_named() {
        let dir = written();
        let catalog =
            Catalog::new(vec![SemanticId::new([1, 7]), SemanticId::new([0, 1])], vec![2, 8]).unwrap();
        artifact::write_semantic_ids(&dir.path().join(artifact::SEMANTIC_IDS), &catalog, &["a", "b"])
            .unwrap();
        let message = refusal(&dir);
        assert!(message.contains("item 0 has code 7 at level 1, whose codebook has 2 codes"), "{message}");
    }

    #[test]
    fn a_missing_level_is_named() {
        let dir = written();
        let catalog = Catalog::new(vec![SemanticId::new([1]), SemanticId::new([0])], vec![2]).unwrap();
        artifact::write_semantic_ids(&dir.path().join(artifact::SEMANTIC_IDS), &catalog, &["a", "b"])
            .unwrap();
        assert!(refusal(&dir).contains("code_1"), "{}", refusal(&dir));
    }
}
