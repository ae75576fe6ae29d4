//! Test-time scaling: what more computing per request buys, and whether it stands in for alignment.

mod equal_cost;

use super::Figures;
use crate::document::{Block, Cell, Column, Section, Span, Table, estimate_cell, paragraph};
use crate::error::ReportError;
use crate::figures::scaling::{shown_keys, systems};
use crate::load::Run;
use crate::number;
use crate::schema::scaling::{Scaling, ScalingPoint, Way};

/// The section; `None` where it was not measured.
pub(super) fn section(run: &Run, figures: &Figures<'_>) -> Result<Option<Section>, ReportError> {
    let Some(scaling) = &run.scaling else { return Ok(None) };
    let mut blocks = vec![protocol(scaling)];
    blocks.extend(limits(scaling).map(paragraph));
    let aligned = systems(scaling).into_iter().skip(1);
    blocks.extend(aligned.filter_map(|system| equal_cost::against(scaling, system)));
    blocks.extend(figures.block("equal-cost")?);
    blocks.extend(equal_cost::readings(scaling));
    blocks.extend(equal_cost::table(scaling));
    blocks.extend(figures.block("scaling")?);
    blocks.extend(chosen_table(scaling));
    blocks.extend(free_table(scaling));
    Ok(Some(Section { id: "scaling", title: "Test-time scaling", blocks }))
}

fn protocol(scaling: &Scaling) -> Block {
    let number = |key: &str, value| Span::number(number::count(value), "evaluate", &format!("scaling.{key}"));
    let mut spans = vec![
        Span::text("On "),
        number("users", scaling.users),
        Span::text(" test users. "),
        Span::code("pass@K"),
        Span::text(
            " is the chance that the user's next item is among K independent draws under the trie at temperature 1, estimated \
             without bias from ",
        ),
        number("draws", scaling.draws),
        Span::text(" draws per user; a draw of an item that the user has seen is spent in vain."),
    ];
    if scaling.selector.is_some() {
        spans.extend([
            Span::text(" The proxy judge, which alignment sees too, orders the candidates; the first "),
            number("shown", scaling.shown),
            Span::text(
                " are shown, fewer where there are fewer: a mean over fewer items is another measure, so compare along a curve only \
                 where it shows as many. Where all candidates are items that the user has seen nothing is shown, which every \
                 judge scores 0. The other judges grade and never choose. A request costs one for every sequence that is \
                 decoded and one for every sequence that the judge scores; reading the history costs every way the same. At \
                 equal cost a beam shows no more items than the choice had candidates.",
            ),
        ]);
    }
    Block::Paragraph { spans }
}

/// What this run cannot show.
fn limits(scaling: &Scaling) -> Option<&'static str> {
    if scaling.selector.is_none() {
        return Some(
            "This run has no judge, so nobody chooses among the candidates: judge-selected lists, their scores by other judges \
             and best-of-n against aligned policies are missing.",
        );
    }
    scaling.comparisons.is_empty().then_some(
        "This run has no aligned policy: best-of-n has nothing to be compared with, and the comparison at equal cost is missing.",
    )
}

const fn source_of(way: Way) -> &'static str {
    match way {
        Way::Draws | Way::SelectedDraws => "draws",
        Way::Beam | Way::SelectedBeam => "beam",
    }
}

/// What the proxy's choices are worth, the proxy's own opinion last and marked.
fn chosen_table(scaling: &Scaling) -> Option<Block> {
    let selector = scaling.selector.as_ref()?;
    let mut keys: Vec<(String, String)> =
        shown_keys(scaling).into_iter().map(|key| (key.clone(), key)).collect();
    keys.push((selector.clone(), format!("{selector} (chose)")));
    let chosen = |point: &&ScalingPoint| matches!(point.way, Way::SelectedBeam | Way::SelectedDraws);
    let caption =
        "What the proxy judge chooses, mean over users [95 % interval]; its own score proves nothing";
    table(scaling.points.iter().filter(chosen), &keys, caption)
}

/// What needs no judge.
fn free_table(scaling: &Scaling) -> Option<Block> {
    let keys = [("pass", "pass@K"), ("distinct", "distinct@K"), ("recall", "recall@K")]
        .map(|(name, label)| (format!("{name}@"), label.to_owned()));
    let free = |point: &&ScalingPoint| matches!(point.way, Way::Draws | Way::Beam);
    let caption =
        "Draws and beams without a judge, mean over users [95 % interval]; K is the number of candidates";
    table(scaling.points.iter().filter(free), &keys, caption)
}

/// One row per point and one column per key; a key that ends in `@` is completed by the number of candidates.
fn table<'a>(
    points: impl Iterator<Item = &'a ScalingPoint>,
    keys: &[(String, String)],
    caption: &str,
) -> Option<Block> {
    let heads =
        [Column::text("policy"), Column::text("from"), Column::number("candidates"), Column::number("cost")];
    let columns =
        heads.into_iter().chain(keys.iter().map(|(_, label)| Column::number(label.clone()))).collect();
    let row = |point: &ScalingPoint| {
        let count = |value, key: &str| {
            vec![Span::number(number::count(value), "evaluate", &format!("scaling.points.{key}"))]
        };
        let from = source_of(point.way);
        let cell = |(key, _): &(String, String)| {
            let key = if key.ends_with('@') { format!("{key}{}", point.candidates) } else { key.clone() };
            point.metrics.get(&key).map_or_else(
                || vec![Span::text("–")],
                |estimate| {
                    let source = format!(
                        "stage evaluate, key {key} (system {}, {} {from})",
                        point.system, point.candidates
                    );
                    estimate_cell(&number::estimate(estimate), &source)
                },
            )
        };
        let head: [Cell; 4] = [
            vec![Span::text(&point.system)],
            vec![Span::text(from)],
            count(point.candidates, "candidates"),
            count(point.cost(), "decoded + scored"),
        ];
        head.into_iter().chain(keys.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<Cell>> = points.map(row).collect();
    (!rows.is_empty()).then(|| Block::Table(Table { caption: caption.to_owned(), columns, rows }))
}
