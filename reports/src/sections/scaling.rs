//! Test-time scaling: what more computing per request buys, and whether it stands in for alignment.

use super::Figures;
use super::verdict::name;
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, Tone, estimate_cell, paragraph};
use crate::error::ReportError;
use crate::figures::scaling::{shown_keys, systems};
use crate::load::Run;
use crate::number;
use crate::schema::scaling::{EqualCost, Scaling, ScalingPoint, Way};
use crate::statistics::means::{holm, of_interval};
use crate::verdict::Change;

/// The section; `None` where it was not measured.
pub(super) fn section(run: &Run, figures: &Figures<'_>) -> Result<Option<Section>, ReportError> {
    let Some(scaling) = &run.scaling else { return Ok(None) };
    let mut blocks = vec![protocol(scaling)];
    blocks.extend(limits(scaling).map(paragraph));
    let aligned = systems(scaling).into_iter().skip(1);
    blocks.extend(aligned.filter_map(|system| against(scaling, system)));
    blocks.extend(figures.block("equal-cost")?);
    blocks.extend(equal_cost_table(scaling));
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
                 where it shows as many. The other judges grade and never choose. A request costs one for every sequence that is \
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

/// An aligned policy against the pretrained one's choices, in words.
fn against(scaling: &Scaling, system: &str) -> Option<Block> {
    let mut sentences = Vec::new();
    for key in shown_keys(scaling) {
        for (way, from) in [(Way::SelectedBeam, "its beam"), (Way::SelectedDraws, "its draws")] {
            let of = |free: bool| -> Vec<&EqualCost> {
                let own = scaling.comparisons.iter().filter(|found| {
                    found.system == system
                        && found.metric == key
                        && found.way == way
                        && found.scores_are_free() == free
                });
                own.collect()
            };
            let (dear, free) = (reading(&of(false)), reading(&of(true)));
            let (Some(dear), Some(free)) = (dear, free) else { continue };
            let bracket = if dear == free {
                "also if the judge's scores cost nothing".to_owned()
            } else {
                format!("if the judge's scores cost nothing, {free}")
            };
            sentences.push(format!("{}, chosen from {from}: {dear}; {bracket}.", name(&key)));
        }
    }
    (!sentences.is_empty()).then(|| Block::Callout {
        tone: Tone::Neutral,
        title: format!("Pretrained policy with the proxy's choice against {system}, at equal cost"),
        spans: vec![Span::text(sentences.join(" "))],
        evidence: Vec::new(),
    })
}

/// `above at 8, 16 candidates; inside noise at 1, 2, 4`; `None` without a comparison.
fn reading(comparisons: &[&EqualCost]) -> Option<String> {
    let at = |change: Change| {
        let own = comparisons.iter().filter(|found| Change::of(&found.difference) == change);
        own.map(|found| found.candidates.to_string()).collect::<Vec<_>>()
    };
    let parts = [Change::Rises, Change::InsideNoise, Change::Falls, Change::NoInterval]
        .map(|change| (change, at(change)));
    let mut parts = parts.into_iter().filter(|(_, candidates)| !candidates.is_empty());
    let (first, candidates) = parts.next()?;
    if candidates.len() == comparisons.len() {
        return Some(format!("{} at every number of candidates", words(first)));
    }
    let rest = parts.map(|(change, candidates)| format!(", {} at {}", words(change), candidates.join(", ")));
    Some(format!("{} at {}{}", words(first), candidates.join(", "), rest.collect::<String>()))
}

/// Where the choice stands beside the aligned policy.
const fn words(change: Change) -> &'static str {
    match change {
        Change::Rises => "above",
        Change::Falls => "below",
        Change::InsideNoise => "inside noise",
        Change::NoInterval => "equal for every user",
    }
}

fn equal_cost_table(scaling: &Scaling) -> Option<Block> {
    let keys = shown_keys(scaling);
    let shown: Vec<&EqualCost> = scaling
        .comparisons
        .iter()
        .filter(|found| !found.scores_are_free() && keys.contains(&found.metric))
        .collect();
    let mut columns = vec![
        Column::text("against"),
        Column::text("chosen from"),
        Column::number("candidates"),
        Column::number("cost"),
    ];
    columns.extend(keys.iter().map(|key| Column::number(key.clone())));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for first in shown.iter().filter(|found| found.metric == keys[0]) {
        let is_row = |found: &&&EqualCost| {
            (&found.system, found.way, found.candidates) == (&first.system, first.way, first.candidates)
        };
        let own: Vec<_> = shown.iter().filter(is_row).copied().collect();
        let mut row = vec![vec![Span::text(&first.system)], vec![Span::text(source_of(first.way))]];
        row.extend([("candidates", first.candidates), ("width", first.width)].map(|(key, value)| {
            vec![Span::number(number::count(value), "evaluate", &format!("scaling.comparisons.{key}"))]
        }));
        row.extend(keys.iter().map(|key| difference(own.iter().find(|found| found.metric == *key).copied())));
        rows.push(row);
    }
    let caption = format!(
        "The pretrained policy with the proxy's choice, less an aligned policy's beam of the same cost [95 % interval], paired over \
         users; {}",
        chance(&shown)
    );
    (!rows.is_empty()).then_some(Block::Table(Table { caption, columns, rows }))
}

/// How many of the differences are told from zero, alone and together.
fn chance(shown: &[&EqualCost]) -> String {
    let alone = |found: &&&EqualCost| matches!(Change::of(&found.difference), Change::Rises | Change::Falls);
    let p: Vec<f64> =
        shown.iter().filter_map(|found| of_interval(&found.difference)).map(|(p, _)| p).collect();
    let together = holm(&p).into_iter().filter(|p| *p < 0.05).count();
    format!(
        "{} of {} differences exclude zero, {together} of them after Holm's adjustment over all",
        shown.iter().filter(alone).count(),
        shown.len()
    )
}

fn difference(found: Option<&EqualCost>) -> Cell {
    let Some(found) = found else { return vec![Span::text("–")] };
    let change = Change::of(&found.difference);
    let style = match change {
        Change::Rises => Style::Good,
        Change::Falls => Style::Bad,
        Change::InsideNoise | Change::NoInterval => Style::Quiet,
    };
    let source = format!(
        "stage evaluate, key {} (pretrained, chosen from {} {}, less {}, beam of {})",
        found.metric,
        found.candidates,
        source_of(found.way),
        found.system,
        found.width
    );
    let mut cell = estimate_cell(&number::difference(&found.difference), &source);
    cell.extend([Span::text(" "), Span::text(words(change)).styled(style)]);
    cell
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
    keys.push((selector.clone(), format!("{selector}, which chose")));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Estimate;

    fn compared(candidates: u64, low: f64, high: f64) -> EqualCost {
        EqualCost {
            system: "ipa".into(),
            way: Way::SelectedBeam,
            candidates,
            width: 2 * candidates,
            metric: "ndcg@10".into(),
            difference: Estimate { value: f64::midpoint(low, high), low, high },
        }
    }

    #[test]
    fn a_reading_names_the_numbers_of_candidates_and_the_noise() {
        let (above, noise, below) = (compared(8, 0.1, 0.2), compared(4, -0.1, 0.2), compared(2, -0.2, -0.1));
        let mixed = reading(&[&below, &noise, &above]).unwrap();
        assert_eq!(mixed, "above at 8, inside noise at 4, below at 2");
        assert_eq!(reading(&[&noise, &noise]).unwrap(), "inside noise at every number of candidates");
        assert_eq!(reading(&[]), None);
    }

    #[test]
    fn what_holds_together_is_counted_apart_from_what_holds_alone() {
        let (sure, alone) = (compared(8, 0.1, 0.2), compared(4, 0.001, 0.2));
        let all: Vec<&EqualCost> = std::iter::once(&sure).chain(std::iter::repeat_n(&alone, 9)).collect();
        let words = chance(&all);
        assert_eq!(words, "10 of 10 differences exclude zero, 1 of them after Holm's adjustment over all");
    }
}
