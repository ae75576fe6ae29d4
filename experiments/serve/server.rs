//! Sockets: accepting, timing out, draining.

use super::Settings;
use super::access::AccessLog;
use super::codes::OldCodes;
use super::connections::Connections;
use super::current::Current;
use super::http::{Service, router};
use super::limits::{DRAIN_TIME, LINGER};
use super::metrics::Metrics;
use super::queue::{Queue, Worker};
use super::shadow::Shadow;
use crate::export::verify::verified;
use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

/// A service that listens.
pub struct Server {
    service: Arc<Service>,
    listener: TcpListener,
    worker: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// What the service is told while it runs.
#[derive(Clone)]
pub struct Control {
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
}

impl Control {
    /// Stops accepting, ends what was accepted, then stops.
    pub fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Loads the directory again; what it holds now answers, if it verifies. Blocks while it loads.
    pub fn reload(&self) {
        match self.current.reload(&self.metrics) {
            Ok(()) => info!("loaded again: policy {}", self.current.get().description.policy_sha256),
            Err(error) => warn!("the old directory goes on answering: {error}"),
        }
    }
}

impl Server {
    /// Verifies and loads the directory, and listens.
    ///
    /// # Errors
    /// The directory does not verify; the address is not free; it is beyond loopback and there is no token.
    pub async fn open(settings: &Settings, device: &Device, log: AccessLog) -> anyhow::Result<Self> {
        let address = settings.address;
        ensure!(
            address.ip().is_loopback() || settings.token.is_some(),
            "{address} is reachable from other machines and there is no token; set {} or give --token-file, or listen on 127.0.0.1",
            super::auth::VARIABLE
        );
        let current = Arc::new(Current::load(&settings.dir, device)?);
        let shadow =
            settings.shadow.as_deref().map(|dir| verified(dir, device)).transpose()?.map(Shadow::new);
        let old = settings.also_reads.as_deref().map(|dir| verified(dir, device)).transpose()?;
        let old_codes = old.as_ref().map(OldCodes::of);
        let (metrics, limits) = (Arc::new(Metrics::default()), settings.limits);
        let worker = Worker { current: current.clone(), shadow, metrics: metrics.clone(), limits };
        let (queue, worker) = Queue::start(worker)?;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let (token, draining) = (settings.token.clone(), AtomicBool::new(false));
        let service = Arc::new(Service { queue, current, old_codes, metrics, token, limits, log, draining });
        Ok(Self { service, listener, worker, stop: watch::Sender::new(false) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the system does not tell where the service listens")
    }

    /// How to speak to it while it runs.
    pub fn control(&self) -> Control {
        let Service { current, metrics, .. } = &*self.service;
        Control { current: current.clone(), metrics: metrics.clone(), stop: self.stop.clone() }
    }

    /// Serves until it is told to drain, then ends what was accepted.
    ///
    /// # Errors
    /// Requests were still running when the time to drain was over.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { service, listener, worker, stop } = self;
        let connections = Connections::new(router(service.clone()), service.limits.connections);
        let mut stop = stop.subscribe();
        tokio::select! {
            () = connections.accept(&listener) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        info!("draining");
        service.draining.store(true, Ordering::Relaxed);
        // Whoever routes requests here still sends some; they are served, and their clients asked to leave.
        drop(tokio::time::timeout(LINGER, connections.accept(&listener)).await);
        connections.accept_waiting(&listener).await;
        drop(listener);
        let drained = connections.close().await;
        // The last ways to the queue: the thread that answers ends.
        drop((service, connections));
        ensure!(drained, "requests were still running after {DRAIN_TIME:?}");
        tokio::task::spawn_blocking(move || drop(worker.join()))
            .await
            .context("the thread that answers failed")
    }
}
