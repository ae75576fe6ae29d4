//! Open connections: counted, timed out, ended with what they are answered.

use super::limits::{DRAIN_TIME, HEADER_TIME};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

/// Open connections.
pub(crate) struct Connections {
    router: Router,
    room: Arc<Semaphore>,
    most: usize,
    closing: watch::Sender<bool>,
}

impl Connections {
    /// Room for `most` connections to `router`.
    pub(crate) fn new(router: Router, most: usize) -> Self {
        Self { router, room: Arc::new(Semaphore::new(most)), most, closing: watch::Sender::new(false) }
    }

    /// Accepts for as long as it is polled.
    pub(crate) async fn accept(&self, listener: &TcpListener) {
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
    pub(crate) async fn accept_waiting(&self, listener: &TcpListener) {
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
    pub(crate) async fn close(&self) -> bool {
        self.closing.send_replace(true);
        let all = self.room.acquire_many(u32::try_from(self.most).unwrap_or(u32::MAX));
        tokio::time::timeout(DRAIN_TIME, all).await.is_ok()
    }
}
