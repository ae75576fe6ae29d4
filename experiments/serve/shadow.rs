//! Another bundle that answers a share of the batches after their own answers are out, to see what replacing would change.

use super::api::{Answer, Found};
use super::engine;
use super::metrics::Metrics;
use super::task::Task;
use crate::export::bundle::Bundle;
use crate::export::diff::Agreement;
use crate::threads::in_pool;

/// One batch in so many is answered twice: the second answer takes the same thread.
const ONE_IN: u64 = 10;

/// The other bundle and what was seen so far.
pub(super) struct Shadow {
    bundle: Bundle,
    batches: u64,
    remembered: Option<(Vec<Task>, Vec<Answer>)>,
    agreement: Agreement,
}

impl Shadow {
    pub(super) fn new(bundle: Bundle) -> Self {
        Self { bundle, batches: 0, remembered: None, agreement: Agreement::default() }
    }

    /// Keeps every so many batches for [`Shadow::compare`].
    pub(super) fn remember(&mut self, tasks: &[&Task], answers: &[Answer]) {
        if self.batches.is_multiple_of(ONE_IN) {
            let tasks = tasks.iter().map(|task| (*task).clone()).collect();
            self.remembered = Some((tasks, answers.to_vec()));
        }
        self.batches += 1;
    }

    /// Answers what was kept, and tells how far the answers agree.
    pub(super) fn compare(&mut self, metrics: &Metrics) {
        let Some((tasks, answers)) = self.remembered.take() else { return };
        let tasks: Vec<&Task> = tasks.iter().collect();
        for (mine, theirs) in answers.iter().zip(in_pool(|| engine::answer(&self.bundle, &tasks))) {
            if let (Found::Items(mine), Found::Items(theirs)) = (&mine.found, &theirs.found) {
                let named = |shown: &super::api::Shown| (shown.id.clone(), shown.log_prob);
                let [mine, theirs] = [mine, theirs].map(|items| items.iter().map(named).collect::<Vec<_>>());
                self.agreement.add(&borrowed(&mine), &borrowed(&theirs));
            }
        }
        metrics.shadow(self.agreement.means());
    }
}

fn borrowed(items: &[(String, f64)]) -> Vec<(&str, f64)> {
    items.iter().map(|(id, log_prob)| (id.as_str(), *log_prob)).collect()
}
