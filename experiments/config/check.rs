//! The ranges of every key, and the few rules between keys.
//!
//! A range excludes what cannot work or is surely a slip; it is no judgement of what works well.

mod objective;
mod reading;

use super::{
    Align, Architecture, Attainable, Columns, Config, Data, EmbeddingSource, Encoding, Evaluate, Model,
    Pretrain, Problem, Reward, Run, Sample, Stale,
};
use super::{Source, Targets, Tokenize};
use crate::data::artifacts::RESERVED;
use policy::collaborative::CollaborativeConfig;
use policy::collaborative::contrastive::ContrastiveConfig;
use policy::quantize::{Collisions, LearnedConfig, Quantizer};
use reward::fusion::Fusion;
use reward::labels::WatchLabel;
use reward::model::Kind;
use reward::world::{WorldConfig, WorldError};
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;
use std::path::Path;

impl Config {
    /// Every value that is out of its range, and every contradiction between values.
    pub fn check(&self) -> Vec<Problem> {
        let mut check = Check::default();
        check.that("version", self.version == 1, self.version, "1, the only version of this format");
        run(&self.run, &mut check);
        data(&self.data, &mut check);
        tokenize(&self.tokenize, &mut check);
        codes_of_a_world(self, &mut check);
        model(&self.model, &mut check);
        pretrain(&self.pretrain, &mut check);
        shared_encoding(&self.model, &self.pretrain, &mut check);
        reading::sessions(&self.model, &self.pretrain, &mut check);
        reward(&self.reward, &mut check);
        attainable(self, &mut check);
        sample(&self.sample, &mut check);
        align(&self.align, &mut check);
        evaluate(&self.evaluate, &mut check);
        reading::pruning(self, &mut check);
        objective::later(self, &mut check);
        check.problems
    }
}

#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn that(&mut self, key: impl Into<String>, holds: bool, value: impl Display, allowed: &str) -> &mut Self {
        if !holds {
            let key = key.into();
            let message = format!("`{key}` = {value} is out of range, must be {allowed}");
            self.problems.push(Problem::new(key, message));
        }
        self
    }

    fn within<T: PartialOrd + Display + Debug>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        let allowed = format!("{} to {}", range.start(), range.end());
        self.that(key, range.contains(&value), value, &allowed);
    }

    /// A size or count that only memory bounds.
    fn positive(&mut self, key: &str, value: usize) {
        self.that(key, value >= 1, value, "at least 1");
    }

    fn learning_rate(&mut self, key: &str, value: f64) {
        self.that(key, value > 0.0 && value <= 1.0, value, "above 0 and at most 1");
    }

    fn gradient_norm(&mut self, key: &str, value: f64) {
        self.that(key, value > 0.0 && value.is_finite(), value, "above 0 and finite");
    }

    fn between_keys(&mut self, key: &str, message: String, depends_on: &'static str) {
        let mut problem = Problem::new(key, message);
        problem.depends_on.push(depends_on);
        self.problems.push(problem);
    }
}

/// Names become directories, file names and legends. A dot would end a stage's name: what follows marks temporary
/// directories.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('-')
}

/// What [`is_name`] allows.
pub(crate) const NAME: &str = "1 to 100 letters, digits, `-` or `_`, not starting with `-`";

fn run(run: &Run, check: &mut Check) {
    check.that("run.name", is_name(&run.name), &run.name, NAME);
}

fn data(data: &Data, check: &mut Check) {
    if let Some(max_users) = data.max_users {
        check.that(
            "data.max_users",
            max_users >= 10,
            max_users,
            "at least 10: the judges need users of their own",
        );
    }
    match &data.embeddings {
        EmbeddingSource::HashedText { width } | EmbeddingSource::CoOccurrence { width } => {
            check.within("data.embeddings.width", *width, 8..=8192);
        }
        EmbeddingSource::Auto | EmbeddingSource::File { .. } => {}
    }
    if let Some(items) = &data.items {
        let columns = items.text.len();
        check.that("data.items.text", columns >= 1, "[]", "at least one column name");
    }
    source(&data.source, check);
    if data.path.is_none() && !matches!(data.source, Source::World(_)) {
        let message =
            "missing key `data.path`: the directory or file of the log, for example --set data.path=DIR";
        check.between_keys("data.path", message.into(), "data.source");
    }
}

fn source(source: &Source, check: &mut Check) {
    match source {
        Source::World(world) => self::world(world, check),
        Source::Csv { separator, columns, file } => {
            let usable = separator.is_ascii() && !"\"\n\r".contains(*separator);
            check.that(
                "data.source.separator",
                usable,
                format!("{separator:?}"),
                "one ASCII character, not a quote",
            );
            self::columns((file, columns), check);
        }
        Source::Parquet { columns, file }
        | Source::Jsonl { columns, file }
        | Source::Recbole { columns, file } => {
            self::columns((file, columns), check);
        }
        Source::S3rec { .. }
        | Source::Kuairand { .. }
        | Source::Kuairec { .. }
        | Source::OpenBandit { .. }
        | Source::SequencesJson { .. } => {}
    }
}

fn world(world: &WorldConfig, check: &mut Check) {
    check.within("data.source.users", world.users, 20..=10_000_000);
    check.within("data.source.items", world.items, 20..=10_000_000);
    for problem in world.problems() {
        if let WorldError::Mechanism { key, value, low, high } = problem {
            let allowed = format!("{low} to {high}");
            check.that(format!("data.source.{key}"), false, value, &allowed);
        }
    }
}

fn columns((file, columns): (&Path, &Columns), check: &mut Check) {
    for name in columns.feedback.iter().filter(|name| RESERVED.contains(&name.as_str())) {
        let message = format!(
            "`data.source.columns.feedback` names the column `{name}` of {}, but the run's own log has a column of that name \
             (it has {}); rename it in the file, for example to `{name}_in_list`, or leave it out",
            file.display(),
            RESERVED.join(", ")
        );
        check.problems.push(Problem::new("data.source.columns.feedback", message));
    }
    let mut seen = BTreeSet::new();
    let feedback = columns.feedback.iter().map(|name| ("feedback", name));
    let named = [("user", &columns.user), ("item", &columns.item)].into_iter();
    for (role, name) in named.chain(columns.timestamp.iter().map(|name| ("timestamp", name))).chain(feedback)
    {
        let key = format!("data.source.columns.{role}");
        check.that(
            key,
            !name.is_empty() && seen.insert(name),
            format!("{name:?}"),
            "a column no other key names",
        );
    }
}

fn tokenize(tokenize: &Tokenize, check: &mut Check) {
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
fn codes_of_a_world(config: &Config, check: &mut Check) {
    let codes = config.tokenize.codes;
    if let Source::World(WorldConfig { items, .. }) = config.data.source
        && codes > items
        && config.tokenize.quantizer.fits_codes()
    {
        let message = format!("`tokenize.codes` = {codes} is more than the {items} items of the world");
        check.between_keys("tokenize.codes", message, "data.source.items");
    }
}

fn model(model: &Model, check: &mut Check) {
    check.within("model.d_model", model.d_model, 8..=8192);
    check.within("model.num_heads", model.num_heads, 1..=128);
    check.within("model.d_kv", model.d_kv, 4..=1024);
    check.within("model.d_ff", model.d_ff, 8..=65_536);
    check.within("model.encoder_layers", model.encoder_layers, 1..=64);
    let least = usize::from(model.architecture != Architecture::ItemContext);
    check.within("model.decoder_layers", model.decoder_layers, least..=64);
    check.within("model.user_buckets", model.user_buckets, 0..=10_000_000);
    check.within("model.rope_theta", model.rope_theta, 1.0..=1e9);
    check.within("model.s_kv", model.s_kv, 1..=2);
    check.within("model.l_kv", model.l_kv, 1..=64);
    check.within("model.experts", model.experts, 1..=1024);
    check.within("model.experts_per_token", model.experts_per_token, 1..=model.experts.max(1));
    check.within("model.shared_experts", model.shared_experts, 0..=64);
    check.within("model.balance_rate", model.balance_rate, 0.0..=1.0);
    grouped_heads(model, check);
    if model.architecture == Architecture::LazyDecoder && model.l_kv > model.decoder_layers {
        let message = format!(
            "`model.l_kv` = {} is more than the {} blocks of `model.decoder_layers` that would read them",
            model.l_kv, model.decoder_layers
        );
        check.between_keys("model.l_kv", message, "model.decoder_layers");
    }
    reading::model(model, check);
    let dropout = model.dropout;
    check.that("model.dropout", (0.0..1.0).contains(&dropout), dropout, "at least 0 and below 1");
}

fn grouped_heads(model: &Model, check: &mut Check) {
    let (heads, shared) = (model.num_heads, model.key_value_heads());
    if shared == 0 || !heads.is_multiple_of(shared) {
        let message =
            format!("`model.num_key_value_heads` = {shared} must divide `model.num_heads` = {heads}");
        check.between_keys("model.num_key_value_heads", message, "model.num_heads");
    }
    let odd = model.architecture == Architecture::Qwen3 && !model.d_kv.is_multiple_of(2);
    check.that("model.d_kv", !odd, model.d_kv, "even: rotary positions turn pairs of values");
}

fn pretrain(pretrain: &Pretrain, check: &mut Check) {
    check.within("pretrain.history_items", pretrain.history_items, 1..=1000);
    check.positive("pretrain.batch_size", pretrain.batch_size);
    check.positive("pretrain.epochs", pretrain.epochs);
    check.within("pretrain.max_cpu_minutes", pretrain.max_cpu_minutes, 0.0..=1e6);
    check.within("pretrain.ema_decay", pretrain.ema_decay, 0.0..=0.99999);
    check.learning_rate("pretrain.learning_rate", pretrain.learning_rate);
    check.within("pretrain.weight_decay", pretrain.weight_decay, 0.0..=10.0);
    check.gradient_norm("pretrain.max_grad_norm", pretrain.max_grad_norm);
    check.within("pretrain.label_smoothing", pretrain.label_smoothing, 0.0..=0.5);
    check.positive("pretrain.validation_users", pretrain.validation_users);
    check.positive("pretrain.evaluate_every", pretrain.evaluate_every);
    check.positive("pretrain.patience", pretrain.patience);
    let every = pretrain.checkpoint_every;
    check.that("pretrain.checkpoint_every", every >= 1, every, "at least 1");
    check.that("pretrain.rollbacks", pretrain.rollbacks <= 100, pretrain.rollbacks, "at most 100");
}

/// One encoding serves all prefixes only if no state knows what comes after it.
fn shared_encoding(model: &Model, pretrain: &Pretrain, check: &mut Check) {
    if pretrain.encoding == Encoding::PerTarget {
        return;
    }
    if !model.is_causal() {
        let message = "`pretrain.encoding` = \"shared\" needs `model.encoder_attention` = \"causal\": in a bidirectional \
                       encoding every state knows the targets";
        check.between_keys("pretrain.encoding", message.into(), "model.encoder_attention");
    }
    if pretrain.targets != Targets::AllPrefixes {
        let message = "`pretrain.encoding` = \"shared\" reads a history once for all its targets: it needs \
                       `pretrain.targets` = \"all-prefixes\"";
        check.between_keys("pretrain.encoding", message.into(), "pretrain.targets");
    }
}

fn reward(reward: &Reward, check: &mut Check) {
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
fn attainable(config: &Config, check: &mut Check) {
    let Config { data, reward, .. } = config;
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

fn sample(sample: &Sample, check: &mut Check) {
    check.positive("sample.users", sample.users);
    check.within("sample.beam_width", sample.beam_width, 2..=4096);
    let margin = sample.min_margin;
    check.that("sample.min_margin", margin >= 0.0 && margin.is_finite(), margin, "at least 0 and finite");
    check.within("sample.later", sample.later, 0..=1000);
    objective::method(sample, check);
}

fn align(align: &Align, check: &mut Check) {
    check.within("align.rounds", align.rounds, 1..=1000);
    check.positive("align.batch_size", align.batch_size);
    check.positive("align.epochs", align.epochs);
    check.learning_rate("align.learning_rate", align.learning_rate);
    check.gradient_norm("align.max_grad_norm", align.max_grad_norm);
    check.that("align.arms", !align.arms.is_empty(), "[]", "at least one arm");
    let mut seen = BTreeSet::new();
    for (index, arm) in align.arms.iter().enumerate() {
        let key = format!("align.arms.{index}.name");
        check.that(&key, is_name(&arm.name), &arm.name, NAME);
        check.that(&key, seen.insert(&arm.name), &arm.name, "a name that no other arm has");
        objective::arm(&format!("align.arms.{index}"), arm, check);
    }
    objective::alarms(&align.alarms, check);
    check.within("align.sample_every", align.sample_every, 1..=1000);
    if align.sample_every > 1 && align.stale == Stale::Refuse {
        let message = format!(
            "`align.sample_every` = {} uses rollouts of older policies; allow it with `align.stale` = \"weights\"",
            align.sample_every
        );
        check.between_keys("align.sample_every", message, "align.stale");
    }
}

fn evaluate(evaluate: &Evaluate, check: &mut Check) {
    let Evaluate { beam_width, cutoffs, judged_items, .. } = evaluate;
    check.within("evaluate.beam_width", *beam_width, 1..=4096);
    let rising = !cutoffs.is_empty() && cutoffs[0] >= 1 && cutoffs.is_sorted_by(|a, b| a < b);
    check.that(
        "evaluate.cutoffs",
        rising,
        format!("{cutoffs:?}"),
        "a list of rising numbers, each at least 1",
    );
    check.positive("evaluate.judged_items", *judged_items);
    check.within("evaluate.resamples", evaluate.resamples, 10..=1_000_000);
    for (key, needed) in [
        ("evaluate.cutoffs", cutoffs.iter().max().copied().unwrap_or(0)),
        ("evaluate.judged_items", *judged_items),
    ] {
        if needed > *beam_width {
            let message = format!(
                "`{key}` needs {needed} items, but `evaluate.beam_width` = {beam_width} yields no more"
            );
            check.between_keys(key, message, "evaluate.beam_width");
        }
    }
    let least = evaluate.min_consistency;
    check.that("evaluate.min_consistency", (0.0..1.0).contains(&least), least, "at least 0 and below 1");
    scaling(evaluate, check);
}

fn scaling(evaluate: &Evaluate, check: &mut Check) {
    let Evaluate { scaling, scaling_users, .. } = evaluate;
    let rising = scaling.iter().all(|k| (1..=1024).contains(k)) && scaling.is_sorted_by(|a, b| a < b);
    check.that(
        "evaluate.scaling",
        rising,
        format!("{scaling:?}"),
        "a list of rising numbers, each 1 to 1024, or []",
    );
    if *scaling_users > 0 && scaling.is_empty() {
        let message = format!(
            "`evaluate.scaling_users` = {scaling_users} has no effect without `evaluate.scaling`, for example [1, 4, 16, 64]"
        );
        check.between_keys("evaluate.scaling_users", message, "evaluate.scaling");
    }
}
