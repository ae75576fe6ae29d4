//! LETTER's two regularisers of RQ-VAE (2405.07314, eq. 5 and 6): codes that say who is consumed with whom, and codebooks
//! whose codes are spread out.
//!
//! Departures: rows are of unit length and a learned linear map leads to the width of the collaborative vectors, so that any can
//! be used; the contrast runs both ways and has a temperature.

use crate::collaborative::contrastive::loss::info_nce;
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::log_softmax;

/// Of the contrast between quantised and collaborative vectors: that of [`crate::collaborative::contrastive`] by default.
const TEMPERATURE: f64 = 0.1;
/// Norms below it are taken for it.
const LEAST_NORM: f64 = 1e-12;
/// Added to a code's similarity with itself; `exp` of it is exactly 0.
const LEFT_OUT: f64 = -1e9;

/// Contrast of each item's quantised vector with its collaborative one among those of the batch.
///
/// # Shapes
/// - `quantized`, `vectors`: `[n, d]`; result: `[1]`.
pub fn collaborative(quantized: Tensor<2>, vectors: Tensor<2>) -> Tensor<1> {
    info_nce(unit(quantized), unit(vectors), TEMPERATURE)
}

/// `-mean_i ln [exp(e_c . e_p) / sum_{j != c} exp(e_c . e_j)]` over the items' codes `c`, with `p` a code like `c`: codes of a group
/// move together, and apart from all others. An item whose code has no partner counts with 0.
///
/// # Shapes
/// - `codebook`: `[k, d]`, `codes`: `n` of them, `partners`: `k`; result: `[1]`.
pub fn diversity(codebook: Tensor<2>, codes: &[u32], partners: &[Option<u32>]) -> Tensor<1> {
    let k = partners.len();
    let mut weights = vec![0.0; k * k];
    for &code in codes {
        if let Some(partner) = partners[code as usize] {
            weights[code as usize * k + partner as usize] += 1.0 / codes.len() as f32;
        }
    }
    let device = codebook.device();
    let own = Tensor::<2>::eye(k, &device).mul_scalar(LEFT_OUT);
    let log_probs = log_softmax(codebook.clone().matmul(codebook.transpose()) + own, 1);
    (log_probs * Tensor::from_data(TensorData::new(weights, [k, k]), &device)).sum().neg()
}

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norms = rows.clone().square().sum_dim(1).sqrt().clamp_min(LEAST_NORM);
    rows / norms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_scalar::<f32>())
    }

    #[test]
    fn codes_at_the_origin_are_told_apart_by_chance() {
        let zeros = Tensor::zeros([5, 3], &Device::flex());
        let partners = [Some(1), Some(0), Some(3), Some(2), None];
        let chance = 4f64.ln();
        assert!((value(diversity(zeros.clone(), &[0, 1, 2, 3], &partners)) - chance).abs() < 1e-6);
        assert!((value(diversity(zeros, &[0, 4], &partners)) - chance / 2.0).abs() < 1e-6);
    }

    #[test]
    fn groups_far_from_each_other_have_no_loss() {
        let rows = [[9.0, 0.0], [9.0, 0.1], [-9.0, 0.0], [-9.0, 0.1f32]];
        let codebook = Tensor::from_data(TensorData::from(rows), &Device::flex());
        let partners = [Some(1), Some(0), Some(3), Some(2)];
        assert!(value(diversity(codebook.clone(), &[0, 1, 2, 3], &partners)) < 1e-6);
        let wrong = [Some(2), Some(3), Some(0), Some(1)];
        assert!(value(diversity(codebook, &[0, 1, 2, 3], &wrong)) > 100.0);
    }

    #[test]
    fn the_contrast_ignores_lengths_and_is_least_for_items_at_their_own_vectors() {
        let rows = |values: [[f32; 2]; 2]| Tensor::from_data(TensorData::from(values), &Device::flex());
        let near = value(collaborative(rows([[5.0, 0.0], [0.0, 0.1]]), rows([[1.0, 0.0], [0.0, 7.0]])));
        let swapped = value(collaborative(rows([[0.0, 0.1], [5.0, 0.0]]), rows([[1.0, 0.0], [0.0, 7.0]])));
        // Two rows, similarity 1 and 0 at temperature 0.1.
        assert!((near - (1.0 + (-10f64).exp()).ln()).abs() < 1e-6, "{near}");
        assert!((swapped - (1.0 + 10f64.exp()).ln()).abs() < 1e-4, "{swapped}");
    }
}
