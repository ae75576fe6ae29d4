//! The steps of [`crate::pipeline`]: plain functions from inputs to artifacts, and their readers.

pub mod align;
pub mod bench;
pub mod codebook;
pub mod evaluate;
pub mod ingest;
mod learner;
pub mod pretrain;
pub mod report;
pub mod reward;
pub mod sample;
pub(crate) mod table;
pub mod tokenize;
