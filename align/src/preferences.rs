//! What preference losses compare: one preferred candidate per row and one or more others.

use crate::loss::read_metrics;
use burn::prelude::*;

/// Sequence log-probabilities of sets of candidates of the same user, the preferred one first.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// Under the policy being trained, `[r, 1 + n]`.
    pub policy: Tensor<2>,
    /// Under the frozen reference, `[r, 1 + n]`. Losses without a reference do not read it.
    pub reference: Tensor<2>,
    /// Tokens of every candidate: semantic IDs have one length.
    pub tokens: usize,
}

/// One loss per row and what was measured on the way.
pub type RowLosses = (Tensor<1>, Vec<(&'static str, f64)>);

impl Preferences {
    /// `log policy - log reference`, times `scale`: the implicit rewards, `[r, 1 + n]`.
    pub(crate) fn rewards(&self, scale: f64) -> Tensor<2> {
        assert_eq!(self.policy.dims(), self.reference.dims(), "policy and reference log-probs");
        (self.policy.clone() - self.reference.clone()) * scale
    }
}

/// The preferred candidate's entry of every row, `[r]`.
pub(crate) fn chosen(table: &Tensor<2>) -> Tensor<1> {
    let [rows, _] = table.dims();
    table.clone().slice([0..rows, 0..1]).reshape([rows])
}

/// The entry of the only other candidate of every row, `[r]`.
///
/// # Panics
/// If a row has not exactly one other candidate, or there is no row.
pub(crate) fn rejected(table: &Tensor<2>) -> Tensor<1> {
    let [rows, columns] = table.dims();
    assert!(rows > 0 && columns == 2, "a pair loss needs rows of two candidates, not {rows} of {columns}");
    table.clone().slice([0..rows, 1..2]).reshape([rows])
}

/// TRL's metrics: `rewards/chosen`, `rewards/rejected` (mean over all others), `rewards/margins`, `rewards/accuracies` (share of
/// rows whose preferred candidate has the highest reward, ties lost), `logps/chosen`, `logps/rejected`.
pub(crate) fn preference_metrics(rewards: &Tensor<2>, policy: &Tensor<2>) -> Vec<(&'static str, f64)> {
    let [rows, columns] = rewards.dims();
    assert!(rows > 0 && columns > 1, "preferences need rows of two or more candidates");
    let others = |table: &Tensor<2>| table.clone().slice([0..rows, 1..columns]);
    let (best, rest) = (chosen(rewards), others(rewards));
    let margins = best.clone().reshape([rows, 1]) - rest.clone();
    let correct = margins.clone().detach().min_dim(1).greater_elem(0.0).float().cast(rewards.dtype());
    let flat = |table: Tensor<2>| {
        let entries = table.dims()[0] * table.dims()[1];
        table.reshape([entries]).mean()
    };
    read_metrics([
        ("rewards/chosen", best.mean()),
        ("rewards/rejected", flat(rest)),
        ("rewards/margins", flat(margins)),
        ("rewards/accuracies", flat(correct)),
        ("logps/chosen", chosen(policy).mean()),
        ("logps/rejected", flat(others(policy))),
    ])
}
