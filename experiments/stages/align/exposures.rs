//! What users were really shown, for duration-aware rewards.

use crate::stages::bench::Bench;
use crate::stages::pretrain::examples::Example;
use align::duration::{DurationAware, Exposure, duration_advantages, play_quantile};
use anyhow::Context as _;
use policy::ids::UserId;

/// Columns of the log that say how long and how gladly an item was watched.
pub(super) struct Exposures<'a> {
    bench: &'a Bench,
    /// Seconds, by item.
    durations: Vec<f64>,
    watch_ratio: usize,
    dislike: Option<usize>,
}

impl<'a> Exposures<'a> {
    /// Finds the columns.
    ///
    /// # Errors
    /// The log has no play times or no durations.
    pub(super) fn new(bench: &'a Bench) -> anyhow::Result<Self> {
        let (dataset, signals) = (&bench.dataset, &bench.dataset.log.signals);
        let signal = |name: &str| signals.iter().position(|signal| signal == name);
        let watch_ratio = signal("watch_ratio").context(
            "kind = \"duration-aware\" needs the feedback column watch_ratio, which this log does not have",
        )?;
        let column = dataset.attribute_names.iter().position(|name| name == "log_duration");
        let attributes = dataset.attributes.as_ref().zip(column);
        let (table, column) = attributes.context(
            "kind = \"duration-aware\" needs the item attribute log_duration, which this log does not have",
        )?;
        let durations = (0..table.rows()).map(|item| f64::from(table.row(item)[column]).exp()).collect();
        Ok(Self { bench, durations, watch_ratio, dislike: signal("dislike") })
    }

    /// Advantages of the targets of a step, which are its batch.
    pub(super) fn advantages(&self, examples: &[Example], config: &DurationAware) -> Vec<f32> {
        let shown: Vec<Exposure> = examples.iter().map(|one| self.at(one.user, one.target)).collect();
        let quantile = |(example, shown): (&Example, &Exposure)| {
            let past: Vec<Exposure> = (0..example.target).map(|at| self.at(example.user, at)).collect();
            play_quantile(&past, shown)
        };
        let quantiles: Vec<Option<f64>> = examples.iter().zip(&shown).map(quantile).collect();
        duration_advantages(&quantiles, &shown, config.top_share)
    }

    /// The interaction at this position of the user's history.
    fn at(&self, user: UserId, position: usize) -> Exposure {
        let log = &self.bench.dataset.log;
        let history = log.history(user);
        let signal = |column: usize| f64::from(history.feedback[position * log.signals.len() + column]);
        let duration = self.durations[history.items[position].index()];
        Exposure {
            duration,
            played: duration * signal(self.watch_ratio),
            disliked: self.dislike.is_some_and(|column| signal(column) > 0.0),
        }
    }
}
