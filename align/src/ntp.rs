//! Next-token prediction on what the user really did.

use crate::tokens::{Aggregation, ValidTokens};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

/// `kind = "ntp"`: [`ntp`] on the observed targets of the step's users and on further samples of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ntp {
    /// Samples of the log per user of the step, beside the user's own target.
    pub further: usize,
}

/// Mean negative log-probability of the valid tokens, `-(1/n) sum log p(token)` (`OneRec`, 2502.18965, eq. 4).
///
/// Departure: the paper sums over a session's tokens; the mean keeps the loss comparable between catalogs
/// of different depth.
///
/// # Shapes
/// `log_probs: [r, l]`, of the target tokens; the result is `[1]`, and 0 when no token is valid.
pub fn ntp(log_probs: Tensor<2>, valid: &ValidTokens) -> Tensor<1> {
    Aggregation::Tokens.reduce(-log_probs, valid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, golden, gradient, matrix, numbers, rows, scalar};
    use burn::tensor::DType;

    #[test]
    fn loss_and_gradient_equal_pytorch() {
        let device = Device::flex().autodiff();
        for case in golden("ntp") {
            let name = case["name"].as_str().unwrap();
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-6)] {
                let log_probs =
                    matrix(&rows(&case["log_probs"]), &device).cast(dtype).detach().require_grad();
                let lengths = numbers(&case["lengths"]).iter().map(|&n| n as usize).collect();
                let valid = ValidTokens::from_lengths(lengths, log_probs.dims()[1], &device);
                let loss = ntp(log_probs.clone(), &valid);
                assert_close(name, &[scalar(loss.clone())], &[case["loss"].as_f64().unwrap()], tolerance);
                let expected = rows(&case["grad_log_probs"]).concat();
                assert_close(name, &gradient(&loss, &log_probs), &expected, tolerance);
            }
        }
    }

    #[test]
    fn padding_content_changes_neither_loss_nor_gradient() {
        let device = Device::flex().autodiff();
        let run = |padding: f64| {
            let log_probs = matrix(&[vec![-1.0, padding], vec![-2.0, -4.0]], &device).require_grad();
            let loss = ntp(log_probs.clone(), &ValidTokens::from_lengths(vec![1, 2], 2, &device));
            (scalar(loss.clone()), gradient(&loss, &log_probs))
        };
        for padding in [0.0, -1e30, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(run(padding), run(-3.0), "padding {padding}");
        }
    }
}
