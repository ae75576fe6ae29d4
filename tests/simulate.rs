//! `recalign simulate`: every format gives back the log of the built-in source, whole directories or none, the same bytes
//! on any number of threads.

use crate::support::{outcome, project, recalign};
use polars::prelude::*;
use recalign::config::Data;
use recalign::data::{Dataset, build};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SIZE: [&str; 6] = ["--users", "60", "--items", "80", "--seed", "3"];
const FEED: [&str; 6] = [
    "--set",
    "data.source.feed={slate=6}",
    "--set",
    "data.source.signals=full",
    "--set",
    "data.source.click_bait={share=0.2, lift=2.0}",
];

/// Writes a log of [`SIZE`] and returns what it told.
#[track_caller]
fn simulate(to: &Path, more: &[&str]) -> String {
    let to = to.to_str().unwrap();
    let (code, stdout, stderr) = outcome(&[&["simulate", "--to", to], &SIZE[..], more].concat());
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// The `[data]` section at the end of what was told.
fn told_data(told: &str) -> Data {
    let text = told.split_once("[data]\n").unwrap().1;
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn built_in(mechanisms: &str) -> Dataset {
    let source = format!("kind = \"world\", users = 60, items = 80, seed = 3{mechanisms}");
    build(&toml::from_str(&format!("source = {{ {source} }}")).unwrap()).unwrap().0
}

/// Who did what when with which feedback, by the ids of the file; items that nobody saw have no dense id there.
type Rows = BTreeMap<String, Vec<(String, i64, Vec<f32>)>>;

fn rows(dataset: &Dataset) -> Rows {
    let width = dataset.log.signals.len();
    let of = |(user, history): (&String, &policy::history::History)| {
        let row = |at: usize| {
            let item = dataset.items[history.items[at].index()].raw_id.clone();
            (item, history.timestamps[at], history.feedback[at * width..][..width].to_vec())
        };
        (user.clone(), (0..history.items.len()).map(row).collect())
    };
    dataset.users.iter().zip(&dataset.log.histories).map(of).collect()
}

#[test]
fn every_format_gives_back_the_log_of_the_built_in_source() {
    let feed = ", signals = \"full\", feed = { slate = 6 }, click_bait = { share = 0.2, lift = 2.0 }";
    for (mechanisms, more) in [("", &[][..]), (feed, &FEED[..])] {
        let expected = built_in(mechanisms);
        for format in ["s3rec", "kuairand", "kuairec", "letter", "csv", "jsonl", "parquet", "inter"] {
            let dir = tempfile::tempdir().unwrap();
            let to = dir.path().join("log");
            let told = simulate(&to, &[&["--format", format], more].concat());
            let (found, card) = build(&told_data(&told)).unwrap();
            compare(format, &rows(&found), &rows(&expected), (&found, &expected));
            assert_eq!((card.duplicate_rows, card.users), (0, 60), "{format}");
            for (item, vector) in found.items.iter().zip(0..) {
                let own: usize = item.raw_id.parse().unwrap();
                assert_eq!(item.text, expected.items[own].text);
                assert_eq!(found.embeddings.row(vector), expected.embeddings.row(own));
            }
        }
    }
}

/// Whole rows where the format can hold them; what it cannot hold is named here.
fn compare(format: &str, found: &Rows, expected: &Rows, (log, world): (&Dataset, &Dataset)) {
    assert_eq!(found.len(), expected.len());
    for (user, rows) in found {
        let expected = &expected[user];
        assert_eq!(rows.len(), expected.len(), "{format}, user {user}");
        for (at, (row, expected_row)) in rows.iter().zip(expected).enumerate() {
            assert_eq!(row.0, expected_row.0, "{format}, user {user}");
            match format {
                // Positions instead of times.
                "letter" => assert_eq!(row.1, at as i64),
                // Times since the first.
                "s3rec" => assert_eq!(row.1, expected_row.1 - expected[0].1),
                _ => assert_eq!(row.1, expected_row.1),
            }
            match format {
                "letter" | "s3rec" => assert!(row.2.is_empty()),
                "kuairand" | "kuairec" => shared_signals(&row.2, &expected_row.2, (log, world)),
                _ => assert_eq!(row.2, expected_row.2, "{format}"),
            }
        }
    }
    if !["letter", "s3rec", "kuairand", "kuairec"].contains(&format) {
        assert_eq!(log.log.signals, world.log.signals);
    }
}

/// `KuaiRand` and `KuaiRec` have their own signals, and whole milliseconds.
fn shared_signals(found: &[f32], expected: &[f32], (log, world): (&Dataset, &Dataset)) {
    for (name, other) in [
        ("like", "like"),
        ("follow", "follow"),
        ("forward", "share"),
        ("long_view", "long_view"),
        ("comment", "comment"),
        ("watch_ratio", "watch_ratio"),
    ] {
        let at = |dataset: &Dataset, name: &str| dataset.log.signals.iter().position(|s| s == name);
        if let (Some(a), Some(b)) = (at(log, name), at(world, other)) {
            // Half a millisecond of an item of a second or more, twice.
            let tolerance = if name == "watch_ratio" { 2e-3 } else { 0.0 };
            assert!((found[a] - expected[b]).abs() <= tolerance, "{name}: {} {}", found[a], expected[b]);
        }
    }
}

#[test]
fn files_are_the_same_bytes_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let files = |threads: &str, format: &str| {
        let to = dir.path().join(format!("{threads}-{format}"));
        let arguments =
            [&["simulate", "--to", to.to_str().unwrap(), "--format", format], &SIZE[..], &FEED[..]].concat();
        let output = recalign(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let entries = fs::read_dir(to).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    for format in ["parquet", "csv"] {
        let (one, two) = (files("1", format), files("2", format));
        assert_eq!(one.len(), 5, "{:?}", one.keys());
        assert!(one == two, "{format} depends on the number of threads");
    }
}

#[test]
fn the_truth_has_a_row_per_impression_and_knows_the_bait() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("log");
    simulate(&to, &FEED);
    let read = |name: &str| ParquetReader::new(fs::File::open(to.join(name)).unwrap()).finish().unwrap();
    let (log, truth) = (read("interactions.parquet"), read("truth.parquet"));
    assert_eq!(log.height(), truth.height());
    for column in ["user", "item"] {
        assert!(log.column(column).unwrap().equals(truth.column(column).unwrap()));
    }
    let floats =
        |name: &str| -> Vec<f32> { truth.column(name).unwrap().f32().unwrap().into_no_null_iter().collect() };
    let bait: Vec<bool> = truth.column("click_bait").unwrap().bool().unwrap().iter().flatten().collect();
    let (logged, meant) = (floats("expected_like"), floats("true_like"));
    for (row, bait) in bait.iter().enumerate() {
        assert_eq!(logged[row] > meant[row], *bait);
    }
    assert!(bait.iter().any(|bait| *bait));
    let examination = floats("examination");
    let places: Vec<u32> = truth.column("place").unwrap().u32().unwrap().into_no_null_iter().collect();
    assert!(places.iter().all(|place| *place < 6) && places.contains(&5));
    assert!(examination.iter().zip(&places).all(|(p, place)| (*p > 0.999) == (*place == 0)));
}

#[test]
fn a_directory_is_whole_or_not_there_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("log");
    fs::create_dir(&to).unwrap();
    simulate(&to, &[]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary remains");
    let before = fs::read(to.join("truth.parquet")).unwrap();
    let (again, world) = (dir.path().join("again"), to.join("world.toml"));
    simulate(&again, &["--config", world.to_str().unwrap()]);
    assert!(before == fs::read(again.join("truth.parquet")).unwrap(), "world.toml makes the same world");
    let arguments = ["simulate", "--to", to.to_str().unwrap(), "--users", "21"];
    let (code, _, stderr) = outcome(&arguments);
    assert_eq!(code, 2);
    assert!(stderr.contains("is not empty") && stderr.contains("log"), "{stderr}");
    assert_eq!(fs::read(to.join("truth.parquet")).unwrap(), before);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(outcome(&["simulate", "--to", file.to_str().unwrap()]).0, 2);
}

#[test]
fn settings_that_make_no_world_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("log");
    let to = to.to_str().unwrap();
    for (more, part) in [
        (&["--users", "5"][..], "`data.source.users` = 5 is out of range"),
        (&["--set", "data.source.feed.slat=3"], "unknown key `data.source.feed.slat`; did you mean `slate`?"),
        (&["--set", "data.source.click_bait.share=3.0"], "`data.source.click_bait.share` = 3"),
        (&["--impressions", "9000"], "`data.source.marginals.max_length` = 36000"),
        (&["--config", "missing.toml"], "missing.toml"),
        (
            &["--set", "data.source={kind='s3rec', file='a'}", "--set", "data.path='.'"],
            "only the built-in world can be simulated",
        ),
        (&["--compare-path", "x"], "--compare"),
    ] {
        let (code, _, stderr) = outcome(&[&["simulate", "--to", to], more].concat());
        assert_eq!(code, 2, "{more:?}: {stderr}");
        assert!(stderr.contains(part), "{part} is not in: {stderr}");
        assert!(!Path::new(to).exists());
    }
}

#[test]
fn impressions_set_the_mean_length() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("log");
    let size = ["--set", "data.source.items=2000", "--set", "data.source.users=400"];
    let told = simulate(&to, &[&size[..], &["--impressions", "30"]].concat());
    let count: f64 = told.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // A log-normal length of spread 0.45 has a standard deviation of 0.47 times its mean; 5 standard errors of 400 users.
    assert!((count / 400.0 - 30.0).abs() < 5.0 * 0.47 * 30.0 / 20.0, "{count}");
}

/// A world beside the log of another one: the distance of a world to itself is nothing, settings come back.
#[test]
fn a_comparison_has_plots_distances_and_the_settings_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (log, to) = (dir.path().join("log"), dir.path().join("plots"));
    let told = simulate(&log, &["--set", "data.source.marginals.duration=4.5"]);
    let config = dir.path().join("log.toml");
    let data = told.split_once("[data]\n").unwrap().1;
    fs::write(&config, format!("version = 1\n[run]\nname = 'log'\n[tokenize]\ncodes = 2\n[data]\n{data}"))
        .unwrap();
    let compared = ["--compare", config.to_str().unwrap(), "--set", "data.source.marginals.duration=4.5"];
    let told = simulate(&to, &compared);
    let distances = fs::read_to_string(to.join("distances.csv")).unwrap();
    for name in ["length", "popularity", "watch_ratio", "like"] {
        let line = distances.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.ends_with(",0"), "a world differs from itself: {line}");
    }
    assert!(fs::read_to_string(to.join("figures/marginals.svg")).unwrap().starts_with("<svg"));
    assert!(fs::read_to_string(to.join("figures/marginals.csv")).unwrap().lines().count() > 400);
    let settings: toml::Table = fs::read_to_string(to.join("marginals.toml")).unwrap().parse().unwrap();
    assert!(settings["data"]["source"]["marginals"]["like"].is_float(), "{told}");
    let short = project("experiments/configs/short-video.toml");
    let config = recalign::config::load(&short, &[]).unwrap();
    assert!(matches!(config.data.source, recalign::config::Source::World(world) if world.feed.is_some()));
}
