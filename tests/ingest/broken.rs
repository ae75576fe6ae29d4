//! One clear message per broken input.

use super::{CSV, Folder, JSON, JSONL, PARQUET, RECBOLE, S3REC, parquet};
use polars::prelude::*;

#[test]
fn a_missing_file_names_the_file_and_the_key() {
    Folder::new().refuses(CSV, &["log.csv", "data.source.file", "No such file"]);
}

#[test]
fn a_missing_column_lists_the_columns_and_suggests_one() {
    let folder = Folder::with("log.csv", "user,item_id,time,rating\na,1,1,1\n");
    folder.refuses(
        CSV,
        &["log.csv", "`item`", "data.source.columns.item", "did you mean `item_id`", "`rating`"],
    );
    let folder = Folder::with("log.jsonl", "{\"user\": \"a\", \"item_id\": 1, \"time\": 1, \"rating\": 1}\n");
    folder.refuses(JSONL, &["log.jsonl", "`item`", "data.source.columns.item", "did you mean `item_id`"]);
    let folder =
        Folder::with("log.inter", "user:token\titem_id:token\ttime:float\trating:float\na\t1\t1\t1\n");
    folder.refuses(RECBOLE, &["log.inter", "`item`", "did you mean `item_id`"]);
    let folder = Folder::with("log.csv", "user_id\tvideo_id\ttime_ms\n1\t2\t3\n");
    folder.refuses(
        r#"source = { kind = "kuairand", file = "log.csv" }"#,
        &["log.csv", "`label`", "`duration_ms`", "kuairand"],
    );
}

#[test]
fn a_value_that_is_no_number_is_reported_with_its_line() {
    let folder = Folder::with("log.csv", "user,item,time,rating\na,1,1,1\na,2,yesterday,1\na,3,3,good\n");
    folder.refuses(
        CSV,
        &[
            "2 problems",
            "log.csv, line 3: column `time` is `yesterday`",
            "log.csv, line 4: column `rating` is `good`",
        ],
    );
    let folder = Folder::with("log.jsonl", "{\"user\":1,\"item\":2,\"time\":3,\"rating\":\"x\"}\n");
    folder.refuses(JSONL, &["log.jsonl, line 1", "`rating`", "`x`"]);
}

#[test]
fn feedback_that_is_not_finite_is_refused() {
    for value in ["NaN", "inf", "1e60"] {
        let folder = Folder::with("log.csv", format!("user,item,time,rating\na,1,1,1\na,2,2,{value}\n"));
        folder.refuses(CSV, &["log.csv, line 3", "`rating`", value, "finite"]);
    }
}

#[test]
fn a_missing_value_is_reported_with_its_line() {
    let folder = Folder::with("log.csv", "user,item,time,rating\na,1,1,1\na,,2,1\n");
    folder.refuses(CSV, &["log.csv, line 3", "`item`", "expected an id"]);
    let folder = Folder::with(
        "log.jsonl",
        "\n{\"user\":1,\"item\":2,\"time\":3,\"rating\":1}\n{\"user\":1,\"time\":3,\"rating\":1}\n",
    );
    folder.refuses(JSONL, &["log.jsonl, line 3", "`item`", "expected an id"]);
}

#[test]
fn a_ragged_line_is_reported_with_both_counts() {
    let folder = Folder::with("log.csv", "user,item,time,rating\na,1,1,1\na,2,2\nb,3,3,3,3\n");
    folder.refuses(CSV, &["log.csv, line 3: 3 fields, expected 4", "log.csv, line 4: 5 fields, expected 4"]);
    let folder = Folder::with("log.inter", "user:token\titem:token\ttime:float\trating:float\na\t1\t1\n");
    folder.refuses(RECBOLE, &["log.inter, line 2: 3 fields, expected 4"]);
    let folder = Folder::with("log.txt", "1 1 2 3\t0 0 0\n2 1 2 3\t0 5\n");
    folder.refuses(S3REC, &["log.txt, line 2: 2 gaps, expected 3"]);
}

#[test]
fn lines_are_counted_over_blank_lines_and_quoted_line_breaks() {
    let folder = Folder::with("log.csv", "user,item,time,rating\n\"a\nb\",1,1,1\n\n\na,2,2,bad\n");
    folder.refuses(CSV, &["log.csv, line 6", "`bad`"]);
}

#[test]
fn an_empty_file_and_a_header_without_rows_are_refused() {
    for (name, keys) in [
        ("log.csv", CSV),
        ("log.txt", S3REC),
        ("log.json", JSON),
        ("log.jsonl", JSONL),
        ("log.parquet", PARQUET),
    ] {
        Folder::with(name, "").refuses(keys, &[name, "no data rows"]);
    }
    Folder::with("log.csv", "user,item,time,rating\n").refuses(CSV, &["log.csv", "no data rows"]);
}

#[test]
fn a_header_with_the_same_column_twice_is_refused() {
    let folder = Folder::with("log.csv", "user,item,time,item,rating\na,1,1,1,1\n");
    folder.refuses(CSV, &["log.csv, line 1", "`item` twice"]);
    let folder = Folder::with(
        "log.inter",
        "user:token\titem:token\titem:float\ttime:float\trating:float\na\t1\t1\t1\t1\n",
    );
    folder.refuses(RECBOLE, &["log.inter, line 1", "`item` twice"]);
}

#[test]
fn invalid_utf8_is_reported_with_its_line() {
    let folder = Folder::with("log.csv", b"user,item,time,rating\na,1,1,1\nb\xff,1,1,1\n");
    folder.refuses(CSV, &["log.csv, line 3", "UTF-8"]);
    Folder::with("log.csv", b"us\xffer,item\n").refuses(CSV, &["log.csv, line 1", "UTF-8"]);
    Folder::with("log.txt", b"1 1 2 3\n2 \xff 2\n").refuses(S3REC, &["log.txt, line 2", "UTF-8"]);
    let folder = Folder::with("log.json", b"{\"a\": [1],\n\"\xff\": [2]}");
    folder.refuses(JSON, &["log.json, line 2", "UTF-8"]);
    let folder = Folder::with("log.jsonl", b"{\"user\":\"\xff\",\"item\":2,\"time\":3,\"rating\":1}\n");
    folder.refuses(JSONL, &["log.jsonl, line 1", "UTF-8"]);
}

#[test]
fn s3rec_ids_that_are_no_numbers_are_reported_with_their_lines() {
    let folder = Folder::with("log.txt", "1 1 2 3\n2 1 x2 3\nu3 1 2 3\n");
    folder.refuses(S3REC, &["log.txt, line 2: item id is `x2`", "log.txt, line 3: user id is `u3`"]);
}

#[test]
fn s3rec_gaps_must_be_given_for_all_users_and_not_be_negative() {
    Folder::with("log.txt", "1 1 2 3\t0 1 -1\n").refuses(S3REC, &["log.txt, line 1", "gap is `-1`"]);
    Folder::with("log.txt", "1 1 2 3\t0 1 1\n2 1 2 3\n")
        .refuses(S3REC, &["log.txt, line 2", "line 1 has them"]);
}

#[test]
fn a_user_with_two_lines_is_reported_with_both() {
    Folder::with("log.txt", "1 1 2 3\n2 1 2 3\n1 4 5 6\n")
        .refuses(S3REC, &["log.txt, line 3", "user `1`", "line 1"]);
    Folder::with("log.json", "{\"a\": [1, 2, 3],\n \"a\": [1, 2, 3]}")
        .refuses(JSON, &["log.json", "user `a`", "twice"]);
}

#[test]
fn a_user_with_too_few_interactions_is_named_with_the_remedy() {
    let parts = |place| ["2", "user `7`", "leave-one-out needs 3", "data.k_core = 3", place];
    Folder::with("log.txt", "1 1 2 3\n7 1 2\n").refuses(S3REC, &parts("log.txt, line 2"));
    Folder::with("log.json", "{\"1\": [1, 2, 3],\n\"7\": [1, 2]}").refuses(JSON, &parts("log.json, line 2"));
    let rows = "user,item,time,rating\n1,1,1,1\n1,2,2,1\n7,1,1,1\n1,3,3,1\n7,2,1,1\n";
    Folder::with("log.csv", rows).refuses(CSV, &parts("log.csv, line 4"));
}

#[test]
fn more_than_twenty_defects_are_counted() {
    let rows = (0..25).map(|row| format!("a,{row},never,1\n")).collect::<Vec<_>>().concat();
    let folder = Folder::with("log.csv", format!("user,item,time,rating\n{rows}"));
    let message = folder.refuses(CSV, &["25 problems", "line 21:", "and 5 more"]);
    assert!(!message.contains("line 22:"), "{message}");
}

#[test]
fn defects_of_the_log_and_of_the_item_table_are_reported_together() {
    let folder = Folder::with("log.txt", "1 1 x 3\n").and("items.tsv", "item_id\ttitle\n1\ta\n1\tb\n");
    let keys = format!("{S3REC}\nitems = {{ file = \"items.tsv\", id = \"item_id\", text = [\"title\"] }}");
    folder.refuses(&keys, &["log.txt, line 1", "items.tsv, line 3: item `1` occurs twice, first on line 2"]);
}

#[test]
fn json_that_is_something_else_is_reported_with_its_line() {
    Folder::with("log.json", "{\"1\": [1, 2, 3],\n\"2\": [1.5]}").refuses(JSON, &["log.json, line 2"]);
    Folder::with("log.json", "[1, 2]").refuses(JSON, &["log.json, line 1", "object"]);
    Folder::with("log.jsonl", "{\"user\":1,\"item\":2,\"time\":3,\"rating\":1}\n{\"user\":\n")
        .refuses(JSONL, &["log.jsonl, line 2"]);
    let list = "{\"user\":1,\"item\":[2],\"time\":3,\"rating\":1}\n";
    Folder::with("log.jsonl", list).refuses(JSONL, &["log.jsonl, line 1", "item", "[2]"]);
}

#[test]
fn a_broken_parquet_file_is_refused_and_bad_rows_are_numbered() {
    Folder::with("log.parquet", "PAR1 but not really").refuses(PARQUET, &["log.parquet", "Parquet"]);
    let columns = vec![
        Column::new("user".into(), ["a", "b"]),
        Column::new("item".into(), [1i64, 2]),
        Column::new("time".into(), [1i64, 2]),
        Column::new("rating".into(), [1.0, f64::NAN]),
    ];
    let folder = Folder::with("log.parquet", parquet(columns));
    folder.refuses(PARQUET, &["log.parquet, row 2", "`rating`", "NaN", "finite"]);
    let whole = parquet(vec![Column::new("user".into(), ["a", "b"])]);
    Folder::with("log.parquet", &whole[..whole.len() / 2]).refuses(PARQUET, &["log.parquet", "Parquet"]);
}

#[test]
fn filters_that_leave_nobody_are_refused() {
    let folder = Folder::with("log.txt", "1 1 2 3\n2 1 2 3\n");
    folder.refuses(&format!("{S3REC}\nk_core = 9"), &["data.k_core", "9", "leaves no user"]);
    folder.refuses(&format!("{S3REC}\nmax_users = 0"), &["data.max_users", "leaves no user"]);
    folder.refuses(&format!("{S3REC}\ntie_order = {{ shuffled = 0 }}"), &["data.tie_order", "needs times"]);
}

#[test]
fn what_cannot_have_happened_is_counted_and_bounded() {
    let head = "user_id,video_id,play_duration,video_duration,timestamp\n";
    let rows = "1,5,-200,1000,40\n1,6,900000,1000,30\n1,7,500,-1,50\n1,7,500,-1,50\n1,8,500,1000,60\n";
    let folder = Folder::with("log.csv", format!("{head}{rows}"));
    let (dataset, card) = folder.build(r#"source = { kind = "kuairec", file = "log.csv" }"#).unwrap();
    let mended = [
        ("negative duration, counts as unknown", 2),
        ("negative play time, counts as none", 1),
        ("played longer than five durations, counts as five", 1),
        ("time goes backwards in the file, put in order", 1),
    ];
    assert_eq!(card.mended, mended.map(|(what, count)| (what.to_owned(), count)).into());
    assert_eq!(card.removed["duplicate rows"], 1);
    let history = &dataset.log.histories[0];
    assert_eq!(
        (&history.feedback[..], &history.timestamps[..]),
        (&[5.0, 0.0, 0.5, 0.5][..], &[30, 40, 50, 60][..])
    );
}
