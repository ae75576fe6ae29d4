//! Work on a blocking thread while this one listens for signals.

use crate::run::stop::{SIGINT, SIGTERM, StopFlag};
use anyhow::Context as _;
use tracing::warn;

/// Runs `work` until it ends. The first Ctrl-C or SIGTERM asks it to stop at the next safe point, the second ends the
/// process at once; what is committed stays either way.
///
/// # Errors
/// Those of `work`; the system refuses a thread or a signal handler.
pub(super) fn supervise<T: Send + 'static>(
    stop: &StopFlag,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the thread that listens for signals")?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut work = tokio::task::spawn_blocking(work);
        let mut asked = false;
        loop {
            tokio::select! {
                result = &mut work => return result.context("the run panicked; please report this")?,
                signal = signals.next() => {
                    if asked {
                        std::process::exit(i32::from(super::exit::SIGNAL_BASE + signal));
                    }
                    asked = true;
                    stop.request(signal);
                    warn!("stopping at the next safe point; a second signal stops at once");
                }
            }
        }
    })
}

/// What asks the process to end.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }
}

/// What asks the process to end.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "same interface as on Unix")]
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => SIGINT,
            // Without a handler there is nothing to wait for.
            Err(_) => std::future::pending().await,
        }
    }
}
