//! Whole pages of synthetic sweeps: complete, failing, early, hostile.

#![allow(clippy::unwrap_used, reason = "tests")]

mod numbers;

use reports::schema::{Estimate, LevelQuality, TokenizerQuality};
use reports::sweep::{Line, Pooled, Reference, RunResult, SCHEMA, StageCost, State, Sweep, Validation};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Files = BTreeMap<String, String>;

fn rendered(sweep: &Sweep) -> Files {
    let files = reports::sweep::render(sweep).unwrap();
    files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

/// Rows with three seeds each, the first of them the baseline; all numbers are made up.
fn sweep(rows: &[(&str, f64)]) -> Sweep {
    let mut runs = Vec::new();
    for (index, (row, ndcg)) in rows.iter().enumerate() {
        runs.extend([1, 2, 3].map(|seed| run(row, seed, (ndcg, index))));
    }
    let mut lines: Vec<Line> = rows.iter().map(|(row, ndcg)| line(row, *ndcg, rows[0])).collect();
    lines.extend([("popularity", 0.0061), ("markov", 0.0176)].map(|(name, ndcg)| baseline(name, ndcg)));
    Sweep {
        schema: SCHEMA,
        name: "synthetic-sweep".into(),
        version: "0.1.0".into(),
        until: None,
        baseline: Some(rows[0].0.into()),
        runs,
        lines,
        published: vec![
            published("TIGER", Some(rows[0].0), "Rajput et al. 2023, arXiv 2305.05065, Table 1"),
            published("another system with a long name", None, "A paper of another year"),
        ],
    }
}

fn run(row: &str, seed: u64, (ndcg, index): (&f64, usize)) -> RunResult {
    let cost = |stage: &str, seconds: f64| StageCost {
        stage: stage.into(),
        fingerprint: String::new(),
        seconds,
        cpu_seconds: 1.8 * seconds,
        peak_memory: Some((seconds as u64 + 200) << 20),
    };
    let validation = (1..=12).map(|number| Validation {
        step: 100 * number,
        cpu_seconds: Some(number as f64 * (50.0 + 7.0 * index as f64)),
        ndcg: 1.2 * ndcg * (1.0 - (-(number as f64) / 4.0).exp()) + 0.0003 * (seed as f64 - 2.0),
    });
    RunResult {
        row: row.into(),
        seed,
        directory: format!("{row}-seed{seed}"),
        budget: "full".into(),
        state: State::Finished,
        stages: vec![cost("ingest", 1.1), cost("pretrain", 700.0 + 80.0 * index as f64)],
        parameters: Some(1_204_224 + 100_000 * index as u64),
        validation: validation.collect(),
        tokenizer: Some(tokenizer()),
        curves: curves(*ndcg, seed),
        config: [
            ("model.d_model".to_owned(), (64 * (1 + index)).to_string()),
            ("run.seed".to_owned(), seed.to_string()),
        ]
        .into(),
    }
}

/// One arm's held-out judge and divergence along the way.
fn curves(ndcg: f64, seed: u64) -> BTreeMap<String, BTreeMap<String, Vec<(f64, f64)>>> {
    let points = |scale: f64| -> Vec<(f64, f64)> {
        (0..20)
            .map(|step| (f64::from(step), scale * f64::from(step).sqrt() + 0.002 * (seed * 7 % 5) as f64))
            .collect()
    };
    let keys = [("judge/held-out".to_owned(), points(ndcg)), ("kl".to_owned(), points(0.01))];
    [("ipa".to_owned(), keys.into())].into()
}

fn tokenizer() -> TokenizerQuality {
    let level = |usage, entropy| LevelQuality {
        size: 256,
        usage,
        entropy,
        perplexity: Some(f64::exp(entropy)),
        residual: Some(0.4),
    };
    TokenizerQuality {
        quantizer: "residual-kmeans".into(),
        vectors: Some("fused".into()),
        collisions: "digit".into(),
        levels: vec![level(1.0, 5.21), level(0.992, 5.02), level(0.95, 4.87)],
        collision_rate: 0.064,
        largest_collision: 6,
        distinct_ids: 11_388,
        reconstruction_error: Some(0.42),
        embedding_hit_rate: 0.391,
        cooccurrence_hit_rate: Some(0.21),
        cooccurrence_hit_rate_of_vectors: Some(0.33),
        gini: 0.043,
        gini_of_all_ids: Some(0.998),
    }
}

fn around(value: f64, half: f64) -> Estimate {
    Estimate { value, low: value - half, high: value + half }
}

fn line(row: &str, ndcg: f64, (base, base_ndcg): (&str, f64)) -> Line {
    let (mut metrics, mut differences) = (BTreeMap::new(), BTreeMap::new());
    for (key, factor, half) in [
        ("ndcg@5", 0.8, 0.0012),
        ("ndcg@10", 1.0, 0.0013),
        ("recall@5", 1.2, 0.002),
        ("recall@10", 1.9, 0.0022),
    ] {
        let by_seed = [0.97, 1.0, 1.03].map(|drift| drift * factor * ndcg).to_vec();
        metrics.insert(key.to_owned(), Pooled { estimate: around(factor * ndcg, half), by_seed });
        if row != base {
            differences.insert(key.to_owned(), around(factor * (ndcg - base_ndcg), 0.7 * half));
        }
    }
    let flat = Pooled { estimate: around(0.21, 0.0), by_seed: vec![0.21; 3] };
    metrics.insert("coverage@10".into(), flat);
    let legal = Pooled { estimate: around(0.998, 0.0004), by_seed: vec![0.998; 3] };
    metrics.insert("legal_mass".into(), legal);
    Line {
        label: row.into(),
        row: row.into(),
        system: "pretrained".into(),
        role: "base".into(),
        seeds: vec![1, 2, 3],
        users: 22_222,
        metrics,
        differences,
    }
}

fn baseline(name: &str, ndcg: f64) -> Line {
    let mut line = line(name, ndcg, (name, ndcg));
    line.role = "baseline".into();
    line.metrics.remove("legal_mass");
    line
}

fn published(label: &str, row: Option<&str>, source: &str) -> Reference {
    let metrics = [("recall@10", 0.0648), ("ndcg@10", 0.0384)].map(|(key, value)| (key.to_owned(), value));
    Reference {
        label: label.into(),
        row: row.map(String::from),
        metrics: metrics.into(),
        source: source.into(),
    }
}

const ROWS: [(&str, f64); 4] = [
    ("t5", 0.0212),
    ("t5-d_model256-dropout0_2", 0.0231),
    ("t5-d_model512-dropout0_2", 0.0219),
    ("item-level", 0.0318),
];

#[test]
fn a_sweep_gives_every_file_and_the_same_bytes_again() {
    let files = rendered(&sweep(&ROWS));
    let expected = ["figures/alignment", "figures/profile", "figures/ranking", "figures/training"]
        .map(|stem| [".csv", ".svg"].map(|end| format!("{stem}{end}")));
    let expected: Vec<_> = expected
        .concat()
        .into_iter()
        .chain(["index.html", "report.md", "sweep.json"].map(String::from))
        .collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert_eq!(files, rendered(&sweep(&ROWS)));
    // Kept for a look in a browser.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep");
    for (path, text) in &files {
        fs::create_dir_all(kept.join(path).parent().unwrap()).unwrap();
        fs::write(kept.join(path), text).unwrap();
    }
}

#[test]
fn the_table_has_intervals_seed_ranges_differences_costs_and_published_numbers() {
    let report = &rendered(&sweep(&ROWS))["report.md"];
    assert!(
        report.contains(
            "12 of 12 runs are finished. Highest ndcg@10: item-level, 0.0318 \\[0.0305, 0.0331\\]."
        )
    );
    assert!(report.contains("Against t5, paired over users: 2 above, 0 below, 1 inside noise."), "{report}");
    let table = &report[report.find("**Test split").unwrap()..];
    let row = |label: &str| table.lines().find(|line| line.starts_with(&format!("| {label} |"))).unwrap();
    let cells: Vec<_> = row("item-level").split(" | ").collect();
    assert_eq!(cells[1], "3");
    assert_eq!(cells[5], "0.0318 \\[0.0305, 0.0331\\] 0.0308 to 0.0328");
    assert_eq!(cells[6], "**+0.0106** \\[+0.0097, +0.0115\\] |");
    let costs = report.split("and cost per run").nth(1).unwrap();
    assert!(costs.contains("| item-level | 0.0363 | 14.2 | 28.2 | 0.471 | 1,140 | 1,504,224 |"), "{costs}");
    assert!(row("TIGER, published").contains("| – | 0.0648 | – | 0.0384 |"), "{}", row("TIGER, published"));
    assert!(report.contains("Rajput et al. 2023, arXiv 2305.05065, Table 1"));
    assert!(
        report.contains("100.0 % / 99.2 % / 95.0 %") && report.contains("| training/cpu_minutes")
            || report.contains("`training/cpu_minutes`")
    );
    assert!(!report.contains("not documented"));
}

#[test]
fn every_number_names_where_it_came_from() {
    let page = &rendered(&sweep(&ROWS))["index.html"];
    let cells = page.split("<td class=\"right\">").skip(1).map(|rest| rest.split_once("</td>").unwrap().0);
    for cell in cells {
        assert!(cell.contains(" title=\"") || cell.contains(">–<"), "{cell}");
    }
    assert!(page.matches("<script").count() == 1 && !page.contains("https://"));
    assert!(page.contains("href=\"#result\">Skip to the result<"));
}

#[test]
fn no_number_is_shown_without_its_source() {
    let found = numbers::unsourced(&rendered(&sweep(&ROWS))["index.html"]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn failed_and_unfinished_runs_are_named_and_left_out() {
    let mut sweep = sweep(&ROWS);
    sweep.runs[4].state = State::Failed { error: "stage pretrain failed: loss is NaN".into() };
    sweep.runs[5].state = State::Unfinished;
    let report = &rendered(&sweep)["report.md"];
    assert!(report.contains("10 of 12 runs are finished."));
    assert!(
        report.contains("`t5-d_model256-dropout0_2-seed2`: stage pretrain failed: loss is NaN **failed**"),
        "{report}"
    );
    assert!(report.contains("| **1 of 3** |") && report.contains("| unfinished |"), "{report}");
}

#[test]
fn verdicts_are_adjusted_for_all_rows_and_seeds_are_a_sample_of_their_own() {
    let report = &rendered(&sweep(&ROWS))["report.md"];
    let verdicts = &report[report.find("**Verdict per row against t5").unwrap()..];
    let line = verdicts.lines().find(|line| line.starts_with("| item-level |")).unwrap();
    assert!(line.contains("rises, also among all rows compared; over 3 seeds and 22,222 users"), "{line}");
    let seeds = &report[report.find("## Over seeds").unwrap()..];
    let line = seeds.lines().find(|line| line.starts_with("| item-level |")).unwrap();
    assert!(line.starts_with("| item-level | 3 | 0.031"), "{line}");
    let configurations = &report[report.find("## Configurations").unwrap()..];
    assert!(
        configurations.contains("| `model.d_model` | `64` | `128` | `192` | `256` |"),
        "{configurations:.600}"
    );
    assert!(!configurations.contains("`run.seed`"));
}

#[test]
fn diverged_and_dropped_runs_are_listed_with_why() {
    let mut sweep = sweep(&ROWS);
    sweep.runs[4].state = State::Diverged { error: "metric kl is NaN at step 7".into() };
    sweep.runs[7].state = State::Dropped { reason: "pretrain.epochs=2: place 3 of 4".into() };
    let report = &rendered(&sweep)["report.md"];
    assert!(
        report.contains("`t5-d_model256-dropout0_2-seed2`: metric kl is NaN at step 7 **diverged**"),
        "{report}"
    );
    assert!(report.contains("| dropped |") && report.contains("place 3 of 4"), "{report}");
}

#[test]
fn a_sweep_without_evaluations_shows_training_alone() {
    let mut sweep = sweep(&ROWS);
    sweep.lines.clear();
    sweep.published.clear();
    sweep.until = Some("pretrain".into());
    let files = rendered(&sweep);
    assert!(files["report.md"].contains("Nothing was evaluated on the test split."));
    assert!(files["report.md"].contains("| item-level | 0.0363 | 14.2 | 28.2 |"), "{}", files["report.md"]);
    assert!(!files.contains_key("figures/ranking.svg") && files.contains_key("figures/training.csv"));
    sweep.runs.iter_mut().for_each(|run| run.state = State::Unfinished);
    assert!(rendered(&sweep)["report.md"].contains("0 of 12 runs are finished."));
}

#[test]
fn more_rows_than_looks_get_another_panel() {
    let names: Vec<String> = (1..=9).map(|number| format!("row-{number}")).collect();
    let rows: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.02)).collect();
    let files = rendered(&sweep(&rows));
    assert!(
        files["figures/training.csv"].contains("\"validation/ndcg@10 (gain), 7 to 9\",\"row-7, seed 1\"")
    );
    assert!(files["index.html"].contains("9 row-9"));
}

#[test]
fn hostile_names_are_data() {
    let name = "<script>alert(1)</script>|`*";
    let mut sweep = sweep(&[(name, 0.02), ("b", 0.03)]);
    // Printed as code, where Markdown knows no tags.
    sweep.runs.iter_mut().for_each(|run| run.directory = "a".into());
    let files = rendered(&sweep);
    assert!(!files["index.html"].contains("<script>alert") && !files["report.md"].contains("<script"));
    assert!(!files["figures/ranking.svg"].contains("<script"));
}

#[test]
fn rows_with_the_same_semantic_ids_count_once_in_rank_correlations() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let rows: Vec<(&str, f64)> = names.into_iter().zip((1..).map(|place| 0.01 * f64::from(place))).collect();
    let mut sweep = sweep(&rows);
    for run in &mut sweep.runs {
        // `b` has the IDs of `a`, the others their own.
        let number = if run.row == "b" { "a" } else { run.row.as_str() }.bytes().map(f64::from).sum::<f64>();
        run.tokenizer = Some(TokenizerQuality { gini: number / 200.0, ..tokenizer() });
    }
    let report = &rendered(&sweep)["report.md"];
    let gini = report.lines().find(|line| line.starts_with("| `sids/gini` |"));
    assert!(gini.is_some_and(|line| line.starts_with("| `sids/gini` | 5 | +1")), "{gini:?}");
}
