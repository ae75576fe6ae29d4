//! What alignment pays for its reward: ranking quality, samples, time.

use super::curves::thin;
use super::{Words, figure, look, titled};
use crate::arm::{ArmStage, Phase};
use crate::chart::{Curves, Figure, Frame, Panel, Plot, Series};
use crate::config;
use crate::load::{Run, Stage};
use crate::number;
use crate::schema::{MetricRow, SystemResult};

/// The judges shown over samples and minutes: one that alignment never saw, else the proxy.
const SHOWN: [&str; 2] = ["judge/held-out", "judge/proxy"];

/// A row of an arm, from its update stages.
pub(super) fn rows<'a>(
    run: &'a Run,
    arm: &'a str,
    key: &'a str,
) -> impl Iterator<Item = (ArmStage<'a>, &'a MetricRow)> {
    run.metrics.iter().filter(move |row| row.key == key).filter_map(move |row| {
        let stage = ArmStage::parse(&row.stage)?;
        (stage.arm == arm && stage.phase == Phase::Align).then_some((stage, row))
    })
}

/// Reward against ranking quality: paths of the arms over training, and where the systems end on the test users.
pub(super) fn frontier(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "frontier",
        title: "Reward against ranking quality",
        caption: "Up is more reward, right is better ranking. First the arms' paths over training on the probed validation \
                  users, which begin close together at the pretrained policy, then every system on the test users.",
    };
    let reward =
        SHOWN.into_iter().find(|key| run.arms().iter().any(|arm| rows(run, arm, key).next().is_some()));
    let paths = reward.and_then(|reward| path_panel(run, reward));
    let tested = SHOWN.into_iter().find_map(|reward| tested_panel(run, reward));
    let panels: Vec<Panel> = [paths, tested].into_iter().flatten().collect();
    let systems =
        run.evaluation.iter().flat_map(|evaluation| &evaluation.systems).map(|system| system.name.clone());
    let legend = systems.map(|name| (name.clone(), look(run, &name))).collect();
    figure(words, legend, panels)
}

fn path_panel(run: &Run, reward: &str) -> Option<Panel> {
    let key = "validation/ndcg@10";
    let path = |arm: &str| {
        let quality: Vec<(u64, f64)> = rows(run, arm, key).map(|(_, row)| (row.step, row.value)).collect();
        let of = |step: u64| quality.iter().find(|(measured, _)| *measured == step).map(|(_, value)| *value);
        let points = rows(run, arm, reward).filter_map(|(_, row)| Some((of(row.step)?, row.value)));
        Series { label: arm.to_owned(), look: look(run, arm), points: points.collect() }
    };
    let series: Vec<Series> =
        run.arms().into_iter().map(path).filter(|series| series.points.len() > 1).collect();
    (!series.is_empty()).then(|| Panel {
        title: titled(reward),
        description: format!("{reward} against {key} over the steps of every arm."),
        plot: Plot::Curves(Curves { x_label: titled(key), frame: Frame::Continuous, series }),
    })
}

fn tested_panel(run: &Run, reward: &str) -> Option<Panel> {
    let evaluation = run.evaluation.as_ref()?;
    let key = crate::verdict::headline_ranking(evaluation)?;
    let point =
        |system: &SystemResult| Some((system.metrics.get(&key)?.value, system.metrics.get(reward)?.value));
    let series = |system: &SystemResult| {
        let points = vec![point(system)?];
        Some(Series { label: system.name.clone(), look: look(run, &system.name), points })
    };
    let series: Vec<Series> = evaluation.systems.iter().filter_map(series).collect();
    let described = series.iter().map(|series| {
        let (x, y) = series.points[0];
        format!("{} {} and {}", series.label, number::decimal(x), number::decimal(y))
    });
    let description = format!("{key} and {reward} by system: {}.", described.collect::<Vec<_>>().join("; "));
    (!series.is_empty()).then(|| Panel {
        title: titled(reward),
        description,
        plot: Plot::Curves(Curves { x_label: titled(&key), frame: Frame::Continuous, series }),
    })
}

/// Reward over samples and over minutes.
pub(super) fn efficiency(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "efficiency",
        title: "Reward over samples and time",
        caption: "The same judge over training samples (steps times align.batch_size) and over wall-clock minutes of the arm, \
                  sampling included. Within an update stage minutes are spread evenly over its steps unless the stage \
                  recorded them; they are of the machine and of what else it did.",
    };
    let reward =
        SHOWN.into_iter().find(|key| run.arms().iter().any(|arm| rows(run, arm, key).next().is_some()))?;
    let batch = config::number(&run.config, "align.batch_size");
    let samples = batch.and_then(|batch| {
        scaled_panel(run, reward, ("samples", Frame::Data), &|_, _, step| Some(step as f64 * batch))
    });
    let minutes = scaled_panel(run, reward, ("minutes", Frame::Continuous), &|arm, round, step| {
        minutes(run, (arm, round), step)
    });
    let legend = run.arms().into_iter().map(|arm| (arm.to_owned(), look(run, arm))).collect();
    figure(words, legend, [samples, minutes].into_iter().flatten().collect())
}

/// Arm, round and step to a place on the axis.
type Place<'a> = dyn Fn(&str, u32, u64) -> Option<f64> + 'a;

fn scaled_panel(run: &Run, key: &str, (x_label, frame): (&str, Frame), place: &Place<'_>) -> Option<Panel> {
    let line = |arm: &str| {
        let points = rows(run, arm, key)
            .filter_map(|(stage, row)| Some((place(arm, stage.round, row.step)?, row.value)));
        Series { label: arm.to_owned(), look: look(run, arm), points: thin(points.collect()) }
    };
    let series: Vec<Series> =
        run.arms().into_iter().map(line).filter(|series| !series.points.is_empty()).collect();
    (!series.is_empty()).then(|| Panel {
        title: titled(key),
        description: format!("{key} over {x_label} for every arm."),
        plot: Plot::Curves(Curves { x_label: x_label.into(), frame, series }),
    })
}

/// Minutes of the arm until a step: its earlier stages, and the stage's marks or an even share of its time.
fn minutes(run: &Run, (arm, round): (&str, u32), step: u64) -> Option<f64> {
    let mut before = 0.0;
    for stage in &run.stages {
        let own = ArmStage::parse(&stage.manifest.stage).filter(|parsed| parsed.arm == arm);
        let Some(parsed) = own else { continue };
        if parsed.phase == Phase::Align && parsed.round == round {
            return Some((before + within(run, stage, step)) / 60.0);
        }
        before += stage.manifest.seconds;
    }
    None
}

fn within(run: &Run, stage: &Stage, step: u64) -> f64 {
    let manifest = &stage.manifest;
    if let Some(mark) = manifest.marks.iter().find(|mark| mark.step == step) {
        return mark.seconds;
    }
    // Best-of-n stands at its number of draws, not at a step.
    let own = |row: &&MetricRow| row.stage == manifest.stage && !row.key.starts_with("best-of-n/");
    let steps = || run.metrics.iter().filter(own).map(|row| row.step);
    let (first, last) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
    manifest.seconds * (step.saturating_sub(first)) as f64 / last.saturating_sub(first).max(1) as f64
}
