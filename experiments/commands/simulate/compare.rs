//! A world beside a real log: marginals, their distances, and the settings that the log's moments ask for.

use super::marginals::{self, Axis, MARGINALS, Sample};
use crate::commands::table;
use crate::config::{self, Data};
use crate::data;
use crate::run::commit::{create_directory, write_file};
use reports::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series, standalone};
use reward::world::Marginals;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Points of a curve.
const POINTS: usize = 100;

/// `[data]` of the log to compare with.
pub(super) fn other(config: &Path, path: Option<&Path>) -> anyhow::Result<Data> {
    let path = path.map(|path| format!("data.path={}", toml::Value::String(path.display().to_string())));
    Ok(config::load(config, path.as_slice())?.data)
}

/// Writes `figures/marginals.svg`, its numbers and `marginals.toml` into `dir`; tells the distances.
pub(super) fn compare(world: &Data, log: &Data, dir: &Path) -> anyhow::Result<String> {
    let [world, log] = [data::build(world)?.0, data::build(log)?.0].map(|dataset| marginals::of(&dataset));
    let figure = figure(&log, &world);
    create_directory(&dir.join("figures"))?;
    write_file(&dir.join(figure.csv_path()), figure.csv().as_bytes())?;
    write_file(&dir.join(figure.svg_path()), standalone(&figure)?.as_bytes())?;
    let (table, csv) = distances(&log, &world);
    write_file(&dir.join("distances.csv"), csv.as_bytes())?;
    let asked = toml::to_string(&matched(&log))?;
    let settings = format!("[data.source.marginals]\n{asked}");
    write_file(&dir.join("marginals.toml"), settings.as_bytes())?;
    Ok(format!("{table}\n# What the log's moments ask for (marginals.toml):\n{settings}"))
}

type Samples = BTreeMap<&'static str, Sample>;

/// The marginals that both have.
fn shared<'a>(
    log: &'a Samples,
    world: &'a Samples,
) -> impl Iterator<Item = ((&'static str, &'static str, Axis), &'a Sample, &'a Sample)> {
    MARGINALS
        .into_iter()
        .filter_map(|marginal| Some((marginal, log.get(marginal.0)?, world.get(marginal.0)?)))
}

/// A table for people and one for programs.
fn distances(log: &Samples, world: &Samples) -> (String, String) {
    let header =
        ["marginal", "n log", "n world", "mean log", "mean world", "median log", "median world", "KS"];
    let mut csv = header.join(",").replace(' ', "_") + "\n";
    let rows: Vec<Vec<String>> = shared(log, world)
        .map(|((name, ..), log, world)| {
            let numbers =
                [log.mean(), world.mean(), log.quantile(0.5), world.quantile(0.5), log.distance(world)];
            let (a, b) = (log.len(), world.len());
            let exact: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let _ = writeln!(csv, "{name},{a},{b},{}", exact.join(","));
            [name.to_owned(), a.to_string(), b.to_string()]
                .into_iter()
                .chain(numbers.iter().map(|number| format!("{number:.3}")))
                .collect()
        })
        .collect();
    (table::render(&header, &rows), csv)
}

fn figure(log: &Samples, world: &Samples) -> Figure {
    let looks = [("log", Look::Baseline), ("world", Look::Series(0))];
    let panel = |((name, title, axis), log, world): ((&str, &str, Axis), &Sample, &Sample)| {
        let series = looks.iter().zip([log, world]).map(|((label, look), sample)| Series {
            label: (*label).into(),
            look: *look,
            points: curve(sample, axis),
        });
        let frame = match axis {
            Axis::Factors => Frame::DecadesFromZero,
            Axis::Differences => Frame::Continuous,
        };
        Panel {
            title: format!("{name}: share of values up to x"),
            description: format!("Distribution function of {title}; KS distance {:.3}.", log.distance(world)),
            plot: Plot::Curves(Curves { x_label: title.into(), frame, series: series.collect() }),
        }
    };
    Figure {
        name: "marginals",
        title: "A log and a world".into(),
        caption: "Distribution functions of a log and of a simulated world.".into(),
        legend: looks.iter().map(|(label, look)| ((*label).into(), *look)).collect(),
        panels: shared(log, world).map(panel).collect(),
    }
}

/// The distribution function at values that are equally far apart on the axis.
fn curve(sample: &Sample, axis: Axis) -> Vec<(f64, f64)> {
    let (low, high) = (sample.quantile(0.0), sample.quantile(1.0));
    let at = |step: usize| {
        let share = step as f64 / (POINTS - 1) as f64;
        match axis {
            Axis::Factors => low * (high / low).powf(share),
            Axis::Differences => low + (high - low) * share,
        }
    };
    (0..POINTS).map(|step| (at(step), sample.cumulative(at(step)))).collect()
}

/// The settings under which a world has the moments of this log, if utilities were standard normal and independent of
/// the items' durations: what the log does not tell stays at its default.
fn matched(log: &Samples) -> Marginals {
    let mut settings = Marginals::default();
    let lengths = log["length"].map(f64::ln);
    settings.activity = rounded(lengths.mean());
    settings.activity_spread = rounded(lengths.deviation());
    settings.min_length = (log["length"].quantile(0.0) as usize).max(settings.min_length);
    settings.max_length = (log["length"].quantile(1.0) as usize).max(settings.min_length);
    settings.popularity_exponent = rounded(zipf(&log["popularity"]));
    if let Some(durations) = log.get("duration") {
        let logs = durations.map(|seconds| seconds.max(0.1).ln());
        settings.duration = rounded(logs.mean());
        settings.duration_spread = rounded(logs.deviation());
    }
    if let Some(ratios) = log.get("watch_ratio") {
        // Medians and quartiles: neither replays nor what was not watched at all moves them.
        let quartile = |share: f64| ratios.quantile(share).max(0.01).ln();
        let spread = (quartile(0.75) - quartile(0.25)) / 1.349;
        let explained = 0.25 + (settings.watch_duration * settings.duration_spread).powi(2);
        settings.watch = rounded(quartile(0.5));
        settings.watch_spread = rounded((spread * spread - explained).max(0.0025).sqrt());
    }
    if let Some(likes) = log.get("like") {
        settings.like = rounded(log_odds_of(likes.mean()));
    }
    settings
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Least squares of log count on log rank, over the more popular half of the items: rare ones are cut off by filters.
fn zipf(counts: &Sample) -> f64 {
    let items = counts.len();
    let points: Vec<(f64, f64)> = (0..items.div_ceil(2).max(2))
        .map(|rank| {
            let share = 1.0 - rank as f64 / items.max(2) as f64;
            (((rank + 1) as f64).ln(), counts.quantile(share).ln())
        })
        .collect();
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (-covariance / variance).clamp(0.0, 3.0)
}

/// The `a` for which `E[logistic(1.6 x + a)]` of a standard normal `x` is `rate`.
fn log_odds_of(rate: f64) -> f64 {
    let mean = |a: f64| {
        let terms = (-600..=600).map(|step| f64::from(step) / 100.0).map(|x| {
            let weight = (-x * x / 2.0).exp();
            (weight, weight / (1.0 + (-(1.6 * x + a)).exp()))
        });
        let (weights, sum) = terms.fold((0.0, 0.0), |(w, s), (weight, term)| (w + weight, s + term));
        sum / weights
    };
    let (mut low, mut high) = (-20.0, 20.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if mean(middle) < rate { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_exact_zipf_counts_is_recovered() {
        for exponent in [0.0, 0.8, 1.5] {
            let counts = (1..=1000).map(|rank| 1e6 * f64::from(rank).powf(-exponent)).collect();
            let found = zipf(&Sample::new(counts));
            assert!((found - exponent).abs() < 0.01, "{found} is not {exponent}");
        }
        assert!(zipf(&Sample::new(vec![1.0])).is_finite());
    }

    #[test]
    fn log_odds_give_the_rate_back() {
        // By symmetry; and where everything or nothing is liked there still is a number.
        assert!(log_odds_of(0.5).abs() < 1e-9);
        assert!((-20.0..=20.0).contains(&log_odds_of(0.0)) && (-20.0..=20.0).contains(&log_odds_of(1.0)));
    }
}
