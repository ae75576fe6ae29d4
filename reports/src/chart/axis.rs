//! Axis ranges and round tick values.

use super::scale::{Scale, decade_ticks};
use crate::number;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::{Range, RangeInclusive};

/// Least distance between tick labels in pixels.
const LABEL_GAP: i32 = 10;

/// Width in pixels that a text takes at the panel's font size; generous, the reader's font is unknown.
pub(super) fn text_width(text: &str) -> i32 {
    text.chars().count() as i32 * 78 / 10
}

/// A range with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
    decimals: usize,
    scale: Scale,
}

impl Axis {
    /// Covers `values` with a margin of `padding` of their span on both sides and at most `most` ticks.
    pub(super) fn covering(values: impl Iterator<Item = f64>, padding: f64, most: usize) -> Self {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        // A flat line still needs a scale: a tenth of its level on both sides, or one unit around zero.
        let flat = if high > low {
            0.0
        } else if low == 0.0 {
            1.0
        } else {
            0.1 * low.abs()
        };
        let margin = padding * (high - low) + flat;
        Self::between(low - margin, high + margin, most)
    }

    /// Exactly `low` to `high` with at most `most` ticks.
    pub(super) fn between(low: f64, high: f64, most: usize) -> Self {
        let (step, decimals) = round_step(low, high, most);
        let ticks = tick_indices(low, high, step).map(|index| index as f64 * step).collect();
        Self { low, high, ticks, decimals, scale: Scale::Linear }
    }

    /// Covers positive `values` with equal factors side by side and at most `most` ticks; others cannot be placed.
    pub(super) fn decades(values: impl Iterator<Item = f64>, most: usize) -> Self {
        let powers = values.filter(|value| *value > 0.0).map(f64::log10);
        let Self { low, high, .. } = Self::covering(powers, 0.05, most);
        let (low, high) = (10f64.powf(low), 10f64.powf(high));
        Self { low, high, ticks: decade_ticks(low, high, most), decimals: 0, scale: Scale::Logarithmic }
    }

    /// Whole numbers only, for steps.
    pub(super) fn whole(values: impl Iterator<Item = f64>, most: usize) -> Self {
        let mut axis = Self::covering(values, 0.02, most);
        if axis.decimals > 0 {
            axis.ticks.retain(|tick| tick.fract() == 0.0);
            axis.decimals = 0;
        }
        axis
    }

    /// The most ticks, from six down to two, whose labels fit side by side into `width` pixels.
    pub(super) fn fitting(width: i32, build: impl Fn(usize) -> Self) -> Self {
        let fits = |axis: &Self| {
            let widths = axis.ticks.iter().map(|tick| LABEL_GAP + text_width(&axis.label(*tick)));
            widths.sum::<i32>() <= width
        };
        let candidate = (2..=6).rev().map(&build).find(fits);
        candidate.unwrap_or_else(|| build(2))
    }

    /// Whether equal distances are equal factors.
    pub(super) fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    /// A tick as text, all ticks with the same decimals.
    pub(super) fn label(&self, tick: f64) -> String {
        if self.scale == Scale::Logarithmic {
            return number::short(tick);
        }
        let largest = self.low.abs().max(self.high.abs());
        if self.decimals > 5 || largest >= 1e7 {
            number::decimal(tick)
        } else {
            number::fixed(tick, self.decimals)
        }
    }
}

/// plotters asks the axis itself: our ticks whatever number it would like, our labels.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let [value, low, high] = [*value, self.low, self.high].map(|number| self.scale.place(number));
        start + (f64::from(end - start) * (value - low) / (high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(tick: &f64) -> String {
        number::decimal(*tick)
    }

    fn format_ext(&self, tick: &f64) -> String {
        self.label(*tick)
    }
}

/// Multiples of `step` inside the range.
fn tick_indices(low: f64, high: f64, step: f64) -> RangeInclusive<i64> {
    (low / step).ceil() as i64..=(high / step).floor() as i64
}

/// The smallest of 1, 2, 5 x 10^k that gives at most `most` ticks, and the decimals it needs.
fn round_step(low: f64, high: f64, most: usize) -> (f64, usize) {
    let first = ((high - low) / most as f64).log10().floor() as i32 - 1;
    let steps =
        (first..first + 4).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| (digit * 10f64.powi(power), power)));
    let fits = |(step, _): &(f64, i32)| tick_indices(low, high, *step).count() <= most;
    let (step, power) = steps.into_iter().find(fits).unwrap_or((high - low, first));
    (step, (-power).clamp(0, 12) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::between(0.0, 1.0, 6);
        let labels: Vec<_> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let axis = Axis::between(-13.0, 190.0, 5);
        let labels: Vec<_> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["0", "50", "100", "150"]);
    }

    #[test]
    fn flat_and_empty_data_still_have_an_axis() {
        for values in [vec![], vec![0.0], vec![-3.0; 4], vec![1e-9; 2], vec![5e8; 2]] {
            let axis = Axis::covering(values.iter().copied(), 0.05, 5);
            assert!(axis.low < axis.high && !axis.ticks.is_empty(), "{values:?} gave {axis:?}");
        }
    }

    #[test]
    fn ticks_are_as_many_as_their_labels_leave_room_for() {
        let narrow = Axis::fitting(100, |most| Axis::between(0.0212, 0.0301, most));
        let wide = Axis::fitting(400, |most| Axis::between(0.0212, 0.0301, most));
        assert_eq!((narrow.ticks.len(), wide.ticks.len()), (2, 5));
    }

    #[test]
    fn equal_factors_are_equally_far_apart() {
        let axis = Axis::decades([10.0, 1000.0].into_iter(), 4);
        let at = |value: f64| axis.map(&value, (0, 10_000));
        assert!((at(100.0) - 5000).abs() <= 1 && (at(1000.0) - at(100.0) - at(100.0) + at(10.0)).abs() <= 1);
        let labels: Vec<_> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["10", "100", "1k"]);
    }

    #[test]
    fn step_axes_have_no_fractions() {
        let axis = Axis::whole([1.0, 2.0].into_iter(), 5);
        let labels: Vec<_> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["1", "2"]);
    }
}
