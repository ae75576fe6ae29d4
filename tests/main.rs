//! The one integration test binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod cli;
mod config;
mod faults;
#[cfg(feature = "webgpu")]
mod gpu;
mod hostile;
mod ingest;
mod inspect;
mod kills;
mod pipeline;
mod resume;
mod support;
mod sweep;
