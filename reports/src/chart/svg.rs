//! From plotters to SVG that a page can style: classes instead of colours, and finer coordinates than whole pixels.

use super::palette::Role;
use plotters::coord::Shift;
use plotters::prelude::*;

/// plotters' SVG coordinates are whole numbers; drawing ten times larger keeps curves smooth.
pub(super) const SCALE: u32 = 10;
/// Panel width in pixels at natural size.
pub(super) const WIDTH: u32 = 360;
/// Font size of a panel in pixels at natural size.
const FONT: f64 = 13.5;

/// Where a panel draws.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing.
pub(super) type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// Draws a panel of `height` pixels and returns what is inside its `<svg>` element, colours replaced by classes.
pub(super) fn body(height: u32, draw: impl FnOnce(&Canvas<'_>) -> Drawn<()>) -> Drawn<String> {
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, (WIDTH * SCALE, height * SCALE)).into_drawing_area();
        draw(&canvas)?;
        canvas.present()?;
    }
    let inside = text.split_once(">\n").map_or("", |(_, rest)| rest);
    Ok(classes(inside.trim_end().trim_end_matches("</svg>")))
}

/// Text of a role at the panel's font size. (plotters takes sizes 1.24 times larger than it prints.)
pub(super) fn font(role: Role) -> TextStyle<'static> {
    ("sans-serif", FONT * 1.24 * f64::from(SCALE)).into_font().color(&role.color())
}

/// A stroke of `width` tenths of a pixel.
pub(super) fn stroke(role: Role, width: u32) -> ShapeStyle {
    ShapeStyle::from(&role.color()).stroke_width(width * SCALE / 10)
}

/// Pixels at natural size to canvas units.
pub(super) const fn px(pixels: i32) -> i32 {
    pixels * SCALE as i32
}

/// Text for an attribute or an element.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Control characters are not allowed in XML at all.
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// At most `limit` characters, an ellipsis in place of the rest.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Replaces stand-in colours by classes and drops attributes that say nothing.
fn classes(svg: &str) -> String {
    let mut svg = svg.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    for role in Role::all() {
        let RGBColor(r, g, b) = role.color();
        for (attribute, prefix) in [("fill", 'f'), ("stroke", 's')] {
            let from = format!("{attribute}=\"#{r:02X}{g:02X}{b:02X}\"");
            svg = svg.replace(&from, &format!("class=\"{prefix}-{}\"", role.class()));
        }
    }
    svg.replace(" \"/>", "\"/>")
}
