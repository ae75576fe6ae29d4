//! Best-of-n against alignment: the pretrained policy with the proxy's choice beside beams of aligned policies of the same cost.

use super::source_of;
use crate::document::{Block, Cell, Column, Span, Style, Table, Tone, estimate_cell};
use crate::figures::scaling::{shown_keys, systems};
use crate::number;
use crate::schema::scaling::{EqualCost, Scaling, Way};
use crate::sections::verdict::name;
use crate::statistics::means::{holm, of_interval};
use crate::verdict::Change;

/// An aligned policy against the pretrained one's choices among the most candidates, in words.
pub(super) fn against(scaling: &Scaling, system: &str) -> Option<Block> {
    let sentences = CHOICES.into_iter().filter_map(|way| {
        let keys = shown_keys(scaling);
        let last = |key: &String| {
            dear_and_free(scaling, (system, way, key)).0.into_iter().max_by_key(|found| found.candidates)
        };
        at_most(&keys.iter().filter_map(last).collect::<Vec<_>>())
    });
    let text = sentences.collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| Block::Callout {
        tone: Tone::Neutral,
        title: format!("Pretrained policy with the proxy's choice against {system}, at equal cost"),
        spans: vec![Span::text(text)],
        evidence: Vec::new(),
    })
}

/// What the proxy chooses from.
const CHOICES: [Way; 2] = [Way::SelectedBeam, Way::SelectedDraws];

/// Comparisons with a policy by a metric, rising candidates: with the judge's scores as dear as sequences, and with free ones.
fn dear_and_free<'a>(
    scaling: &'a Scaling,
    (system, way, key): (&str, Way, &str),
) -> (Vec<&'a EqualCost>, Vec<&'a EqualCost>) {
    let own = scaling.comparisons.iter().filter(|found| found.system == system && found.way == way);
    own.filter(|found| found.metric == key).partition(|found| !found.scores_are_free())
}

/// Which numbers of candidates stand above, in the noise and below.
pub(super) fn readings(scaling: &Scaling) -> Option<Block> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for system in systems(scaling).into_iter().skip(1) {
        for way in CHOICES {
            for key in shown_keys(scaling) {
                let (dear, free) = dear_and_free(scaling, (system, way, &key));
                let (Some(dear), Some(free)) = (reading(&dear), reading(&free)) else { continue };
                let free = if dear == free { "the same".to_owned() } else { free };
                let cells = [system.to_owned(), source_of(way).to_owned(), name(&key), dear, free];
                rows.push(cells.map(|text| vec![Span::text(text)]).into());
            }
        }
    }
    let columns = vec![
        Column::text("against"),
        Column::text("chosen from"),
        Column::text("by"),
        Column::prose("reading"),
        Column::prose("if the judge's scores cost nothing"),
    ];
    let caption = "The pretrained policy with the proxy's choice beside a beam of the same cost, by number of candidates";
    (!rows.is_empty()).then(|| Block::Table(Table { caption: caption.to_owned(), columns, rows }))
}

/// `With 64 candidates from its beam: above by Recall@10; below by oracle judge.`
fn at_most(most: &[&EqualCost]) -> Option<String> {
    let first = most.first()?;
    let stand = |change: Change| {
        let own = most.iter().filter(|found| Change::of(&found.difference) == change);
        let names: Vec<String> = own.map(|found| name(&found.metric)).collect();
        (!names.is_empty()).then(|| format!("{} by {}", words(change), names.join(", ")))
    };
    let parts: Vec<String> = CHANGES.into_iter().filter_map(stand).collect();
    Some(format!(
        "With {} candidates from its {}: {}.",
        first.candidates,
        source_of(first.way),
        parts.join("; ")
    ))
}

/// In the order they are told.
const CHANGES: [Change; 4] = [Change::Rises, Change::InsideNoise, Change::Falls, Change::NoInterval];

/// `above at 8, 16, inside noise at 1, 2, 4`; `None` without a comparison.
fn reading(comparisons: &[&EqualCost]) -> Option<String> {
    let at = |change: Change| {
        let own = comparisons.iter().filter(|found| Change::of(&found.difference) == change);
        own.map(|found| found.candidates.to_string()).collect::<Vec<_>>()
    };
    let parts = CHANGES.map(|change| (change, at(change)));
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

/// Every difference in numbers, a score of the judge counted as a sequence.
pub(super) fn table(scaling: &Scaling) -> Option<Block> {
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
