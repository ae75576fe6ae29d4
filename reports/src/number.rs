//! How numbers look: enough digits to compare, no more than the interval supports, the same in HTML and Markdown.

use crate::schema::Estimate;

/// A whole number with thousands separators: `22,363`.
pub fn count(value: u64) -> String {
    group(&value.to_string())
}

/// A plain number with about four significant digits: `0.0351`, `12.35`, `1,204`, `3.0e−6`.
pub fn decimal(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if size < 1e-5 {
        minus(&format!("{value:.1e}"))
    } else {
        let decimals = match size {
            ..1e-4 => 7,
            1e-4..1e-3 => 6,
            1e-3..10.0 => 4,
            10.0..100.0 => 2,
            100.0..1000.0 => 1,
            _ => 0,
        };
        fixed(value, decimals)
    }
}

/// A measurement that may be a count: whole numbers without decimals, others as [`decimal`].
pub fn measured(value: f64) -> String {
    if value.fract() == 0.0 && (1.0..1e15).contains(&value.abs()) { fixed(value, 0) } else { decimal(value) }
}

/// A round number as it labels a logarithmic axis: `0.05`, `200`, `20k`, `10M`.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        ..1e3 => (value, ""),
        1e3..1e6 => (value / 1e3, "k"),
        1e6..1e9 => (value / 1e6, "M"),
        _ => (value / 1e9, "G"),
    };
    format!("{}{unit}", minus(&scaled.to_string()))
}

/// A share as a percentage: `12.4 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", fixed(100.0 * share, 1))
}

/// A number with its interval: `0.0351 [0.0330, 0.0372]`; the bare number when it has no interval.
pub fn estimate(estimate: &Estimate) -> String {
    if has_interval(estimate) {
        let decimals = supported_decimals(estimate);
        let [value, low, high] =
            [estimate.value, estimate.low, estimate.high].map(|number| fixed(number, decimals));
        format!("{value} [{low}, {high}]")
    } else {
        decimal(estimate.value)
    }
}

/// A difference with its sign and interval: `+0.0021 [−0.0004, +0.0046]`.
pub fn difference(estimate: &Estimate) -> String {
    let decimals = supported_decimals(estimate);
    let [value, low, high] =
        [estimate.value, estimate.low, estimate.high].map(|number| signed(number, decimals));
    if has_interval(estimate) { format!("{value} [{low}, {high}]") } else { value }
}

/// Whether the estimate carries an interval at all (metrics without spread over users do not).
pub fn has_interval(estimate: &Estimate) -> bool {
    estimate.low < estimate.high
}

/// A duration: `0.4 s`, `3 min 20 s`, `1 h 05 min`.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{} s", fixed(seconds, 1)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A file size in decimal units: `812 B`, `1.4 MB`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", fixed(bytes as f64 / 1e3, 1)),
        1_000_000..1_000_000_000 => format!("{} MB", fixed(bytes as f64 / 1e6, 1)),
        _ => format!("{} GB", fixed(bytes as f64 / 1e9, 2)),
    }
}

/// A number with fixed decimals, thousands separators and a true minus sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
    let text = if zero { text.trim_start_matches('-') } else { &text };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let grouped = match whole.strip_prefix('-') {
        Some(digits) => format!("−{}", group(digits)),
        None => group(whole),
    };
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Like [`fixed`] with a plus sign on positive numbers.
fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let zero = text.chars().all(|c| c == '0' || c == '.');
    if value > 0.0 && !zero { format!("+{text}") } else { text }
}

/// Decimals that show the interval's width (the value, when there is no interval) as 8 to 80 units of the last digit.
fn supported_decimals(estimate: &Estimate) -> usize {
    let scale = if has_interval(estimate) { estimate.high - estimate.low } else { estimate.value.abs() };
    // The tiny term keeps a width of exactly 8 units at 8 units.
    if scale > 0.0 { ((8.0 / scale).log10() - 1e-9).ceil().clamp(0.0, 8.0) as usize } else { 4 }
}

fn group(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_separators_signs_and_few_digits() {
        assert_eq!(count(22_363), "22,363");
        assert_eq!(decimal(0.035_149), "0.0351");
        assert_eq!(decimal(-1234.5), "−1,234");
        assert_eq!(decimal(-0.000_003), "−3.0e−6");
        assert_eq!(decimal(0.0009), "0.000900");
        assert_eq!([measured(204.0), measured(204.5), measured(-3.0)], ["204", "204.5", "−3"]);
        assert_eq!(decimal(0.0), "0");
        assert_eq!(fixed(-0.0001, 2), "0.00");
        assert_eq!([0.05, 999.0, 20e3, 1e7].map(short), ["0.05", "999", "20k", "10M"]);
        assert_eq!(percent(0.1239), "12.4 %");
    }

    #[test]
    fn intervals_show_the_digits_their_width_supports() {
        let narrow = Estimate { value: 0.035_14, low: 0.033_02, high: 0.037_21 };
        assert_eq!(estimate(&narrow), "0.0351 [0.0330, 0.0372]");
        let crossing = Estimate { value: 0.0021, low: -0.0004, high: 0.0046 };
        assert_eq!(difference(&crossing), "+0.0021 [−0.0004, +0.0046]");
        let share = Estimate { value: 0.998, low: 0.9976, high: 0.9984 };
        assert_eq!(estimate(&share), "0.9980 [0.9976, 0.9984]");
        let wide = Estimate { value: 12.3, low: -40.0, high: 80.0 };
        assert_eq!(difference(&wide), "+12 [−40, +80]");
    }

    #[test]
    fn an_estimate_without_spread_shows_no_interval() {
        let flat = Estimate { value: 0.412, low: 0.412, high: 0.412 };
        assert_eq!(estimate(&flat), "0.4120");
        assert_eq!(difference(&Estimate { value: 0.0, low: 0.0, high: 0.0 }), "0.0000");
    }

    #[test]
    fn durations_and_sizes_use_the_unit_a_reader_expects() {
        assert_eq!(seconds(0.42), "0.4 s");
        assert_eq!(seconds(200.2), "3 min 20 s");
        assert_eq!(seconds(3900.0), "1 h 05 min");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_400_000), "1.4 MB");
    }
}
