//! `recalign serve`.

use super::exit::SIGNAL_BASE;
use super::signals::Signals;
use super::small_pages;
use crate::cli::ServeArgs;
use crate::serve::Settings;
use crate::serve::access::AccessLog;
use crate::serve::auth::Token;
use crate::serve::limits::Limits;
use crate::serve::server::{Control, Server};
use anyhow::{Context as _, ensure};
use std::time::Duration;
use tracing::info;

/// Threads that speak HTTP; they mostly wait, the others compute.
const HTTP_THREADS: usize = 2;

pub(super) fn serve(arguments: &ServeArgs) -> anyhow::Result<()> {
    small_pages::ensure();
    let (settings, device) = (settings(arguments)?, arguments.device.open()?);
    let log = if arguments.access_log { AccessLog::to(std::io::stdout()) } else { AccessLog::off() };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(HTTP_THREADS).enable_all().build();
    runtime.context("cannot start the threads that speak HTTP")?.block_on(async {
        let signals = Signals::new()?;
        let server = Server::open(&settings, &device, log).await?;
        info!("listening on http://{}", server.address()?);
        tokio::spawn(listen(signals, server.control()));
        tokio::spawn(reload_on_hang_up(server.control()));
        server.run().await
    })
}

fn settings(arguments: &ServeArgs) -> anyhow::Result<Settings> {
    let limits = Limits {
        batch: arguments.max_batch,
        wait: Duration::from_millis(arguments.max_wait),
        queue: arguments.max_queue,
        time: Duration::from_millis(arguments.max_time),
        beam: arguments.max_beam,
        body: arguments.max_body,
        connections: arguments.max_connections,
    };
    for (option, value) in [
        ("--max-batch", limits.batch),
        ("--max-beam", limits.beam),
        ("--max-body", limits.body),
        ("--max-connections", limits.connections),
    ] {
        ensure!(value > 0, "{option} 0 would refuse every request; use at least 1");
    }
    Ok(Settings {
        dir: arguments.dir.clone(),
        address: arguments.address,
        token: Token::find(arguments.token_file.as_deref())?,
        shadow: arguments.shadow.clone(),
        also_reads: arguments.also_reads.clone(),
        limits,
    })
}

/// The first signal drains, the second ends the process at once.
async fn listen(mut signals: Signals, control: Control) {
    signals.next().await;
    control.drain();
    let signal = signals.next().await;
    std::process::exit(i32::from(SIGNAL_BASE + signal));
}

#[cfg(unix)]
async fn reload_on_hang_up(control: Control) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    while hang_up.recv().await.is_some() {
        let control = control.clone();
        tokio::task::spawn_blocking(move || control.reload());
    }
}

#[cfg(not(unix))]
async fn reload_on_hang_up(_: Control) {}
