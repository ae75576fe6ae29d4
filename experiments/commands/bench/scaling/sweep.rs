//! A sweep: one size changes, everything else stays canonical; its curves, its sentence, its records.

use super::super::harness::Outcome;
use reports::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};

/// Curves with what they were made from.
pub(super) struct Sweep {
    /// The picture; its caption is the sentence below it.
    pub(super) figure: Figure,
    /// One per point.
    pub(super) outcomes: Vec<Outcome>,
}

/// `(size, cost)` by ascending size.
pub(super) type Points = Vec<(f64, f64)>;

/// What the axes of a panel say.
pub(super) struct Axes {
    /// The size, with its unit.
    pub(super) x: &'static str,
    /// The cost, with its unit.
    pub(super) y: &'static str,
    /// How they are divided.
    pub(super) frame: Frame,
}

/// A panel of named lines.
pub(super) fn panel(axes: &Axes, lines: &[(String, Points)]) -> Panel {
    let series = lines.iter().enumerate().map(|(index, (label, points))| Series {
        label: label.clone(),
        look: Look::Series(index),
        points: points.clone(),
    });
    Panel {
        title: axes.y.to_owned(),
        description: format!("{} over {}.", axes.y, axes.x),
        plot: Plot::Curves(Curves {
            x_label: axes.x.to_owned(),
            frame: axes.frame,
            series: series.collect(),
        }),
    }
}

/// The legend of [`panel`]'s lines.
pub(super) fn legend(lines: &[(String, Points)]) -> Vec<(String, Look)> {
    lines.iter().enumerate().map(|(index, (label, _))| (label.clone(), Look::Series(index))).collect()
}

/// From the first point to the last: `16 times the size costs 18.2 times as much (power 1.05)`.
pub(super) fn growth(points: &[(f64, f64)]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let (size, cost) = (last.0 / first.0, last.1 / first.1);
    let power = cost.ln() / size.ln();
    format!(
        "{} times the size costs {cost:.2} times as much (power {power:.2})",
        reports::number::measured(size)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_as_factors_and_their_power() {
        let points = [(5.0, 2.0), (10.0, 5.0), (80.0, 512.0)];
        assert_eq!(growth(&points), "16 times the size costs 256.00 times as much (power 2.00)");
        assert_eq!(growth(&[]), "");
    }
}
