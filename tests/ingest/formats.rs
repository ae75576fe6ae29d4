//! Formats, filters, order, and what is written.

use super::{
    CSV, FOUR_ITEMS, Folder, JSONL, PARQUET, PLAIN_CSV, RECBOLE, S3REC, embedding_file, full, parquet,
    section,
};
use polars::prelude::*;
use proptest::prelude::*;
use recalign::data::{artifacts, build, input_files};
use reports::schema::DataCard;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type LogRow = (&'static str, i64, i64, f64);
const ROWS: [LogRow; 8] = [
    ("bob", 10, 300, 1.0),
    ("ann", 9, 100, 0.5),
    ("bob", 9, 100, 0.25),
    ("ann", 2, 100, 1.0),
    ("bob", 2, 200, 2.0),
    ("ann", 10, 50, 3.5),
    ("ann", 9, 100, 0.5),
    ("ann", 9, 101, 0.125),
];

#[test]
fn the_same_rows_give_the_same_log_in_every_format() {
    let text = |header: &str, separator: &str| {
        let rows = ROWS.map(|(user, item, time, rating)| {
            [user.into(), item.to_string(), time.to_string(), rating.to_string()].join(separator)
        });
        format!("{header}\n{}\n", rows.join("\n"))
    };
    let json = ROWS.map(|(user, item, time, rating)| {
        serde_json::json!({ "user": user, "item": item, "time": time, "rating": rating, "more": [1] })
            .to_string()
    });
    let columns = vec![
        Column::new("user".into(), ROWS.map(|row| row.0)),
        Column::new("item".into(), ROWS.map(|row| row.1)),
        Column::new("time".into(), ROWS.map(|row| row.2)),
        Column::new("rating".into(), ROWS.map(|row| row.3)),
    ];
    let folder = Folder::with("log.csv", text("user,item,time,rating", ","))
        .and("log.inter", text("user:token\titem:token\ttime:float\trating:float", "\t"))
        .and("log.jsonl", json.join("\n"))
        .and("log.parquet", parquet(columns));
    let (csv, card) = folder.build(CSV).unwrap();
    // ann: 10 at 50, then 9 and 2 at 100 in file order (the repeated row is dropped), 9 at 101.
    assert_eq!(csv.users, ["ann", "bob"]);
    assert_eq!(csv.items.iter().map(|item| item.raw_id.as_str()).collect::<Vec<_>>(), ["2", "9", "10"]);
    let ann = &csv.log.histories[0];
    assert_eq!(ann.items.iter().map(|item| item.index()).collect::<Vec<_>>(), [2, 1, 0, 1]);
    assert_eq!(ann.timestamps, [50, 100, 100, 101]);
    assert_eq!(ann.feedback, [3.5, 0.5, 1.0, 0.125]);
    assert_eq!((card.duplicate_rows, card.repeats, card.interactions), (1, 1, 7));
    assert_eq!(card.tie_share, Some(0.2));
    // bob's second row and one of ann's stand behind rows of later times.
    let backwards: Vec<_> = card.mended.values().copied().collect();
    assert_eq!(
        (backwards, card.mended.keys().next().unwrap().contains("time goes backwards")),
        (vec![2], true)
    );
    for keys in [RECBOLE, JSONL, PARQUET] {
        assert_eq!(folder.dataset(keys).log, csv.log, "{keys}");
    }
}

#[test]
fn windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_change_nothing() {
    let unix = "user,item,time,rating\na,1,1,1\na,2,2,1\na,3,3,0.5\n";
    let plain = Folder::with("log.csv", unix).dataset(CSV);
    for variant in [unix.replace('\n', "\r\n"), format!("\u{feff}{unix}"), unix.trim_end().into()] {
        assert_eq!(Folder::with("log.csv", &variant).dataset(CSV), plain, "{variant:?}");
    }
}

#[test]
fn without_times_rows_are_chronological_and_duplicates_stay() {
    let folder = Folder::with("log.csv", "user,item\na,2\nb,1\na,2\nb,2\na,1\nb,2\n");
    let (dataset, card) = folder.build(PLAIN_CSV).unwrap();
    assert_eq!(dataset.log.histories[0].timestamps, [0, 1, 2]);
    assert_eq!(dataset.log.histories[0].items.iter().map(|item| item.index()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!((card.tie_share, card.duplicate_rows, card.repeats), (None, 0, 2));
}

#[test]
fn max_users_keeps_the_first_users_and_only_their_items() {
    let folder = Folder::with("log.txt", "10 7 8 9\n2 1 2 3\n");
    let (dataset, card) = folder.build(&format!("{S3REC}\nmax_users = 1")).unwrap();
    assert_eq!((dataset.users, dataset.items.len()), (vec!["2".to_owned()], 3));
    assert_eq!(card.removed["users over data.max_users"], 1);
}

#[test]
fn input_files_are_all_files_that_are_read() {
    let keys = format!(
        "{}\nitems = {{ file = \"items.tsv\", id = \"id\", text = [] }}",
        embedding_file("e.parquet")
    );
    let files = input_files(&section(Path::new("nowhere"), &keys));
    assert_eq!(files, ["nowhere/log.txt", "nowhere/items.tsv", "nowhere/e.parquet"].map(PathBuf::from));
    let world =
        section(Path::new("nowhere"), r#"source = { kind = "world", users = 9, items = 30, seed = 1 }"#);
    assert!(input_files(&world).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_k_core_everyone_has_k_and_nothing_more_could_stay(
        rows in proptest::collection::vec((0u8..12, 0u8..12), 30..150),
        k in 3u32..6,
    ) {
        let text = rows.iter().map(|(user, item)| format!("u{user},i{item}\n")).collect::<Vec<_>>().concat();
        let folder = Folder::with("log.csv", format!("user,item\n{text}"));
        let kept = folder.build(&format!("{PLAIN_CSV}\nk_core = {k}"));
        let expected = greatest_core(&rows, k as usize);
        match kept {
            Err(error) => prop_assert!(expected.is_empty(), "{}", full(error)),
            Ok((dataset, card)) => {
                prop_assert_eq!(card.interactions as usize, expected.len());
                let mut counts = vec![0; dataset.items.len()];
                for history in &dataset.log.histories {
                    prop_assert!(history.items.len() >= k as usize);
                    history.items.iter().for_each(|item| counts[item.index()] += 1);
                }
                prop_assert!(counts.iter().all(|count| *count >= k as usize));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn repeated_rows_are_dropped_and_the_rest_is_stable_in_time(
        random in proptest::collection::vec((0u8..3, 0u8..4, 0i64..4), 0..60),
    ) {
        // Three different rows for everyone: nobody is too short to be split.
        let rows: Vec<_> = (0u8..9).map(|row| (row % 3, row / 3, 3)).chain(random).collect();
        let text = rows.iter().map(|(user, item, time)| format!("u{user},i{item},{time},1\n")).collect::<Vec<_>>().concat();
        let folder = Folder::with("log.csv", format!("user,item,time,rating\n{text}"));
        let (dataset, card) = folder.build(CSV).unwrap();
        let mut expected: Vec<(u8, u8, i64)> = Vec::new();
        for row in &rows {
            if !expected.contains(row) {
                expected.push(*row);
            }
        }
        prop_assert_eq!(card.duplicate_rows as usize, rows.len() - expected.len());
        expected.sort_by_key(|(user, _, time)| (*user, *time));
        let items = &dataset.items;
        let found = dataset.users.iter().zip(&dataset.log.histories).flat_map(|(user, history)| {
            let steps = history.items.iter().zip(&history.timestamps);
            steps.map(move |(item, time)| (user.clone(), items[item.index()].raw_id.clone(), *time))
        });
        let expected = expected.into_iter().map(|(user, item, time)| (format!("u{user}"), format!("i{item}"), time));
        prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

/// The k-core by another route: one offender at a time.
fn greatest_core(rows: &[(u8, u8)], k: usize) -> Vec<(u8, u8)> {
    let mut rows = rows.to_vec();
    let count =
        |rows: &[(u8, u8)], of: fn(&(u8, u8)) -> u8, id| rows.iter().filter(|row| of(row) == id).count();
    loop {
        let user = rows.iter().map(|row| row.0).find(|id| count(&rows, |row| row.0, *id) < k);
        let item = rows.iter().map(|row| row.1).find(|id| count(&rows, |row| row.1, *id) < k);
        match (user, item) {
            (Some(user), _) => rows.retain(|row| row.0 != user),
            (_, Some(item)) => rows.retain(|row| row.1 != item),
            _ => return rows,
        }
    }
}

#[test]
fn what_ingest_writes_is_read_back_equal_and_the_same_every_time() {
    let keys = r#"source = { kind = "world", users = 40, items = 60, seed = 3 }"#;
    let (dataset, card) = build(&section(Path::new("."), keys)).unwrap();
    assert!(dataset.attributes.is_some() && !dataset.log.signals.is_empty());
    let written = [(); 2].map(|()| {
        let directory = tempfile::tempdir().unwrap();
        artifacts::write(&dataset, &card, |file| directory.path().join(file)).unwrap();
        directory
    });
    assert_eq!(artifacts::load(written[0].path()).unwrap(), dataset);
    let contents = written.each_ref().map(|directory| {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        files
            .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(&path).unwrap()))
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(contents[0].len(), 6);
    assert!(contents[0] == contents[1], "the files of two writes differ");
    let card_read: DataCard =
        serde_json::from_slice(&contents[0][std::ffi::OsStr::new("data_card.json")]).unwrap();
    assert_eq!(card_read, card);
}

#[test]
fn artifacts_that_are_missing_or_truncated_are_refused_by_name() {
    let folder = Folder::with("log.txt", FOUR_ITEMS);
    let (dataset, card) = folder.build(S3REC).unwrap();
    let directory = tempfile::tempdir().unwrap();
    artifacts::write(&dataset, &card, |file| directory.path().join(file)).unwrap();
    let path = directory.path().join("interactions.parquet");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(full(artifacts::load(directory.path()).unwrap_err()).contains("interactions.parquet"));
    std::fs::remove_file(&path).unwrap();
    assert!(full(artifacts::load(directory.path()).unwrap_err()).contains("interactions.parquet"));
}

#[test]
fn the_world_keeps_its_own_ids_and_refuses_what_would_change_them() {
    let keys = r#"source = { kind = "world", users = 40, items = 60, seed = 3 }"#;
    let (dataset, card) = build(&section(Path::new("."), keys)).unwrap();
    assert_eq!((dataset.items.len(), dataset.log.num_items, card.users), (60, 60, 40));
    assert_eq!(dataset.items[7].raw_id, "7");
    let few = build(&section(Path::new("."), &format!("max_users = 5\n{keys}"))).unwrap().0;
    assert_eq!(few.log.histories[..], dataset.log.histories[..5]);
    for refused in ["k_core = 3", "tie_order = { shuffled = 1 }"] {
        let error = full(build(&section(Path::new("."), &format!("{refused}\n{keys}"))).unwrap_err());
        assert!(error.contains("built-in world"), "{error}");
    }
}
