//! What would the policy show? The prefix trie, beam search and sampling, candidates; and the baselines any policy must beat.

pub mod baselines;
pub mod beam;
pub mod candidate;
pub mod consistency;
pub mod draws;
pub mod exhaustive;
pub mod free;
mod level;
pub mod method;
pub mod pass;
mod proposals;
pub mod recommend;
pub mod rollout;
pub mod sampling;
pub mod sessions;
#[cfg(test)]
mod testing;
pub mod trie;
