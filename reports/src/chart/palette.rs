//! Colours (Okabe and Ito 2008, told apart with any colour vision), dash patterns and markers.
//!
//! plotters writes fixed colours. Drawing uses a distinct stand-in colour per role; `svg` replaces them by CSS classes,
//! and [`css`] gives the classes their colours in light and dark.

use super::Look;
use super::svg::SCALE;
use plotters::style::RGBColor;
use std::f64::consts::TAU;
use std::fmt::Write as _;

/// Distinct looks before they repeat.
pub(super) const SERIES: usize = 6;

/// What a drawn element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Titles and tick labels.
    Text,
    /// Less important text.
    Muted,
    /// Grid lines.
    Grid,
    /// Axis lines and ticks.
    Axis,
    /// A line to compare with.
    Guide,
    /// The line of a series (dashed by its pattern).
    Line(usize),
    /// Markers and whiskers of a series (never dashed).
    Mark(usize),
    /// One of several lines behind a series.
    Thin(usize),
    /// The interval around a series.
    Band(usize),
}

/// Slot 0 is the baselines' grey; series follow.
const SLOTS: usize = SERIES + 1;

impl Look {
    pub(super) const fn slot(self) -> usize {
        match self {
            Self::Baseline => 0,
            Self::Series(index) | Self::Thin(index) | Self::Band(index) => 1 + index % SERIES,
        }
    }
}

impl Role {
    /// Every role.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let plain = [Self::Text, Self::Muted, Self::Grid, Self::Axis, Self::Guide];
        plain.into_iter().chain(
            (0..SLOTS)
                .flat_map(|slot| [Self::Line(slot), Self::Mark(slot), Self::Thin(slot), Self::Band(slot)]),
        )
    }

    /// The stand-in colour.
    pub(super) const fn color(self) -> RGBColor {
        let (kind, slot) = match self {
            Self::Text => (1, 0),
            Self::Muted => (2, 0),
            Self::Grid => (3, 0),
            Self::Axis => (4, 0),
            Self::Guide => (5, 0),
            Self::Line(slot) => (6, slot as u8),
            Self::Mark(slot) => (7, slot as u8),
            Self::Thin(slot) => (8, slot as u8),
            Self::Band(slot) => (9, slot as u8),
        };
        RGBColor(0xA5, kind, slot)
    }

    /// Suffix of the CSS class.
    pub(super) fn class(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Muted => "muted".into(),
            Self::Grid => "grid".into(),
            Self::Axis => "axis".into(),
            Self::Guide => "guide".into(),
            Self::Line(slot) => format!("line{slot}"),
            Self::Mark(slot) => format!("mark{slot}"),
            Self::Thin(slot) => format!("thin{slot}"),
            Self::Band(slot) => format!("band{slot}"),
        }
    }

    /// Colour on white and on near-black.
    const fn shades(self) -> [&'static str; 2] {
        match self {
            Self::Text => ["#1f2328", "#e6e8eb"],
            Self::Muted => ["#57606a", "#a3adb8"],
            Self::Grid => ["#e4e7eb", "#2b3138"],
            Self::Axis => ["#8c959f", "#6b7580"],
            Self::Guide => ["#8c959f", "#7d8793"],
            Self::Line(slot) | Self::Mark(slot) | Self::Thin(slot) | Self::Band(slot) => SHADES[slot],
        }
    }
}

/// Grey, then blue, vermilion, bluish green, reddish purple, orange, sky blue. Sky blue and orange are darkened on
/// white, blue is lightened on black, so that every series keeps a contrast of 3 to 1.
const SHADES: [[&str; 2]; SLOTS] = [
    ["#6e7781", "#a3adb8"],
    ["#0072b2", "#56b4e9"],
    ["#d55e00", "#ff8c42"],
    ["#007a5a", "#2fc79b"],
    ["#a8457f", "#e39ac4"],
    ["#9a6700", "#e6c229"],
    ["#4b5fc9", "#a0aeff"],
];

/// Dash patterns in panel pixels, by slot; empty is solid. The pretrained policy (slot 1) and the first arm (slot 2) never
/// share a panel of lines, so both are solid and easy to follow.
const DASHES: [&[u32]; SLOTS] = [&[2, 3], &[], &[], &[6, 3], &[2, 2], &[9, 3, 2, 3], &[14, 3]];

/// The style sheet of the chart classes. Dark colours apply on dark screens only, never on paper.
pub fn css() -> String {
    let mut css = String::from(
        ".chart text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;\
         font-variant-numeric:tabular-nums}\n.chart polyline{stroke-linejoin:round;stroke-linecap:butt}\n",
    );
    for (slot, dashes) in DASHES.iter().enumerate().filter(|(_, dashes)| !dashes.is_empty()) {
        let lengths: Vec<_> = dashes.iter().map(|length| (length * SCALE).to_string()).collect();
        let _ = writeln!(css, ".s-line{slot}{{stroke-dasharray:{}}}", lengths.join(" "));
    }
    let _ = writeln!(css, ".s-guide{{stroke-dasharray:{0} {0}}}", 3 * SCALE);
    css.push_str("[class^=s-thin]{opacity:.55}[class^=f-band]{opacity:.18}\n");
    css.push_str(&colors(0));
    let _ = write!(css, "@media screen and (prefers-color-scheme:dark){{\n{}}}\n", colors(1));
    css
}

fn colors(scheme: usize) -> String {
    let mut css = String::new();
    for role in Role::all() {
        let (class, shade) = (role.class(), role.shades()[scheme]);
        let _ = writeln!(css, ".f-{class}{{fill:{shade}}}.s-{class}{{stroke:{shade}}}");
    }
    css
}

/// Corners of a look's marker around the origin, in canvas units, for a marker of `radius` panel pixels.
pub(super) fn marker(look: Look, radius: f64) -> Vec<(i32, i32)> {
    let radius = radius * f64::from(SCALE);
    // (corners, turn of the first corner, size): sizes even out the areas.
    let (corners, turn, size) = match look.slot() {
        0 => (4, 0.125, 1.1),
        1 => (20, 0.0, 1.0),
        2 => (4, 0.0, 1.25),
        3 => (3, 0.75, 1.35),
        4 => (4, 0.125, 1.2),
        5 => (3, 0.25, 1.35),
        _ => (6, 0.0, 1.1),
    };
    let corner = |index: usize| {
        let angle = TAU * (index as f64 / corners as f64 + turn);
        ((size * radius * angle.cos()).round() as i32, (size * radius * angle.sin()).round() as i32)
    };
    (0..corners).map(corner).collect()
}

/// Legend sample of a look: a piece of its line under its marker.
pub fn swatch(look: Look) -> String {
    let (width, height) = (30 * SCALE as i32, 12 * SCALE as i32);
    format!(
        "<svg class=\"chart swatch\" viewBox=\"0 0 {width} {height}\" width=\"30\" height=\"12\" aria-hidden=\"true\" \
         focusable=\"false\">{}</svg>",
        swatch_body(look)
    )
}

/// The drawing inside a legend sample, 30 x 12 panel pixels.
pub(super) fn swatch_body(look: Look) -> String {
    let (slot, middle, center) = (look.slot(), 6 * SCALE as i32, 15 * SCALE as i32);
    let end = 30 * SCALE as i32;
    let corners = marker(look, 3.4).into_iter().fold(String::new(), |mut text, (x, y)| {
        let _ = write!(text, "{},{} ", center + x, middle + y);
        text
    });
    format!(
        "<line x1=\"0\" y1=\"{middle}\" x2=\"{end}\" y2=\"{middle}\" class=\"s-line{slot}\" stroke-width=\"18\"/>\
         <polygon class=\"f-mark{slot}\" points=\"{}\"/>",
        corners.trim_end()
    )
}
