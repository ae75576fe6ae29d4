//! What the spread over seeds allows to say: per row against the baseline row, adjusted for how many rows are compared.

use super::{Line, Sweep};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::document::{Block, Cell, Column, Section, Span, Style, Table, estimate_cell, paragraph};
use crate::glossary;
use crate::number;
use crate::statistics::aggregate::{
    iqm_of_strata, performance_profile, probability_of_improvement_bootstrap, stratified_bootstrap,
};
use crate::statistics::means::{holm, minimum_detectable_effect, of_interval, variance, welch};
use crate::verdict::{Change, INDEPENDENT};

const RESAMPLES: usize = 2000;
const SEED: u64 = 0x5eed;
/// Chance of finding an effect that is called detectable.
const POWER: f64 = 0.8;
/// Rows whose profiles one panel shows.
const LOOKS: usize = 6;
/// Runs from which a profile has a shape.
const FEWEST: usize = 3;

/// The metrics that rows are judged by: a judge that alignment never saw, where there is one, and the ranking.
fn judged(sweep: &Sweep) -> Vec<&str> {
    let keys = sweep.keys();
    let judge = INDEPENDENT.into_iter().find(|key| keys.contains(key));
    judge.into_iter().chain(sweep.main_metric()).collect()
}

/// The line that another is compared with.
fn base<'a>(sweep: &'a Sweep, line: &Line) -> Option<&'a Line> {
    let row = sweep.baseline.as_deref()?;
    let own = || sweep.lines.iter().filter(move |other| other.row == row && other.role != "baseline");
    let found = own()
        .find(|other| other.system == line.system)
        .or_else(|| own().find(|other| other.role == "base"))?;
    (found.label != line.label).then_some(found)
}

/// One sentence per row, with Holm's adjustment over all of them.
pub(super) fn verdicts(sweep: &Sweep) -> Option<Block> {
    let keys = judged(sweep);
    let compared: Vec<(&Line, &str)> = sweep
        .compared()
        .flat_map(|line| keys.iter().map(move |key| (line, *key)))
        .filter(|(line, key)| line.differences.contains_key(*key))
        .collect();
    let p: Vec<f64> = compared
        .iter()
        .map(|(line, key)| of_interval(&line.differences[*key]).map_or(1.0, |(p, _)| p))
        .collect();
    let rows = compared.iter().zip(holm(&p)).map(|((line, key), p)| verdict((line, key), p));
    let rows: Vec<Vec<Cell>> = rows.collect();
    let columns = vec![
        Column::text("row"),
        Column::text("metric"),
        Column::number("difference [95 % interval]"),
        Column::number("p, Holm"),
        Column::prose("verdict"),
    ];
    let caption = format!(
        "Verdict per row against {}, paired over users",
        sweep.baseline.as_deref().unwrap_or_default()
    );
    (!rows.is_empty()).then_some(Block::Table(Table { caption, columns, rows }))
}

fn verdict((line, key): (&Line, &str), p: f64) -> Vec<Cell> {
    let difference = &line.differences[key];
    let source =
        format!("row {}, stage evaluate, key {key} (system {}), paired over users", line.row, line.system);
    let change = Change::of(difference);
    let style = match (change, p < 0.05) {
        (Change::Rises | Change::Falls, true) => Style::Strong,
        _ => Style::Quiet,
    };
    let words = match (change, p < 0.05) {
        (Change::Rises | Change::Falls, true) => format!("{}, also among all rows compared", change.words()),
        (Change::Rises | Change::Falls, false) => {
            format!("{} by itself, not among all rows compared", change.words())
        }
        _ => change.words().to_owned(),
    };
    let count = |count: u64, what: &str| {
        format!("{} {what}{}", number::count(count), if count == 1 { "" } else { "s" })
    };
    let over =
        format!("{words}; over {} and {}", count(line.seeds.len() as u64, "seed"), count(line.users, "user"));
    let p = if p < 0.001 { "< 0.001".to_owned() } else { number::fixed(p, 3) };
    vec![
        vec![Span::text(&line.label)],
        vec![Span::code(key)],
        estimate_cell(&number::difference(difference), &source),
        vec![Span::text(p).with_source(format!("{source}, from the interval"))],
        vec![Span::text(over).styled(style).with_source(source)],
    ]
}

/// Rows as samples of seeds.
pub(super) fn section(sweep: &Sweep) -> Option<Section> {
    let mut blocks = vec![paragraph(
        "Seeds are the sample here: the interquartile mean of a row's runs with its 95 % bootstrap interval, and against the \
         baseline row Welch's test, the chance that one run beats another, and the smallest difference that so many seeds find \
         four times in five. Bootstrap intervals of fewer than ten runs are too narrow; Welch's are not.",
    )];
    for key in judged(sweep) {
        blocks.extend(table(sweep, key));
    }
    (blocks.len() > 1).then_some(Section { id: "seeds", title: "Over seeds", blocks })
}

fn by_seed<'a>(line: &'a Line, key: &str) -> Option<&'a [f64]> {
    line.metrics.get(key).map(|pooled| pooled.by_seed.as_slice()).filter(|values| values.len() > 1)
}

fn table(sweep: &Sweep, key: &str) -> Option<Block> {
    let lines: Vec<(&Line, &[f64])> =
        sweep.trained().filter_map(|line| Some((line, by_seed(line, key)?))).collect();
    let tests: Vec<_> =
        lines.iter().map(|(line, values)| welch(values, by_seed(base(sweep, line)?, key)?)).collect();
    let mut adjusted = holm(&tests.iter().flatten().map(|test| test.p).collect::<Vec<_>>()).into_iter();
    let mut rows = Vec::new();
    for ((line, values), test) in lines.iter().zip(&tests) {
        let source = |what: &str| {
            format!("row {}, stage evaluate, key {key} (system {}), {what}", line.row, line.system)
        };
        let cell = |text: Option<String>, what: &str| {
            vec![text.map_or_else(|| Span::text("–"), |text| Span::text(text).with_source(source(what)))]
        };
        let strata = [values.to_vec()];
        let iqm = stratified_bootstrap(&strata, iqm_of_strata, (RESAMPLES, SEED));
        let against = base(sweep, line).and_then(|base| by_seed(base, key));
        let better = against
            .map(|base| probability_of_improvement_bootstrap(&strata, &[base.to_vec()], (RESAMPLES, SEED)));
        let spread = variance(values).map(|own| {
            let spread = own + against.and_then(variance).unwrap_or(own);
            minimum_detectable_effect(spread.sqrt(), values.len(), POWER)
        });
        let adjusted = test.as_ref().and_then(|_| adjusted.next());
        rows.push(vec![
            vec![Span::text(&line.label)],
            cell(Some(values.len().to_string()), "seeds"),
            cell(Some(number::estimate(&iqm)), "interquartile mean over seeds"),
            cell(test.map(|test| number::difference(&test.difference)), "Welch over seeds"),
            cell(adjusted.map(|p| number::fixed(p, 3)), "Welch over seeds, Holm over rows"),
            cell(better.map(|better| number::estimate(&better)), "probability of improvement over seeds"),
            cell(spread.map(number::decimal), "detectable effect over seeds"),
        ]);
    }
    let columns = std::iter::once(Column::text("row")).chain(
        ["seeds", "interquartile mean", "Welch difference", "p, Holm", "P(better)", "detectable"]
            .map(Column::number),
    );
    let caption = format!("{key} over seeds");
    (!rows.is_empty()).then(|| Block::Table(Table { caption, columns: columns.collect(), rows }))
}

/// Share of a row's runs above any score.
pub(super) fn profile(sweep: &Sweep) -> Option<Figure> {
    let key = sweep.main_metric()?;
    let lines: Vec<(&Line, &[f64])> = sweep
        .trained()
        .filter_map(|line| Some((line, by_seed(line, key)?)))
        .filter(|(_, values)| values.len() >= FEWEST)
        .take(LOOKS)
        .collect();
    let all = || lines.iter().flat_map(|(_, values)| values.iter().copied());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let margin = 0.05 * (high - low);
    let thresholds: Vec<f64> =
        (0..=60).map(|step| low - margin + (high - low + 2.0 * margin) * f64::from(step) / 60.0).collect();
    let series = |(index, (line, values)): (usize, &(&Line, &[f64]))| Series {
        label: line.label.clone(),
        look: Look::Series(index),
        points: thresholds
            .iter()
            .copied()
            .zip(performance_profile(&[values.to_vec()], &thresholds))
            .collect(),
    };
    let series: Vec<Series> = lines.iter().enumerate().map(series).collect();
    let legend = series.iter().map(|series| (series.label.clone(), series.look)).collect();
    (series.len() > 1 && high > low).then(|| Figure {
        name: "profile",
        title: "Performance profiles".to_owned(),
        caption: format!(
            "Share of a row's runs whose {key} on the test users exceeds the value below; higher is better."
        ),
        legend,
        panels: vec![Panel {
            title: "runs above (share)".into(),
            description: format!("Share of runs whose {key} exceeds a threshold, per row."),
            plot: Plot::Curves(Curves {
                x_label: format!("{key} ({})", glossary::unit(key)),
                frame: Frame::Continuous,
                series,
            }),
        }],
    })
}
