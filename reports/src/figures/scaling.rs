//! Test-time scaling: every policy over the number of candidates, and what each way of spending a request's computing gives.

use super::{Words, figure, look, titled};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::load::Run;
use crate::number;
use crate::schema::Estimate;
use crate::schema::scaling::{Scaling, ScalingPoint, Way};
use crate::verdict::INDEPENDENT;

/// A line: name, look, policy, way.
type Line<'a> = (String, Look, &'a str, Way);

/// pass@K and what the proxy chooses, over the number of candidates.
pub(super) fn by_candidates(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "scaling",
        title: "Test-time scaling: more candidates per request",
        caption: "The chance that the user's next item is among K draws; whether it is in a beam of width K; and what is shown \
                  when the proxy judge chooses from that beam. Bands are 95 % bootstrap intervals over users.",
    };
    let scaling = run.scaling.as_ref()?;
    let of_way = |way| {
        let line = |system| (String::from(system), look(run, system), system, way);
        systems(scaling).into_iter().map(line).collect::<Vec<Line<'_>>>()
    };
    let found = [("pass", Way::Draws), ("recall", Way::Beam)].map(|(name, way)| {
        let key = |point: &ScalingPoint| format!("{name}@{}", point.candidates);
        let title = if way == Way::Draws { "pass@K (share)" } else { "recall@K of the whole beam (share)" };
        panel(scaling, (title, "candidates, K"), &of_way(way), &|point| {
            point_at(point, point.candidates, &key(point))
        })
    });
    let chosen = shown_keys(scaling).into_iter().map(|key| {
        let title = format!("{}, the proxy's choice", titled(&key));
        panel(scaling, (&title, "candidates, K"), &of_way(Way::SelectedBeam), &|point| {
            point_at(point, point.candidates, &key)
        })
    });
    let panels = found.into_iter().chain(chosen).flatten().collect();
    let legend = systems(scaling).into_iter().map(|system| (system.to_owned(), look(run, system))).collect();
    figure(words, legend, panels)
}

/// Best-of-n against alignment: what is shown for a cost.
pub(super) fn by_cost(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "equal-cost",
        title: "Best-of-n against alignment at equal cost",
        caption: "What a request shows for the sequences that it decodes and has scored, each counting one: beams of every policy, \
                  and the proxy's choice among the pretrained policy's beam or draws. Bands are 95 % bootstrap intervals over \
                  users.",
    };
    let scaling = run.scaling.as_ref()?;
    scaling.selector.as_ref()?;
    let systems = systems(scaling);
    let (base, count) = (*systems.first()?, systems.len());
    let mut lines: Vec<Line<'_>> = systems
        .iter()
        .map(|system| (format!("{system}, beam"), look(run, system), *system, Way::Beam))
        .collect();
    for (place, (from, way)) in
        [("beam", Way::SelectedBeam), ("draws", Way::SelectedDraws)].into_iter().enumerate()
    {
        lines.push((format!("{base}, chosen from {from}"), Look::Series(count + place), base, way));
    }
    let panels = shown_keys(scaling).into_iter().filter_map(|key| {
        panel(scaling, (&titled(&key), "sequences decoded and scored"), &lines, &|point| {
            point_at(point, point.cost(), &key)
        })
    });
    let panels = panels.collect();
    let legend = lines.iter().map(|(label, look, ..)| (label.clone(), *look)).collect();
    figure(words, legend, panels)
}

/// Policies in the order they were measured.
pub(crate) fn systems(scaling: &Scaling) -> Vec<&str> {
    let mut systems: Vec<&str> = Vec::new();
    for point in &scaling.points {
        if !systems.contains(&point.system.as_str()) {
            systems.push(&point.system);
        }
    }
    systems
}

/// What is known of the items shown: ranking, and the judges that do not choose.
pub(crate) fn shown_keys(scaling: &Scaling) -> Vec<String> {
    let ranking = ["recall", "ndcg"].map(|name| format!("{name}@{}", scaling.shown));
    let keys = ranking.into_iter().chain(INDEPENDENT.map(String::from));
    keys.filter(|key| scaling.points.iter().any(|point| point.metrics.contains_key(key))).collect()
}

fn point_at(point: &ScalingPoint, x: u64, key: &str) -> Option<(f64, Estimate)> {
    Some((x as f64, *point.metrics.get(key)?))
}

/// A panel of lines in front of their bands; `None` without a point.
fn panel(
    scaling: &Scaling,
    (title, x_label): (&str, &str),
    lines: &[Line<'_>],
    place: &dyn Fn(&ScalingPoint) -> Option<(f64, Estimate)>,
) -> Option<Panel> {
    let (mut behind, mut front, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for (label, look, system, way) in lines {
        let own = scaling.points.iter().filter(|point| point.system == *system && point.way == *way);
        let mut points: Vec<(f64, Estimate)> = own.filter_map(place).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let [low, high] = [first, last].map(|(_, estimate)| number::decimal(estimate.value));
        described.push(format!("{label} from {low} to {high}"));
        behind.extend(band(label, *look, &points));
        let points = points.iter().map(|(x, estimate)| (*x, estimate.value)).collect();
        front.push(Series { label: label.clone(), look: *look, points });
    }
    (!front.is_empty()).then(|| Panel {
        title: title.to_owned(),
        description: format!("{title} over {x_label}: {}.", described.join("; ")),
        plot: Plot::Curves(Curves {
            x_label: x_label.to_owned(),
            frame: Frame::DecadesAlong,
            series: behind.into_iter().chain(front).collect(),
        }),
    })
}

/// The outline of the intervals of a line that has several points.
fn band(label: &str, look: Look, points: &[(f64, Estimate)]) -> Option<Series> {
    let Look::Series(slot) = look else { return None };
    let low = points.iter().map(|(x, estimate)| (*x, estimate.low));
    let high = points.iter().rev().map(|(x, estimate)| (*x, estimate.high));
    (points.len() > 1).then(|| Series {
        label: format!("{label}, interval"),
        look: Look::Band(slot),
        points: low.chain(high).collect(),
    })
}
