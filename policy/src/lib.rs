//! What an item is (ids, catalog, semantic IDs), what the model is, and the one log-probability.
//!
//! Shape legend used across the workspace: `b` batch (users), `g` group (candidates of a user), `r = b * g`
//! rows, `t` tokens, `l` code level, `v` vocabulary, `d` width, `h` heads, `k` codes of a level.

pub mod average;
pub mod batch;
pub mod catalog;
pub mod checkpoint;
pub mod collaborative;
pub mod embeddings;
pub mod history;
pub mod ids;
pub mod kernels;
pub mod log_prob;
pub mod model;
pub mod optimizer;
pub mod quantize;
pub mod random;
#[cfg(test)]
mod testing;
pub mod vocab;
pub mod weights;
