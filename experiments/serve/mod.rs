//! A reference service over an exported directory: what serving teams compare their own with.
//!
//! A request passes [`http`] (who may ask, how much), becomes tasks ([`api`], [`task`]), waits in [`queue`] - the one place where requests
//! become a batch - and is answered by [`engine`] on a thread that does nothing else. The directory can be replaced while
//! requests are served ([`current`]); another one can answer in its shadow.

pub mod access;
pub mod api;
pub mod auth;
mod codes;
pub(crate) mod connections;
pub mod current;
pub mod engine;
pub mod error;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod queue;
pub mod server;
mod shadow;
pub mod task;

use auth::Token;
use limits::Limits;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The exported directory.
    pub dir: PathBuf,
    /// Where to listen; beyond loopback only with a token.
    pub address: SocketAddr,
    /// Who may ask; everybody, if there is none.
    pub token: Option<Token>,
    /// Another exported directory that answers a share of the requests, to be compared.
    pub shadow: Option<PathBuf>,
    /// The exported directory before, whose codes clients may still send.
    pub also_reads: Option<PathBuf>,
    /// What one client may ask for.
    pub limits: Limits,
}
