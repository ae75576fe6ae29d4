//! How good the proxy becomes with more data, and what could be known at best.

use super::{Words, figure};
use crate::chart::{Curves, Figure, Frame, Look, Panel, Plot, Series};
use crate::load::Run;
use crate::number;
use crate::schema::{JudgeReport, TrialHead};

/// One panel per head: AUC over training users.
pub(super) fn judge_data(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "judge-data",
        title: "The proxy judge with more data",
        caption: "AUC of each head on users that no judge was trained on, by the number of users the proxy learns from. Where the \
                  world is known, AUCs are expected over the dice that decided the labels, and the grey line is the Bayes-optimal \
                  prediction, which knows the users' hidden state.",
    };
    let report = run.judges.as_ref()?;
    let measured = report.trials.iter().any(|trial| trial.label_noise == 0.0);
    let heads = report.judges.first().filter(|_| measured).map(|proxy| proxy.heads.as_slice());
    let panels = heads.unwrap_or_default().iter().filter_map(|quality| panel(report, &quality.head));
    let mut legend = vec![("proxy".to_owned(), Look::Series(0))];
    legend.extend((!report.attainable.is_empty()).then(|| (BEST.to_owned(), Look::Baseline)));
    figure(words, legend, panels.collect())
}

const BEST: &str = "Bayes-optimal";

fn panel(report: &JudgeReport, head: &str) -> Option<Panel> {
    let of = |heads: &[TrialHead]| heads.iter().find(|found| found.head == head).and_then(auc);
    let trials = report.trials.iter().filter(|trial| trial.label_noise == 0.0);
    let mut points: Vec<(f64, f64)> =
        trials.filter_map(|trial| Some((trial.train_users as f64, of(&trial.heads)?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (points.first()?.0, points.last()?.0);
    let mut described: Vec<_> =
        points.iter().map(|(users, auc)| format!("{users} users {}", number::decimal(*auc))).collect();
    let mut series = Vec::new();
    if let Some(best) = of(&report.attainable) {
        described.push(format!("{BEST} {}", number::decimal(best)));
        let points = vec![(first, best), (last, best)];
        series.push(Series { label: BEST.into(), look: Look::Baseline, points });
    }
    series.push(Series { label: "proxy".into(), look: Look::Series(0), points });
    Some(Panel {
        title: format!("head {head}: AUC (share)"),
        description: format!("AUC of head {head} over training users: {}.", described.join("; ")),
        plot: Plot::Curves(Curves { x_label: "training users".into(), frame: Frame::Data, series }),
    })
}

/// Free of the labels' noise where it can be.
fn auc(head: &TrialHead) -> Option<f64> {
    head.expected_auc.or(head.auc)
}
