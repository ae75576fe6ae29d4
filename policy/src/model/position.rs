//! T5's relative position buckets (Raffel et al. 2020; `_relative_position_bucket` in `transformers`), and sinusoids.

use burn::prelude::*;
use burn::tensor::TensorData;

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

/// Sines of positions left of their cosines (Vaswani et al. 2017), `[n, width]`; a last odd column is zero.
pub(super) fn sinusoids(positions: &[usize], width: usize, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let angle = |at: usize, i: usize| at as f64 * 1e4_f64.powf(-2.0 * i as f64 / width as f64);
    let value = |at: usize, column: usize| match column {
        _ if column < half => angle(at, column).sin(),
        _ if column < 2 * half => angle(at, column - half).cos(),
        _ => 0.0,
    };
    let values = positions.iter().flat_map(|&at| (0..width).map(move |column| value(at, column) as f32));
    Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), [positions.len(), width]), device)
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
