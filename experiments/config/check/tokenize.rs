//! Vectors of items, and codes.

use super::Check;
use crate::config::{Config, Source, Tokenize};
use policy::collaborative::CollaborativeConfig;
use policy::collaborative::contrastive::ContrastiveConfig;
use policy::quantize::{Collisions, LearnedConfig, Quantizer};
use reward::world::WorldConfig;

pub(super) fn tokenize(tokenize: &Tokenize, check: &mut Check) {
    // A set of codes has many small ones; in a sequence each costs a step of the decoder.
    let most = if tokenize.quantizer == Quantizer::OptimizedProduct { 64 } else { 8 };
    check.within("tokenize.levels", tokenize.levels, tokenize.quantizer.least_levels()..=most);
    check.within("tokenize.codes", tokenize.codes, 2..=65_536);
    check.within("tokenize.iterations", tokenize.iterations, 1..=1000);
    if tokenize.collisions == Collisions::Sinkhorn && !tokenize.quantizer.fits_codes() {
        let message = "`tokenize.collisions` = \"sinkhorn\" moves items to other near codes: it needs a quantizer whose codes \
                       are fitted to vectors (a residual one, rq-vae or optimized-product)";
        check.between_keys("tokenize.collisions", message.into(), "tokenize.quantizer");
    }
    collaborative(&tokenize.collaborative, check);
    contrastive(&tokenize.contrastive, check);
    learned(&tokenize.rq_vae, check);
}

fn collaborative(collaborative: &CollaborativeConfig, check: &mut Check) {
    check.within("tokenize.collaborative.width", collaborative.width, 1..=4096);
    check.within("tokenize.collaborative.window", collaborative.window, 1..=1000);
    check.within("tokenize.collaborative.text_width", collaborative.text_width, 1..=4096);
    let weight = collaborative.weight;
    let allowed = "above 0 and at most 1000";
    check.that("tokenize.collaborative.weight", weight > 0.0 && weight <= 1000.0, weight, allowed);
}

fn contrastive(contrastive: &ContrastiveConfig, check: &mut Check) {
    let key = |name: &str| format!("tokenize.contrastive.{name}");
    check.within(&key("width"), contrastive.width, 2..=4096);
    check.within(&key("hidden"), contrastive.hidden, 2..=8192);
    check.within(&key("temperature"), contrastive.temperature, 1e-3..=100.0);
    check.within(&key("distillation"), contrastive.distillation, 0.0..=1000.0);
    check.positive(&key("epochs"), contrastive.epochs);
    check.within(&key("batch_size"), contrastive.batch_size, 2..=65_536);
    check.learning_rate(&key("learning_rate"), contrastive.learning_rate);
}

fn learned(rq_vae: &LearnedConfig, check: &mut Check) {
    let hidden = &rq_vae.hidden;
    let widths = hidden.len() <= 8 && hidden.iter().all(|width| (1..=8192).contains(width));
    check.that("tokenize.rq_vae.hidden", widths, format!("{hidden:?}"), "at most 8 widths of 1 to 8192");
    check.within("tokenize.rq_vae.latent", rq_vae.latent, 1..=4096);
    check.within("tokenize.rq_vae.commitment", rq_vae.commitment, 0.0..=10.0);
    check.within("tokenize.rq_vae.collaborative_weight", rq_vae.collaborative_weight, 0.0..=1000.0);
    check.within("tokenize.rq_vae.diversity_weight", rq_vae.diversity_weight, 0.0..=1000.0);
    check.within("tokenize.rq_vae.diversity_groups", rq_vae.diversity_groups, 1..=100_000);
    check.within("tokenize.rq_vae.epochs", rq_vae.epochs, 1..=100_000);
    check.positive("tokenize.rq_vae.batch_size", rq_vae.batch_size);
    check.learning_rate("tokenize.rq_vae.learning_rate", rq_vae.learning_rate);
    check.within("tokenize.rq_vae.weight_decay", rq_vae.weight_decay, 0.0..=10.0);
}

/// Only of a world is the number of items known before the data is read.
pub(super) fn codes_of_a_world(config: &Config, check: &mut Check) {
    let codes = config.tokenize.codes;
    if let Source::World(WorldConfig { items, .. }) = config.data.source
        && codes > items
        && config.tokenize.quantizer.fits_codes()
    {
        let message = format!("`tokenize.codes` = {codes} is more than the {items} items of the world");
        check.between_keys("tokenize.codes", message, "data.source.items");
    }
}
