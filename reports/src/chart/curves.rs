//! Line panels.

use super::axis::Axis;
use super::palette::{Role, marker};
use super::svg::{Drawn, WIDTH, body, font, px, stroke};
use super::{Curves, Frame, Look, Panel, Series};
use plotters::prelude::*;

/// Height of a line panel in pixels.
pub(super) const HEIGHT: u32 = 240;
/// Lines with at most this many points show a marker at each.
const MARKED_POINTS: usize = 24;

pub(super) fn draw(panel: &Panel, curves: &Curves) -> Drawn<String> {
    let (x, y) = axes(curves);
    body(HEIGHT, |canvas| {
        canvas.draw(&Text::new(panel.title.clone(), (px(4), px(2)), font(Role::Text)))?;
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(px(32))
            .margin_right(px(20))
            .x_label_area_size(px(42))
            .y_label_area_size(px(54))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(curves.x_label.clone())
            .axis_desc_style(font(Role::Muted))
            .label_style(font(Role::Muted))
            .axis_style(stroke(Role::Axis, 10))
            .bold_line_style(stroke(Role::Grid, 10))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(px(4))
            .draw()?;
        if curves.frame == Frame::UnitSquare {
            chart.draw_series([PathElement::new(vec![(0.0, 0.0), (1.0, 1.0)], stroke(Role::Guide, 12))])?;
        }
        for series in &curves.series {
            let points: Vec<_> = drawn(series, curves.frame).collect();
            let slot = series.look.slot();
            let style = match series.look {
                Look::Band(_) => {
                    chart.draw_series([Polygon::new(points, Role::Band(slot).color().filled())])?;
                    continue;
                }
                Look::Thin(_) => stroke(Role::Thin(slot), 8),
                Look::Baseline | Look::Series(_) => stroke(Role::Line(slot), 18),
            };
            chart.draw_series([PathElement::new(points.clone(), style)])?;
            if matches!(series.look, Look::Thin(_)) {
                continue;
            }
            for point in marked(&points) {
                let (x, y) = chart.backend_coord(point);
                let corners =
                    marker(series.look, 3.2).into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>();
                canvas.draw(&Polygon::new(corners, Role::Mark(series.look.slot()).color().filled()))?;
            }
        }
        Ok(())
    })
}

/// Where values are in the drawing, for the page's script: `low high` of the axis and the coordinates of these ends.
pub(super) fn extents(curves: &Curves) -> String {
    let (x, y) = axes(curves);
    let (left, right) = (px(54), px(WIDTH as i32 - 20));
    let (bottom, top) = (px(HEIGHT as i32 - 42), px(32));
    let scale = |axis: &Axis| match (axis.is_logarithmic(), curves.frame) {
        (true, _) => "log",
        (false, Frame::Data) => "whole",
        (false, _) => "linear",
    };
    format!(
        " data-x=\"{} {} {left} {right} {}\" data-y=\"{} {} {bottom} {top} {}\"",
        x.low,
        x.high,
        scale(&x),
        y.low,
        y.high,
        if y.is_logarithmic() { "log" } else { "linear" }
    )
}

fn axes(curves: &Curves) -> (Axis, Axis) {
    let points = || curves.series.iter().flat_map(|series| drawn(series, curves.frame));
    let (xs, ys) = (|| points().map(|point| point.0), || points().map(|point| point.1));
    let x = |build: &dyn Fn(usize) -> Axis| Axis::fitting(WIDTH as i32 - 74, build);
    match curves.frame {
        Frame::UnitSquare => (Axis::between(0.0, 1.0, 6), Axis::between(0.0, 1.0, 6)),
        Frame::Data => (x(&|most| Axis::whole(xs(), most)), Axis::covering(ys(), 0.06, 6)),
        Frame::Continuous => (x(&|most| Axis::covering(xs(), 0.02, most)), Axis::covering(ys(), 0.06, 6)),
        Frame::Decades => (x(&|most| Axis::decades(xs(), most)), Axis::decades(ys(), 6)),
        Frame::DecadesAlong => (x(&|most| Axis::decades(xs(), most)), Axis::covering(ys(), 0.06, 6)),
        Frame::DecadesFromZero => {
            (x(&|most| Axis::decades(xs(), most)), Axis::between(0.0, 1.08 * ys().fold(1e-12, f64::max), 6))
        }
    }
}

/// The points that have a place on the axes.
fn drawn(series: &Series, frame: Frame) -> impl Iterator<Item = (f64, f64)> + '_ {
    series.points.iter().copied().filter(move |(x, y)| match frame {
        Frame::Data | Frame::Continuous | Frame::UnitSquare => true,
        Frame::Decades => *x > 0.0 && *y > 0.0,
        Frame::DecadesFromZero | Frame::DecadesAlong => *x > 0.0,
    })
}

/// All points of a short line, the last of a long one.
fn marked(points: &[(f64, f64)]) -> &[(f64, f64)] {
    let count = points.len();
    if count <= MARKED_POINTS { points } else { &points[count - 1..] }
}
