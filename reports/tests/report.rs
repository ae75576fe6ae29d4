//! Whole reports of synthetic run directories: complete, early, hostile, broken.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixture;
mod numbers;

use fixture::Fixture;
use reports::error::ReportError;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Files = BTreeMap<String, String>;

fn render(dir: &Path) -> Files {
    let files = reports::render(dir).unwrap();
    files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

fn rendered(fixture: &Fixture) -> Files {
    let dir = tempfile::tempdir().unwrap();
    fixture.write(dir.path());
    render(dir.path())
}

/// With the preference pairs that the caller reads from Parquet.
fn rendered_with_pairs(fixture: &Fixture) -> Files {
    let dir = tempfile::tempdir().unwrap();
    fixture.write(dir.path());
    let files = reports::render_run(&Fixture::with_pairs(dir.path())).unwrap();
    files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

#[test]
fn a_complete_run_gives_every_file_of_the_report() {
    let files = rendered_with_pairs(&Fixture::complete());
    let figures = [
        "efficiency",
        "exploration",
        "exposure",
        "frontier",
        "goodhart",
        "headline",
        "judge-training",
        "kl",
        "lineage",
        "log-probs",
        "margins",
        "optimisation",
        "pairs",
        "pretraining",
        "ranking",
    ];
    for figure in figures.iter().chain(&["reliability", "reward", "slices"]) {
        assert!(files.contains_key(&format!("figures/{figure}.svg")), "{figure}.svg");
        assert!(files[&format!("figures/{figure}.csv")].lines().count() > 1, "{figure}.csv");
    }
    let cards = files.keys().filter(|path| path.starts_with("cards/")).count();
    assert_eq!(files.len() - cards, 3 + 2 * 18);
    // Kept for a look in a browser.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    for (path, text) in &files {
        let path = kept.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn rendering_again_and_elsewhere_gives_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fixture = Fixture::complete();
    fixture.write(one.path());
    fixture.write(other.path());
    let first = reports::render(one.path()).unwrap();
    assert_eq!(first, reports::render(one.path()).unwrap());
    assert_eq!(first, reports::render(other.path()).unwrap());
    for (path, bytes) in &first {
        let text = String::from_utf8_lossy(bytes);
        assert!(
            !text.contains(&*one.path().to_string_lossy()),
            "{path} names the directory it was rendered from"
        );
    }
}

#[test]
fn a_committed_report_stage_does_not_change_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::complete();
    fixture.write(dir.path());
    let before = render(dir.path());
    fixture.commit("report", 3.0);
    fixture.write(dir.path());
    assert!(dir.path().join("stages/14-report/manifest.json").is_file());
    assert_eq!(before, render(dir.path()));
}

#[test]
fn files_from_outside_the_run_are_named_without_their_directory() {
    for (path, text) in rendered(&Fixture::complete()) {
        assert!(!text.contains("secret"), "{path}");
    }
}

#[test]
fn directories_that_are_not_committed_stages_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    Fixture::complete().write(dir.path());
    let before = render(dir.path());
    for name in ["03-pretrain.work", "03-pretrain.replaced", "03-pretrain.partial", "notes"] {
        fs::create_dir_all(dir.path().join("stages").join(name)).unwrap();
    }
    fs::write(dir.path().join("stages/03-pretrain.replaced/manifest.json"), "{}").unwrap();
    assert_eq!(before, render(dir.path()));
}

#[test]
fn the_page_fetches_nothing_and_says_everything_without_its_script() {
    let page = &rendered(&Fixture::complete())["index.html"];
    assert_eq!(page.matches("<script").count(), 1);
    let (before, rest) = page.split_once("<script>").unwrap();
    let (script, after) = rest.split_once("</script>").unwrap();
    // The script adds controls and tips; it holds no text of the report and asks for nothing.
    for forbidden in ["fetch", "XMLHttp", "import", "innerHTML", "eval", "document.write"] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
    let page = &format!("{before}{after}");
    for forbidden in ["<link", "<img", "src=", "@import", "url(", "javascript:"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // The only address in the page is a name: the SVG namespace never appears inline.
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn the_verdict_says_what_the_intervals_say() {
    let files = rendered(&Fixture::complete());
    let report = &files["report.md"];
    let verdict = &report[report.find("## Verdict").unwrap()..report.find("## Stages").unwrap()];
    assert!(verdict.contains("1 of 2 aligned policies gains"), "{verdict}");
    assert!(verdict.contains("held-out judge: +0.034 \\[+0.024, +0.044\\] **rises**"), "{verdict}");
    assert!(verdict.contains("NDCG@10: −0.0004 \\[−0.0020, +0.0012\\] inside noise"), "{verdict}");
    assert!(
        verdict.contains("**grpo.** **Alarm, reward hacking: the proxy rises while the oracle judge falls."),
        "{verdict}"
    );
    assert!(verdict.contains("One run with one seed (42)"), "{verdict}");
}

#[test]
fn page_and_markdown_show_the_same_numbers() {
    let files = rendered(&Fixture::complete());
    let plain = |text: &str| text.replace("\\[", "[").replace("\\]", "]");
    let markdown = plain(&files["report.md"]);
    let mut checked = 0;
    for part in files["index.html"].split(" title=\"stage ").skip(1) {
        let text = part.split_once('>').unwrap().1.split_once('<').unwrap().0;
        assert!(markdown.contains(&plain(text)), "{text}");
        checked += 1;
    }
    assert!(checked > 300, "only {checked} sourced numbers");
}

#[test]
fn every_measured_number_names_its_stage_and_key() {
    let page = &rendered(&Fixture::complete())["index.html"];
    let cells = page.split("<td class=\"right\">").skip(1).map(|rest| rest.split_once("</td>").unwrap().0);
    for cell in cells {
        assert!(cell.contains("title=\"stage ") || cell.contains(">–<"), "{cell}");
    }
}

#[test]
fn no_number_is_shown_without_its_source() {
    let complete = Fixture::complete();
    let pages = [rendered(&complete), rendered_with_pairs(&complete), rendered(&Fixture::pretraining())];
    for page in pages.map(|files| files["index.html"].clone()) {
        let found = numbers::unsourced(&page);
        assert!(found.is_empty(), "{}", found.join("\n"));
        assert!(page.contains("<main data-run=\""), "the run that the sources are in");
    }
}

#[test]
fn every_metric_of_the_run_is_in_the_glossary() {
    let page = &rendered(&Fixture::complete())["index.html"];
    assert!(!page.contains("not documented"));
    let mut fixture = Fixture::complete();
    fixture.metric("pretrain", 1, "made/up", 1.0);
    assert!(rendered(&fixture)["index.html"].contains("not documented"));
}

#[test]
fn what_the_instruments_of_the_judges_say_is_shown() {
    use reports::schema::{
        DriftStep, Estimate, InferredHead, JudgeTrial, TrialHead, WatchBaseline, WatchQuality,
    };
    let estimate = |value| Estimate { value, low: value - 0.01, high: value + 0.01 };
    let mut fixture = Fixture::complete();
    let report = &mut fixture.judges;
    report.judges[0].heads[0].intervals.insert("pair_accuracy".into(), estimate(0.617));
    let kind = "generative".to_owned();
    report.judges[0].watch_time = Some(WatchQuality { kind, mae: estimate(7.25), xauc: None });
    let quality = WatchQuality { kind: "regression".into(), mae: estimate(8.75), xauc: None };
    report.watch_baseline = Some(WatchBaseline { quality, mae_gain: estimate(1.625), xauc_gain: None });
    report.disagreement = Some(0.0123);
    let head =
        TrialHead { head: "like".into(), auc: Some(0.654), log_loss: 0.321, expected_auc: Some(0.647) };
    let best = TrialHead { auc: Some(0.801), expected_auc: Some(0.802), ..head.clone() };
    report.trials.push(JudgeTrial { share: 0.1, train_users: 777, label_noise: 0.0, heads: vec![head] });
    report.attainable.push(best);
    let users = 123;
    let (auc, proxy, gap) = (estimate(0.777), estimate(0.733), estimate(0.0441));
    report.inferred.push(InferredHead { head: "like".into(), users, auc, proxy, gap });
    report.judges[0].heads[0].head = "like".into();
    report.judges[0].heads[0].intervals.insert("auc_gap".into(), estimate(0.155));
    report.drift.push(DriftStep {
        distance: 0.456,
        scores: BTreeMap::from([("proxy".into(), 0.5), ("held-out".into(), 0.4)]),
        gap: 0.111,
        agreement: Some(0.876),
        disagreement: Some(0.0234),
    });
    let files = rendered(&fixture);
    for text in [
        "0.617",
        "0.802",
        "0.155",
        "0.733",
        "0.044",
        "7.25",
        "0.0123",
        "777",
        "0.654",
        "0.456",
        "0.876",
        "generative",
        "regression",
        "8.75",
        "1.62",
        "held-out score",
    ] {
        assert!(files["report.md"].contains(text) && files["index.html"].contains(text), "{text}");
    }
}

#[test]
fn a_run_that_stopped_early_says_what_is_missing() {
    let mut fixture = Fixture::complete();
    fixture.keep_stages(2);
    fixture.unfinished = Some("pretrain".into());
    let files = rendered(&fixture);
    let report = &files["report.md"];
    assert!(report.contains("This run has not been evaluated"));
    assert!(report.contains("Started but not committed when this report was rendered: pretrain."));
    assert!(report.contains("The pretrain stage was started but not finished"));
    assert!(report.contains("The evaluate stage has not run"));
}

#[test]
fn a_run_that_ends_with_pretraining_speaks_of_ranking_alone() {
    let files = rendered(&Fixture::pretraining());
    let report = &files["report.md"];
    assert!(
        report.contains("The pretrained policy is above the best baseline, markov, in NDCG@10."),
        "{report}"
    );
    for absent in ["## Judges", "## Alignment", "## Comparisons", "## Worst cases", "has not run"] {
        assert!(!report.contains(absent), "{absent}");
    }
    assert!(!files.contains_key("figures/headline.svg") && files.contains_key("figures/ranking.svg"));
}

#[test]
fn a_run_without_any_stage_still_renders() {
    let mut fixture = Fixture::complete();
    fixture.keep_stages(0);
    let files = rendered(&fixture);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["index.html", "report.md", "run.json"]);
    assert!(files["report.md"].contains("| stage pretrain | it has not run to its end |"));
    assert!(files["report.md"].contains("No stage of this run has been committed yet."));
}

#[test]
fn hostile_names_are_data() {
    let mut fixture = Fixture::complete();
    let name = "<script>alert(1)</script> \u{202e}x|`*[a](b) & \"q\"";
    fixture.record.name = name.into();
    fixture.config = "name = \"</code></pre><img src=x onerror=alert(1)>\"\n```\n".into();
    fixture.evaluation.systems[4].name = name.into();
    for comparison in &mut fixture.evaluation.comparisons {
        comparison.system = name.into();
    }
    let files = rendered(&fixture);
    let page = &files["index.html"];
    assert!(!page.contains("<script>alert") && !page.contains("<img") && page.contains("&lt;script&gt;"));
    let report = &files["report.md"];
    let outside = report.split("````").step_by(2).collect::<String>();
    assert!(
        !outside.contains("<script") && outside.contains("\\|"),
        "a name must not open a tag or a table cell"
    );
    assert!(!files["figures/headline.svg"].contains("<script"));
}

#[test]
fn a_smoke_run_calls_itself_no_result() {
    let mut fixture = Fixture::complete();
    fixture.record.budget = "smoke".into();
    assert!(rendered(&fixture)["report.md"].contains("no number here is a result"));
}

#[test]
fn a_directory_without_run_json_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = reports::render(dir.path()).unwrap_err();
    assert!(matches!(error, ReportError::NotARun(_)) && error.to_string().contains("run.json"), "{error}");
}

#[test]
fn a_broken_metric_row_is_named_by_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    Fixture::complete().write(dir.path());
    let path = dir.path().join("metrics.jsonl");
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(&path, rows.replacen("\"value\":", "\"value\":oops,\"x\":", 3)).unwrap();
    let error = reports::render(dir.path()).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl, line 1"), "{error}");
}

#[test]
fn a_last_metric_row_cut_by_a_kill_is_left_out_and_said() {
    let dir = tempfile::tempdir().unwrap();
    Fixture::complete().write(dir.path());
    let path = dir.path().join("metrics.jsonl");
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(&path, &rows[..rows.len() - 9]).unwrap();
    assert!(render(dir.path())["report.md"].contains("cut off by an interruption"));
}

#[test]
fn a_broken_artifact_is_named() {
    let dir = tempfile::tempdir().unwrap();
    Fixture::complete().write(dir.path());
    fs::write(dir.path().join("stages/13-evaluate/evaluation.json"), "{\"users\": 3").unwrap();
    let error = reports::render(dir.path()).unwrap_err().to_string();
    assert!(error.contains("evaluation.json") && error.contains("evaluation"), "{error}");
    fs::remove_file(dir.path().join("stages/13-evaluate/evaluation.json")).unwrap();
    let error = reports::render(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("evaluation.json"), "{error}");
}

#[test]
fn lineage_names_an_input_that_no_longer_matches() {
    let mut fixture = Fixture::complete();
    assert!(!rendered(&fixture)["report.md"].contains("hash differs"));
    fixture.corrupt_input("pretrain");
    assert!(rendered(&fixture)["report.md"].contains("hash differs"));
}

#[test]
fn a_million_metric_rows_stay_a_small_page() {
    let mut fixture = Fixture::complete();
    for step in 0..1_000_000 {
        fixture.metric("pretrain", 5000 + step, "loss", 2.0 + f64::from((step % 997) as u32) / 997.0);
    }
    let files = rendered(&fixture);
    assert!(files["index.html"].len() < 2_000_000, "{}", files["index.html"].len());
}

#[test]
fn measurements_that_are_no_numbers_are_left_out_and_said() {
    let dir = tempfile::tempdir().unwrap();
    Fixture::complete().write(dir.path());
    let path = dir.path().join("metrics.jsonl");
    let row =
        |value: &str| format!("{{\"stage\":\"align-ipa-1\",\"step\":7,\"key\":\"kl\",\"value\":{value}}}\n");
    let rows =
        [fs::read_to_string(&path).unwrap(), row("null"), row("NaN"), row("-Infinity"), row("1e999999")];
    let bad = rows.concat();
    // JSON has no number that large: the reader refuses it as it refuses any other broken row.
    fs::write(&path, &bad).unwrap();
    assert!(reports::render(dir.path()).is_err());
    fs::write(&path, bad.replace(&row("1e999999"), "")).unwrap();
    let files = render(dir.path());
    let report = &files["report.md"];
    assert!(report.contains("3 measurements along the way are no finite numbers"), "{report}");
    assert!(report.contains("the first is kl of stage align-ipa-1 at step 7"), "{report}");
    for (path, text) in &files {
        assert!(!text.contains("NaN") && !text.contains("inf,"), "{path}");
    }
}

#[test]
fn hostile_item_texts_are_shown_short_and_as_text() {
    let long = "x".repeat(10_000);
    let texts = [
        "</td></tr></table><script>alert(1)</script><b>bold</b>",
        "\u{202e}right to left \u{2067}and isolated\u{0}",
        "\u{1f469}\u{200d}\u{1f52c} emoji and | a bar and ](link)",
        &long,
    ];
    for text in texts {
        let mut fixture = Fixture::complete();
        fixture.cases = fixture::cases(text);
        let files = rendered(&fixture);
        let page = &files["index.html"];
        assert!(!page.contains("<script>alert") && !page.contains("<b>bold"), "{text:.40}");
        assert!(!page.contains(&"x".repeat(200)) && page.len() < 1_000_000);
        // A table row of the Markdown twin has as many cells as the others, whatever the text.
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let report = &files["report.md"];
        let table = report[report.find("**Worst cases of ipa**").unwrap()..].lines().skip(2).take(5);
        let counts: Vec<usize> = table.map(cells).collect();
        assert!(counts.iter().all(|count| *count == counts[0] && *count == 8), "{counts:?}");
    }
}

#[test]
fn every_checkpoint_has_a_card_with_front_matter_and_the_data_has_one() {
    let files = rendered(&Fixture::complete());
    let cards: Vec<&String> = files.keys().filter(|path| path.starts_with("cards/")).collect();
    let expected = [
        "align-grpo-1.md",
        "align-grpo-2.md",
        "align-ipa-1.md",
        "align-ipa-2.md",
        "croissant.json",
        "pretrain.md",
    ];
    assert!(
        cards
            .iter()
            .map(|path| path.trim_start_matches("cards/"))
            .filter(|card| !card.starts_with("sample"))
            .eq(expected)
    );
    let card = &files["cards/align-grpo-2.md"];
    assert!(
        card.starts_with("---\nlibrary_name: transformers\n") && card.matches("\n---\n").count() == 1,
        "{card}"
    );
    assert!(card.contains("    - type: \"judge/oracle\"\n      value: 0.377\n"), "{card}");
    assert!(card.contains("**Alarm") && !files["cards/align-ipa-2.md"].contains("**Alarm"));
    assert!(files["cards/align-ipa-1.md"].contains("This checkpoint was not evaluated."));
    let croissant: serde_json::Value = serde_json::from_str(&files["cards/croissant.json"]).unwrap();
    assert_eq!(croissant["recordSet"][0]["field"][5]["name"], "watch");
    assert_eq!(croissant["distribution"][0]["sha256"].as_str().unwrap().len(), 64);
}

/// A finished run with test-time scaling beside its evaluation.
fn with_scaling(scaling: &reports::schema::scaling::Scaling) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::complete();
    let evaluate = fixture.stages.iter_mut().find(|stage| stage.stage == "evaluate").unwrap();
    let written = evaluate.outputs["evaluation.json"].clone();
    evaluate.outputs.insert("scaling.json".into(), written);
    fixture.write(dir.path());
    let path = dir.path().join("stages/13-evaluate/scaling.json");
    fs::write(path, serde_json::to_string(scaling).unwrap()).unwrap();
    render(dir.path())
}

#[test]
fn test_time_scaling_is_drawn_listed_and_put_into_words() {
    let files = with_scaling(&fixture::scaling());
    let report = &files["report.md"];
    for part in [
        "With 8 candidates from its beam: above by Recall@10, NDCG@10, held-out judge, oracle judge.",
        "| ipa | beam | NDCG@10 | above at 8, inside noise at 2 | above at every number of candidates |",
        "| grpo | draws | held-out judge | below at every number of candidates | the same |",
        "judge/proxy (chose)",
        "| `distinct@K` |",
    ] {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    let page = &files["index.html"];
    let cells = page.split("<td class=\"right\">").skip(1).map(|rest| rest.split_once("</td>").unwrap().0);
    for cell in cells {
        assert!(cell.contains("title=\"stage ") || cell.contains(">–<"), "{cell}");
    }
    assert!(!page.contains("not documented"));
    for figure in ["scaling", "equal-cost"] {
        assert!(files[&format!("figures/{figure}.svg")].contains("f-band"), "{figure} has no band");
    }
    let rows = &files["figures/equal-cost.csv"];
    assert!(
        rows.contains("\"pretrained, chosen from draws\",4,") && rows.contains("\"ipa, beam\",16,"),
        "{rows}"
    );
}

#[test]
fn test_time_scaling_of_one_number_of_candidates_or_without_judges_still_renders() {
    let mut scaling = fixture::scaling();
    scaling.points.retain(|point| point.candidates == 2);
    scaling.comparisons.clear();
    let files = with_scaling(&scaling);
    assert!(files["report.md"].contains("the comparison at equal cost is missing"));
    assert!(files.contains_key("figures/scaling.svg"));
    scaling.selector = None;
    let files = with_scaling(&scaling);
    assert!(
        files["report.md"].contains("This run has no judge") && !files.contains_key("figures/equal-cost.svg")
    );
}
