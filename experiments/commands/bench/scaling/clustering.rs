//! Residual k-means over items, for vectors of several widths.

use super::super::harness::{Case, Outcome, Timing};
use super::super::kmeans::{CLUSTERS, ITERATIONS, LEVELS, fit, vectors};
use super::sweep::{Axes, Points, Sweep, growth, legend, panel};
use reports::chart::{Figure, Frame};
use reports::number::count;

const ITEMS: [usize; 3] = [3_000, 12_000, 48_000];
const WIDTHS: [usize; 3] = [96, 384, 768];

/// Whole fits of every number of items at every width.
pub(super) fn sweep(timing: Timing) -> anyhow::Result<Sweep> {
    let (mut outcomes, mut lines) = (Vec::new(), Vec::new());
    for width in WIDTHS {
        let fits: Vec<_> =
            ITEMS.iter().map(|&items| measure(timing, items, width)).collect::<anyhow::Result<_>>()?;
        let points = fits.iter().zip(ITEMS).map(|(fit, items)| (items as f64, fit.milliseconds() / 1e3));
        lines.push((format!("{width} numbers per vector"), points.collect()));
        outcomes.extend(fits);
    }
    Ok(Sweep { figure: figure(&lines), outcomes })
}

fn measure(timing: Timing, items: usize, width: usize) -> anyhow::Result<Outcome> {
    let vectors = vectors(items, width);
    let (seconds, _) = timing.of_long_steps().steps(None, |_| Ok(Some(fit(&vectors)?)))?;
    let case = Case {
        workload: "S-kmeans",
        variant: format!("{} x {width}", count(items as u64)),
        unit: "fits",
        units: 1.0,
        gflop_per_unit: None,
    };
    Ok(Outcome::new(case, seconds, [("items", items.into()), ("width", width.into())]))
}

fn figure(lines: &[(String, Points)]) -> Figure {
    let wide = lines.last().map_or_else(Vec::new, |(_, points)| points.clone());
    let largest: Points = lines
        .iter()
        .zip(WIDTHS)
        .filter_map(|((_, points), width)| Some((width as f64, points.last()?.1)))
        .collect();
    let caption = format!(
        "Time of a whole fit ({LEVELS} levels of {CLUSTERS} clusters, {ITERATIONS} iterations each, the k-means++ start included). \
         Over the items at the greatest width, {}; over the width at the most items, {}.",
        growth(&wide),
        growth(&largest),
    );
    let axes = Axes { x: "items", y: "time per fit (s)", frame: Frame::Decades };
    Figure {
        name: "scaling-kmeans",
        title: "Residual k-means over items and width".into(),
        caption,
        legend: legend(lines),
        panels: vec![panel(&axes, lines)],
    }
}
