//! Spectral embedding (Ng, Jordan and Weiss 2002): an item's row of the leading eigenvectors of the normalised Laplacian, scaled to length 1.
//!
//! The rows of any orthonormal basis of the eigenvectors' span have the same distances, so a subspace iteration will do and no
//! eigenvalue problem is solved. It stops after a fixed number of rounds: behind the first few, the eigenvalues of such graphs lie
//! so close that nothing depends on which of the last ones are found.
//!
//! Departure: P5 takes as many eigenvectors as clusters; here there are at most [`MOST_DIRECTIONS`].

use super::super::directions::{orthonormal, transposed};
use super::super::{Normalize, normalized};
use super::graph::Graph;
use crate::embeddings::Embeddings;
use crate::random::Key;

/// Eigenvectors at most.
const MOST_DIRECTIONS: usize = 128;
/// Orthonormalisations.
const ROUNDS: usize = 20;
/// Products with the graph between two of them. Eigenvalues lie between 1/2 and 1 where there are clusters, so columns do not
/// become parallel in so few.
const PRODUCTS: usize = 6;

/// Every item's place among `clusters`; items that no edge leads to are at the origin. `None` if no edge leads anywhere.
///
/// # Shapes
/// - result: `[items, directions]`
pub(super) fn embedding(graph: &Graph, clusters: usize, key: Key) -> Option<Embeddings> {
    let connected = (0..graph.items()).filter(|item| graph.is_connected(*item)).count();
    let directions = clusters.min(MOST_DIRECTIONS).min(connected);
    if directions == 0 {
        return None;
    }
    let mut columns = start(graph, directions, key);
    for _ in 0..ROUNDS {
        for _ in 0..PRODUCTS {
            columns = graph.smoothed(&columns);
        }
        columns = transposed(&orthonormal(&transposed(&columns)));
    }
    Some(normalized(&columns, Normalize::Unit))
}

/// Random columns on the connected items: products keep zeros zero.
fn start(graph: &Graph, directions: usize, key: Key) -> Embeddings {
    let value = |item: usize, column: u64| {
        if graph.is_connected(item) { key.at(item as u64).at(column).unit() as f32 - 0.5 } else { 0.0 }
    };
    let row = |item| (0..directions as u64).map(move |column| (item, column));
    let values = (0..graph.items()).flat_map(row).map(|(item, column)| value(item, column));
    Embeddings::new(directions, values.collect())
}

#[cfg(test)]
mod tests {
    use super::super::graph::CoOccurrence;
    use super::*;
    use crate::history::{History, Log};
    use crate::ids::ItemId;

    /// Three groups of eight items, whose users stay within their group, and one item that nobody else has.
    fn graph() -> Graph {
        let key = Key::new(8);
        let history = |user: usize| {
            let item = |at| ItemId::new(user % 3 * 8 + (key.at(user as u64).at(at).unit() * 8.0) as usize);
            History { items: (0..6).map(item).collect(), ..History::default() }
        };
        let log = Log { histories: (0..60).map(history).collect(), num_items: 25, signals: Vec::new() };
        CoOccurrence::of(&log).among(&(0..25).collect::<Vec<_>>())
    }

    #[test]
    fn items_of_a_component_meet_and_components_are_orthogonal() {
        let embedding = embedding(&graph(), 3, Key::new(1)).unwrap();
        let product = |a: usize, b: usize| -> f32 {
            embedding.row(a).iter().zip(embedding.row(b)).map(|(a, b)| a * b).sum()
        };
        for a in 0..24 {
            for b in 0..24 {
                let expected = if a / 8 == b / 8 { 1.0 } else { 0.0 };
                assert!((product(a, b) - expected).abs() < 1e-3, "{a} {b}: {}", product(a, b));
            }
        }
        assert!(embedding.row(24).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn without_edges_there_is_no_embedding() {
        let alone = CoOccurrence::of(&Log { num_items: 3, ..Log::default() });
        assert_eq!(embedding(&alone.among(&[0, 1, 2]), 2, Key::new(1)), None);
    }
}
