//! Looking at runs: in the terminal, in the browser, inside.

use clap::{Args, ValueEnum};
use policy::ids::Code;
use std::net::SocketAddr;
use std::path::PathBuf;

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
