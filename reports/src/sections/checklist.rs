//! The checklist of the `NeurIPS` conference, answered from the run, and what this report could not show.

use crate::document::{Block, Column, Section, Span, Style, Table, paragraph};
use crate::load::Run;
use crate::schema::Stages;

/// A question of the checklist, the answer, and why.
type Answer = (&'static str, &'static str, String);

pub(super) fn checklist(run: &Run) -> Block {
    let record = &run.record;
    let source = run.data_card.as_ref().map_or("not known: ingest has not run", |card| card.source.as_str());
    let answers: [Answer; 12] = [
        ("Claims", "yes", "the verdict says no more than its intervals; see Verdict and Limits".into()),
        ("Limitations", "yes", "stated under Limits; one seed unless several runs are compared".into()),
        ("Theory", "not applicable", "no theorem is claimed".into()),
        (
            "Experimental reproducibility",
            "yes",
            format!(
                "seed {}, recalign {}, configuration and hashes of every file in this report",
                record.seed, record.version
            ),
        ),
        (
            "Open access to data and code",
            "depends",
            format!("data source: {source}; the program is free software"),
        ),
        (
            "Experimental setting",
            "yes",
            "the resolved configuration is printed whole; see Configuration".into(),
        ),
        (
            "Statistical significance",
            significance(run),
            "95 % percentile bootstrap over test users; differences paired; Holm's adjustment beside them"
                .into(),
        ),
        (
            "Compute resources",
            "yes",
            "time, memory and an energy estimate per stage; see Stages and Cost".into(),
        ),
        (
            "Ethics",
            "for the authors",
            "the program cannot know where the log came from or who consented".into(),
        ),
        (
            "Broader impacts",
            "in part",
            "exposure, popularity bias and groups of users; see Societal impact".into(),
        ),
        (
            "Safeguards",
            "in part",
            "a policy cannot recommend items outside the catalogue; alarms where the proxy is exploited"
                .into(),
        ),
        ("Licences of data and models", "for the authors", "a log's licence is not among its columns".into()),
    ];
    let row = |(question, answer, why): &Answer| {
        vec![
            vec![Span::text(*question)],
            vec![Span::text(*answer)],
            vec![Span::text(why).with_source("run.json; data_card.json")],
        ]
    };
    let columns = vec![Column::text("question"), Column::text("answer"), Column::prose("why")];
    let rows = answers.iter().map(row).collect();
    Block::Table(Table { caption: "NeurIPS checklist, as far as a run can answer it".into(), columns, rows })
}

fn significance(run: &Run) -> &'static str {
    if run.evaluation.is_some() { "yes" } else { "not yet" }
}

/// Everything the report would show if the run had it.
pub(super) fn absent(run: &Run) -> Section {
    let mut rows = Vec::new();
    let mut say = |what: &str, why: &str| {
        rows.push(vec![vec![Span::text(what)], vec![Span::text(why).styled(Style::Quiet)]]);
    };
    let stage = |name: &str| run.stages.iter().any(|stage| stage.manifest.stage == name);
    for name in ["ingest", "tokenize", "pretrain", "evaluate"] {
        if !stage(name) {
            say(&format!("stage {name}"), "it has not run to its end");
        }
    }
    let measured = |key: &str| run.metrics.iter().any(|row| row.key == key);
    if run.record.stages == Stages::Alignment {
        if !stage("reward") {
            say("stage reward", "it has not run to its end");
        }
        if run.arms().is_empty() {
            say("alignment", "no arm has run");
        }
        for (key, why) in [
            ("kl", "no objective of this run measures a divergence from its reference"),
            (
                "kl/pretrained",
                "no probe measured the divergence from the pretrained policy, so the Goodhart gauge is empty",
            ),
            ("entropy", "no stage measured the policy's entropy"),
            ("logps/chosen", "no objective of this run learns from pairs"),
        ] {
            if !measured(key) {
                say(key, why);
            }
        }
        if run.pairs.is_empty() {
            say("preference pairs", "no sampling stage has written pairs, or they could not be read");
        }
        if run.cases.is_none() {
            say("worst cases", "the evaluation kept none");
        }
    }
    if run.scaling.as_ref().is_some_and(|scaling| scaling.selector.is_none()) {
        say("choices of a judge in test-time scaling", "the run has no judges");
    }
    if run.evaluation.as_ref().is_some_and(|evaluation| evaluation.slices.is_empty()) {
        say("groups of users", "the evaluation is of a version that told none apart");
    }
    if run.stages.iter().all(|stage| stage.manifest.peak_memory.is_none()) {
        say("peak memory", "the system did not tell, or the run is of an older version");
    }
    if let Some(first) = run.not_finite.first() {
        let what = format!("{} measurements that are no finite number", run.not_finite.len());
        let why = format!(
            "the first is {} of stage {} at step {}; no curve shows them",
            first.key, first.stage, first.step
        );
        say(&what, &why);
    }
    if run.metrics_cut {
        say("the last row of metrics.jsonl", "it was cut off by an interruption");
    }
    let blocks = if rows.is_empty() {
        vec![paragraph("Nothing: every section has its data.")]
    } else {
        let columns = vec![Column::text("missing"), Column::prose("why")];
        vec![Block::Table(Table { caption: "What this report could not show".into(), columns, rows })]
    };
    Section { id: "missing", title: "What is missing", blocks }
}
