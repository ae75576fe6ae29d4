//! Whether the numbers that need no training predict what training gives: rank correlations over rows.

use super::Sweep;
use crate::document::{Block, Cell, Column, Section, Span, Table, estimate_cell, paragraph};
use crate::number;
use crate::schema::{Estimate, TokenizerQuality};
use crate::statistics::correlation::spearman_bootstrap;
use crate::statistics::mean;

/// What is predicted.
const PREDICTED: &str = "recall@10";
/// A rank correlation of fewer rows says nothing at all.
const FEWEST_ROWS: usize = 5;
const RESAMPLES: usize = 2000;

/// A number about semantic IDs that needs no training; absent where it is not defined.
type Predictor = (&'static str, fn(&TokenizerQuality) -> Option<f64>);

const PREDICTORS: [Predictor; 5] = [
    ("sids/embedding_hit_rate", |quality| Some(quality.embedding_hit_rate)),
    ("sids/cooccurrence_hit_rate", |quality| quality.cooccurrence_hit_rate),
    ("sids/gini", |quality| Some(quality.gini)),
    ("sids/gini_of_all_ids", |quality| quality.gini_of_all_ids),
    ("sids/collision_rate", |quality| Some(quality.collision_rate)),
];

/// The section; absent with few rows, or where all rows have the same semantic IDs.
pub(super) fn section(sweep: &Sweep) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = PREDICTORS.iter().filter_map(|predictor| row(sweep, predictor)).collect();
    let intro = "Spearman's rank correlation, over the rows, of a number that needs no training with Recall@10 on the test \
                 users, and its 95 % bootstrap interval over the rows. Of rows with the same semantic IDs the first counts. It \
                 says something of semantic IDs only where the rows differ in nothing else.";
    let columns = vec![Column::text("metric"), Column::number("rows"), Column::number("rho")];
    let caption = "Rank correlation with recall@10 over rows [95 % interval]".into();
    let table = Table { caption, columns, rows };
    (!table.rows.is_empty()).then(|| Section {
        id: "prediction",
        title: "Do semantic-ID metrics predict the ranking?",
        blocks: vec![paragraph(intro), Block::Table(table)],
    })
}

fn row(sweep: &Sweep, (key, of): &Predictor) -> Option<Vec<Cell>> {
    let pairs: Vec<(f64, f64)> =
        distinct(sweep).into_iter().filter_map(|row| pair(sweep, row, *of)).collect();
    let rho = correlation(&pairs)?;
    let source = format!("rows with stage tokenize and {PREDICTED}, key {key}");
    let rho = estimate_cell(&number::difference(&rho), &source);
    let count = Span::text(pairs.len().to_string()).with_source(source);
    Some(vec![vec![Span::code(*key)], vec![count], rho])
}

/// The rows, of those whose semantic IDs are alike in all numbers the first: what shares its IDs is no further evidence about them.
fn distinct(sweep: &Sweep) -> Vec<&str> {
    let mut seen = Vec::new();
    let is_new = |row: &&str| {
        let quality = sweep.finished(row).find_map(|run| run.tokenizer.as_ref());
        let numbers = quality.map(|quality| PREDICTORS.map(|(_, of)| of(quality)));
        let is_new = !seen.contains(&numbers);
        seen.push(numbers);
        is_new
    };
    sweep.rows().into_iter().filter(is_new).collect()
}

fn correlation(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    (pairs.len() >= FEWEST_ROWS).then(|| spearman_bootstrap(&a, &b, RESAMPLES, 0)).flatten()
}

/// The predictor and the pretrained policy's ranking, means over the row's seeds.
fn pair(sweep: &Sweep, row: &str, of: fn(&TokenizerQuality) -> Option<f64>) -> Option<(f64, f64)> {
    let found: Vec<f64> =
        sweep.finished(row).filter_map(|run| run.tokenizer.as_ref()).filter_map(of).collect();
    let line = sweep.lines.iter().find(|line| line.row == row && line.role == "base")?;
    let ranking = line.metrics.get(PREDICTED)?.estimate.value;
    (!found.is_empty()).then(|| (mean(&found), ranking))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn few_or_constant_rows_have_no_correlation() {
        let rising = [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3), (4.0, 0.4), (5.0, 0.5)];
        assert_eq!(correlation(&rising).unwrap().value, 1.0);
        assert!(correlation(&rising[..4]).is_none());
        assert!(correlation(&[(1.0, 0.1); 6]).is_none());
    }
}
