//! Test-time scaling: what a request gains from more draws, wider beams, and the proxy judge's choice among them; and whether that
//! stands in for alignment at equal cost.
//!
//! Best-of-n with a reward model is what `OneRec` serves with (2506.13695: of many generated items the reward model shows the best).
//! Here the proxy chooses, the judge that alignment sees too; the others grade and never choose.

mod points;
#[cfg(test)]
mod tests;

use super::Policies;
use super::systems::Setting;
use crate::config::Evaluate;
use crate::run::{StageContext, commit, to_json};
use points::{Point, points};
use reports::schema::scaling::{EqualCost, Scaling, ScalingPoint, Way};
use reports::statistics::{bootstrap_mean, paired_bootstrap};
use reports::verdict::PROXY;

/// What is written.
const FILE: &str = "scaling.json";

/// Measures every policy at every number of candidates and writes `scaling.json`.
///
/// # Errors
/// If the run is stopped or the file cannot be written.
pub(super) fn scaling(
    policies: &Policies,
    (section, evaluated, bench): Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    let users = evaluated.some(section.scaling_users, (bench, ctx.key().named("scaling")));
    let setting = (section, &users, bench);
    let measured = |policy| points(policy, setting, ctx);
    let base = measured(&policies.base)?;
    let mut found = Scaling {
        users: users.len() as u64,
        shown: section.judged_items as u64,
        draws: points::draws(section) as u64,
        selector: bench.judges.as_ref().map(|_| PROXY.to_owned()),
        points: estimates(&policies.base.name, &base, (section, super::seed(ctx))),
        comparisons: Vec::new(),
    };
    for policy in &policies.aligned {
        let aligned = measured(policy)?;
        found.points.extend(estimates(&policy.name, &aligned, (section, super::seed(ctx))));
        found.comparisons.extend(equal_cost(&base, (&policy.name, &aligned), (section, super::seed(ctx))));
    }
    commit::write_file(&ctx.path(FILE), &to_json(&found)?)
}

/// Means with intervals.
fn estimates(system: &str, points: &[Point], (section, seed): (&Evaluate, u64)) -> Vec<ScalingPoint> {
    let of = |point: &Point| {
        let chosen = matches!(point.way, Way::SelectedDraws | Way::SelectedBeam);
        let metrics = point.columns.iter();
        ScalingPoint {
            system: system.to_owned(),
            way: point.way,
            candidates: point.candidates as u64,
            decoded: point.candidates as u64,
            scored: if chosen { point.candidates as u64 } else { 0 },
            metrics: metrics
                .map(|(metric, values)| (metric.clone(), bootstrap_mean(values, section.resamples, seed)))
                .collect(),
        }
    };
    points.iter().filter(|point| point.shown == section.judged_items).map(of).collect()
}

/// The pretrained policy's choices less the aligned policy's beams of equal cost that show no more items: once with the judge's
/// scores free, once with a score as dear as a sequence. What a score really costs lies between.
fn equal_cost(
    base: &[Point],
    (system, aligned): (&str, &[Point]),
    (section, seed): (&Evaluate, u64),
) -> Vec<EqualCost> {
    let (most, mut found) = (section.judged_items, Vec::new());
    for chosen in base.iter().filter(|point| matches!(point.way, Way::SelectedDraws | Way::SelectedBeam)) {
        for width in [chosen.candidates, 2 * chosen.candidates] {
            // A beam as wide as the candidates has no more to show.
            let shown = if width == chosen.candidates { most } else { most.min(chosen.candidates) };
            let is_equal =
                |point: &&Point| point.way == Way::Beam && point.candidates == width && point.shown == shown;
            let beam = aligned.iter().find(is_equal);
            for (metric, values) in chosen.columns.iter().filter(|(metric, _)| *metric != PROXY) {
                let Some(others) = beam.and_then(|beam| beam.columns.get(metric)) else { continue };
                found.push(EqualCost {
                    system: system.to_owned(),
                    way: chosen.way,
                    candidates: chosen.candidates as u64,
                    width: width as u64,
                    metric: metric.clone(),
                    difference: paired_bootstrap(values, others, section.resamples, seed),
                });
            }
        }
    }
    found
}
