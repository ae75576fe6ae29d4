//! Interval panels: one row per system, a marker at the estimate, a whisker over its 95 % interval.

use super::axis::{Axis, text_width};
use super::palette::{Role, marker};
use super::svg::{Canvas, Drawn, WIDTH, body, font, px, shorten, stroke};
use super::{Look, Panel, Row};
use crate::number;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Height of a row in pixels.
const ROW: i32 = 26;
/// Room for the title above and the axis below.
const ABOVE: i32 = 34;
const BELOW: i32 = 32;
/// Longest row label in characters; the rest is cut, the table has it whole.
const LABEL: usize = 15;
/// Least width of the value column on the right.
const VALUES: i32 = 60;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, RangedCoordf64>>;

pub(super) fn height(rows: &[Row]) -> u32 {
    (ABOVE + BELOW + ROW * rows.len() as i32) as u32
}

pub(super) fn draw(panel: &Panel, rows: &[Row]) -> Drawn<String> {
    let labels = rows.iter().map(|row| text_width(&shorten(&row.label, LABEL)));
    let labels = (labels.max().unwrap_or(0) + 12).max(48);
    let values = rows.iter().map(|row| text_width(&number::decimal(row.estimate.value)) + 14);
    let values = values.max().unwrap_or(0).max(VALUES);
    let ends = || rows.iter().flat_map(|row| [row.estimate.low, row.estimate.high, row.estimate.value]);
    let x = Axis::fitting(WIDTH as i32 - labels - values, |most| Axis::covering(ends(), 0.06, most));
    body(height(rows), |canvas| {
        canvas.draw(&Text::new(panel.title.clone(), (px(4), px(2)), font(Role::Text)))?;
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(px(ABOVE - 4))
            .margin_left(px(labels))
            .margin_right(px(values))
            .x_label_area_size(px(BELOW - 4))
            .build_cartesian_2d(x, 0.0..rows.len() as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .label_style(font(Role::Muted))
            .axis_style(stroke(Role::Axis, 10))
            .bold_line_style(stroke(Role::Grid, 10))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(px(4))
            .draw()?;
        if let Some(base) = rows.iter().find(|row| row.look == Look::Series(0)) {
            let guide = vec![(base.estimate.value, 0.0), (base.estimate.value, rows.len() as f64)];
            chart.draw_series([PathElement::new(guide, stroke(Role::Guide, 12))])?;
        }
        for (index, row) in rows.iter().enumerate() {
            draw_row(canvas, &chart, row, rows.len() as f64 - index as f64 - 0.5)?;
        }
        Ok(())
    })
}

fn draw_row(canvas: &Canvas<'_>, chart: &Chart<'_, '_>, row: &Row, height: f64) -> Drawn<()> {
    let at = |value: f64| chart.backend_coord(&(value, height));
    let role = Role::Mark(row.look.slot());
    let (low, high, (x, y)) = (at(row.estimate.low), at(row.estimate.high), at(row.estimate.value));
    if number::has_interval(&row.estimate) {
        canvas.draw(&PathElement::new(vec![low, high], stroke(role, 22)))?;
        for (end, _) in [low, high] {
            canvas.draw(&PathElement::new(vec![(end, y - px(4)), (end, y + px(4))], stroke(role, 16)))?;
        }
    }
    let corners = marker(row.look, 4.2).into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>();
    canvas.draw(&Polygon::new(corners, role.color().filled()))?;
    let label = font(Role::Text).pos(Pos::new(HPos::Left, VPos::Center));
    canvas.draw(&Text::new(shorten(&row.label, LABEL), (px(4), y), label))?;
    let value = font(Role::Muted).pos(Pos::new(HPos::Right, VPos::Center));
    canvas.draw(&Text::new(number::decimal(row.estimate.value), (px(WIDTH as i32 - 4), y), value))
}
