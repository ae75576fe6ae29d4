//! Graph panels: things in the order they were made, one row each, arcs from what they were made of.

use super::svg::{SCALE, escape, px, shorten};
use super::{Graph, Panel};
use std::fmt::Write as _;

/// Height of a row and room for the title, in pixels.
const ROW: i32 = 24;
const ABOVE: i32 = 40;
/// Where the dots are.
const LEFT: i32 = 120;
/// The widest arc.
const WIDEST: i32 = 104;
/// Characters of a name that fit.
const LABEL: usize = 26;

pub(super) fn height(graph: &Graph) -> u32 {
    (ABOVE + ROW * graph.nodes.len() as i32) as u32
}

pub(super) fn draw(panel: &Panel, graph: &Graph) -> String {
    let size = 13.5 * f64::from(SCALE);
    let text = |x: i32, y: i32, text: &str| {
        format!("<text class=\"f-text\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\">{}</text>\n", escape(text))
    };
    let mut svg = text(px(4), px(14), &panel.title);
    let y = |row: usize| px(ABOVE + ROW * row as i32 + 4);
    for (from, to) in graph.edges.iter().filter(|edge| !is_implied(graph, **edge)) {
        let reach = px((WIDEST * (to - from) as i32 / graph.nodes.len().max(1) as i32).max(10));
        let (x, out, start, end) = (px(LEFT), px(LEFT) - reach, y(*from), y(*to));
        let _ = writeln!(
            svg,
            "<path class=\"s-axis\" fill=\"none\" stroke-width=\"12\" d=\"M {x} {start} C {out} {start} {out} {end} {x} {end}\"/>"
        );
    }
    for (row, name) in graph.nodes.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<circle class=\"f-line1\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            px(LEFT),
            y(row),
            px(4)
        );
        svg.push_str(&text(px(LEFT + 14), y(row) + px(4), &shorten(name, LABEL)));
    }
    svg
}

/// Whether an edge follows from others: what was made of something that was made of `from` needs no arc from it.
fn is_implied(graph: &Graph, (from, to): (usize, usize)) -> bool {
    let direct = |to: usize| graph.edges.iter().filter(move |edge| edge.1 == to).map(|edge| edge.0);
    let mut open: Vec<usize> = direct(to).filter(|through| *through != from).collect();
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(node) = open.pop() {
        if node == from {
            return true;
        }
        if !std::mem::replace(&mut seen[node], true) {
            open.extend(direct(node).filter(|earlier| *earlier >= from));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arc_that_follows_from_others_is_left_out() {
        let nodes = ["data", "ids", "policy"].map(String::from).to_vec();
        let graph = Graph { nodes, edges: vec![(0, 1), (0, 2), (1, 2)] };
        let drawn: Vec<_> = graph.edges.iter().filter(|edge| !is_implied(&graph, **edge)).collect();
        assert_eq!(drawn, [&(0, 1), &(1, 2)]);
    }
}
