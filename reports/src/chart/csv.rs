//! The numbers behind a figure, one row per plotted point, in full precision.

use super::{Figure, Plot};
use std::fmt::Write as _;

pub(super) fn render(figure: &Figure) -> String {
    let mut csv = match figure.panels.first().map(|panel| &panel.plot) {
        Some(Plot::Intervals(_)) => String::from("panel,system,value,low,high\n"),
        Some(Plot::Graph(_)) => String::from("panel,from,to\n"),
        _ => String::from("panel,series,x,y\n"),
    };
    for panel in &figure.panels {
        let title = field(&panel.title);
        match &panel.plot {
            Plot::Curves(curves) => {
                for series in &curves.series {
                    for (x, y) in &series.points {
                        let _ = writeln!(csv, "{title},{},{x},{y}", field(&series.label));
                    }
                }
            }
            Plot::Graph(graph) => {
                for (from, to) in &graph.edges {
                    let _ =
                        writeln!(csv, "{title},{},{}", field(&graph.nodes[*from]), field(&graph.nodes[*to]));
                }
            }
            Plot::Intervals(rows) => {
                for row in rows {
                    let crate::schema::Estimate { value, low, high } = row.estimate;
                    let _ = writeln!(csv, "{title},{},{value},{low},{high}", field(&row.label));
                }
            }
        }
    }
    csv
}

/// A field quoted where RFC 4180 asks for it.
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
