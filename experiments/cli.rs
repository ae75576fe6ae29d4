//! What can be typed. Settings belong into the experiment file; a flag is about this invocation only.

use crate::console::Verbosity;
use crate::device::DeviceChoice;
use crate::export::{Precision, Requests};
use crate::run::Resume;
use crate::serve::limits::Limits;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use policy::ids::Code;
use sampler::rollout::Shard;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Shown below `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a check failed: a hash differs (verify, export verify, serve), a loss or metric is not finite; or runs of a sweep failed
  2    could not run: wrong configuration or arguments, bad or missing data, device not available
  3    an alarm of [align.alarms] stopped a round; what was finished before is kept
  130  interrupted by Ctrl-C; the same command continues
  143  interrupted by SIGTERM; the same command continues

Environment: NO_COLOR=1 for plain text, RUST_LOG=debug (or a tracing filter) for more of the log on stderr.";

/// Aligns generative recommenders with what users value: from an interaction log to an aligned policy and a report.
#[derive(Debug, Parser)]
#[command(name = "recalign", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Only warnings and errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More of the log on stderr
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// How much is told on stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment, or continue it: finished stages with unchanged inputs are skipped
    Run(RunArgs),
    /// Run rows of experiments over their seeds and compare them on one page
    Sweep(SweepArgs),
    /// Put runs or sweeps side by side: configurations, paired differences, curves, on one page
    Compare(CompareArgs),
    /// Follow a run in the terminal: stages, curves, judges, alarms
    Watch(WatchArgs),
    /// Look at all runs below a directory in the browser, while they run too
    Ui(UiArgs),
    /// Render the reports of run directories again
    Report {
        /// Run directories
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
    },
    /// Recompute every hash of a run directory and follow the lineage from data to report
    Verify {
        /// Run directory
        run: PathBuf,
        /// Also compute this stage once more, in a temporary directory, and compare bytes; `report` renders it
        #[arg(long, value_name = "STAGE")]
        recompute: Option<String>,
    },
    /// Score a run's policies, or a table of recommendations, with every judge of the run
    Evaluate(EvaluateArgs),
    /// Look inside a run directory
    Inspect(InspectArgs),
    /// Rank policies by pairwise comparison: of a judge, or of people
    Arena(ArenaArgs),
    /// Hand a policy over: a directory that serving stacks load, check and run
    Export(ExportArgs),
    /// Read the curves of another tracker's run, as a run directory to compare with
    Import(ImportArgs),
    /// Send a run to an experiment tracker
    Publish(PublishArgs),
    /// Serve an exported directory over HTTP
    Serve(ServeArgs),
    /// Find the candidates of one shard of a stage's users
    Rollout(RolloutArgs),
    /// Write a log of the built-in world with its truth, or compare it with a real log
    Simulate(SimulateArgs),
    /// Tell from behaviour what users did not rate, and examine that
    Label(LabelArgs),
    /// Time a canonical workload on the CPU
    Bench(BenchArgs),
    /// Check what this machine and this build can do
    Doctor {
        /// Device to check: cpu, cuda:N or webgpu
        #[arg(long, default_value_t, value_name = "DEVICE")]
        device: DeviceChoice,
    },
}

/// `recalign run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Experiment file (TOML); see experiments/configs
    pub config: PathBuf,
    /// Change a key of the experiment file, for example data.path=../data or align.arms.0.name=mine; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Run directory [default: runs/<run.name>]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// What to do with stages that an earlier session finished
    #[arg(long, value_enum, default_value_t)]
    pub resume: Resume,
    /// Replace stages whose configuration, data or program has changed; their manifests record what. Refused otherwise
    #[arg(long)]
    pub allow_drift: bool,
    /// Stop after this stage
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Check everything, print the resolved configuration, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// The sweep that this run belongs to: its runs share stages
    #[arg(long, value_name = "DIR", hide = true)]
    pub sweep: Option<PathBuf>,
}

/// `recalign arena`.
#[derive(Args, Clone, Debug)]
pub struct ArenaArgs {
    /// Run directories with an evaluation: all their policies take part
    #[arg(value_name = "RUN", conflicts_with = "votes")]
    pub runs: Vec<PathBuf>,
    /// Who compares the lists of two policies for a user
    #[arg(long, value_enum, default_value_t)]
    pub judge: ArenaJudge,
    /// Votes of people instead: CSV with the columns voter, left, right, winner
    #[arg(long, value_name = "FILE")]
    pub votes: Option<PathBuf>,
    /// The player that others are compared with [default: the first]
    #[arg(long, value_name = "PLAYER")]
    pub baseline: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Who compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ArenaJudge {
    /// The judge that made the training signal
    Proxy,
    /// The judge trained on other users
    #[default]
    HeldOut,
    /// The truth, in the built-in world
    Oracle,
}

impl ArenaJudge {
    /// Its metric in an evaluation.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Proxy => "judge/proxy",
            Self::HeldOut => "judge/held-out",
            Self::Oracle => "judge/oracle",
        }
    }
}

/// `recalign evaluate`.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Run directory, with finished stages up to reward
    pub run: PathBuf,
    /// Experiment file whose data is judged instead of the run's: other users of the same catalog
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Change a key of that file, for example data.path=../data; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "data")]
    pub overrides: Vec<String>,
    /// Examine the judges themselves on the users they were not trained on: on the run's log, with and without correction for
    /// propensities, and on --data's
    #[arg(long, conflicts_with = "recommendations")]
    pub judges: bool,
    /// Parquet file with columns user, item (ids of the log's file) and rank, judged instead of the run's policies
    #[arg(long, value_name = "FILE")]
    pub recommendations: Option<PathBuf>,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `recalign rollout`.
#[derive(Args, Clone, Debug)]
pub struct RolloutArgs {
    /// Run directory; it is not locked, shards may be computed side by side
    pub run: PathBuf,
    /// Which part of how many, from 0: 0/4, 1/4, 2/4, 3/4
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Shard,
    /// Sampling stage, for example sample-grpo-1 [default: the first that waits]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Where tensors live: cpu, cuda:N or webgpu; all shards need the same
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, count)) if index < count => Ok(Shard { index, count }),
        _ => Err("write it as I/N with I from 0 to N - 1, for example 0/4".into()),
    }
}

/// `recalign inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// What to look at
    pub what: Inspected,
    /// Run directory
    pub run: PathBuf,
    /// Most rows to print
    #[arg(short = 'n', long, default_value_t = 20, value_name = "ROWS")]
    pub rows: usize,
    /// List the items whose semantic ID starts with these codes, for example 12,7 (sids)
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub prefix: Option<Vec<Code>>,
    /// Print one JSON object (sids) or one per pair, all of them (pairs), instead of text
    #[arg(long)]
    pub json: bool,
}

/// `recalign sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Sweep file (TOML): rows, each an experiment file with changes and seeds
    pub file: PathBuf,
    /// Change a key of every row's experiment file, for example run.budget=smoke; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Directory of the run directories and of the comparison [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do with stages that an earlier session finished
    #[arg(long, value_enum, default_value_t)]
    pub resume: Resume,
    /// Replace stages whose configuration, data or program has changed; their manifests record what. Refused otherwise
    #[arg(long)]
    pub allow_drift: bool,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Runs at a time, each in a process with its share of the cores; results do not depend on it
    #[arg(long, default_value = "1", value_name = "N")]
    pub jobs: NonZeroUsize,
    /// Start at most this many runs that are not finished; the same command goes on
    #[arg(long, value_name = "N")]
    pub max_runs: Option<usize>,
    /// Start no run after this many hours; the same command goes on
    #[arg(long, value_name = "HOURS")]
    pub max_hours: Option<f64>,
    /// Check every row, print the runs and what they will cost, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `recalign export`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExportArgs {
    /// Something about a directory that was exported, instead of exporting
    #[command(subcommand)]
    pub exported: Option<Exported>,
    /// Run directory
    #[arg(required = true)]
    pub run: Option<PathBuf>,
    /// Directory to make; it must not exist or be empty
    #[arg(long, required = true, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Which policy: pretrained or an arm's name [default: the only one]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,
    /// Number format of the weights
    #[arg(long = "dtype", value_enum, default_value_t)]
    pub precision: Precision,
    /// Golden requests to store with their answers
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub golden: usize,
    /// Whose histories the golden requests are
    #[arg(long, value_enum, default_value_t)]
    pub requests: Requests,
}

/// What `export` does with directories that were exported.
#[derive(Clone, Debug, Subcommand)]
pub enum Exported {
    /// Hash every file again, load the weights, replay the golden requests
    Verify {
        /// Exported directory
        dir: PathBuf,
    },
    /// What changes when B replaces A: files, items and their semantic IDs, answers
    Diff {
        /// Exported directory
        a: PathBuf,
        /// Exported directory
        b: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// What other codebooks move: semantic IDs, neighbours, and what the policy answers under its IDs
    Migrate {
        /// Exported directory that is served
        old: PathBuf,
        /// Exported directory that will replace it
        new: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give semantic IDs to items that come after the run: a new directory with them, where old items keep theirs
    Assign {
        /// Exported directory
        dir: PathBuf,
        /// The new items: .parquet, .jsonl, .csv or .tsv with a column `raw_id` and, if there is one, `text`
        #[arg(long, value_name = "FILE")]
        items: PathBuf,
        /// Their vectors, row by row, as the run's items had them: .safetensors or .parquet [default: a column of lists in
        /// the table]
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        /// The tensor or column with the vectors [default: the only one]
        #[arg(long, value_name = "NAME")]
        tensor: Option<String>,
        /// Directory to make; it must not exist or be empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `recalign serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Exported directory; SIGHUP loads it again
    pub dir: PathBuf,
    /// Where to listen; beyond loopback only with a token
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
    /// File with the bearer token that requests must carry [default: the environment's `RECALIGN_TOKEN`]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Exported directory that answers one batch in ten again, to be compared in /v1/model and /metrics
    #[arg(long, value_name = "DIR")]
    pub shadow: Option<PathBuf>,
    /// The exported directory before: requests may name items by its codes too
    #[arg(long, value_name = "DIR")]
    pub also_reads: Option<PathBuf>,
    /// Histories answered together, and in one request, at most
    #[arg(long, default_value_t = Limits::default().batch, value_name = "N")]
    pub max_batch: usize,
    /// How long a request waits for others to be answered with it
    #[arg(long, default_value_t = Limits::default().wait.as_millis() as u64, value_name = "MILLISECONDS")]
    pub max_wait: u64,
    /// Histories that may be ahead of a request, waiting or computed; with more it is refused with 429
    #[arg(long, default_value_t = Limits::default().queue, value_name = "N")]
    pub max_queue: usize,
    /// A request not answered by then is refused with 503
    #[arg(long, default_value_t = Limits::default().time.as_millis() as u64, value_name = "MILLISECONDS")]
    pub max_time: u64,
    /// Widest beam and longest list that may be asked for
    #[arg(long, default_value_t = Limits::default().beam, value_name = "N")]
    pub max_beam: usize,
    /// Largest body
    #[arg(long, default_value_t = Limits::default().body, value_name = "BYTES")]
    pub max_body: usize,
    /// Open connections; more wait
    #[arg(long, default_value_t = Limits::default().connections, value_name = "N")]
    pub max_connections: usize,
    /// Write one JSON object per request to standard output
    #[arg(long)]
    pub access_log: bool,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
}

/// `recalign compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Run directories, or directories of sweeps
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The row that the others are compared with; the first run's if left out
    #[arg(long, value_name = "ROW")]
    pub baseline: Option<String>,
    /// Where the page goes
    #[arg(long, default_value = "comparison", value_name = "DIR")]
    pub to: PathBuf,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `recalign watch`.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Run directory
    pub run: PathBuf,
    /// Print the state once and end
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub every: f64,
}

/// `recalign import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The tracker that the file is of
    #[arg(value_enum)]
    pub tool: ImportTool,
    /// W&B's offline run-ID.wandb, or a history as JSON lines, JSON, CSV or Parquet
    pub file: PathBuf,
    /// Run directory to make
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Which run of the file, where it has several; the name of the imported run
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// The stage that the curves belong to: pretrain, or align-ARM-ROUND
    #[arg(long, default_value = "align-imported-1", value_name = "STAGE", value_parser = curve_stage)]
    pub stage: String,
}

fn curve_stage(text: &str) -> Result<String, String> {
    let arm =
        reports::arm::ArmStage::parse(text).is_some_and(|stage| stage.phase == reports::arm::Phase::Align);
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && (arm || text == "pretrain") {
        return Ok(text.to_owned());
    }
    Err("write pretrain, or align-ARM-ROUND, for example align-grpo-1".into())
}

/// A tracker whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportTool {
    /// Weights & Biases: its offline file, or a history or chart that it exported
    Wandb,
    /// trackio: its database `PROJECT.db`, its Parquet export, or the JSON of `trackio get metric`
    Trackio,
}

impl std::fmt::Display for ImportTool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Wandb => "wandb",
            Self::Trackio => "trackio",
        })
    }
}

/// `recalign publish`.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// The tracker
    #[arg(value_enum)]
    pub tool: PublishTool,
    /// Run directory; only read
    pub run: PathBuf,
    /// Where its server listens: `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The experiment that the run becomes a part of; made if it does not exist
    #[arg(long, default_value = "recalign", value_name = "NAME")]
    pub experiment: String,
}

/// A tracker that runs are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PublishTool {
    /// `MLflow`, by REST
    Mlflow,
}

/// `recalign ui`.
#[derive(Args, Clone, Debug)]
pub struct UiArgs {
    /// Directory of run directories and sweeps, at any depth up to four
    #[arg(default_value = "runs", value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen, on loopback; from another machine: ssh -L 8090:localhost:8090
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
}

/// `recalign label`.
#[derive(Args, Clone, Debug)]
pub struct LabelArgs {
    /// Experiment file (TOML); only its `data` section counts
    pub config: PathBuf,
    /// Feedback column that is above 0 where the user approved
    #[arg(long, value_name = "COLUMN")]
    pub positive: String,
    /// Feedback column that is above 0 where the user disapproved [default: whatever was not approved of]
    #[arg(long, value_name = "COLUMN")]
    pub negative: Option<String>,
    /// Behaviour to be seen as a share of other behaviour or a length too, for example `play_time_ms/duration_ms`; repeatable
    #[arg(long = "share", value_name = "PART/WHOLE")]
    pub shares: Vec<String>,
    /// Change a key of the experiment file, for example data.path=../data; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Of the held-out pairs, the weights and the order of training
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Bootstrap resamples of users behind every interval
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub resamples: u64,
    /// Directory to make for labels.parquet and features.parquet; an empty one may be there
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `recalign simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Directory to make; an empty one may be there
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Format of the log
    #[arg(long, value_enum, default_value = "parquet")]
    pub format: LogFormat,
    /// Experiment file whose [data.source] is the world [default: 1000 users, 1000 items, seed 7]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Users; short for --set data.source.users=N
    #[arg(long, value_name = "N")]
    pub users: Option<usize>,
    /// Items; short for --set data.source.items=M
    #[arg(long, value_name = "M")]
    pub items: Option<usize>,
    /// Seed of the world; short for --set data.source.seed=S
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Impressions of a user on average, never more than a quarter of the items; the longest history becomes at least
    /// four times as long
    #[arg(long, value_name = "L")]
    pub impressions: Option<NonZeroUsize>,
    /// Change a key of the experiment file, for example data.source.feed.slate=8; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Write no log: plots of the world's marginals beside those of the log that this experiment file reads
    #[arg(long, value_name = "CONFIG")]
    pub compare: Option<PathBuf>,
    /// data.path of the experiment file to compare with
    #[arg(long, value_name = "PATH", requires = "compare")]
    pub compare_path: Option<PathBuf>,
}

/// A format that ingest reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// S3-Rec text with time gaps: no feedback
    S3rec,
    /// KuaiRand's tab-separated table: whole milliseconds, its own signals
    Kuairand,
    /// JSON object of item lists: no times, no feedback
    Letter,
    /// Comma-separated
    Csv,
    /// One JSON object per line
    Jsonl,
    /// Parquet
    Parquet,
    /// RecBole atomic file
    Inter,
}

/// `recalign bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to time
    #[arg(value_name = "NAME")]
    pub workload: Workload,
    /// Dropout probability (train)
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub dropout: f64,
    /// Where the reference's log-probabilities come from (dpo)
    #[arg(long, default_value = "recomputed")]
    pub reference: Reference,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Timed steps [default: 8; scaling: 3; epoch: --batches]
    #[arg(long, value_name = "R")]
    pub runs: Option<NonZeroUsize>,
    /// Steps before the timed ones [default: 3; scaling: 1]
    #[arg(long, value_name = "W")]
    pub warmup: Option<usize>,
    /// Experiment file whose epoch is timed (epoch)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change a key of the experiment file, for example data.path=../data; repeatable (epoch)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Batches of the epoch to time, a random sample [default: all] (epoch)
    #[arg(long, value_name = "N")]
    pub batches: Option<NonZeroUsize>,
    /// Write weights, inputs and results into this directory, for experiments/bench/*.py (train, beam, epoch), or the
    /// page of curves (scaling)
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Print one JSON object per case instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Where a reference's log-probabilities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reference {
    /// A pass of the reference in every step, as trainers do by default
    Recomputed,
    /// Stored once, as rounds of alignment have them from sampling
    Stored,
}

/// What `bench` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Matrix products alone
    Gemm,
    /// Next-token training of the encoder-decoder
    Train,
    /// Next-token training of a decoder alone
    Dec,
    /// Beam search under the trie
    Beam,
    /// Preference optimisation with a reference
    Dpo,
    /// Sampling of completions and a policy-gradient update
    Grpo,
    /// Residual k-means
    Kmeans,
    /// Reading and splitting a log
    Ingest,
    /// Scores of the point-wise judge
    Judge,
    /// Building the prefix trie of a million items
    Trie,
    /// An epoch of pretraining on the log of an experiment file
    Epoch,
    /// Curves of training, beam search, trie and k-means over their sizes; minutes
    Scaling,
}

/// What `inspect` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Inspected {
    /// Stages: state, time, files, size
    Run,
    /// Semantic IDs: use of the codes, collisions, what prefixes have in common
    Sids,
    /// Preference pairs
    Pairs,
}
