//! The one integration test binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod cli;
mod config;
mod ingest;
mod pipeline;
mod resume;
mod support;
