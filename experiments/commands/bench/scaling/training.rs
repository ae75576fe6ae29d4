//! Training: history length at one batch size, batch size at one history length.

use super::super::canonical::{self, CODE_LENGTH, HISTORY_ITEMS};
use super::super::harness::{Case, Outcome, Timing};
use super::super::learner::{Learner, Rows};
use super::super::train::{LEARNING_RATE, update};
use super::sweep::{Axes, Points, Sweep, growth, panel};
use burn::prelude::Device;
use reports::chart::{Figure, Frame};
use sampler::recommend::Codebook;

const LENGTHS: [usize; 5] = [5, 10, 20, 40, 80];
const BATCH: usize = 64;
const BATCHES: [usize; 5] = [1, 4, 16, 64, 256];
const COST: &str = "time per example (ms)";

/// Updates of both.
pub(super) fn sweep(timing: Timing) -> anyhow::Result<Sweep> {
    let codebook = canonical::codebook()?;
    let measure = |length, batch| measure(timing, &codebook, (length, batch));
    let lengths: Vec<_> = LENGTHS.iter().map(|&n| measure(n, BATCH)).collect::<anyhow::Result<_>>()?;
    let batches: Vec<_> =
        BATCHES.iter().map(|&n| measure(HISTORY_ITEMS, n)).collect::<anyhow::Result<_>>()?;
    let figure = figure(&points(&lengths, "history_items"), &points(&batches, "batch"));
    Ok(Sweep { figure, outcomes: [lengths, batches].concat() })
}

fn measure(timing: Timing, codebook: &Codebook, (length, batch): (usize, usize)) -> anyhow::Result<Outcome> {
    let learner = Learner::of(canonical::policy(codebook, &Device::flex().autodiff())?, LEARNING_RATE);
    let histories = canonical::histories_of(length, batch, codebook);
    let rows = Rows::new(&canonical::targets(batch, codebook), codebook);
    let (seconds, _) = timing.steps(learner, |learner| update(learner, (&histories, &rows), 0.0))?;
    let case = Case {
        workload: "S-train",
        variant: format!("{length} items, batch {batch}"),
        unit: "examples",
        units: batch as f64,
        gflop_per_unit: None,
    };
    Ok(Outcome::new(case, seconds, [("history_items", length.into()), ("batch", batch.into())]))
}

fn points(outcomes: &[Outcome], size: &str) -> Points {
    outcomes.iter().filter_map(|outcome| Some((outcome.detail(size)?, outcome.milliseconds()))).collect()
}

fn figure(lengths: &Points, batches: &Points) -> Figure {
    let caption = format!(
        "Time of a training step per example, over the items of a history ({CODE_LENGTH} tokens each; batches of {BATCH}) \
         and over the batch size ({HISTORY_ITEMS} items). Over the length, {}; over the batch, {}.",
        growth(lengths),
        growth(batches),
    );
    let axes = |x| Axes { x, y: COST, frame: Frame::Decades };
    let line = |points: &Points| vec![(String::new(), points.clone())];
    Figure {
        name: "scaling-training",
        title: "Training over history length and batch size".into(),
        caption,
        legend: Vec::new(),
        panels: vec![
            panel(&axes("items of a history"), &line(lengths)),
            panel(&axes("examples of a batch"), &line(batches)),
        ],
    }
}
