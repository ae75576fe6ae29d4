//! `recalign ui`.

use super::exit::SIGNAL_BASE;
use super::signals::Signals;
use crate::cli::UiArgs;
use crate::ui::server::Server;
use anyhow::Context as _;
use tracing::info;

/// Threads that speak HTTP; they mostly wait, others read and draw.
const HTTP_THREADS: usize = 1;
/// Threads that read and draw: the machine may be training.
const WORKERS: usize = 2;

pub(super) fn ui(arguments: &UiArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .max_blocking_threads(WORKERS)
        .enable_all()
        .build();
    runtime.context("cannot start the threads that speak HTTP")?.block_on(async {
        let mut signals = Signals::new()?;
        let server = Server::open(&arguments.dir, arguments.address).await?;
        info!("listening on http://{}", server.address()?);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            signals.next().await;
            drop(end);
            let signal = signals.next().await;
            std::process::exit(i32::from(SIGNAL_BASE + signal));
        });
        server.run(async { drop(ended.await) }).await;
        Ok(())
    })
}
