//! Sockets: accepting, timing out, draining.

use super::Settings;
use super::access::AccessLog;
use super::current::{Current, verified};
use super::http::{Service, router};
use super::limits::{DRAIN_TIME, HEADER_TIME, LINGER};
use super::metrics::Metrics;
use super::queue::{Queue, Worker};
use super::shadow::Shadow;
use anyhow::{Context as _, ensure};
use axum::Router;
use burn::prelude::Device;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
        let (metrics, limits) = (Arc::new(Metrics::default()), settings.limits);
        let worker = Worker { current: current.clone(), shadow, metrics: metrics.clone(), limits };
        let (queue, worker) = Queue::start(worker)?;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let (token, draining) = (settings.token.clone(), AtomicBool::new(false));
        let service = Arc::new(Service { queue, current, metrics, token, limits, log, draining });
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

/// Open connections.
struct Connections {
    router: Router,
    room: Arc<Semaphore>,
    most: usize,
    closing: watch::Sender<bool>,
}

impl Connections {
    fn new(router: Router, most: usize) -> Self {
        Self { router, room: Arc::new(Semaphore::new(most)), most, closing: watch::Sender::new(false) }
    }

    /// Accepts for as long as it is polled.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(room) = self.room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, room),
                Err(error) => {
                    // Out of file descriptors, for example: others will be closed.
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Accepts what the system has accepted already.
    async fn accept_waiting(&self, listener: &TcpListener) {
        drop(tokio::time::timeout(Duration::from_millis(10), self.accept(listener)).await);
    }

    fn serve(&self, stream: TcpStream, room: OwnedSemaphorePermit) {
        let (service, mut closing) =
            (TowerToHyperService::new(self.router.clone()), self.closing.subscribe());
        // Without effect on what is answered: answers are one packet.
        drop(stream.set_nodelay(true));
        tokio::spawn(async move {
            let _room = room;
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                // A client that breaks off is no failure of the service.
                result = connection.as_mut() => return drop(result),
                _ = closing.wait_for(|closing| *closing) => connection.as_mut().graceful_shutdown(),
            }
            drop(connection.await);
        });
    }

    /// Ends idle connections at once and the others with their request; whether all ended in time.
    async fn close(&self) -> bool {
        self.closing.send_replace(true);
        let all = self.room.acquire_many(u32::try_from(self.most).unwrap_or(u32::MAX));
        tokio::time::timeout(DRAIN_TIME, all).await.is_ok()
    }
}
