//! Iterative preference alignment (`OneRec`, 2502.18965, Alg. 2): next-token prediction on every sample and, on
//! a small share of them, DPO between the best and the worst beam candidate.
//!
//! One round: the reference is the policy as it was at the start of the round and sampled the round's
//! candidates; the trained policy starts from it and becomes the next round's reference. So the anchor moves,
//! unlike in plain DPO.
//!
//! Not specified by the paper: beta, lambda, the number of rounds, the number of candidates per user.

use crate::dpo::{Dpo, dpo_per_pair};
use crate::loss::{LossOutput, read_metrics};
use crate::ntp::ntp;
use crate::preferences::Preferences;
use crate::tokens::ValidTokens;
use burn::prelude::*;
use serde::{Deserialize, Serialize};

/// `kind = "ipa"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ipa {
    /// Strength of the anchor in DPO; above 0. Not in the paper; 0.1 is DPO's own (2305.18290) and TRL's default.
    pub beta: f64,
    /// Weight of a sample's DPO loss beside its next-token loss; at least 0. Not in the paper; 1 is ours.
    pub lambda: f64,
    /// Share of samples that also get a DPO loss, in `(0, 1]`. The paper takes 0.01 (its Table 4 compares 0.01 to 0.05).
    pub dpo_share: f64,
}

impl Default for Ipa {
    fn default() -> Self {
        Self { beta: 0.1, lambda: 1.0, dpo_share: 0.01 }
    }
}

/// One step's samples.
#[derive(Clone, Debug)]
pub struct IpaBatch {
    /// Log-probs `[r, l]` of the observed targets' tokens under the policy, one row per sample.
    pub targets: Tensor<2>,
    /// Which of those tokens count.
    pub valid: ValidTokens,
    /// The pairs of the samples that were drawn for DPO; absent when none was.
    pub pairs: Option<Preferences>,
}

/// `L_NTP + lambda L_DPO` averaged over a step's samples: `ntp + lambda (sum over pairs of the DPO loss) / r`. A
/// sample without a pair has no DPO term, as in Alg. 2, so the weight of preferences is `lambda dpo_share` on
/// average; when every sample has a pair it is `lambda`.
///
/// Metrics: `ntp/loss`, and with pairs `dpo/loss` (mean over pairs) and those of [`dpo_per_pair`].
///
/// # Panics
/// If shapes disagree.
pub fn ipa(batch: IpaBatch, config: &Ipa) -> LossOutput {
    let next_token = ntp(batch.targets, &batch.valid);
    let Some(pairs) = batch.pairs else {
        let metrics = read_metrics([("ntp/loss", next_token.clone())]);
        return LossOutput { loss: next_token, metrics };
    };
    let (preference, pair_metrics) = dpo_per_pair(&pairs, &Dpo { beta: config.beta, ..Dpo::default() });
    let mut metrics =
        read_metrics([("ntp/loss", next_token.clone()), ("dpo/loss", preference.clone().mean())]);
    metrics.extend(pair_metrics);
    let weight = config.lambda / batch.valid.rows() as f64;
    LossOutput { loss: next_token + preference.sum() * weight, metrics }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;
    use crate::testing::{assert_close, gradient, matrix, scalar};

    fn batch(device: &Device, pairs: Option<Preferences>) -> IpaBatch {
        let targets = matrix(&[vec![-1.0, -2.0], vec![-3.0, -2.0]], device).require_grad();
        IpaBatch { targets, valid: ValidTokens::all(2, 2, device), pairs }
    }
    fn one_pair(device: &Device) -> Preferences {
        Preferences {
            policy: matrix(&[vec![-2.0, -1.0]], device).require_grad(),
            reference: matrix(&[vec![-3.0, -1.5]], device),
            tokens: 2,
        }
    }

    #[test]
    fn without_pairs_it_is_next_token_prediction() {
        let device = Device::flex().autodiff();
        let output = ipa(batch(&device, None), &Ipa::default());
        assert_eq!(scalar(output.loss), 2.0);
        assert_eq!(output.metrics, [("ntp/loss", 2.0)]);
    }

    #[test]
    fn the_dpo_terms_of_a_step_are_averaged_over_its_samples() {
        let device = Device::flex().autodiff();
        let pairs = one_pair(&device);
        let config = Ipa { beta: 0.5, lambda: 3.0, dpo_share: 0.5 };
        let output = ipa(batch(&device, Some(pairs.clone())), &config);
        // Margin 0.5 (1.0 - 0.5) = 0.25; one of two samples has a pair.
        let dpo = (1.0 + (-0.25f64).exp()).ln();
        assert_close("loss", &[scalar(output.loss.clone())], &[2.0 + 3.0 * dpo / 2.0], 1e-12);
        assert_close("metric", &[output.metrics[1].1], &[dpo], 1e-12);
        let slope = -0.5 / (1.0 + 0.25f64.exp()) * 3.0 / 2.0;
        assert_close("gradient", &gradient(&output.loss, &pairs.policy), &[slope, -slope], 1e-12);
    }
}
