//! Which figures a run has. A figure without data is left out; the sections say what is missing.

mod curves;
pub(crate) mod goodhart;
mod judge_data;
pub(crate) mod pairs;
mod reliability;
pub(crate) mod scaling;
mod tradeoffs;

use crate::chart::{Figure, Graph, Look, Panel, Plot, Row};
use crate::glossary;
use crate::load::Run;
use crate::schema::Evaluation;

/// All figures of a run, in reading order.
pub fn all(run: &Run) -> Vec<Figure> {
    let before = [
        headline(run),
        curves::pretraining(run),
        curves::judge_training(run),
        reliability::reliability(run),
        judge_data::judge_data(run),
    ];
    let tradeoffs =
        [goodhart::goodhart(run), tradeoffs::frontier(run), tradeoffs::efficiency(run), pairs::pairs(run)];
    let scaling = [scaling::by_candidates(run), scaling::by_cost(run)];
    let after = [ranking(run), slices(run), exposure(run), lineage(run)];
    before
        .into_iter()
        .chain(curves::alignment(run))
        .chain(tradeoffs)
        .chain(scaling)
        .chain(after)
        .flatten()
        .collect()
}

/// Name, heading and caption of a figure.
#[derive(Clone, Copy)]
struct Words<'a> {
    name: &'static str,
    title: &'a str,
    caption: &'a str,
}

fn headline(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "headline",
        title: "Judge scores before and after alignment",
        caption: "Mean score of what each system recommends to the test users, with 95 % bootstrap intervals over users; \
                  the dashed line is the pretrained policy. Only the proxy was visible to alignment.",
    };
    let keys = judge_keys(run.evaluation.as_ref()?);
    system_figure(run, words, &keys)
}

fn ranking(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "ranking",
        title: "Ranking quality beside the baselines",
        caption: "Test users' last items in the full ranking, with 95 % bootstrap intervals over users; the dashed line is \
                  the pretrained policy.",
    };
    let evaluation = run.evaluation.as_ref()?;
    let headline: Vec<_> =
        ["recall@10", "ndcg@10"].into_iter().filter(|key| has(evaluation, key)).map(String::from).collect();
    if headline.is_empty() {
        let first = crate::verdict::headline_ranking(evaluation)?;
        return system_figure(run, words, &[first]);
    }
    system_figure(run, words, &headline)
}

/// The headline ranking metric over every group of test users.
fn slices(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "slices",
        title: "Ranking quality by group of users",
        caption: "By how popular the user's next item is (head: the most popular tenth of the catalogue; mid: up to half of it; \
                  tail: the rest; cold: never seen in training), and by the length of the history. Scales differ.",
    };
    let evaluation = run.evaluation.as_ref()?;
    let metric = crate::verdict::headline_ranking(evaluation)?;
    let keys: Vec<String> = SLICES.iter().map(|slice| format!("{metric}/{slice}")).collect();
    let measured: Vec<String> = keys.into_iter().filter(|key| has(evaluation, key)).collect();
    system_figure(run, words, &measured)
}

/// Groups of test users in reading order.
pub(crate) const SLICES: [&str; 7] =
    ["head", "mid", "tail", "cold", "short-history", "medium-history", "long-history"];

/// How recommendations spread.
fn exposure(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "exposure",
        title: "Diversity, popularity and coverage of what is shown",
        caption: "Of every user's first ten items, with 95 % bootstrap intervals over users where a metric has values by user; \
                  the dashed line is the pretrained policy. None of these is better by itself.",
    };
    let evaluation = run.evaluation.as_ref()?;
    let keys = ["diversity@10", "head_share@10", "popularity@10", "gini@10", "coverage@10", "legal_mass"];
    let measured: Vec<String> =
        keys.into_iter().filter(|key| has(evaluation, key)).map(String::from).collect();
    system_figure(run, words, &measured)
}

fn has(evaluation: &Evaluation, key: &str) -> bool {
    evaluation.systems.iter().any(|system| system.metrics.contains_key(key))
}

/// Which stage read what of which.
fn lineage(run: &Run) -> Option<Figure> {
    let words = Words {
        name: "lineage",
        title: "Stages and what they were made of",
        caption: "Top to bottom in the order they ran. An arc leads from a stage to one that read its files; arcs that follow \
                  from others are left out here and listed in the data.",
    };
    let nodes: Vec<String> = run.stages.iter().map(|stage| stage.manifest.stage.clone()).collect();
    let place = |name: &str| nodes.iter().position(|node| node == name);
    let mut edges = Vec::new();
    for (to, stage) in run.stages.iter().enumerate() {
        let producers = stage.manifest.inputs.keys().filter_map(|input| run.producer(input));
        edges.extend(
            producers
                .filter_map(|(from, _)| Some((place(&from.manifest.stage)?, to)))
                .filter(|(from, to)| from < to),
        );
    }
    edges.sort_unstable();
    edges.dedup();
    let description = format!("{} stages: {}.", nodes.len(), nodes.join(", "));
    let panel = Panel { title: "stage".into(), description, plot: Plot::Graph(Graph { nodes, edges }) };
    figure(words, Vec::new(), (!run.stages.is_empty()).then_some(panel).into_iter().collect())
}

/// Judge metrics of an evaluation over all users: proxy, held-out, oracle, then others by name.
pub(crate) fn judge_keys(evaluation: &Evaluation) -> Vec<String> {
    let order = |key: &str| match key {
        "judge/proxy" => 0,
        "judge/held-out" => 1,
        "judge/oracle" => 2,
        _ => 3,
    };
    let keys = evaluation.systems.iter().flat_map(|system| system.metrics.keys());
    let mut keys: Vec<_> =
        keys.filter(|key| key.starts_with("judge/") && glossary::slice(key).is_none()).cloned().collect();
    keys.sort_by(|left, right| (order(left), left).cmp(&(order(right), right)));
    keys.dedup();
    keys
}

/// One interval panel per metric, one row per system.
fn system_figure(run: &Run, words: Words<'_>, keys: &[String]) -> Option<Figure> {
    let evaluation = run.evaluation.as_ref()?;
    let panels = keys.iter().map(|key| {
        let measured =
            evaluation.systems.iter().filter_map(|system| Some((system, *system.metrics.get(key)?)));
        let rows: Vec<_> = measured
            .map(|(system, estimate)| Row {
                label: system.name.clone(),
                look: look(run, &system.name),
                estimate,
            })
            .collect();
        let described =
            rows.iter().map(|row| format!("{} {}", row.label, crate::number::estimate(&row.estimate)));
        let description = format!("{key} by system: {}.", described.collect::<Vec<_>>().join("; "));
        Panel { title: titled(key), description, plot: Plot::Intervals(rows) }
    });
    figure(words, Vec::new(), panels.collect())
}

/// Looks of the judges: solid, dashed, ...
const fn judge_look(index: usize) -> Look {
    Look::Series(if index == 0 { 0 } else { index + 1 })
}

/// `key (unit)`, the unit from the glossary.
fn titled(key: &str) -> String {
    match glossary::unit(key) {
        "" => key.to_owned(),
        unit => format!("{key} ({unit})"),
    }
}

/// Looks by role: baselines grey, the pretrained policy first, every arm the same look in every figure.
fn look(run: &Run, system: &str) -> Look {
    if let Some(index) = run.arms().iter().position(|arm| *arm == system) {
        return Look::Series(index + 1);
    }
    let found =
        run.evaluation.iter().flat_map(|evaluation| &evaluation.systems).find(|found| found.name == system);
    if found.is_some_and(|found| found.role == "base") { Look::Series(0) } else { Look::Baseline }
}

fn figure(words: Words<'_>, legend: Vec<(String, Look)>, panels: Vec<Panel>) -> Option<Figure> {
    (!panels.is_empty()).then(|| Figure {
        name: words.name,
        title: words.title.to_owned(),
        caption: words.caption.to_owned(),
        legend,
        panels,
    })
}
