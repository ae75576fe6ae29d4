//! What preference pairs are worth: how far the proxy tells them apart, and whether others agree.

use super::{Words, figure, look, titled};
use crate::arm::ArmStage;
use crate::chart::{Curves, Figure, Frame, Panel, Plot, Series};
use crate::load::Run;
use crate::number;
use crate::schema::PairMargins;

/// Bars of a histogram.
const BINS: usize = 20;
/// Groups of equally many pairs, by margin.
const FIFTHS: usize = 5;
/// The judge that made the pairs.
pub(crate) const PROXY: &str = "proxy";

pub(super) fn pairs(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "pairs",
        title: "Quality of the preference pairs",
        caption: "Pairs of each arm's last round. First: how many pairs the proxy separates by how much. Then: the share of \
                  pairs whose order another judge confirms, by fifths of the proxy's margin; one half is a coin.",
    };
    let last = last_rounds(run);
    let mut panels: Vec<Panel> = histogram(run, &last).into_iter().collect();
    panels.extend(["held-out", "oracle"].iter().filter_map(|judge| agreement(run, &last, judge)));
    let legend = last.iter().map(|(arm, _)| ((*arm).to_owned(), look(run, arm))).collect();
    figure(words, legend, panels)
}

/// The pairs of every arm's last round.
fn last_rounds(run: &Run) -> Vec<(&str, &PairMargins)> {
    let last = |arm: &str| {
        let is_own =
            |pairs: &&PairMargins| ArmStage::parse(&pairs.stage).is_some_and(|stage| stage.arm == arm);
        let own = run.pairs.iter().filter(is_own);
        own.max_by_key(|pairs| ArmStage::parse(&pairs.stage).map(|stage| stage.round))
    };
    run.arms().into_iter().filter_map(|arm| Some((arm, last(arm)?))).collect()
}

fn histogram(run: &Run, last: &[(&str, &PairMargins)]) -> Option<Panel> {
    let margins = || last.iter().filter_map(|(arm, pairs)| Some((*arm, pairs.margins.get(PROXY)?)));
    let finite =
        |values: &[f64]| values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
    let most = margins().flat_map(|(_, values)| finite(values)).fold(0.0, f64::max);
    let series: Vec<Series> = margins()
        .filter(|(_, values)| !values.is_empty())
        .map(|(arm, values)| Series {
            label: arm.to_owned(),
            look: look(run, arm),
            points: outline(&finite(values), most),
        })
        .collect();
    (most > 0.0 && !series.is_empty()).then(|| Panel {
        title: "pairs per bar (pairs)".into(),
        description: format!(
            "Histogram of margin/mean over pairs, {BINS} bars from 0 to {}.",
            number::decimal(most)
        ),
        plot: Plot::Curves(Curves {
            x_label: "margin by the proxy (score)".into(),
            frame: Frame::Continuous,
            series,
        }),
    })
}

/// The outline of the bars from 0 to `most`.
fn outline(values: &[f64], most: f64) -> Vec<(f64, f64)> {
    let mut counts = [0.0; BINS];
    for value in values {
        let bin = (value / most * BINS as f64).clamp(0.0, (BINS - 1) as f64);
        counts[bin as usize] += 1.0;
    }
    let edge = |bin: usize| most * bin as f64 / BINS as f64;
    let bars =
        counts.iter().enumerate().flat_map(|(bin, count)| [(edge(bin), *count), (edge(bin + 1), *count)]);
    std::iter::once((0.0, 0.0)).chain(bars).chain([(most, 0.0)]).collect()
}

fn agreement(run: &Run, last: &[(&str, &PairMargins)], judge: &str) -> Option<Panel> {
    let line = |(arm, pairs): &(&str, &PairMargins)| {
        let points = fifths(pairs.margins.get(PROXY)?, pairs.margins.get(judge)?);
        (!points.is_empty()).then(|| Series { label: (*arm).to_owned(), look: look(run, arm), points })
    };
    let series: Vec<Series> = last.iter().filter_map(line).collect();
    (!series.is_empty()).then(|| Panel {
        title: format!("{judge} agrees (share)"),
        description: format!(
            "Share of pairs whose order the {judge} judge confirms, by fifths of the proxy's margin."
        ),
        plot: Plot::Curves(Curves { x_label: titled_margin(), frame: Frame::Continuous, series }),
    })
}

fn titled_margin() -> String {
    titled("margin/mean").replace("margin/mean", "mean margin in the fifth")
}

/// Mean margin and share of positive margins by the other judge, per fifth of the pairs.
fn fifths(proxy: &[f64], other: &[f64]) -> Vec<(f64, f64)> {
    let mut pairs: Vec<(f64, f64)> = proxy.iter().copied().zip(other.iter().copied()).collect();
    pairs.retain(|(proxy, other)| proxy.is_finite() && other.is_finite());
    if pairs.len() < 2 * FIFTHS {
        return Vec::new();
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs
        .chunks(pairs.len().div_ceil(FIFTHS))
        .map(|part| {
            let count = part.len() as f64;
            let agreed = part.iter().filter(|(_, other)| *other > 0.0).count() as f64;
            (part.iter().map(|(proxy, _)| proxy).sum::<f64>() / count, agreed / count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_every_pair_once() {
        let values: Vec<f64> = (0..=100).map(|index| f64::from(index) / 100.0).collect();
        let outline = outline(&values, 1.0);
        let total: f64 = outline[1..].chunks(2).map(|ends| ends[0].1).sum();
        assert!((total - 101.0).abs() < 1e-9, "{total}");
        assert!(outline.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn agreement_is_the_share_of_confirmed_orders() {
        let proxy: Vec<f64> = (0..10).map(f64::from).collect();
        let other: Vec<f64> = (0..10).map(|index| if index % 2 == 0 { -1.0 } else { 1.0 }).collect();
        let found = fifths(&proxy, &other);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|(_, share)| (share - 0.5).abs() < 1e-12));
        assert!(fifths(&proxy[..3], &other[..3]).is_empty());
    }
}
