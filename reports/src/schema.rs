//! The files of a run directory that a report reads, as types. Writers (the stages) and readers (this crate)
//! share these definitions; nothing else defines them.

pub mod scaling;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `run.json`: what was run, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Layout version of the run directory.
    pub schema: u32,
    /// The run's name.
    pub name: String,
    /// The seed all randomness derives from.
    pub seed: u64,
    /// `full` or `smoke`.
    pub budget: String,
    /// How far the method goes.
    #[serde(default)]
    pub stages: Stages,
    /// Device the tensors lived on, as given on the command line.
    pub device: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the resolved configuration.
    pub config_sha256: String,
}

/// How far the method goes (`run.stages`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stages {
    /// To the evaluation of aligned policies.
    #[default]
    Alignment,
    /// To the evaluation of the pretrained policy: ranking beside the baselines, no judges.
    Pretraining,
}

/// `stages/NN-name/manifest.json`: what a stage read and wrote. Written last; a directory without it is not a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The stage's name, for example `pretrain` or `align-ipa-2`.
    pub stage: String,
    /// SHA-256 over the configuration section, the input hashes and the code version.
    pub fingerprint: String,
    /// Input artifacts: `stage/file` -> SHA-256, external files by path.
    pub inputs: BTreeMap<String, String>,
    /// Files of this directory: name -> size and SHA-256.
    pub outputs: BTreeMap<String, FileRecord>,
    /// Wall-clock seconds the stage took, those of interrupted attempts up to the checkpoint that was continued.
    pub seconds: f64,
    /// Process CPU seconds (user + system), likewise.
    pub cpu_seconds: f64,
    /// Most bytes the process held in memory meanwhile; absent where the system does not tell.
    #[serde(default)]
    pub peak_memory: Option<u64>,
    /// When the stage reached the steps it measured at: the clock is no part of its outputs, which must not depend on it.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// How it differs from the stage or attempt that it replaced, where that was allowed (`--allow-drift`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
}

/// A moment of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Optimizer step.
    pub step: u64,
    /// Wall-clock seconds since the stage began.
    pub seconds: f64,
    /// Process CPU seconds likewise; absent in manifests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

/// One file of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// A line of `metrics.jsonl`: the source of truth for every curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// The stage that measured it (`pretrain`, `reward-proxy`, `align-ipa-1`, ...).
    pub stage: String,
    /// Optimizer step within the arm or stage (alignment arms count on over rounds).
    pub step: u64,
    /// Key, in the glossary (see [`crate::glossary`]).
    pub key: String,
    /// Value; never NaN or infinite.
    pub value: f64,
}

/// `ingest/data_card.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataCard {
    /// Where the log came from (`world`, `s3rec`, ...).
    pub source: String,
    /// `original` or `shuffled(seed)`.
    pub tie_order: String,
    /// Users after filters.
    pub users: u64,
    /// Items after filters.
    pub items: u64,
    /// Interactions after filters.
    pub interactions: u64,
    /// Interactions / (users x items).
    pub density: f64,
    /// Quantiles of the history length: `min p10 p50 p90 p99 max`.
    pub lengths: BTreeMap<String, f64>,
    /// Interactions that repeat an earlier item of the same user.
    pub repeats: u64,
    /// Rows that repeat an earlier row exactly (user, item, time); dropped or kept as the config says.
    pub duplicate_rows: u64,
    /// Share of neighbouring interactions of a user with equal timestamps; absent when the log has no clock.
    pub tie_share: Option<f64>,
    /// Test items that occur in no training history.
    pub cold_test_items: u64,
    /// Mean of every feedback signal.
    pub signals: BTreeMap<String, f64>,
    /// Rows and users removed by k-core and other filters, by reason.
    pub removed: BTreeMap<String, u64>,
    /// Interactions that could not be as they stood in the file, by what they count as; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mended: BTreeMap<String, u64>,
    /// Where item embeddings came from, and their width.
    pub embeddings: String,
}

/// `tokenize/quality.json`: what the semantic IDs are worth before any training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerQuality {
    /// Quantiser name.
    pub quantizer: String,
    /// Which vectors were quantised (`tokenize.vectors`); absent in files of earlier versions, like the other options here.
    #[serde(default)]
    pub vectors: Option<String>,
    /// `digit`, `shared` or `sinkhorn`.
    pub collisions: String,
    /// Per level, coarsest first (the collision digit last when there is one).
    pub levels: Vec<LevelQuality>,
    /// Items whose quantised ID (before any digit) is shared with another item, as a share of all items.
    pub collision_rate: f64,
    /// The most items that share one quantised ID.
    pub largest_collision: u64,
    /// Distinct quantised IDs.
    pub distinct_ids: u64,
    /// Squared error of the reconstructed vectors, relative to the vectors around their mean; absent in older files.
    #[serde(default)]
    pub reconstruction_error: Option<f64>,
    /// Embedding hit rate at 10: share of an item's 10 nearest neighbours by embedding that stay among the
    /// 10 nearest by reconstructed embedding (sampled items).
    pub embedding_hit_rate: f64,
    /// FORGE's hit rate at 10: share of the 10 items that co-occur most with an item in training that are among its 10
    /// nearest by reconstructed embedding (sampled items); absent where nothing co-occurs.
    #[serde(default)]
    pub cooccurrence_hit_rate: Option<f64>,
    /// The same by the vectors before quantisation: what no quantiser of them is likely to exceed.
    #[serde(default)]
    pub cooccurrence_hit_rate_of_vectors: Option<f64>,
    /// Gini coefficient of items per used ID (FORGE, unused IDs ignored).
    pub gini: f64,
    /// The same over all IDs that the codebooks can name.
    #[serde(default)]
    pub gini_of_all_ids: Option<f64>,
}

/// One level of the tokenizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelQuality {
    /// Codes in the codebook.
    pub size: u64,
    /// Share of codes used.
    pub usage: f64,
    /// Entropy of code use, nats.
    pub entropy: f64,
    /// Exponential of the entropy: codes that would be used equally.
    #[serde(default)]
    pub perplexity: Option<f64>,
    /// Mean squared norm of the residual after this level, relative to the input's; absent for a digit.
    pub residual: Option<f64>,
}

/// `reward/judges.json`: how far each judge can be trusted, on users no judge was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeReport {
    /// Judges by name (`proxy`, `held-out`).
    pub judges: Vec<JudgeQuality>,
    /// What is wrong with the log that they learnt from, and what was done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Spearman correlation between the fused scores of the first two judges on the evaluation users.
    pub agreement: Option<f64>,
    /// Mean standard deviation of the ensemble's members over the evaluation users' items; absent without an ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f64>,
    /// The Bayes-optimal prediction of every head, given all that the built-in world knows but the dice; `reward.attainable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attainable: Vec<TrialHead>,
    /// The proxy beside what the log alone tells of some evaluation users; `reward.inferred_users`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inferred: Vec<InferredHead>,
    /// The proxy's watch times beside those of the same judge with another head; `reward.watch_baseline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_baseline: Option<WatchBaseline>,
    /// The proxy trained again, on fewer users (`reward.learning_curve`) or with labels turned over
    /// (`reward.label_noise`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<JudgeTrial>,
    /// What the judges say of items that are less and less like what users chose, nearest fifth first
    /// (`reward.resamples`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftStep>,
}

/// The proxy, trained on other terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeTrial {
    /// Share of the proxy's users it learnt from.
    pub share: f64,
    /// How many these are.
    pub train_users: u64,
    /// Share of its training labels that were turned over.
    pub label_noise: f64,
    /// Per head, on the evaluation users.
    pub heads: Vec<TrialHead>,
}

/// One head of a [`JudgeTrial`], or of the Bayes-optimal prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialHead {
    /// Head name.
    pub head: String,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// Binary cross-entropy.
    pub log_loss: f64,
    /// The AUC expected over the dice that decided the labels, where their chances are known (`reward.attainable`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_auc: Option<f64>,
}

/// One head of the proxy beside the posterior given the log alone, on the same impressions; AUCs are expected over the dice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferredHead {
    /// Head name.
    pub head: String,
    /// Users whose impressions these are.
    pub users: u64,
    /// Of the posterior's chances: what no judge that learns from logs exceeds.
    pub auc: Estimate,
    /// Of the proxy's.
    pub proxy: Estimate,
    /// By how much the proxy is below, paired over users.
    pub gap: Estimate,
}

/// A fifth of sampled items, by how far they are from what their user chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftStep {
    /// Mean distance: 1 - cosine of the item's features with the mean of those of the user's history.
    pub distance: f64,
    /// Judge name -> mean fused score.
    pub scores: BTreeMap<String, f64>,
    /// Mean absolute difference of the first two judges' fused scores.
    pub gap: f64,
    /// Spearman correlation of the first two judges' fused scores.
    pub agreement: Option<f64>,
    /// Mean disagreement within the ensemble, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f64>,
}

/// One judge's quality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeQuality {
    /// `proxy` or `held-out`.
    pub name: String,
    /// Users it was trained on.
    pub train_users: u64,
    /// Users it was evaluated on.
    pub eval_users: u64,
    /// Per head.
    pub heads: Vec<HeadQuality>,
    /// How heads become one score, with weights.
    pub fusion: String,
    /// How well watch time is predicted, by a judge with a head for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_time: Option<WatchQuality>,
}

/// A judge like the proxy, with another watch-time head, and how far the proxy is better: paired, on the same users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchBaseline {
    /// The other judge's own quality.
    pub quality: WatchQuality,
    /// Its mean absolute error less the proxy's: above 0 where the proxy is better.
    pub mae_gain: Estimate,
    /// The proxy's XAUC less its own; absent when all watch times are equal.
    pub xauc_gain: Option<Estimate>,
}

/// A watch-time head on held-out users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchQuality {
    /// `regression`, `ordinal` or `generative`.
    pub kind: String,
    /// Mean absolute error, in the log's unit.
    pub mae: Estimate,
    /// Share of pairs with different watch times that are ordered right; absent when all are equal.
    pub xauc: Option<Estimate>,
}

/// One head of a judge on held-out users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadQuality {
    /// Head name (`ltr`, `next`, ...).
    pub head: String,
    /// Mean label.
    pub base_rate: f64,
    /// Area under the ROC curve; absent when one class is missing.
    pub auc: Option<f64>,
    /// The same within each user's examples, averaged over users that have both classes: what ranking one user's
    /// candidates needs. A head that only knows which users like everything has a high AUC and .5 here.
    #[serde(default)]
    pub user_auc: Option<f64>,
    /// Expected calibration error, 10 equal-width bins.
    pub ece: f64,
    /// Binary cross-entropy.
    pub log_loss: f64,
    /// Reliability bins: mean prediction, mean label, count.
    pub reliability: Vec<(f64, f64, u64)>,
    /// The same and more with 95 % bootstrap intervals over users, where `reward.resamples` asks for them: `auc`,
    /// `user_auc`, `pair_accuracy`, `ndcg`, `ece`; what one class leaves undefined is absent. With `reward.attainable` also
    /// `expected_auc` and `auc_gap`, by how much the expected AUC is below the Bayes-optimal one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Estimate>,
}

/// `evaluate/evaluation.json`: the policies and baselines, on the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Users evaluated.
    pub users: u64,
    /// Beam width of the policies.
    pub beam_width: u64,
    /// `trie` or `full`.
    pub log_prob_space: String,
    /// Groups of test users, with their sizes; metrics over a group end in `/<group>`. Absent in older files.
    #[serde(default)]
    pub slices: BTreeMap<String, u64>,
    /// Popularity, Markov, co-occurrence, pretrained policy, aligned policies; in that order.
    pub systems: Vec<SystemResult>,
    /// Aligned policies against the pretrained one, paired over users.
    pub comparisons: Vec<Comparison>,
}

/// One recommender on the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemResult {
    /// `popularity`, `markov`, `co-occurrence`, `pretrained`, or the name of an alignment arm.
    pub name: String,
    /// `baseline`, `base`, or `aligned`.
    pub role: String,
    /// The stage whose policy it is; absent for what has none, and in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Metric -> mean over users with its 95 % bootstrap interval. Keys: `recall@5`, `ndcg@10`, `judge/proxy`,
    /// `judge/held-out`, `judge/oracle` (world only), `coverage@10`, `legal_mass` (policies only), ...
    pub metrics: BTreeMap<String, Estimate>,
}

/// A number and how sure we are of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the 95 % interval; equal to `value` when the metric has no spread over users.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The difference aligned - base of one metric, paired over users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the aligned system.
    pub system: String,
    /// The metric.
    pub metric: String,
    /// Mean difference with its 95 % paired bootstrap interval. A gain is claimed only when this excludes zero.
    pub difference: Estimate,
}

/// `evaluate/cases.json`: the users whom alignment cost most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cases {
    /// What they were chosen by.
    pub metric: String,
    /// Per aligned policy.
    pub systems: Vec<SystemCases>,
}

/// Worst cases of one aligned policy, the worst first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemCases {
    /// The policy.
    pub system: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The user's number.
    pub user: u64,
    /// The metric under the pretrained policy.
    pub before: f64,
    /// The metric under the aligned policy.
    pub after: f64,
    /// What is known of the user, most recent first.
    pub history: Vec<ShownItem>,
    /// What the user did next.
    pub target: ShownItem,
    /// First recommendations of the pretrained policy.
    pub shown_before: Vec<ShownItem>,
    /// First recommendations of the aligned policy.
    pub shown_after: Vec<ShownItem>,
}

/// An item as a reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownItem {
    /// Its id in the log.
    pub id: String,
    /// Its text; data, never instructions.
    pub text: String,
}

/// What `pairs.parquet` of a sampling stage says of the pairs: score of the chosen minus that of the rejected item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairMargins {
    /// The sampling stage.
    pub stage: String,
    /// Judge -> one margin per pair; the proxy made the pairs.
    pub margins: BTreeMap<String, Vec<f64>>,
}
