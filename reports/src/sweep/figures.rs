//! Figures of a sweep: who ranks best, and how long that took.

use super::{Line, RunResult, Sweep};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Row, Series};
use crate::glossary;
use crate::number;
use crate::schema::Estimate;

/// Row labels of interval panels are cut at the end; names of one sweep often differ there.
const LABEL: usize = 15;
/// Characters after the cut.
const KEPT: usize = 8;
/// Looks before they repeat: more rows get another panel.
const LOOKS: usize = 6;

/// All figures that the sweep has data for.
pub(super) fn all(sweep: &Sweep) -> Vec<Figure> {
    let found = [ranking(sweep), training(sweep), super::curves::figure(sweep), super::seeds::profile(sweep)];
    found.into_iter().flatten().collect()
}

/// The row's place, the baseline row first.
fn place(sweep: &Sweep, row: &str) -> usize {
    let rows = sweep.rows();
    let base = sweep.baseline.as_deref();
    let index = rows.iter().filter(|name| Some(**name) != base).position(|name| *name == row);
    index.map_or(0, |index| index + 1)
}

fn ranking(sweep: &Sweep) -> Option<Figure> {
    let keys = sweep.ranking_keys();
    let mut shown: Vec<&str> =
        ["recall@10", "ndcg@10"].into_iter().filter(|key| keys.contains(key)).collect();
    if shown.is_empty() {
        shown.extend(sweep.main_metric());
    }
    let guide = match &sweep.baseline {
        Some(row) => format!(" The dashed line is {row}."),
        None => String::new(),
    };
    let caption = format!(
        "Test users' last items in the full ranking: mean over seeds with the 95 % bootstrap interval over users. Grey are \
         the baselines and published numbers, which come without an interval.{guide}"
    );
    let panels: Vec<_> = shown.iter().map(|key| ranking_panel(sweep, key)).collect();
    (!panels.is_empty()).then(|| Figure {
        name: "ranking",
        title: "Ranking quality of the rows".to_owned(),
        caption,
        legend: Vec::new(),
        panels,
    })
}

fn ranking_panel(sweep: &Sweep, key: &str) -> Panel {
    let look = |line: &Line| match line.role.as_str() {
        "baseline" => Look::Baseline,
        // A second system of a row is no line to compare with.
        "aligned" => Look::Series(1 + place(sweep, &line.row)),
        _ => Look::Series(place(sweep, &line.row)),
    };
    let measured = sweep.lines.iter().filter_map(|line| Some((line, line.metrics.get(key)?.estimate)));
    let mut rows: Vec<Row> = measured
        .map(|(line, estimate)| Row { label: line.label.clone(), look: look(line), estimate })
        .collect();
    let published = sweep.published.iter().filter_map(|found| Some((&found.label, *found.metrics.get(key)?)));
    rows.extend(published.map(|(label, value)| Row {
        label: label.clone(),
        look: Look::Baseline,
        estimate: Estimate { value, low: value, high: value },
    }));
    let described = rows.iter().map(|row| format!("{} {}", row.label, number::estimate(&row.estimate)));
    let description = format!("{key} by row: {}.", described.collect::<Vec<_>>().join("; "));
    // The description has them whole.
    shorten(&mut rows);
    Panel { title: titled(key), description, plot: Plot::Intervals(rows) }
}

/// Labels cut to what fits: the beginning and the end of a long one, or where it departs from one that would look alike.
fn shorten(rows: &mut [Row]) {
    let whole: Vec<Vec<char>> = rows.iter().map(|row| row.label.chars().collect()).collect();
    let ends: Vec<String> = whole.iter().map(|label| cut(label, label.len())).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        let alike = (0..ends.len()).filter(|other| *other != index && ends[*other] == ends[index]);
        let common = alike.map(|other| common_prefix(&whole[index], &whole[other])).max();
        row.label =
            common.map_or_else(|| ends[index].clone(), |common| cut(&whole[index], common + KEPT / 2));
    }
}

/// The first characters and the [`KEPT`] before `end`, if there are more than fit.
fn cut(label: &[char], end: usize) -> String {
    if label.len() <= LABEL {
        return label.iter().collect();
    }
    let end = end.clamp(LABEL, label.len());
    label[..LABEL - KEPT - 1].iter().chain(&['…']).chain(&label[end - KEPT..end]).collect()
}

fn common_prefix(left: &[char], right: &[char]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

fn training(sweep: &Sweep) -> Option<Figure> {
    let rows: Vec<_> = sweep.rows().into_iter().filter(|row| !curves(sweep, row).is_empty()).collect();
    let many = rows.len() > LOOKS;
    let panel = |(index, rows): (usize, &[&str])| {
        let first = index * LOOKS + 1;
        let which = if many { format!(", {first} to {}", first + rows.len() - 1) } else { String::new() };
        training_panel(sweep, rows, &which)
    };
    let panels: Vec<_> = rows.chunks(LOOKS).enumerate().map(panel).collect();
    let named = rows.iter().enumerate().map(|(index, row)| {
        let label = if many { format!("{} {row}", index + 1) } else { (*row).to_owned() };
        (label, Look::Series(index % LOOKS))
    });
    (!panels.is_empty()).then(|| Figure {
        name: "training",
        title: "Time to quality".to_owned(),
        caption: "Validation NDCG@10 against minutes of CPU time, of all threads together and validations included; one line \
                  per seed. Two busy cores spend two such minutes in one of the clock."
            .to_owned(),
        legend: named.collect(),
        panels,
    })
}

fn training_panel(sweep: &Sweep, rows: &[&str], which: &str) -> Panel {
    let key = "validation/ndcg@10";
    let mut series = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let lines = curves(sweep, row);
        series.extend(lines.into_iter().map(|(label, points)| Series {
            label,
            look: Look::Series(index),
            points,
        }));
    }
    let ends = series.iter().filter_map(|series| {
        let (minutes, ndcg) = series.points.last()?;
        let (minutes, ndcg) = (number::decimal(*minutes), number::decimal(*ndcg));
        Some(format!("{} {ndcg} after {minutes} CPU minutes", series.label))
    });
    let description = format!("{key} over CPU minutes: {}.", ends.collect::<Vec<_>>().join("; "));
    let curves = Curves { x_label: "CPU minutes of pretraining".into(), frame: Frame::Continuous, series };
    Panel { title: format!("{}{which}", titled(key)), description, plot: Plot::Curves(curves) }
}

/// The curves of a row: one per seed, named with the seed where there are several.
fn curves(sweep: &Sweep, row: &str) -> Vec<(String, Vec<(f64, f64)>)> {
    let several = sweep.finished(row).count() > 1;
    let label = |run: &RunResult| {
        if several { format!("{row}, seed {}", run.seed) } else { row.to_owned() }
    };
    let points = |run: &RunResult| -> Vec<(f64, f64)> {
        let timed = run.validation.iter();
        timed.filter_map(|validation| Some((validation.cpu_seconds? / 60.0, validation.ndcg))).collect()
    };
    let lines = sweep.finished(row).map(|run| (label(run), points(run)));
    lines.filter(|(_, points)| !points.is_empty()).collect()
}

/// `key (unit)`, the unit from the glossary.
fn titled(key: &str) -> String {
    format!("{key} ({})", glossary::unit(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_keep_both_ends_or_what_tells_them_apart() {
        let shortened = |labels: &[&str]| -> Vec<String> {
            let estimate = Estimate { value: 0.0, low: 0.0, high: 0.0 };
            let row = |label: &&str| Row { label: (*label).to_owned(), look: Look::Baseline, estimate };
            let mut rows: Vec<Row> = labels.iter().map(row).collect();
            shorten(&mut rows);
            rows.into_iter().map(|row| row.label).collect()
        };
        assert_eq!(
            shortened(&["t5-d_model128-layers2", "exactly-fifteen"]),
            ["t5-d_m…-layers2", "exactly-fifteen"]
        );
        let alike = ["t5-d_model128-dropout0_2", "t5-d_model256-dropout0_2"];
        assert_eq!(shortened(&alike), ["t5-d_m…del128-d", "t5-d_m…del256-d"]);
    }
}
