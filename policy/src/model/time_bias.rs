//! HSTU's bias of attention by the time between two items (Zhai et al. 2024, 2402.17152, `rab`, and its code).
//!
//! A learned number per head and bucket of `floor(ln(max(1, |seconds|)) / 0.301)`. Departures: the published code takes the
//! time from an item to the *next* one of the query, which tells when the target was consumed (in a log whose ties are in
//! catalog order, whether it is a tie); here it is the query's own. Heads have biases of their own, and the blocks of a stack
//! share one table, as they do that of relative position.

use super::layers::Table;
use super::padded::Padded;
use burn::prelude::*;

/// Buckets: more than times of any log fill.
pub(super) const TIME_BUCKETS: usize = 128;
/// Natural logarithm of the ratio of neighbouring buckets' bounds.
const LOG_RATIO: f64 = 0.301;

/// The bucket of two times that are so many seconds apart.
fn bucket(seconds: u64) -> usize {
    let logarithm = (seconds.max(1) as f64).ln();
    ((logarithm / LOG_RATIO) as usize).min(TIME_BUCKETS - 1)
}

/// Biases of every query towards every key of its row, `[rows, h, t, t]`.
///
/// # Shapes
/// - `table`: `[TIME_BUCKETS, h]`, `times`: of the packed positions.
pub(super) fn time_bias(table: &Table, rows: &Padded, times: &[i64]) -> Tensor<4> {
    let t = rows.longest();
    let padded = rows.values(times);
    let of_query = |row: &[i64], query: i64| -> Vec<u32> {
        row.iter().map(|key| bucket(query.abs_diff(*key)) as u32).collect()
    };
    let of_row = |row: &[i64]| row.iter().flat_map(|&query| of_query(row, query)).collect::<Vec<_>>();
    let indices: Vec<u32> = padded.chunks_exact(t).flat_map(of_row).collect();
    let heads = table.weight.dims()[1];
    let biases = table.rows(&indices).reshape([rows.rows(), t * t, heads]);
    biases.swap_dims(1, 2).reshape([rows.rows(), heads, t, t])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_by_a_constant_ratio_and_end() {
        // exp(0.301) = 1.351..., exp(0.602) = 1.82..., exp(0.903) = 2.46...
        assert_eq!([0, 1, 2, 3].map(bucket), [0, 0, 2, 3]);
        // ln 86400 = 11.367, ln 31557600 = 17.267.
        assert_eq!([86_400, 31_557_600, u64::MAX].map(bucket), [37, 57, TIME_BUCKETS - 1]);
    }
}
