//! The reference service.

use crate::device::DeviceChoice;
use crate::serve::limits::Limits;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

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
