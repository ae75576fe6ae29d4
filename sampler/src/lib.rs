//! What would the policy show? The prefix trie, beam search and sampling, candidates; and the baselines any policy must beat.

pub mod baselines;
pub mod beam;
pub mod candidate;
mod level;
pub mod recommend;
pub mod sampling;
pub mod trie;
