//! The Goodhart gauge: what the judges gain, against what the gain costs (Gao et al. 2023, 2210.10760).

use super::tradeoffs::rows;
use super::{Words, figure, judge_look};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::load::Run;
use crate::number;

/// In the order of their looks.
const JUDGES: [&str; 3] = ["proxy", "held-out", "oracle"];
/// Look of the point at which judges part.
const PARTED: Look = Look::Series(5);
/// Standard errors by which the proxy gains and another judge loses where they part: each beyond chance at 97.5 %.
pub(crate) const BEYOND: f64 = 1.96;

/// Two panels per arm: what the policy draws against its divergence, and what it shows over the steps.
pub(super) fn goodhart(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "goodhart",
        title: "Goodhart gauge: what the judges gain, and at what divergence",
        caption: "Left: mean score of items the policy draws, as a change from the pretrained policy, against the root of its \
                  divergence from that policy; thin: choosing by the proxy among n draws of the pretrained policy, at the \
                  divergence that this has. Right: change of the score of what is shown, with 95 % intervals over the \
                  probed users; a lone mark is where the proxy gains and another judge loses, each beyond chance. \
                  A proxy that goes on rising while the others turn is being exploited.",
    };
    let measured =
        |judge: &str| run.arms().iter().any(|arm| !curve(run, arm, &format!("drawn/{judge}")).is_empty());
    let mut legend: Vec<(String, Look)> = JUDGES
        .iter()
        .enumerate()
        .filter(|(_, judge)| measured(judge))
        .map(|(index, judge)| (format!("judge/{judge}"), judge_look(index)))
        .collect();
    if run.arms().iter().any(|arm| JUDGES.iter().any(|judge| parting(run, arm, judge).is_some())) {
        legend.push(("judges part".into(), PARTED));
    }
    let panels =
        run.arms().into_iter().flat_map(|arm| [price(run, arm), gains(run, arm)]).flatten().collect();
    figure(words, legend, panels)
}

/// The first step at which the proxy and `judge` part, with the standard errors.
pub(crate) fn parting(run: &Run, arm: &str, judge: &str) -> Option<(String, u64, f64)> {
    let key = format!("goodhart/{judge}");
    rows(run, arm, &key)
        .find(|(_, row)| row.value > BEYOND)
        .map(|(_, row)| (row.stage.clone(), row.step, row.value))
}

/// Step and value of an arm's metric.
fn curve(run: &Run, arm: &str, key: &str) -> Vec<(u64, f64)> {
    rows(run, arm, key).map(|(_, row)| (row.step, row.value)).collect()
}

fn price(run: &Run, arm: &str) -> Option<Panel> {
    let distances = curve(run, arm, "kl/pretrained");
    // An estimate of a divergence near zero may be below it.
    let root = |step: u64| Some(distances.iter().find(|(at, _)| *at == step)?.1.max(0.0).sqrt());
    let mut series = Vec::new();
    for (index, judge) in JUDGES.iter().enumerate() {
        let drawn = curve(run, arm, &format!("drawn/{judge}"));
        let Some(&(_, first)) = drawn.first() else { continue };
        let points = drawn.iter().filter_map(|(step, score)| Some((root(*step)?, score - first))).collect();
        series.push(Series { label: format!("judge/{judge}"), look: judge_look(index), points });
        let chosen = curve(run, arm, &format!("best-of-n/{judge}"));
        if let (Some(&(_, first)), Look::Series(slot)) = (chosen.first(), judge_look(index)) {
            let points = chosen.iter().map(|(n, score)| (best_of(*n).sqrt(), score - first)).collect();
            series.push(Series {
                label: format!("judge/{judge}, best of n"),
                look: Look::Thin(slot),
                points,
            });
        }
    }
    let described = series.iter().filter_map(|series| {
        let (distance, gain) = series.points.last()?;
        Some(format!("{} {} at {}", series.label, number::decimal(*gain), number::decimal(*distance)))
    });
    let description =
        format!("Change of the judges' scores, arm {arm}: {}.", described.collect::<Vec<_>>().join("; "));
    let x_label = "root of the divergence (nats)".into();
    (!series.is_empty()).then(|| Panel {
        title: format!("{arm}: what it draws"),
        description,
        plot: Plot::Curves(Curves { x_label, frame: Frame::Continuous, series }),
    })
}

/// Divergence of the best of `n` draws, in nats (Stiennon et al. 2020; exact where no two draws tie).
fn best_of(n: u64) -> f64 {
    let n = n as f64;
    n.ln() - (n - 1.0) / n
}

fn gains(run: &Run, arm: &str) -> Option<Panel> {
    let (mut series, mut parted) = (Vec::new(), Vec::new());
    for (index, judge) in JUDGES.iter().enumerate() {
        let [mean, low, high] =
            ["", "/low", "/high"].map(|end| curve(run, arm, &format!("gain/{judge}{end}")));
        if mean.is_empty() {
            continue;
        }
        let at = |(step, value): &(u64, f64)| (*step as f64, *value);
        if let Look::Series(slot) = judge_look(index) {
            let points = low.iter().chain(high.iter().rev()).map(at).collect();
            series.push(Series { label: format!("judge/{judge}, 95 %"), look: Look::Band(slot), points });
        }
        let points = mean.iter().map(at).collect();
        series.push(Series { label: format!("judge/{judge}"), look: judge_look(index), points });
        if let Some((_, step, _)) = parting(run, arm, judge) {
            let points = mean.iter().filter(|(at, _)| *at == step).map(at).collect();
            parted.push(Series { label: "judges part".into(), look: PARTED, points });
        }
    }
    // On top of the lines.
    series.append(&mut parted);
    let parted = JUDGES.iter().filter_map(|judge| Some((judge, parting(run, arm, judge)?.1)));
    let parted: Vec<String> = parted.map(|(judge, step)| format!("{judge} parts at step {step}")).collect();
    let parted = if parted.is_empty() { "no judge parts from the proxy".into() } else { parted.join("; ") };
    (!series.is_empty()).then(|| Panel {
        title: format!("{arm}: what it shows"),
        description: format!("Change of the judges' scores over the steps, arm {arm}: {parted}."),
        plot: Plot::Curves(Curves { x_label: "step".into(), frame: Frame::Data, series }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_one_is_the_policy_itself_and_of_many_costs_little_more_than_their_logarithm() {
        assert!(best_of(1).abs() < 1e-15);
        assert!((best_of(2) - (2f64.ln() - 0.5)).abs() < 1e-15);
        assert!((best_of(16) - (16f64.ln() - 15.0 / 16.0)).abs() < 1e-15);
    }
}
