//! Reliability diagrams: what a judge predicts against what happened.

use super::{Words, figure, judge_look};
use crate::chart::{Curves, Figure, Frame, Panel, Plot, Series};
use crate::load::Run;
use crate::number;
use crate::schema::{HeadQuality, JudgeReport};

pub(super) fn reliability(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "reliability",
        title: "Reliability of the judges",
        caption: "Predicted against observed rate per bin of predictions, on users no judge was trained on; a calibrated \
                  head lies on the diagonal.",
    };
    let report = run.judges.as_ref()?;
    let mut heads: Vec<&str> = Vec::new();
    for head in report.judges.iter().flat_map(|judge| &judge.heads) {
        if !heads.contains(&head.head.as_str()) {
            heads.push(&head.head);
        }
    }
    let legend =
        report.judges.iter().enumerate().map(|(index, judge)| (judge.name.clone(), judge_look(index)));
    let panels = heads.iter().filter_map(|head| reliability_panel(report, head)).collect();
    figure(words, legend.collect(), panels)
}

fn reliability_panel(report: &JudgeReport, head: &str) -> Option<Panel> {
    let mut series = Vec::new();
    for (index, judge) in report.judges.iter().enumerate() {
        let own = judge.heads.iter().find(|quality| quality.head == head);
        let points = own.map(reliability_points).unwrap_or_default();
        if !points.is_empty() {
            series.push(Series { label: judge.name.clone(), look: judge_look(index), points });
        }
    }
    let errors =
        report.judges.iter().flat_map(|judge| judge.heads.iter().map(move |quality| (judge, quality)));
    let errors = errors.filter(|(_, quality)| quality.head == head);
    let described: Vec<_> =
        errors.map(|(judge, quality)| format!("{} {}", judge.name, number::decimal(quality.ece))).collect();
    (!series.is_empty()).then(|| Panel {
        title: format!("head {head}: observed rate (share)"),
        description: format!(
            "Reliability of head {head}; expected calibration error: {}.",
            described.join("; ")
        ),
        plot: Plot::Curves(Curves {
            x_label: "predicted rate (share)".into(),
            frame: Frame::UnitSquare,
            series,
        }),
    })
}

fn reliability_points(quality: &HeadQuality) -> Vec<(f64, f64)> {
    let filled = quality.reliability.iter().filter(|bin| bin.2 > 0);
    filled.map(|(predicted, observed, _)| (*predicted, *observed)).collect()
}
