//! Asking a run to stop at the next safe point.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicU8>);

impl StopFlag {
    /// Asks to stop because of this signal.
    pub fn request(&self, signal: u8) {
        self.0.store(signal, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Interrupted`], if a stop was requested.
    pub fn check(&self) -> Result<(), Interrupted> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Interrupted { signal }),
        }
    }
}
