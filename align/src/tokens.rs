//! Which tokens of a `[r, l]` table count, and how per-token losses become one number.

use burn::prelude::*;
use burn::tensor::Bool;
use serde::{Deserialize, Serialize};

/// The one definition of "valid tokens": row `i` counts its first `lengths[i]` tokens, the rest is padding.
/// Padding never reaches a loss or a gradient, whatever it holds, NaN included.
#[derive(Clone, Debug)]
pub struct ValidTokens {
    lengths: Vec<usize>,
    padding: Tensor<2, Bool>,
}

impl ValidTokens {
    /// Rows of these lengths, padded to `width` tokens.
    ///
    /// # Panics
    /// If there is no row, `width` is 0, or a length exceeds it.
    pub fn from_lengths(lengths: Vec<usize>, width: usize, device: &Device) -> Self {
        assert!(!lengths.is_empty() && width > 0, "a table of {} rows of {width} tokens", lengths.len());
        assert!(lengths.iter().all(|&length| length <= width), "a row is longer than {width} tokens");
        let padding: Vec<bool> =
            lengths.iter().flat_map(|&length| (0..width).map(move |token| token >= length)).collect();
        let padding = TensorData::new(padding, [lengths.len(), width]);
        Self { padding: Tensor::from_data(padding, device), lengths }
    }
    /// Rows without padding: semantic IDs all have the same number of codes.
    ///
    /// # Panics
    /// If either size is 0.
    pub fn all(rows: usize, width: usize, device: &Device) -> Self {
        Self::from_lengths(vec![width; rows], width, device)
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
    /// Mean over each row's valid tokens, in every entry of the row; 0 for an empty row.
    ///
    /// # Shapes
    /// `[r, l]` to `[r, l]`.
    ///
    /// # Panics
    /// If `values` has another shape than the table.
    pub fn row_means(&self, values: Tensor<2>) -> Tensor<2> {
        let [rows, width] = values.dims();
        let options = (&values.device(), values.dtype());
        let shares: Vec<f64> = self.lengths.iter().map(|&length| 1.0 / length.max(1) as f64).collect();
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [rows, 1]), options);
        (self.zero_padding(values).sum_dim(1) * shares).expand([rows, width])
    }
    /// Number of valid tokens.
    pub fn count(&self) -> usize {
        self.lengths.iter().sum()
    }
    /// `values` with 0 in place of padding.
    ///
    /// # Shapes
    /// `[r, l]` to `[r, l]`.
    ///
    /// # Panics
    /// If `values` has another shape than the table.
    pub fn zero_padding(&self, values: Tensor<2>) -> Tensor<2> {
        assert_eq!(values.dims(), self.padding.dims(), "log-probs and their valid tokens");
        values.mask_fill(self.padding.clone(), 0.0)
    }
}

/// How per-token losses become one number. With rows of equal length they differ by a constant factor at most; they part ways when
/// lengths vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Mean over a row's tokens, then over rows (GRPO, 2402.03300, eq. 3; TRL `grpo`). An empty row counts as 0.
    #[default]
    PerSequence,
    /// Mean over all valid tokens (DAPO, 2503.14476, eq. 8; TRL `dapo` and, without gradient accumulation the same, `bnpo`).
    Tokens,
    /// Sum over valid tokens, divided by rows times width, a constant (Dr. GRPO, 2503.20783; TRL `dr_grpo`).
    MaxLength,
    /// Sum over a row's tokens, mean over rows: long rows weigh more (LUSPO, 2602.05261; TRL `luspo`).
    SequenceSum,
}

impl Aggregation {
    /// The weighted sum of the valid entries of `values`.
    ///
    /// # Shapes
    /// `[r, l]` to `[1]`.
    pub fn reduce(self, values: Tensor<2>, valid: &ValidTokens) -> Tensor<1> {
        let [rows, width] = values.dims();
        let weights: Vec<f64> = valid
            .lengths
            .iter()
            .map(|&length| match self {
                Self::PerSequence => 1.0 / (rows * length.max(1)) as f64,
                Self::Tokens => 1.0 / valid.count().max(1) as f64,
                Self::MaxLength => 1.0 / (rows * width) as f64,
                Self::SequenceSum => 1.0 / rows as f64,
            })
            .collect();
        let options = (&values.device(), values.dtype());
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [rows, 1]), options);
        (valid.zero_padding(values) * weights).sum()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;
    use crate::testing::{matrix, scalar};

    fn reduced(aggregation: Aggregation) -> f64 {
        let device = Device::flex();
        let values = matrix(&[vec![1.0, 2.0, f64::NAN], vec![6.0, f64::NAN, f64::NAN]], &device);
        scalar(aggregation.reduce(values, &ValidTokens::from_lengths(vec![2, 1], 3, &device)))
    }

    #[test]
    fn aggregations_differ_in_their_denominators_and_never_read_padding() {
        assert_eq!(reduced(Aggregation::PerSequence), 3.75); // (1.5 + 6) / 2
        assert_eq!(reduced(Aggregation::Tokens), 3.0); // 9 / 3
        assert_eq!(reduced(Aggregation::MaxLength), 1.5); // 9 / 6
        assert_eq!(reduced(Aggregation::SequenceSum), 4.5); // 9 / 2
    }

    #[test]
    #[should_panic(expected = "longer than 2 tokens")]
    fn a_row_longer_than_the_table_is_refused() {
        ValidTokens::from_lengths(vec![3], 2, &Device::flex());
    }
}
