//! What may be claimed, first and in plain words.

use super::Figures;
use crate::document::{Block, Cell, Section, Span, Style, Tone};
use crate::error::ReportError;
use crate::load::Run;
use crate::number;
use crate::schema::Stages;
use crate::verdict::{Alarm, BaselineCheck, Change, Finding, INDEPENDENT, SystemVerdict, Verdict};

pub(super) fn section(run: &Run, verdict: &Verdict, figures: &Figures<'_>) -> Result<Section, ReportError> {
    let mut blocks = vec![Block::Paragraph {
        spans: vec![Span::text(summary(run, verdict)).styled(Style::Strong).with_source(COMPARISONS)],
    }];
    blocks.extend(verdict.systems.iter().map(|system| in_one_line(run, system)));
    blocks.extend(verdict.systems.iter().map(system));
    blocks.extend(verdict.baseline.as_ref().map(|check| baseline(run, check)));
    blocks.extend(figures.block("headline")?);
    blocks.push(limits(run, verdict));
    Ok(Section { id: "verdict", title: "Verdict", blocks })
}

/// Where everything that is claimed came from.
const COMPARISONS: &str = "stage evaluate, key evaluation.comparisons";

/// One sentence about all aligned policies.
fn summary(run: &Run, verdict: &Verdict) -> String {
    let total = verdict.systems.len();
    if run.evaluation.is_none() {
        return "This run has not been evaluated: nothing can be claimed about its policies.".to_owned();
    }
    if run.record.stages == Stages::Pretraining {
        return pretrained_summary(verdict);
    }
    if total == 0 {
        return "No aligned policy was evaluated: there is nothing to compare with the pretrained policy."
            .to_owned();
    }
    let confirmed = verdict.systems.iter().filter(|system| confirmed(system)).count();
    let alarms = verdict.systems.iter().filter(|system| system.alarm.is_some()).count();
    let policies = if total == 1 { "aligned policy" } else { "aligned policies" };
    let claim = format!(
        "{confirmed} of {total} {policies} {} the judges that alignment never saw, beyond noise.",
        if confirmed == 1 { "gains with" } else { "gain with" },
    );
    match alarms {
        0 => claim,
        1 => format!("{claim} One rise of the proxy is not to be trusted."),
        _ => format!("{claim} {alarms} rises of the proxy are not to be trusted."),
    }
}

/// `ipa: held-out reward +0.0123 [+0.0101, +0.0145] over 1 seed and 800 users; Recall@10 inside noise; no alarm.`
fn in_one_line(run: &Run, system: &SystemVerdict) -> Block {
    // The space stands outside: Markdown knows no strong text that ends with one.
    let subject = Span::text(format!("{}:", system.system)).styled(Style::Strong);
    let mut spans = vec![subject, Span::text(" ")];
    let judge =
        INDEPENDENT.iter().find_map(|key| system.judges.iter().find(|finding| finding.metric == **key));
    match judge.or(system.judges.first()) {
        Some(finding) => {
            let key = format!("{} (system {}, aligned minus pretrained)", finding.metric, system.system);
            spans.push(Span::text(format!("{} reward ", finding.metric.trim_start_matches("judge/"))));
            spans.push(Span::number(number::difference(&finding.difference), "evaluate", &key));
        }
        None => spans.push(Span::text("no judge's reward was compared")),
    }
    let users = run.evaluation.as_ref().map_or(0, |evaluation| evaluation.users);
    spans.push(Span::text(" over "));
    spans.push(Span::text("1 seed").with_source("run.json, key seed"));
    spans.push(Span::text(" and "));
    spans.push(Span::number(number::count(users), "evaluate", "evaluation.users"));
    let recall = system.ranking.iter().find(|finding| finding.metric.starts_with("recall@"));
    let ranking = recall.or(system.ranking.first()).map_or_else(
        || "ranking not compared".to_owned(),
        |finding| format!("{} {}", name(&finding.metric), finding.change.words()),
    );
    let alarm = if system.alarm.is_some() { "alarm" } else { "no alarm" };
    spans.push(Span::text(format!(" users; {ranking}; {alarm}.")));
    Block::Paragraph { spans }
}

/// One sentence about a policy that nothing was to be aligned with.
fn pretrained_summary(verdict: &Verdict) -> String {
    let Some(check) = &verdict.baseline else {
        return "The pretrained policy was evaluated, but no baseline beside it.".to_owned();
    };
    let (words, metric) = (check.words(), name(&check.metric));
    format!("The pretrained policy is {words} the best baseline, {}, in {metric}.", check.baseline)
}

/// Every independent judge that was measured rises, and at least one was measured.
fn confirmed(system: &SystemVerdict) -> bool {
    let mut measured =
        system.judges.iter().filter(|finding| INDEPENDENT.contains(&finding.metric.as_str())).peekable();
    measured.peek().is_some() && measured.all(|finding| finding.change == Change::Rises)
}

/// A system in a box: what may be claimed, and what that rests on.
pub(crate) fn system(system: &SystemVerdict) -> Block {
    let falls = |findings: &[Finding]| findings.iter().any(|finding| finding.change == Change::Falls);
    let tone = match (&system.alarm, confirmed(system) && !falls(&system.ranking) && !falls(&system.judges)) {
        (Some(_), _) => Tone::Alarm,
        (None, true) => Tone::Good,
        (None, false) => Tone::Neutral,
    };
    let evidence =
        system.judges.iter().chain(&system.ranking).map(|finding| evidence(system, finding)).collect();
    Block::Callout { tone, title: system.system.clone(), spans: conclusion(system), evidence }
}

/// The system in two plain sentences: judges, then ranking.
fn conclusion(system: &SystemVerdict) -> Vec<Span> {
    let independent = system.judges.iter().filter(|finding| INDEPENDENT.contains(&finding.metric.as_str()));
    let judges = match &system.alarm {
        Some((alarm, judge)) => alarm_words(*alarm, judge.as_deref()),
        None if confirmed(system) => "Every judge that alignment never saw confirms a gain.".to_owned(),
        None if independent.clone().any(|finding| finding.change == Change::Falls) => {
            "A judge that alignment never saw rates the policy lower than before.".to_owned()
        }
        None if independent.count() == 0 => "No judge that alignment never saw was measured.".to_owned(),
        None => "No gain beyond noise with the judges that alignment never saw.".to_owned(),
    };
    let style = if system.alarm.is_some() { Style::Strong } else { Style::Plain };
    vec![Span::text(judges).styled(style), Span::text(" "), Span::text(ranking_words(&system.ranking))]
}

fn ranking_words(ranking: &[Finding]) -> &'static str {
    let any = |change| ranking.iter().any(|finding| finding.change == change);
    match (any(Change::Rises), any(Change::Falls)) {
        _ if ranking.is_empty() => "Ranking was not compared.",
        (true, true) => "Ranking metrics disagree.",
        (true, false) => "Ranking quality rises.",
        (false, true) => "Ranking quality falls.",
        (false, false) => "Ranking quality does not move beyond noise.",
    }
}

/// `held-out judge`, `+0.02 [0.01, 0.03]`, `rises`.
fn evidence(system: &SystemVerdict, finding: &Finding) -> [Cell; 3] {
    let style = match finding.change {
        Change::Rises => Style::Good,
        Change::Falls => Style::Bad,
        Change::InsideNoise | Change::NoInterval => Style::Quiet,
    };
    let key = format!("{} (system {}, aligned minus pretrained)", finding.metric, system.system);
    [
        vec![Span::text(name(&finding.metric))],
        vec![Span::number(number::difference(&finding.difference), "evaluate", &key)],
        vec![Span::text(finding.change.words()).styled(style)],
    ]
}

/// A metric as a person says it.
pub(super) fn name(metric: &str) -> String {
    match metric.strip_prefix("judge/") {
        Some(judge) => format!("{judge} judge"),
        None => metric.replace("ndcg", "NDCG").replace("recall", "Recall"),
    }
}

/// An alarm in a sentence, with the judge that denies the rise.
pub(crate) fn alarm_words(alarm: Alarm, judge: Option<&str>) -> String {
    let judge =
        judge.map_or_else(|| "no independent judge".to_owned(), |metric| format!("the {}", name(metric)));
    match alarm {
        Alarm::RewardHacking => {
            format!(
                "Alarm, reward hacking: the proxy rises while {judge} falls. The policy exploits the proxy; do not ship it."
            )
        }
        Alarm::Unconfirmed => {
            format!("Alarm, unconfirmed gain: the proxy rises but {judge} does not move beyond noise.")
        }
        Alarm::Unchecked => format!("Alarm, unchecked gain: the proxy rises and {judge} was measured."),
    }
}

fn baseline(run: &Run, check: &BaselineCheck) -> Block {
    let key = |system: &str| format!("{} (system {system})", check.metric);
    let when = match run.record.stages {
        Stages::Alignment => "Before any alignment, ",
        Stages::Pretraining => "",
    };
    Block::Paragraph {
        spans: vec![
            Span::text(format!("{when}{} of the pretrained policy is ", name(&check.metric))),
            Span::number(number::estimate(&check.policy_estimate), "evaluate", &key(&check.policy)),
            Span::text(format!(", {} the best baseline, {}, with ", check.words(), check.baseline)),
            Span::number(number::estimate(&check.baseline_estimate), "evaluate", &key(&check.baseline)),
            Span::text(" (each with its own interval over users, not paired)."),
        ],
    }
}

/// What the numbers cannot say.
fn limits(run: &Run, verdict: &Verdict) -> Block {
    let smoke = run.record.budget == "smoke";
    let mut sentences = vec![format!(
        "One run with one seed ({}): the intervals cover the choice of test users, not the spread between training \
         runs, so nothing here extends to another seed.",
        run.record.seed
    )];
    if verdict.intervals > 0 {
        let chance = number::fixed(verdict.intervals as f64 / 20.0, 1);
        sentences.push(format!(
            "{} differences are tested at 95 %; about {chance} of them would exclude zero by chance alone. Holm's p beside \
             the comparisons says which hold together.",
            verdict.intervals
        ));
    }
    if smoke {
        let words = "The budget was smoke: every stage was shrunk to check that it works, and no number here is a result.";
        sentences.push(words.to_owned());
    }
    if !run.not_finite.is_empty() {
        let count = run.not_finite.len();
        sentences.push(format!(
            "{count} measurements along the way are no finite numbers and are left out: something diverged."
        ));
    }
    if run.metrics_cut {
        let words = "The last line of metrics.jsonl was cut off by an interruption and is left out.";
        sentences.push(words.to_owned());
    }
    let source = "run.json, key seed; stage evaluate, key evaluation.comparisons; metrics.jsonl";
    let spans = vec![Span::text(sentences.join(" ")).with_source(source)];
    let tone = if smoke || !run.not_finite.is_empty() { Tone::Alarm } else { Tone::Neutral };
    Block::Callout { tone, title: "Limits".to_owned(), spans, evidence: Vec::new() }
}
