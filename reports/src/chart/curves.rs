//! Line panels.

use super::axis::Axis;
use super::palette::{Role, marker};
use super::svg::{Drawn, WIDTH, body, font, px, stroke};
use super::{Curves, Frame, Panel, Series};
use plotters::prelude::*;

/// Height of a line panel in pixels.
pub(super) const HEIGHT: u32 = 240;
/// Lines with at most this many points show a marker at each.
const MARKED_POINTS: usize = 24;

pub(super) fn draw(panel: &Panel, curves: &Curves) -> Drawn<String> {
    let points = || curves.series.iter().flat_map(|series| series.points.iter().copied());
    let (x, y) = match curves.frame {
        Frame::UnitSquare => (Axis::between(0.0, 1.0, 6), Axis::between(0.0, 1.0, 6)),
        Frame::Data => (
            Axis::fitting(WIDTH as i32 - 74, |most| Axis::whole(points().map(|point| point.0), most)),
            Axis::covering(points().map(|point| point.1), 0.06, 6),
        ),
    };
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
            let style = stroke(Role::Line(series.look.slot()), 18);
            chart.draw_series([PathElement::new(series.points.clone(), style)])?;
            for point in marked(series) {
                let (x, y) = chart.backend_coord(point);
                let corners =
                    marker(series.look, 3.2).into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>();
                canvas.draw(&Polygon::new(corners, Role::Mark(series.look.slot()).color().filled()))?;
            }
        }
        Ok(())
    })
}

/// All points of a short line, the last of a long one.
fn marked(series: &Series) -> &[(f64, f64)] {
    let count = series.points.len();
    if count <= MARKED_POINTS { &series.points } else { &series.points[count - 1..] }
}
