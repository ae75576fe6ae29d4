//! `recalign watch`: a run in the terminal, by looking at its directory now and then.

use super::output::print;
use super::table;
use crate::cli::WatchArgs;
use crate::progress::duration;
use crate::run::live::{self, Live};
use reports::load::{self, Run};
use reports::schema::MetricRow;
use reports::verdict;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

/// Curves that are shown where they are measured.
pub(crate) const KEYS: [&str; 12] = [
    "loss",
    "validation/ndcg@10",
    "proxy/loss",
    "held-out/loss",
    "reward",
    "judge/proxy",
    "judge/held-out",
    "judge/oracle",
    "kl",
    "entropy",
    "rewards/accuracies",
    "legal_mass",
];
/// Characters of a curve.
const WIDTH: usize = 40;
/// Heights of a character.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn watch(arguments: &WatchArgs) -> anyhow::Result<()> {
    let every = arguments.every;
    anyhow::ensure!(every.is_finite() && every > 0.0, "--every {every}: must be a number of seconds above 0");
    let terminal = std::io::stdout().is_terminal();
    loop {
        let run = load::load(&arguments.run)?;
        let live = live::read(&arguments.run);
        let text = dashboard(&run, &live);
        print(&if terminal && !arguments.once { format!("{CLEAR}{text}") } else { text })?;
        if arguments.once || live.is_empty() && is_complete(&run, &arguments.run) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs_f64(every));
    }
}

/// A run whose report is there and whose stages are all finished has nothing more to show.
pub(crate) fn is_complete(run: &Run, dir: &Path) -> bool {
    run.unfinished.is_empty() && run.evaluation.is_some() && dir.join("report/index.html").is_file()
}

fn dashboard(run: &Run, live: &[Live]) -> String {
    let record = &run.record;
    let mut text = format!(
        "{}  seed {}  budget {}  device {}\n\n",
        record.name, record.seed, record.budget, record.device
    );
    text.push_str(&stages(run, live));
    text.push_str(&curves(run, live));
    text.push_str(&claims(run));
    text
}

fn stages(run: &Run, live: &[Live]) -> String {
    let rows = stage_rows(run, live);
    if rows.is_empty() {
        "no stage has begun\n".into()
    } else {
        table::render(&["stage", "state", "time", "left"], &rows)
    }
}

/// Per stage: name, state, time, and the time that is left.
pub(crate) fn stage_rows(run: &Run, live: &[Live]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = run
        .stages
        .iter()
        .map(|stage| {
            let manifest = &stage.manifest;
            vec![manifest.stage.clone(), "done".into(), duration(manifest.seconds), String::new()]
        })
        .collect();
    for stage in live {
        let (done, left) = match &stage.progress {
            Some(at) => (format!("{} {}/{}", at.label, at.done, at.total), duration(at.left())),
            None => ("running".into(), String::new()),
        };
        let seconds = stage.progress.as_ref().map_or(0.0, |at| at.seconds);
        rows.push(vec![stage.stage.clone(), done, duration(seconds), left]);
    }
    let waiting = run.unfinished.iter().filter(|name| live.iter().all(|live| live.stage != **name));
    rows.extend(waiting.map(|name| vec![name.clone(), "unfinished".into(), String::new(), String::new()]));
    rows
}

/// A line per stage and key: the curve, its last value.
fn curves(run: &Run, live: &[Live]) -> String {
    let rows = || run.metrics.iter().chain(live.iter().flat_map(|live| &live.rows));
    let mut stages: Vec<&str> = Vec::new();
    for row in rows() {
        if !stages.contains(&row.stage.as_str()) {
            stages.push(&row.stage);
        }
    }
    let mut text = String::new();
    for stage in stages {
        for key in KEYS {
            let own = rows().filter(|row| row.stage == stage && row.key == key);
            let values: Vec<f64> = own.map(|row: &MetricRow| row.value).collect();
            if values.len() > 1 {
                let last = reports::number::decimal(values[values.len() - 1]);
                let name = format!("{stage}  {key}");
                let _ = write!(text, "\n{name:<38}  {}  {last}", sparkline(&values));
            }
        }
    }
    if text.is_empty() { "\nno curve yet\n".into() } else { text + "\n" }
}

/// The means of equal stretches, from the least to the greatest.
fn sparkline(values: &[f64]) -> String {
    let stretch = values.len().div_ceil(WIDTH);
    let means: Vec<f64> =
        values.chunks(stretch).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |mean: &f64| {
        let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
        BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    means.iter().map(bar).collect()
}

/// What the evaluation allows to claim.
fn claims(run: &Run) -> String {
    let verdict = verdict::judge(run);
    let mut text = String::new();
    for system in &verdict.systems {
        let alarm = if system.alarm.is_some() { "ALARM  " } else { "" };
        let findings = system.judges.iter().chain(&system.ranking);
        let words = findings.map(|finding| {
            format!(
                "{} {} {}",
                finding.metric,
                reports::number::difference(&finding.difference),
                finding.change.words()
            )
        });
        let _ = write!(text, "\n{alarm}{}: {}", system.system, words.collect::<Vec<_>>().join("; "));
    }
    if text.is_empty() { text } else { text + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_becomes_a_line_of_bars() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0]), "▁▃▆█");
        assert_eq!(sparkline(&[5.0, 5.0]), "▅▅");
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        assert!(sparkline(&long).chars().count() <= WIDTH && sparkline(&long).ends_with('█'));
    }
}
