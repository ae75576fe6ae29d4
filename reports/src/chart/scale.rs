//! How values become distances on an axis, and the round values of a logarithmic one.

/// Distance in proportion to what?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Differences.
    Linear,
    /// Factors.
    Logarithmic,
}

impl Scale {
    /// Where a value lies, in units of the axis.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
        }
    }
}

/// Leading digits of ticks, from many to few.
const DIGITS: [&[f64]; 3] = [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[1.0, 2.0, 5.0], &[1.0, 3.0]];

/// At most `most` round values in the range: as many digits of a decade as that allows, then whole decades, then
/// every second, third, ... decade.
pub(super) fn decade_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let powers = || low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = |digits: &[f64], stride: i32| -> Vec<f64> {
        let decades = powers().filter(|power| power.rem_euclid(stride) == 0);
        let values = decades.flat_map(|power| digits.iter().map(move |digit| scaled(*digit, power)));
        values.filter(|value| (low..=high).contains(value)).collect()
    };
    let candidates = DIGITS
        .iter()
        .map(|digits| ticks(digits, 1))
        .chain((1..=powers().count() as i32).map(|n| ticks(&[1.0], n)));
    let mut fitting = candidates.filter(|ticks| ticks.len() <= most);
    fitting.next().unwrap_or_default()
}

/// `digit * 10^power`, correctly rounded.
fn scaled(digit: f64, power: i32) -> f64 {
    if power < 0 { digit / 10f64.powi(-power) } else { digit * 10f64.powi(power) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are the nearest to what is written")]
mod tests {
    use super::*;

    #[test]
    fn ticks_thin_out_with_the_width_of_the_range() {
        assert_eq!(decade_ticks(0.19, 0.52, 6), [0.2, 0.3, 0.4, 0.5]);
        assert_eq!(decade_ticks(7.0, 550.0, 6), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(decade_ticks(7.0, 550.0, 4), [10.0, 30.0, 100.0, 300.0]);
        assert_eq!(decade_ticks(9e3, 1.1e7, 5), [1e4, 1e5, 1e6, 1e7]);
        assert_eq!(decade_ticks(1e-6, 1e6, 5), [1e-6, 1e-3, 1.0, 1e3, 1e6]);
    }

    #[test]
    fn places_of_a_logarithmic_axis_are_exponents() {
        assert_eq!([1e-3, 1.0, 1e4].map(|value| Scale::Logarithmic.place(value)), [-3.0, 0.0, 4.0]);
        assert_eq!(Scale::Linear.place(-2.5), -2.5);
    }
}
