//! The socket: loopback only, ended by whoever started it.

use super::http::router;
use super::place::Place;
use super::view::Ui;
use crate::serve::connections::Connections;
use anyhow::{Context as _, ensure};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Open connections; more wait.
const CONNECTIONS: usize = 64;

/// Pages that are being served.
pub struct Server {
    ui: Arc<Ui>,
    listener: TcpListener,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The directory cannot be opened; the address is not free, or reachable from other machines.
    pub async fn open(dir: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "{address} is reachable from other machines, and these pages ask nobody who they are; listen on 127.0.0.1 and \
             forward the port: ssh -L {0}:localhost:{0}",
            address.port()
        );
        let ui = Arc::new(Ui::new(Place::open(dir)?));
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { ui, listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the system does not tell where the pages are")
    }

    /// Serves until `end`, then ends what was accepted.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let connections = Connections::new(router(self.ui), CONNECTIONS);
        tokio::select! {
            () = connections.accept(&self.listener) => {}
            () = end => {}
        }
        drop(self.listener);
        connections.close().await;
    }
}
