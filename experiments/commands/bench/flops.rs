//! Arithmetic operations of the workloads, counted from their sizes: 2 per multiply-add, matrix products and attention
//! only. They are the useful ones, the same for every implementation; work that one repeats does not count.

use super::canonical::{
    CODE_LENGTH, D_MODEL, GROUP, HISTORY_TOKENS, INNER, ITEMS, LAYERS, TARGET_TOKENS, TOKENS, WIDTH,
};
use super::dec;
use super::kmeans::{CLUSTERS, ITERATIONS, LEVELS, VECTOR};

const GIGA: f64 = 1e9;
/// A backward pass multiplies each pair of matrices twice.
const FORWARD_AND_BACKWARD: usize = 3;

/// Encoder layers over `tokens` tokens of one history: four projections, the feed-forward pair, two attention products.
const fn encoder(tokens: usize) -> usize {
    let linear = 2 * (4 * D_MODEL * D_MODEL + 2 * D_MODEL * INNER);
    LAYERS * (tokens * linear + 4 * tokens * tokens * D_MODEL)
}

/// Keys and values of the decoder's cross-attention.
const fn cross_keys_values(tokens: usize) -> usize {
    LAYERS * tokens * 4 * D_MODEL * D_MODEL
}

/// Decoder layers and logits of `tokens` tokens that see `visible` tokens of their own row and the history.
const fn decoder(tokens: usize, visible: usize) -> usize {
    let linear = 2 * (6 * D_MODEL * D_MODEL + 2 * D_MODEL * INNER);
    let attention = 4 * D_MODEL * (visible + HISTORY_TOKENS);
    LAYERS * tokens * (linear + attention) + tokens * 2 * D_MODEL * TOKENS
}

const fn history() -> usize {
    encoder(HISTORY_TOKENS) + cross_keys_values(HISTORY_TOKENS)
}

/// The steps of one row that is decoded code by code.
fn decoded_row(positions: impl Iterator<Item = usize>) -> usize {
    positions.map(|position| decoder(1, position + 1)).sum()
}

fn giga(operations: usize) -> f64 {
    operations as f64 / GIGA
}

/// One training example.
pub(super) fn train() -> f64 {
    giga(FORWARD_AND_BACKWARD * (history() + decoder(TARGET_TOKENS, TARGET_TOKENS)))
}

/// One token of decoder-only training; of the attention products, the half that looks back.
pub(super) fn causal_token() -> f64 {
    let linear = 2 * (4 * D_MODEL * D_MODEL + 2 * D_MODEL * INNER);
    giga(FORWARD_AND_BACKWARD * (LAYERS * (linear + 2 * dec::LENGTH * D_MODEL) + 2 * D_MODEL * TOKENS))
}

/// One user of beam search: the history once, one row for the first code, then as many as the beam is wide.
pub(super) fn beam() -> f64 {
    giga(history() + decoded_row(0..1) + WIDTH * decoded_row(1..CODE_LENGTH))
}

/// One preference pair: the history once, two rows; policy forward and backward, reference forward.
pub(super) fn dpo() -> f64 {
    giga((FORWARD_AND_BACKWARD + 1) * (history() + 2 * decoder(TARGET_TOKENS, TARGET_TOKENS)))
}

/// One completion of a group that shares its history: sampling, then forward and backward.
pub(super) fn grpo() -> f64 {
    let sampled = giga(history()) / GROUP as f64 + giga(decoded_row(0..CODE_LENGTH));
    let learnt = giga(history()) / GROUP as f64 + giga(decoder(CODE_LENGTH, CODE_LENGTH));
    sampled + FORWARD_AND_BACKWARD as f64 * learnt
}

/// A residual k-means: distances of all vectors to all centres, in every iteration and once more for the codes.
pub(super) fn kmeans() -> f64 {
    giga(LEVELS * (ITERATIONS + 1) * 2 * ITEMS * VECTOR * CLUSTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The peers' own counts, printed by their `common.py`.
    #[test]
    fn counts_equal_those_of_the_peers() {
        let theirs = [0.5138, 0.3799, 0.7305, 0.0763, 0.00612];
        let ours = [train(), beam(), dpo(), grpo(), causal_token()];
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert!((ours - theirs).abs() < 6e-5, "{ours} is not {theirs}");
        }
    }
}
