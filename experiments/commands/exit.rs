//! How the process ends. Schedulers and scripts rely on these numbers; `--help` lists them.

use super::sweep::RunsFailed;
use crate::export::verify::Unverified;
use crate::run::context::NonFiniteMetric;
use crate::run::stop::Interrupted;
use crate::stages::align::alarms::Raised;
use policy::optimizer::NonFinite;
use std::io;

/// Everything was done.
pub const DONE: u8 = 0;
/// A check failed: it ran, and the result must not be used. Or runs of a sweep failed: what they would say is missing.
pub const CHECK_FAILED: u8 = 1;
/// An alarm that the configuration says to stop at was raised.
pub const ALARM: u8 = 3;
/// It could not run.
pub const COULD_NOT_RUN: u8 = 2;
/// Added to the number of the signal that ended it, as shells do.
pub const SIGNAL_BASE: u8 = 128;

/// A check that the user asked for found something.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CheckFailed(pub String);

/// The exit code that an error stands for.
pub fn code(error: &anyhow::Error) -> u8 {
    if let Some(Interrupted { signal }) = find(error) {
        return SIGNAL_BASE + signal;
    }
    if find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return DONE;
    }
    if find::<Raised>(error).is_some() {
        return ALARM;
    }
    let failed = find::<CheckFailed>(error).is_some()
        || find::<Unverified>(error).is_some()
        || find::<RunsFailed>(error).is_some()
        || find::<NonFinite>(error).is_some()
        || find::<NonFiniteMetric>(error).is_some();
    if failed { CHECK_FAILED } else { COULD_NOT_RUN }
}

fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stop::{SIGINT, SIGTERM};
    use anyhow::{Error, anyhow};

    #[test]
    fn causes_decide_the_code_however_deep_they_are() {
        let wrap = |error: Error| code(&error.context("stage x failed").context("run y failed"));
        assert_eq!(wrap(Interrupted { signal: SIGINT }.into()), 130);
        assert_eq!(wrap(Interrupted { signal: SIGTERM }.into()), 143);
        assert_eq!(wrap(NonFinite::Loss(f64::NAN).into()), 1);
        assert_eq!(wrap(CheckFailed("hash".into()).into()), 1);
        assert_eq!(wrap(io::Error::from(io::ErrorKind::BrokenPipe).into()), 0);
        assert_eq!(wrap(io::Error::from(io::ErrorKind::NotFound).into()), 2);
        assert_eq!(wrap(anyhow!("anything else")), 2);
    }
}
