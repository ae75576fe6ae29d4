//! What may be claimed. A gain is claimed only with an interval that excludes zero; a proxy that rises alone is an alarm.

use crate::load::Run;
use crate::schema::{Comparison, Estimate, Evaluation, SystemResult};
use serde::Serialize;

/// The metric of the judge that alignment optimises.
pub const PROXY: &str = "judge/proxy";
/// The judges that alignment never sees, most trustworthy last.
pub const INDEPENDENT: [&str; 2] = ["judge/held-out", "judge/oracle"];

/// What a 95 % interval of a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The whole interval is above zero.
    Rises,
    /// The whole interval is below zero.
    Falls,
    /// The interval includes zero.
    InsideNoise,
    /// There is no interval (a metric without spread over users), so nothing is claimed.
    NoInterval,
}

impl Change {
    /// Reads an interval.
    pub fn of(difference: &Estimate) -> Self {
        let Estimate { low, high, .. } = *difference;
        if low >= high {
            Self::NoInterval
        } else if low > 0.0 {
            Self::Rises
        } else if high < 0.0 {
            Self::Falls
        } else {
            Self::InsideNoise
        }
    }

    /// The words a report prints.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Rises => "rises",
            Self::Falls => "falls",
            Self::InsideNoise => "inside noise",
            Self::NoInterval => "no interval",
        }
    }
}

/// One difference, read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Metric key.
    pub metric: String,
    /// Aligned minus base.
    pub difference: Estimate,
    /// What the interval says.
    pub change: Change,
}

/// Why a rise of the proxy is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    /// The proxy rises and an independent judge falls.
    RewardHacking,
    /// The proxy rises and an independent judge does not move beyond noise.
    Unconfirmed,
    /// The proxy rises and no independent judge was measured.
    Unchecked,
}

/// What can be said of one aligned system against the pretrained policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SystemVerdict {
    /// Name of the arm.
    pub system: String,
    /// Judges in the order proxy, held-out, oracle, others.
    pub judges: Vec<Finding>,
    /// The headline ranking metrics (NDCG and Recall at 10 where measured).
    pub ranking: Vec<Finding>,
    /// Set when the proxy's rise cannot be trusted, with the judge that denies it.
    pub alarm: Option<(Alarm, Option<String>)>,
}

/// The verdict of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Per aligned system, in evaluation order.
    pub systems: Vec<SystemVerdict>,
    /// Intervals in the evaluation's comparisons over all users; about one in twenty excludes zero by chance.
    pub intervals: usize,
    /// The best baseline on the headline ranking metric against the pretrained policy.
    pub baseline: Option<BaselineCheck>,
}

/// The pretrained policy beside the best baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BaselineCheck {
    /// The ranking metric.
    pub metric: String,
    /// Name of the pretrained policy.
    pub policy: String,
    /// Its value.
    pub policy_estimate: Estimate,
    /// Name of the best baseline.
    pub baseline: String,
    /// Its value.
    pub baseline_estimate: Estimate,
}

impl BaselineCheck {
    /// Compares the two intervals; they are not paired, so overlap proves nothing either way.
    pub fn words(&self) -> &'static str {
        if self.policy_estimate.low > self.baseline_estimate.high {
            "above"
        } else if self.policy_estimate.high < self.baseline_estimate.low {
            "below"
        } else {
            "not separated from"
        }
    }
}

/// Reads the evaluation of a run; an empty verdict when there is none.
pub fn judge(run: &Run) -> Verdict {
    let Some(evaluation) = &run.evaluation else {
        return Verdict::default();
    };
    let aligned = evaluation.systems.iter().filter(|system| system.role == "aligned");
    Verdict {
        systems: aligned.map(|system| system_verdict(evaluation, system)).collect(),
        intervals: evaluation.comparisons.iter().filter(|comparison| has_interval(comparison)).count(),
        baseline: baseline_check(evaluation),
    }
}

/// The ranking metric a headline uses: `ndcg@10` when measured, else the first NDCG or Recall.
pub fn headline_ranking(evaluation: &Evaluation) -> Option<String> {
    let mut keys = evaluation.systems.iter().flat_map(|system| system.metrics.keys());
    let has = |wanted: &str| evaluation.systems.iter().any(|system| system.metrics.contains_key(wanted));
    if has("ndcg@10") {
        return Some("ndcg@10".to_owned());
    }
    keys.find(|key| {
        (key.starts_with("ndcg@") || key.starts_with("recall@")) && crate::glossary::slice(key).is_none()
    })
    .cloned()
}

fn has_interval(comparison: &Comparison) -> bool {
    crate::glossary::slice(&comparison.metric).is_none()
        && Change::of(&comparison.difference) != Change::NoInterval
}

fn system_verdict(evaluation: &Evaluation, system: &SystemResult) -> SystemVerdict {
    let own: Vec<_> =
        evaluation.comparisons.iter().filter(|comparison| comparison.system == system.name).collect();
    let find = |metric: &str| own.iter().find(|comparison| comparison.metric == metric).map(|c| finding(c));
    let known = [PROXY, INDEPENDENT[0], INDEPENDENT[1]];
    let others = own.iter().filter(|c| {
        c.metric.starts_with("judge/")
            && !known.contains(&c.metric.as_str())
            && crate::glossary::slice(&c.metric).is_none()
    });
    let judges: Vec<_> =
        known.iter().filter_map(|metric| find(metric)).chain(others.map(|c| finding(c))).collect();
    let mut ranking: Vec<_> = ["ndcg@10", "recall@10"].iter().filter_map(|metric| find(metric)).collect();
    if ranking.is_empty() {
        ranking.extend(headline_ranking(evaluation).and_then(|metric| find(&metric)));
    }
    SystemVerdict { system: system.name.clone(), alarm: alarm(&judges), judges, ranking }
}

fn finding(comparison: &Comparison) -> Finding {
    Finding {
        metric: comparison.metric.clone(),
        difference: comparison.difference,
        change: Change::of(&comparison.difference),
    }
}

/// The worst reading wins: a falling independent judge over an unmoved one over none.
fn alarm(judges: &[Finding]) -> Option<(Alarm, Option<String>)> {
    let change =
        |metric: &str| judges.iter().find(|finding| finding.metric == metric).map(|finding| finding.change);
    if change(PROXY) != Some(Change::Rises) {
        return None;
    }
    let measured: Vec<_> = INDEPENDENT.iter().filter_map(|metric| Some((*metric, change(metric)?))).collect();
    if measured.is_empty() {
        return Some((Alarm::Unchecked, None));
    }
    let falling = measured.iter().rev().find(|(_, change)| *change == Change::Falls);
    let unmoved = measured.iter().rev().find(|(_, change)| *change != Change::Rises);
    match (falling, unmoved) {
        (Some((metric, _)), _) => Some((Alarm::RewardHacking, Some((*metric).to_owned()))),
        (None, Some((metric, _))) => Some((Alarm::Unconfirmed, Some((*metric).to_owned()))),
        (None, None) => None,
    }
}

fn baseline_check(evaluation: &Evaluation) -> Option<BaselineCheck> {
    let metric = headline_ranking(evaluation)?;
    let measured = |role: &'static str| {
        let systems = evaluation.systems.iter().filter(move |system| system.role == role);
        systems.filter_map(|system| Some((system.name.clone(), *system.metrics.get(&metric)?)))
    };
    let (policy, policy_estimate) = measured("base").next()?;
    let (baseline, baseline_estimate) =
        measured("baseline").max_by(|left, right| left.1.value.total_cmp(&right.1.value))?;
    Some(BaselineCheck { metric: metric.clone(), policy, policy_estimate, baseline, baseline_estimate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding_of(metric: &str, low: f64, high: f64) -> Finding {
        let difference = Estimate { value: f64::midpoint(low, high), low, high };
        Finding { metric: metric.into(), difference, change: Change::of(&difference) }
    }

    #[test]
    fn an_interval_that_touches_zero_is_noise() {
        let change = |low, high| Change::of(&Estimate { value: 0.1, low, high });
        assert_eq!(change(0.1, 0.2), Change::Rises);
        assert_eq!(change(-0.2, -0.1), Change::Falls);
        assert_eq!(change(-0.1, 0.2), Change::InsideNoise);
        assert_eq!(change(0.0, 0.2), Change::InsideNoise);
        assert_eq!(change(0.1, 0.1), Change::NoInterval);
    }

    #[test]
    fn a_proxy_that_rises_alone_raises_the_alarm() {
        let proxy = finding_of(PROXY, 0.1, 0.2);
        let held_out = |low, high| finding_of("judge/held-out", low, high);
        let oracle = |low, high| finding_of("judge/oracle", low, high);
        let kind = |judges: &[Finding]| alarm(judges).map(|(alarm, _)| alarm);
        assert_eq!(kind(&[proxy.clone(), held_out(0.1, 0.2), oracle(0.1, 0.2)]), None);
        assert_eq!(kind(&[proxy.clone(), held_out(0.1, 0.2), oracle(-0.1, 0.2)]), Some(Alarm::Unconfirmed));
        assert_eq!(
            kind(&[proxy.clone(), held_out(-0.3, -0.2), oracle(0.1, 0.2)]),
            Some(Alarm::RewardHacking)
        );
        assert_eq!(kind(&[proxy]), Some(Alarm::Unchecked));
    }

    #[test]
    fn a_proxy_inside_noise_raises_no_alarm() {
        let judges = [finding_of(PROXY, -0.1, 0.2), finding_of("judge/held-out", -0.3, -0.2)];
        assert_eq!(alarm(&judges), None);
    }
}
