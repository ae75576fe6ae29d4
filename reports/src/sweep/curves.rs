//! Curves of the rows laid over each other: thin lines for seeds, their mean, and its interval.

use super::Sweep;
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::glossary;
use crate::number;
use crate::statistics::mean;
use crate::statistics::means::paired_t;
use std::collections::BTreeMap;

/// Metrics whose curves are worth comparing, in reading order.
pub const KEYS: [&str; 8] = [
    "judge/held-out",
    "judge/oracle",
    "judge/proxy",
    "reward",
    "kl",
    "entropy",
    "rewards/accuracies",
    "validation/ndcg@10",
];
/// Lines of one panel: more rows get another.
const LOOKS: usize = 6;
/// Seeds from which an interval of their mean is drawn.
const FEWEST: usize = 3;

/// Points by key, of one arm in one run.
type Points = Vec<(f64, f64)>;

/// An arm of a row, over its seeds.
struct Member<'a> {
    label: String,
    runs: Vec<&'a BTreeMap<String, Points>>,
}

pub(super) fn figure(sweep: &Sweep) -> Option<Figure> {
    let members = members(sweep);
    let mut panels = Vec::new();
    for key in KEYS {
        for (part, members) in members.chunks(LOOKS).enumerate() {
            panels.extend(panel(key, members, part));
        }
    }
    let looks =
        members.iter().enumerate().map(|(index, member)| (member.label.clone(), Look::Series(index % LOOKS)));
    (!panels.is_empty()).then(|| Figure {
        name: "alignment",
        title: "Curves of the rows over steps".to_owned(),
        caption: "Thick: the mean over seeds, where all of them have a value. Thin: the seeds. Shaded, from three seeds on: the \
                  95 % interval of the mean by Student's t over seeds. Measured along the way on probed users, not on the test."
            .to_owned(),
        legend: looks.collect(),
        panels,
    })
}

fn members(sweep: &Sweep) -> Vec<Member<'_>> {
    let mut members: Vec<Member<'_>> = Vec::new();
    for run in &sweep.runs {
        for (arm, curves) in &run.curves {
            let label = if arm.is_empty() { run.row.clone() } else { format!("{}, {arm}", run.row) };
            match members.iter_mut().find(|member| member.label == label) {
                Some(member) => member.runs.push(curves),
                None => members.push(Member { label, runs: vec![curves] }),
            }
        }
    }
    members
}

fn panel(key: &str, members: &[Member<'_>], part: usize) -> Option<Panel> {
    let (mut behind, mut front, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for (index, member) in members.iter().enumerate() {
        let seeds: Vec<&Points> = member.runs.iter().filter_map(|curves| curves.get(key)).collect();
        let common = common(&seeds);
        let Some((step, values)) = common.last() else { continue };
        let end = (number::decimal(mean(values)), number::decimal(*step));
        described.push(format!("{} {} at step {}", member.label, end.0, end.1));
        let series = |label: String, look, points| Series { label, look, points };
        behind.extend(
            band(&common)
                .map(|points| series(format!("{}, interval", member.label), Look::Band(index), points)),
        );
        if seeds.len() > 1 {
            let thin = seeds.iter().enumerate().map(|(seed, points)| {
                series(format!("{}, run {}", member.label, seed + 1), Look::Thin(index), (*points).clone())
            });
            behind.extend(thin);
        }
        let points = common.iter().map(|(step, values)| (*step, mean(values))).collect();
        front.push(series(member.label.clone(), Look::Series(index), points));
    }
    let more = if part == 0 { String::new() } else { format!(", rows from {}", part * LOOKS + 1) };
    (!front.is_empty()).then(|| Panel {
        title: format!("{key} ({}){more}", glossary::unit(key)),
        description: format!("{key} over steps: {}.", described.join("; ")),
        plot: Plot::Curves(Curves {
            x_label: "step".into(),
            frame: Frame::Data,
            series: behind.into_iter().chain(front).collect(),
        }),
    })
}

/// Steps that every seed measured, with its values.
fn common(seeds: &[&Points]) -> Vec<(f64, Vec<f64>)> {
    let Some((first, others)) = seeds.split_first() else { return Vec::new() };
    let at = |points: &Points, step: f64| {
        let found = points.binary_search_by(|point| point.0.total_cmp(&step)).ok()?;
        Some(points[found].1)
    };
    let row = |(step, value): &(f64, f64)| {
        let others: Option<Vec<f64>> = others.iter().map(|points| at(points, *step)).collect();
        Some((*step, [vec![*value], others?].concat()))
    };
    first.iter().filter_map(row).collect()
}

/// The outline of the interval of the mean, where there are seeds enough.
fn band(common: &[(f64, Vec<f64>)]) -> Option<Points> {
    let interval = |(step, values): &(f64, Vec<f64>)| {
        let found = paired_t(values, &vec![0.0; values.len()])?.difference;
        Some((*step, found.low, found.high))
    };
    let enough = common.iter().filter(|(_, values)| values.len() >= FEWEST);
    let found: Vec<_> = enough.filter_map(interval).collect();
    let low = found.iter().map(|(step, low, _)| (*step, *low));
    let high = found.iter().rev().map(|(step, _, high)| (*step, *high));
    (found.len() > 1).then(|| low.chain(high).collect())
}

/// The curves of a run: arm (empty for pretraining) -> key -> points by step.
pub fn of_run(run: &crate::load::Run) -> BTreeMap<String, BTreeMap<String, Points>> {
    use crate::arm::{ArmStage, Phase};
    let mut found: BTreeMap<String, BTreeMap<String, Points>> = BTreeMap::new();
    for row in run.metrics.iter().filter(|row| KEYS.contains(&row.key.as_str())) {
        let Some(stage) = ArmStage::parse(&row.stage).filter(|stage| stage.phase == Phase::Align) else {
            continue;
        };
        let points = found.entry(stage.arm.to_owned()).or_default().entry(row.key.clone()).or_default();
        points.push((row.step as f64, row.value));
    }
    let all = found.values_mut().flat_map(BTreeMap::values_mut);
    all.for_each(|points| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_steps_that_every_seed_has() {
        let (one, other) = (vec![(1.0, 0.0), (2.0, 4.0), (3.0, 9.0)], vec![(2.0, 6.0), (3.0, 11.0)]);
        let found = common(&[&one, &other]);
        assert_eq!(found, [(2.0, vec![4.0, 6.0]), (3.0, vec![9.0, 11.0])]);
        assert_eq!(band(&found), None, "two seeds are too few");
        let three: Vec<_> =
            found.iter().map(|(step, values)| (*step, [values.clone(), vec![5.0]].concat())).collect();
        assert_eq!(band(&three).map(|outline| outline.len()), Some(4));
    }
}
