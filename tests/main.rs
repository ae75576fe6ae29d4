//! The one integration test binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod cli;
mod config;
#[cfg(feature = "webgpu")]
mod gpu;
mod ingest;
mod inspect;
mod peers;
mod pipeline;
mod resume;
mod support;
mod sweep;
