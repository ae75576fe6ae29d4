//! T5's relative position buckets (Raffel et al. 2020; `_relative_position_bucket` in `transformers`).

/// Whether a stack attends in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Encoder: half of the buckets for keys after the query.
    Both,
    /// Decoder: keys after the query share bucket 0 (they are masked).
    Backward,
}

/// The bucket of a key at distance `key - query`: exact for small distances, logarithmic (in `f32`, truncated, as
/// in the reference) up to `max_distance`, then shared.
pub(super) fn bucket(relative: i64, direction: Direction, buckets: usize, max_distance: usize) -> usize {
    let (buckets, base, distance) = match direction {
        Direction::Both => {
            let half = buckets / 2;
            (half, if relative > 0 { half } else { 0 }, relative.unsigned_abs() as usize)
        }
        Direction::Backward => (buckets, 0, (-relative).max(0) as usize),
    };
    let exact = buckets / 2;
    if distance < exact {
        return base + distance;
    }
    let scale = (distance as f32 / exact as f32).ln() / (max_distance as f32 / exact as f32).ln();
    let large = exact + (scale * (buckets - exact) as f32) as usize;
    base + large.min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_equal_the_reference() {
        // transformers 5.23, `T5Attention._relative_position_bucket(torch.tensor(d), bidirectional, 32, 128)`,
        // evaluated by hand from its definition.
        let both: Vec<_> =
            [0, 1, -1, 7, 8, -8, 15, 16, -64, 127, 200].map(|d| bucket(d, Direction::Both, 32, 128)).to_vec();
        assert_eq!(both, [0, 17, 1, 23, 24, 8, 25, 26, 14, 31, 31]);
        let backward: Vec<_> =
            [3, 0, -1, -15, -16, -20, -64, -500].map(|d| bucket(d, Direction::Backward, 32, 128)).to_vec();
        assert_eq!(backward, [0, 0, 1, 15, 16, 17, 26, 31]);
    }
}
