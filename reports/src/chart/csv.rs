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

/// A field quoted where RFC 4180 asks for it. Names come from data: what a spreadsheet would take for a formula gets an
/// apostrophe before it.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { &format!("'{text}") } else { text };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_text_to_every_reader() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
    }
}
