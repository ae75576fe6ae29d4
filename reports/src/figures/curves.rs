//! Figures of curves over steps.

use super::{Words, figure, judge_look, look, titled};
use crate::arm::{ArmStage, Phase};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::load::Run;
use crate::number;

/// A line longer than this is thinned: the least and the greatest value of every stretch are kept, nothing is averaged.
const MOST_POINTS: usize = 600;

/// Curves over the steps of the alignment arms: name, title, caption, keys (one panel each).
const ALIGNMENT: [(&str, &str, &str, &[&str]); 6] = [
    (
        "reward",
        "Reward of the alignment arms over steps",
        "The proxy is what training sees. Where the other judges were measured along the way, they must rise with it.",
        &["reward", "judge/proxy", "judge/held-out", "judge/oracle"],
    ),
    (
        "kl",
        "Divergence from the reference over steps",
        "The price paid for the reward. An objective whose reference moves starts again from zero at every round.",
        &["kl"],
    ),
    (
        "margins",
        "Implicit reward margins and pair accuracies over steps",
        "Accuracy starts at one half and the margin at zero wherever the policy still equals its reference.",
        &["rewards/margins", "rewards/accuracies"],
    ),
    (
        "log-probs",
        "Log-probabilities of chosen and rejected items over steps",
        "Shown apart on purpose: a growing margin with both falling removes probability from what users liked.",
        &["logps/chosen", "logps/rejected"],
    ),
    (
        "exploration",
        "Entropy and legality over steps",
        "A collapsing entropy means that the policy stopped exploring; legality is the probability an unconstrained policy \
         would give to codes of existing items.",
        &["entropy", "legal_mass", "train/legal_mass"],
    ),
    (
        "optimisation",
        "Loss, gradient and learning signal over steps",
        "Losses of different objectives are not comparable in level.",
        &["loss", "grad_norm", "clip_ratio/region_mean", "frac_reward_zero_std"],
    ),
];

/// The figures of the alignment arms.
pub(super) fn alignment(run: &Run) -> impl Iterator<Item = Option<Figure>> {
    ALIGNMENT
        .into_iter()
        .map(|(name, title, caption, keys)| arm_figure(run, Words { name, title, caption }, keys))
}

pub(super) fn pretraining(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "pretraining",
        title: "Learning curves",
        caption: "Training loss per step and ranking quality on the validation items. Lines of more than 600 points keep \
                  the least and the greatest value of every stretch.",
    };
    let keys = ["loss", "validation/ndcg@10", "validation/recall@10"];
    let panels = keys.map(|key| {
        curve_panel(
            key,
            vec![("pretrain".to_owned(), Look::Series(0), run.series(key, |stage| stage == "pretrain"))],
        )
    });
    figure(words, Vec::new(), panels.into_iter().flatten().collect())
}

pub(super) fn judge_training(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "judge-training",
        title: "Training of the judges",
        caption: "Training loss of each judge per step.",
    };
    let panels = ["proxy/loss", "held-out/loss"].iter().enumerate().map(|(index, key)| {
        let points = run.series(key, |stage| ArmStage::parse(stage).is_none());
        curve_panel(key, vec![((*key).to_owned(), judge_look(index), points)])
    });
    figure(words, Vec::new(), panels.flatten().collect())
}

fn arm_figure(run: &Run, words: Words<'_>, keys: &[&str]) -> Option<Figure> {
    let arms = run.arms();
    let panels: Vec<_> = keys
        .iter()
        .filter_map(|key| {
            let series =
                arms.iter().map(|arm| ((*arm).to_owned(), look(run, arm), arm_series(run, arm, key)));
            curve_panel(key, series.collect())
        })
        .collect();
    let drawn = |arm: &&&str| {
        let uses = |panel: &Panel| matches!(&panel.plot, Plot::Curves(curves) if curves.series.iter().any(|s| s.label == **arm));
        panels.iter().any(uses)
    };
    let legend = arms.iter().filter(drawn).map(|arm| ((*arm).to_owned(), look(run, arm))).collect();
    figure(words, legend, panels)
}

/// A metric of an arm over its steps: from the updates, or from sampling when only that measures it.
fn arm_series(run: &Run, arm: &str, key: &str) -> Vec<(f64, f64)> {
    let of = |phase| {
        run.series(key, |stage| {
            ArmStage::parse(stage).is_some_and(|stage| stage.arm == arm && stage.phase == phase)
        })
    };
    let updates = of(Phase::Align);
    if updates.is_empty() { of(Phase::Sample) } else { updates }
}

/// Name, look and points of a line.
type Line = (String, Look, Vec<(f64, f64)>);

/// A panel of one metric; `None` when no line has a point.
fn curve_panel(key: &str, lines: Vec<Line>) -> Option<Panel> {
    let mut series = Vec::new();
    for (label, look, points) in lines.into_iter().filter(|line| !line.2.is_empty()) {
        series.push(Series { label, look, points: thin(points) });
    }
    let ends = |series: &Series| {
        let (first, last) = (series.points.first()?.1, series.points.last()?.1);
        Some(format!("{} from {} to {}", series.label, number::decimal(first), number::decimal(last)))
    };
    let described: Vec<_> = series.iter().filter_map(ends).collect();
    (!series.is_empty()).then(|| Panel {
        title: titled(key),
        description: format!("{key} over steps: {}.", described.join("; ")),
        plot: Plot::Curves(Curves { x_label: "step".into(), frame: Frame::Data, series }),
    })
}

/// Keeps the extremes of equal stretches of a long line, in order.
pub(super) fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let last = points.len() - 1;
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let mut kept = vec![0, last];
    for (index, part) in points.chunks(stretch).enumerate() {
        let by_value = |left: &&usize, right: &&usize| part[**left].1.total_cmp(&part[**right].1);
        let indices: Vec<usize> = (0..part.len()).collect();
        let extremes = [indices.iter().min_by(by_value), indices.iter().max_by(by_value)];
        kept.extend(extremes.into_iter().flatten().map(|inside| index * stretch + inside));
    }
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|index| points[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_ends_and_the_extremes() {
        let mut points: Vec<_> = (0..10_000).map(|step| (f64::from(step), f64::from(step % 7))).collect();
        points[4321].1 = 1e6;
        points[8765].1 = -1e6;
        let thinned = thin(points.clone());
        assert!(thinned.len() <= MOST_POINTS + 2, "{}", thinned.len());
        for kept in [points[0], points[4321], points[8765], points[9999]] {
            assert!(thinned.contains(&kept), "{kept:?}");
        }
        assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn short_lines_are_left_alone() {
        let points = vec![(0.0, 1.0), (1.0, 1.0)];
        assert_eq!(thin(points.clone()), points);
    }
}
