//! Rows of different lengths, one after the other without padding, and how threads share them.

use std::ops::Range;
use std::sync::Arc;

/// Where each row of a packed `[tokens, d]` tensor begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Row `i` is `starts[i]..starts[i + 1]`.
    starts: Arc<[usize]>,
}

impl Packing {
    /// Rows of these lengths.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let ends = lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Self { starts: std::iter::once(0).chain(ends).collect() }
    }
    /// Rows of one length.
    pub fn uniform(rows: usize, length: usize) -> Self {
        Self::of(std::iter::repeat_n(length, rows))
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.starts[self.rows()]
    }
    /// Tokens of a row.
    pub fn row(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }
    /// Tokens of neighbouring rows.
    pub fn span(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start]..self.starts[rows.end]
    }
    /// Length of each row.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.starts.windows(2).map(|pair| pair[1] - pair[0])
    }
    /// Tokens of every row.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        (0..self.rows()).map(|row| self.row(row)).collect()
    }
    /// Length of the longest row; 0 of none.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }
    /// The first `rows` rows.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        Self { starts: self.starts[..=rows].into() }
    }
}

/// Tokens after which a lane is long enough to make its share of adding up partial sums small.
const LANE: usize = 320;
/// Tokens whose intermediate results stay in a core's cache.
const CHUNK: usize = 160;
/// Most lanes: what more threads than this gain is lost again in adding up.
const MAX_LANES: usize = 64;

/// How work on rows is shared: lanes run in parallel, the chunks of a lane one after the other. A function of the rows
/// alone: partial sums belong to lanes, so results do not depend on the number of threads.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// Chunks of rows, of all lanes in order.
    pub(super) chunks: Vec<Range<usize>>,
    /// Chunks of each lane.
    pub(super) lanes: Vec<Range<usize>>,
}

impl Lanes {
    /// Lanes over rows of these costs, in tokens.
    pub(super) fn new(costs: impl Iterator<Item = usize>) -> Self {
        let costs: Vec<usize> = costs.collect();
        let total: usize = costs.iter().sum();
        let lanes = (total / LANE).next_multiple_of(2).clamp(2, MAX_LANES);
        let mut plan = Self { chunks: Vec::new(), lanes: Vec::new() };
        let (mut start, mut size, mut done) = (0, 0, 0);
        for (row, cost) in costs.into_iter().enumerate() {
            (size, done) = (size + cost, done + cost);
            let lane_ends = done * lanes >= (plan.lanes.len() + 1) * total;
            if lane_ends || size >= CHUNK {
                plan.chunks.push(start..row + 1);
                (start, size) = (row + 1, 0);
            }
            if lane_ends {
                let first = plan.lanes.last().map_or(0, |lane| lane.end);
                plan.lanes.push(first..plan.chunks.len());
            }
        }
        plan
    }
    /// Lanes over rows of a packing.
    pub(super) fn of(packing: &Packing) -> Self {
        Self::new(packing.lengths())
    }
    /// Lanes over tokens that have nothing to do with each other.
    pub(super) fn tokens(count: usize) -> Self {
        Self::new(std::iter::repeat_n(1, count))
    }
}

/// Cuts `x` into neighbouring parts of these lengths.
pub(super) fn parts(mut x: &mut [f32], lengths: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    lengths.map(|length| x.split_off_mut(..length).expect("the parts fit")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_and_chunks_cover_every_row_once(lengths in prop::collection::vec(1usize..300, 1..200)) {
            let packing = Packing::of(lengths.iter().copied());
            let plan = Lanes::of(&packing);
            let rows: Vec<usize> = plan.chunks.iter().cloned().flatten().collect();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            let chunks: Vec<usize> = plan.lanes.iter().cloned().flatten().collect();
            prop_assert_eq!(chunks, (0..plan.chunks.len()).collect::<Vec<_>>());
            for chunk in &plan.chunks {
                let tokens = packing.span(chunk).len();
                prop_assert!(tokens < CHUNK + 300 && tokens > 0);
            }
            prop_assert_eq!(packing.tokens(), lengths.iter().sum::<usize>());
        }
    }
}
