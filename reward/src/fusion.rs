//! Several heads, one number. OneRec (2502.18965) does not say how its four heads become the scalar of argmax and
//! argmin, so the rule is an explicit option here and is recorded with its weights.

use crate::calibration::average_ranks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// How the heads of a request's candidates become one score each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fusion {
    /// `sum_x w_x r_x`. No weights at all means equal weights that sum to one; once a head is named, a head that is
    /// not named weighs nothing.
    WeightedSum {
        /// Head name to weight; may be negative.
        #[serde(default)]
        weights: BTreeMap<String, f64>,
    },
    /// `prod_x r_x`: a candidate must do well on every head.
    Product,
    /// Mean over heads of the candidate's rank within the request, worst 0, best 1, ties averaged. Insensitive to the
    /// scale of the heads, but it compares candidates of one request only.
    RankSum,
    /// Share of the request's candidates that the candidate dominates (as good on every head, better on one), minus the
    /// share that dominate it: fronts of the Pareto order without weights. From -1 to 1; compares candidates of one
    /// request only.
    Pareto,
}

impl Default for Fusion {
    fn default() -> Self {
        Self::WeightedSum { weights: BTreeMap::new() }
    }
}

/// A fusion that does not fit the judge's heads.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FusionError {
    /// A weight names a head the judge does not have.
    #[error("reward.fusion.weights names `{name}`, which is not a head of this log's judges ({heads})")]
    UnknownHead {
        /// The name found.
        name: String,
        /// The heads there are.
        heads: String,
    },
    /// A weight is NaN or infinite, or all weights are zero.
    #[error("reward.fusion.weights must be finite and not all zero")]
    Weights,
}

impl Fusion {
    /// Whether this fusion fits these heads.
    ///
    /// # Errors
    /// If a weight names an unknown head or the weights are unusable.
    pub fn check(&self, heads: &[String]) -> Result<(), FusionError> {
        let Self::WeightedSum { weights } = self else {
            return Ok(());
        };
        if let Some(name) = weights.keys().find(|name| !heads.contains(name)) {
            return Err(FusionError::UnknownHead { name: name.clone(), heads: heads.join(", ") });
        }
        let unusable = weights.values().any(|w| !w.is_finite()) || weights.values().all(|&w| w == 0.0);
        if !weights.is_empty() && unusable {
            return Err(FusionError::Weights);
        }
        Ok(())
    }

    /// One score per candidate of one request.
    ///
    /// # Shapes
    /// `rows`: one row of `heads.len()` values per candidate.
    pub fn fuse(&self, heads: &[String], rows: &[Vec<f32>]) -> Vec<f32> {
        match self {
            Self::WeightedSum { weights } => {
                let weights = head_weights(weights, heads);
                rows.iter()
                    .map(|row| row.iter().zip(&weights).map(|(&r, w)| f64::from(r) * w).sum::<f64>() as f32)
                    .collect()
            }
            Self::Product => rows.iter().map(|row| row.iter().product()).collect(),
            Self::RankSum => rank_sum(heads.len(), rows),
            Self::Pareto => pareto(rows),
        }
    }

    /// The weight of every head in a sum; equal ones for rules without weights.
    pub fn weights(&self, heads: &[String]) -> Vec<f64> {
        match self {
            Self::WeightedSum { weights } => head_weights(weights, heads),
            Self::Product | Self::RankSum | Self::Pareto => head_weights(&BTreeMap::new(), heads),
        }
    }

    /// The rule with its weights, for reports: `weighted-sum(ltr=0.5, vtr=0.5)`.
    pub fn describe(&self, heads: &[String]) -> String {
        match self {
            Self::WeightedSum { weights } => {
                let weights = head_weights(weights, heads);
                let terms: Vec<_> =
                    heads.iter().zip(weights).map(|(head, w)| format!("{head}={w}")).collect();
                format!("weighted-sum({})", terms.join(", "))
            }
            Self::Product => format!("product({})", heads.join(", ")),
            Self::RankSum => format!("rank-sum({})", heads.join(", ")),
            Self::Pareto => format!("pareto({})", heads.join(", ")),
        }
    }
}

fn head_weights(weights: &BTreeMap<String, f64>, heads: &[String]) -> Vec<f64> {
    if weights.is_empty() {
        return vec![1.0 / heads.len() as f64; heads.len()];
    }
    heads.iter().map(|head| weights.get(head).copied().unwrap_or(0.0)).collect()
}

fn rank_sum(num_heads: usize, rows: &[Vec<f32>]) -> Vec<f32> {
    let scale = (rows.len().saturating_sub(1)).max(1) as f64 * num_heads as f64;
    let mut fused = vec![0.0; rows.len()];
    for head in 0..num_heads {
        let column: Vec<f64> = rows.iter().map(|row| f64::from(row[head])).collect();
        for (sum, rank) in fused.iter_mut().zip(average_ranks(&column)) {
            *sum += (rank - 1.0) / scale;
        }
    }
    fused.into_iter().map(|sum| sum as f32).collect()
}

fn pareto(rows: &[Vec<f32>]) -> Vec<f32> {
    let dominates =
        |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(x, y)| x >= y) && a.iter().zip(b).any(|(x, y)| x > y);
    let others = rows.len().saturating_sub(1).max(1) as f32;
    let count = |holds: &dyn Fn(&[f32]) -> bool| rows.iter().filter(|row| holds(row)).count() as f32;
    rows.iter()
        .map(|row| (count(&|other| dominates(row, other)) - count(&|other| dominates(other, row))) / others)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Vec<String> {
        vec!["ltr".into(), "vtr".into()]
    }
    fn weighted(pairs: &[(&str, f64)]) -> Fusion {
        Fusion::WeightedSum { weights: pairs.iter().map(|(name, w)| ((*name).into(), *w)).collect() }
    }
    const ROWS: [[f32; 2]; 3] = [[0.2, 0.4], [0.6, 0.1], [0.6, 0.9]];
    fn rows() -> Vec<Vec<f32>> {
        ROWS.iter().map(|row| row.to_vec()).collect()
    }
    fn close(a: &[f32], b: &[f32]) {
        assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6) && a.len() == b.len(), "{a:?} {b:?}");
    }

    #[test]
    fn each_rule_equals_its_hand_value() {
        close(&Fusion::default().fuse(&heads(), &rows()), &[0.3, 0.35, 0.75]);
        close(&weighted(&[("ltr", 2.0), ("vtr", -1.0)]).fuse(&heads(), &rows()), &[0.0, 1.1, 0.3]);
        close(&weighted(&[("vtr", 1.0)]).fuse(&heads(), &rows()), &[0.4, 0.1, 0.9]);
        close(&Fusion::Product.fuse(&heads(), &rows()), &[0.08, 0.06, 0.54]);
        // ltr ranks 1, 2.5, 2.5 and vtr ranks 2, 1, 3, each less one, over (3 - 1) * 2.
        close(&Fusion::RankSum.fuse(&heads(), &rows()), &[0.25, 0.375, 0.875]);
        // The last dominates both others, which are better on one head each.
        close(&Fusion::Pareto.fuse(&heads(), &rows()), &[-0.5, -0.5, 1.0]);
    }

    #[test]
    fn a_single_candidate_and_no_candidate_are_fused() {
        close(&Fusion::RankSum.fuse(&heads(), &[vec![0.1, 0.2]]), &[0.0]);
        close(&Fusion::Pareto.fuse(&heads(), &[vec![0.1, 0.2]]), &[0.0]);
        assert!(Fusion::default().fuse(&heads(), &[]).is_empty());
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        assert!(matches!(weighted(&[("wtr", 1.0)]).check(&heads()), Err(FusionError::UnknownHead { .. })));
        assert_eq!(weighted(&[("ltr", f64::NAN)]).check(&heads()), Err(FusionError::Weights));
        assert_eq!(weighted(&[("ltr", 0.0)]).check(&heads()), Err(FusionError::Weights));
        assert_eq!(Fusion::default().check(&heads()), Ok(()));
    }

    #[test]
    fn the_description_names_every_weight() {
        assert_eq!(Fusion::default().describe(&heads()), "weighted-sum(ltr=0.5, vtr=0.5)");
        assert_eq!(weighted(&[("vtr", 3.0)]).describe(&heads()), "weighted-sum(ltr=0, vtr=3)");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let parsed = serde_json::from_str::<Fusion>(r#"{"kind":"weighted-sum","weight":{}}"#);
        assert!(parsed.is_err());
        let parsed: Fusion = serde_json::from_str(r#"{"kind":"rank-sum"}"#).unwrap();
        assert_eq!(parsed, Fusion::RankSum);
    }
}
