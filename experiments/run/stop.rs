//! Asking a run to stop at the next safe point.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A run ended because it was asked to; everything committed so far stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by {}; the same command continues from here", if *signal == SIGINT { "Ctrl-C" } else { "SIGTERM" })]
pub struct Interrupted {
    /// The signal's number.
    pub signal: u8,
}

/// Number of the signal that Ctrl-C sends.
pub const SIGINT: u8 = 2;
/// Number of the signal that `kill` and schedulers send.
pub const SIGTERM: u8 = 15;

/// A request to stop, shared between the thread that listens and the one that works.
#[derive(Clone, Debug)]
pub struct StopFlag(Arc<Request>);

#[derive(Debug)]
struct Request {
    signal: AtomicU8,
    /// Checks until `signal` counts.
    checks_left: AtomicU64,
}

impl Default for StopFlag {
    fn default() -> Self {
        Self(Arc::new(Request { signal: AtomicU8::new(0), checks_left: AtomicU64::new(0) }))
    }
}

impl StopFlag {
    /// Asks to stop because of this signal.
    pub fn request(&self, signal: u8) {
        self.request_after(0, signal);
    }

    /// Asks to stop when `checks` more checks have found nothing: how every point at which a run can stop is reached.
    pub fn request_after(&self, checks: u64, signal: u8) {
        self.0.checks_left.store(checks, Ordering::Relaxed);
        self.0.signal.store(signal, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Interrupted`], if a stop was requested.
    pub fn check(&self) -> Result<(), Interrupted> {
        let signal = self.0.signal.load(Ordering::Relaxed);
        if signal == 0 {
            return Ok(());
        }
        let left = &self.0.checks_left;
        match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(Interrupted { signal }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_comes_after_as_many_checks_as_it_was_asked_for_and_stays() {
        let flag = StopFlag::default();
        assert_eq!(flag.check(), Ok(()));
        flag.request_after(2, SIGINT);
        let stop = Err(Interrupted { signal: SIGINT });
        assert_eq!([flag.check(), flag.check(), flag.check(), flag.check()], [Ok(()), Ok(()), stop, stop]);
    }
}
