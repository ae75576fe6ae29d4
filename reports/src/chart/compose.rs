//! Panels to complete SVG documents: one per panel for the page, one per figure for the file.

use super::axis::text_width;
use super::palette::Role;
use super::palette::{css, swatch_body};
use super::svg::{Drawn, SCALE, WIDTH, body, escape, font, px};
use super::{Figure, Panel, Plot, curves, graph, intervals};
use crate::error::ReportError;
use plotters::prelude::Text;
use std::fmt::Write as _;

/// Margin around a figure file and between its panels, in pixels.
const GAP: u32 = 16;
/// Height of the title line and of a legend line of a figure file.
const TITLE: u32 = 34;
const LEGEND: u32 = 24;

/// Every panel of a figure as an `<svg>` element for the page: titled, described, styled by the page's classes.
///
/// # Errors
/// A panel could not be drawn.
pub fn panels(figure: &Figure) -> Result<Vec<String>, ReportError> {
    let page = |(index, panel): (usize, &Panel)| {
        let id = format!("figure-{}-{index}", figure.name);
        Ok(format!(
            "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 {} {}\" aria-labelledby=\"{id}-t {id}-d\"{}>\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{}</svg>",
            WIDTH * SCALE,
            height(panel) * SCALE,
            extents(panel),
            escape(&panel.title),
            escape(&panel.description),
            draw(panel)?
        ))
    };
    figure.panels.iter().enumerate().map(page).collect::<Drawn<_>>().map_err(|source| failed(figure, source))
}

/// The whole figure as one SVG file: title, legend, panels in a grid, its own style sheet for light and dark.
///
/// # Errors
/// A panel could not be drawn.
pub fn standalone(figure: &Figure) -> Result<String, ReportError> {
    compose(figure).map_err(|source| failed(figure, source))
}

fn compose(figure: &Figure) -> Drawn<String> {
    let columns = columns(figure.panels.len());
    let width = columns as u32 * (WIDTH + GAP) + GAP;
    let (legend, mut top) = legend(figure, width);
    let mut inside = format!("<g font-weight=\"600\">{}</g>{legend}", heading(&figure.title)?);
    for row in figure.panels.chunks(columns) {
        for (column, panel) in row.iter().enumerate() {
            let left = GAP + column as u32 * (WIDTH + GAP);
            let _ = writeln!(inside, "<g transform=\"translate({} {})\">", left * SCALE, top * SCALE);
            inside.push_str(&draw(panel)?);
            inside.push_str("</g>\n");
        }
        top += row.iter().map(height).max().unwrap_or(0) + GAP;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" width=\"{width}\" height=\"{top}\" \
         viewBox=\"0 0 {} {}\" aria-labelledby=\"t d\">\n<title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n\
         <style>\n.paper{{fill:#fff}}\n@media screen and (prefers-color-scheme:dark){{.paper{{fill:#14181d}}}}\n{}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{inside}</svg>\n",
        width * SCALE,
        top * SCALE,
        escape(&figure.title),
        escape(&describe(figure)),
        css(),
    ))
}

/// Title text of a figure file.
fn heading(title: &str) -> Drawn<String> {
    body(TITLE, |canvas| {
        let style = font(Role::Text);
        canvas.draw(&Text::new(title.to_owned(), (px(GAP as i32 + 4), px(12)), style))
    })
}

/// The legend line(s) and the y coordinate below them.
fn legend(figure: &Figure, width: u32) -> (String, u32) {
    let (mut svg, mut left, mut top) = (String::new(), GAP + 4, TITLE + 4);
    for (label, look) in &figure.legend {
        let label = super::svg::shorten(label, 40);
        let needed = 30 + 8 + text_width(&label) as u32 + 20;
        if left + needed > width && left > GAP + 4 {
            (left, top) = (GAP + 4, top + LEGEND);
        }
        let _ = writeln!(
            svg,
            "<g transform=\"translate({} {})\">{}<text class=\"f-text\" x=\"{}\" y=\"{}\" font-size=\"{}\">{}</text></g>",
            left * SCALE,
            top * SCALE,
            swatch_body(*look),
            38 * SCALE,
            10 * SCALE + 3,
            13.5 * f64::from(SCALE),
            escape(&label),
        );
        left += needed;
    }
    (svg, top + if figure.legend.is_empty() { 0 } else { LEGEND })
}

fn describe(figure: &Figure) -> String {
    let panels: Vec<_> = figure.panels.iter().map(|panel| panel.description.as_str()).collect();
    format!("{} {}", figure.caption, panels.join(" "))
}

const fn columns(panels: usize) -> usize {
    match panels {
        0..=3 => panels,
        4 => 2,
        _ => 3,
    }
}

fn draw(panel: &Panel) -> Drawn<String> {
    match &panel.plot {
        Plot::Curves(plot) => curves::draw(panel, plot),
        Plot::Intervals(rows) => intervals::draw(panel, rows),
        Plot::Graph(plot) => Ok(graph::draw(panel, plot)),
    }
}

fn height(panel: &Panel) -> u32 {
    match &panel.plot {
        Plot::Curves(_) => curves::HEIGHT,
        Plot::Intervals(rows) => intervals::height(rows),
        Plot::Graph(plot) => graph::height(plot),
    }
}

/// What the page's script needs of a panel of lines.
fn extents(panel: &Panel) -> String {
    match &panel.plot {
        Plot::Curves(plot) => curves::extents(plot),
        Plot::Intervals(_) | Plot::Graph(_) => String::new(),
    }
}

fn failed(figure: &Figure, source: plotters::drawing::DrawingAreaErrorKind<std::io::Error>) -> ReportError {
    ReportError::Chart { figure: figure.name.to_owned(), source }
}
