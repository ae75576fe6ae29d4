//! The service through its sockets: every route, broken input, overload, reloading and draining under load.

pub(crate) mod client;
mod contract;

use crate::directories::{export, exported, item_context, semantic_ids, t5};
use crate::support::{copy_tree, outcome};
use client::{Client, Serving};
use recalign::run::commit::rename;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The ids of the catalog.
fn ids() -> Vec<String> {
    semantic_ids(exported()).into_iter().map(|(id, _)| id).collect()
}

/// Numbers that look drawn: histories must differ, not be random.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    (1..=count).map(|number| number.wrapping_mul(0x9e37_79b9) >> 7)
}

/// Histories of up to nine items.
fn histories(count: usize) -> Vec<Vec<String>> {
    let ids = ids();
    let history =
        |seed: usize| (0..seed % 10).map(|at| ids[(seed / 3 + at * 37) % ids.len()].clone()).collect();
    scattered(count).map(history).collect()
}

fn recommended(answer: &Value, request: usize) -> Vec<String> {
    let items = answer["results"][request]["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_route_answers() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    for (path, expected) in [
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/metrics", "recalign_requests_total{route=\"/healthz\",status=\"200\"} 1"),
        ("/openapi.json", "\"openapi\":\"3.1.0\""),
        ("/v1/model", "\"architecture\":\"t5\""),
    ] {
        let (status, _, body) = client.get(path);
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(expected), "{expected} is not in {body}");
    }
    let (status, answer) =
        client.post("/v1/recommend", &json!({"requests": [{"history": [ids()[3]], "k": 5}]}));
    assert_eq!((status, recommended(&answer, 0).len()), (200, 5), "{answer}");
    let (status, body) = client.post("/v1/reload", &json!({}));
    assert_eq!((status, &body["error"]["code"]), (401, &json!("token")));
}

#[test]
fn recommendations_are_the_policys_and_their_scores_are_its_probabilities() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    let histories = histories(8);
    let requests: Vec<Value> =
        histories.iter().map(|history| json!({"history": history, "k": 8, "beam": 100})).collect();
    let (status, answer) = client.post("/v1/recommend", &json!({ "requests": requests }));
    assert_eq!(status, 200, "{answer}");
    for (at, history) in histories.iter().enumerate() {
        let shown = recommended(&answer, at);
        assert!(shown.iter().all(|id| !history.contains(id)), "seen items are left out");
        let (_, scores) =
            client.post("/v1/score", &json!({"requests": [{"history": history, "candidates": shown}]}));
        let items = answer["results"][at]["items"].as_array().unwrap();
        for (item, log_prob) in items.iter().zip(scores["results"][0]["log_probs"].as_array().unwrap()) {
            let [shown, scored] = [&item["log_prob"], log_prob].map(|number| number.as_f64().unwrap());
            assert!((shown - scored).abs() < 1e-4, "{shown} and {scored}");
        }
        // Alone or among others, in a batch or an allow-list of everything: the same ranking.
        let alone = json!({"requests": [{"history": history, "k": 8, "beam": 100}]});
        assert_eq!(recommended(&client.post("/v1/recommend", &alone).1, 0), shown);
        let allow = json!({"requests": [{"history": history, "k": 8, "allow": ids()}]});
        assert_eq!(
            recommended(&client.post("/v1/recommend", &allow).1, 0),
            shown,
            "beam 100 of 200 items is exact enough"
        );
    }
}

#[test]
fn filters_hold_and_unknown_items_are_told() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    let ids = ids();
    let mut ask = |wish: Value| client.post("/v1/recommend", &json!({ "requests": [wish] })).1;
    let plain = recommended(&ask(json!({"history": [ids[0], ids[9]]})), 0);
    let blocked = recommended(&ask(json!({"history": [ids[0], ids[9]], "block": [plain[0], plain[2]]})), 0);
    assert!(!blocked.contains(&plain[0]) && !blocked.contains(&plain[2]) && blocked.contains(&plain[1]));
    let allowed =
        ask(json!({"history": [ids[0]], "allow": [plain[3], "nobody", plain[1]], "block": [plain[3]]}));
    assert_eq!(recommended(&allowed, 0), [plain[1].clone()]);
    let seen = ask(json!({"history": [plain[0]], "allow": [plain[0]]}));
    assert!(recommended(&seen, 0).is_empty());
    let again = ask(json!({"history": [plain[0]], "allow": [plain[0]], "seen": "allow"}));
    assert_eq!(recommended(&again, 0), [plain[0].clone()]);

    let unknown = ask(json!({"history": ["nobody", ids[0], [9999, 0, 0, 0], ids[9]]}));
    assert_eq!(unknown["results"][0]["skipped"], json!([0, 2]));
    assert_eq!(recommended(&unknown, 0), plain);
    let cold = ask(json!({"history": ["nobody"], "k": 3}));
    assert_eq!(cold["results"][0]["items"].as_array().unwrap().len(), 3, "{cold}");
}

#[test]
fn the_judge_orders_what_the_policy_found() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    let wish = |rank_by: &str| json!({"requests": [{"history": [ids()[5]], "k": 20, "beam": 20, "rank_by": rank_by}]});
    let judged = client.post("/v1/recommend", &wish("judge")).1;
    let scores: Vec<f64> = judged["results"][0]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["judge"].as_f64().unwrap())
        .collect();
    assert!(scores.len() == 20 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let plain = client.post("/v1/recommend", &wish("policy")).1;
    let [a, b] = [&judged, &plain].map(|answer| recommended(answer, 0).into_iter().collect::<BTreeSet<_>>());
    assert_eq!(a, b, "the same candidates");

    let dir = tempfile::tempdir().unwrap();
    let native = dir.path().join("native");
    export(item_context(), &native, &[]);
    let serving = Serving::start(&native, &[]);
    let (status, body) = serving.client().post("/v1/recommend", &wish("judge"));
    assert_eq!((status, &body["error"]["code"]), (409, &json!("no-judge")));
    assert_eq!(serving.client().post("/v1/recommend", &wish("policy")).0, 200);
}

#[test]
fn broken_requests_are_refused_with_a_reason_and_nothing_breaks() {
    let serving = Serving::start(exported(), &["--max-body", "20000", "--max-batch", "4"]);
    let json = "application/json";
    for (kind, body, status, expected) in [
        (json, "{\"requests\": [".to_owned(), 400, "EOF while parsing"),
        (json, "\u{1f980}".to_owned(), 400, "expected value"),
        (json, "[]".to_owned(), 400, "invalid length 0"),
        (json, "{}".to_owned(), 400, "missing field `requests`"),
        (json, "{\"requests\": []}".to_owned(), 400, "0 requests in one body, must be 1 to 4"),
        (
            json,
            format!("{{\"requests\": [{}]}}", ["{\"history\": []}"; 5].join(",")),
            400,
            "5 requests in one body",
        ),
        (json, "{\"requests\": [{\"history\": [], \"k\": 0}]}".to_owned(), 400, "k = 0 is out of range"),
        (json, "{\"requests\": [{\"history\": [], \"k\": -1}]}".to_owned(), 400, "-1 is not a whole number"),
        (
            json,
            "{\"requests\": [{\"history\": [], \"beam\": 101}]}".to_owned(),
            400,
            "beam = 101 is out of range",
        ),
        (json, "{\"requests\": [{\"history\": [1.5]}]}".to_owned(), 400, "did not match any variant"),
        (
            json,
            "{\"requests\": [{\"history\": [], \"filters\": 1}]}".to_owned(),
            400,
            "unknown field `filters`",
        ),
        (json, " ".repeat(20_001), 413, "too large"),
        (json, "[".repeat(10_000), 400, "recursion limit"),
        ("text/plain", "{}".to_owned(), 415, "Content-Type: application/json"),
    ] {
        let (found, _, text) =
            serving.client().send("POST", "/v1/recommend", &[("Content-Type", kind)], body.as_bytes());
        assert_eq!(found, status, "{text}");
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let (status, headers, _) = serving.client().get("/v1/recommend");
    assert_eq!(status, 405);
    assert!(headers.contains("allow: post"), "{headers}");
    assert_eq!(serving.client().get("/v1/../etc/passwd").0, 404);
    let (status, _) = serving.client().post("/v1/recommend", &json!({"requests": [{"history": []}]}));
    assert_eq!(status, 200);
}

#[test]
fn a_client_that_stops_sending_is_told_and_let_go() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    client.write(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    let (status, _, body) = client.read().unwrap();
    assert_eq!(status, 408, "{body}");
    let mut client = serving.client();
    client.write(b"POST /v1/rec");
    assert!(client.read().is_none(), "the connection is closed");
}

/// A wish of one of all kinds, and the items that its answer may show.
fn wish(number: usize, history: &[String], items: &[(String, Vec<u32>)]) -> (Value, BTreeSet<String>) {
    let some = |count: usize| items.iter().cycle().skip(number % items.len()).take(count);
    let ids = |count: usize| some(count).map(|(id, _)| id.clone()).collect::<BTreeSet<String>>();
    let seen: BTreeSet<String> = history.iter().cloned().collect();
    let all: BTreeSet<String> = items.iter().map(|(id, _)| id.clone()).collect();
    let unseen = &all - &seen;
    match number % 64 {
        0 => (json!({"history": history, "k": 20, "beam": 20, "rank_by": "judge"}), unseen),
        1..4 => (json!({"history": history, "allow": ids(30), "k": 50}), &ids(30) - &seen),
        4..8 => (json!({"history": history, "block": ids(40), "k": 100, "beam": 100}), &unseen - &ids(40)),
        8..16 => {
            let codes: Vec<_> = some(7).map(|(_, codes)| codes).collect();
            (json!({"history": codes, "k": 20, "beam": 20}), &all - &ids(7))
        }
        16..24 => (json!({"history": history, "seen": "allow", "k": 1, "beam": 1}), all),
        24..28 => (json!({"history": ["nobody", [99, 99, 99], ""]}), all),
        _ => (json!({"history": history, "k": 10, "beam": 20}), unseen),
    }
}

/// How many requests the next test sends; `RECALIGN_REQUESTS=1000000` for longer.
fn many() -> usize {
    std::env::var("RECALIGN_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

#[test]
fn an_item_that_is_not_in_the_catalog_never_appears() {
    let serving = Serving::start(exported(), &[]);
    let mut client = serving.client();
    let (items, mut shown_items) = (semantic_ids(exported()), BTreeSet::new());
    for (batch, histories) in histories(many()).chunks(64).enumerate() {
        let numbered = histories.iter().enumerate();
        let (wishes, allowed): (Vec<Value>, Vec<BTreeSet<String>>) =
            numbered.map(|(at, history)| wish(64 * batch + at, history, &items)).unzip();
        let (status, answer) = client.post("/v1/recommend", &json!({ "requests": wishes }));
        assert_eq!(status, 200, "{answer}");
        for (at, (wish, allowed)) in wishes.iter().zip(allowed).enumerate() {
            let shown = recommended(&answer, at);
            let distinct: BTreeSet<String> = shown.iter().cloned().collect();
            assert!(distinct.is_subset(&allowed) && distinct.len() == shown.len(), "{wish}: {shown:?}");
            assert!(
                shown.len() <= wish["k"].as_u64().unwrap_or(10) as usize && !shown.is_empty(),
                "{wish}: {shown:?}"
            );
            shown_items.extend(distinct);
        }
    }
    assert!(
        shown_items.len() > items.len() / 2,
        "answers differ: {} of {} items",
        shown_items.len(),
        items.len()
    );
}

/// Statuses of `each` requests from each of `clients` clients that do not wait for each other.
fn flood(serving: &Serving, clients: usize, each: usize) -> Vec<u16> {
    let body = json!({"requests": [{"history": [ids()[0]], "k": 10, "beam": 50}]});
    std::thread::scope(|scope| {
        let send = || {
            let mut client = serving.client();
            (0..each).map(|_| client.post("/v1/recommend", &body).0).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(send)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn overload_is_refused_politely_and_passes() {
    let serving = Serving::start(exported(), &["--max-queue", "2", "--max-batch", "1"]);
    let statuses = flood(&serving, 32, 20);
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!(count(200) + count(429) + count(503), statuses.len(), "{statuses:?}");
    assert!(count(200) > 0 && count(429) > 0, "{} answered, {} refused", count(200), count(429));
    assert_eq!(flood(&serving, 1, 3), [200; 3], "afterwards it serves again");
    let metrics = serving.client().get("/metrics").2;
    let refused =
        format!("recalign_requests_total{{route=\"/v1/recommend\",status=\"429\"}} {}\n", count(429));
    assert!(metrics.contains(&refused), "{refused} is not in\n{metrics}");
    assert!(metrics.contains("recalign_queue_histories 0\n"), "{metrics}");
}

#[test]
fn who_waits_for_answers_is_not_refused_whatever_a_request_brings() {
    let serving = Serving::start(exported(), &["--max-queue", "0"]);
    let wishes: Vec<Value> = histories(64).iter().map(|history| json!({"history": history})).collect();
    let mut client = serving.client();
    for _ in 0..5 {
        assert_eq!(client.post("/v1/recommend", &json!({ "requests": wishes })).0, 200);
    }
}

#[test]
fn requests_that_arrive_together_are_answered_together() {
    let serving = Serving::start(exported(), &["--max-wait", "300", "--max-batch", "8"]);
    assert_eq!(flood(&serving, 8, 1), [200; 8]);
    let metrics = serving.client().get("/metrics").2;
    let value = |name: &str| {
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap()
    };
    assert!((value("recalign_batch_size_sum") - 8.0).abs() < 1e-9);
    assert!(value("recalign_batch_size_count") < 8.0, "{metrics}");
}

#[test]
fn an_answer_that_would_be_late_is_refused() {
    let serving = Serving::start(exported(), &["--max-time", "1"]);
    let wishes: Vec<Value> =
        histories(64).iter().map(|history| json!({"history": history, "beam": 100})).collect();
    let (status, body) = serving.client().post("/v1/recommend", &json!({ "requests": wishes }));
    assert_eq!((status, &body["error"]["code"]), (503, &json!("late")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_does_without_huge_pages() {
    let serving = Serving::start(exported(), &[]);
    let memory = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", serving.process())).unwrap();
    let huge = memory.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap();
    assert_eq!(huge.split_whitespace().next(), Some("0"), "{memory}");
}

#[cfg(unix)]
#[test]
fn no_accepted_request_is_lost_on_sigterm() {
    let mut serving = Serving::start(exported(), &[]);
    let body = json!({"requests": [{"history": [ids()[0]], "beam": 50}]});
    let address = serving.address;
    let answered = std::thread::scope(|scope| {
        let send = || {
            let (mut client, mut answered) = (Client::new(address), 0);
            loop {
                let (status, headers, text) =
                    client.try_post("/v1/recommend", &body).expect("an accepted request was lost");
                assert_eq!(status, 200, "{text}");
                answered += 1;
                if headers.contains("connection: close") {
                    return answered;
                }
            }
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
        std::thread::sleep(Duration::from_millis(500));
        serving.signal("TERM");
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<usize>>()
    });
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
    assert_eq!(serving.exit(), Some(0), "a drained service ends well");
}

#[cfg(unix)]
#[test]
fn a_verified_directory_replaces_the_old_one_under_load_and_a_damaged_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (served, other) = (dir.path().join("served"), dir.path().join("other"));
    copy_tree(exported(), &served);
    export(t5(), &other, &["--policy", "pretrained"]);
    let secret = dir.path().join("token");
    std::fs::write(&secret, "a-secret-of-the-test\n").unwrap();
    let serving = Serving::start(&served, &["--token-file", secret.to_str().unwrap()]);
    let with_token = || Client::new(serving.address).with_token("a-secret-of-the-test");
    let stop = AtomicBool::new(false);
    let body = json!({"requests": [{"history": [ids()[0]]}]});
    let policies = std::thread::scope(|scope| {
        let send = || {
            let (mut client, mut policies) = (with_token(), BTreeSet::new());
            while !stop.load(Ordering::Relaxed) {
                let (status, answer) = client.post("/v1/recommend", &body);
                assert_eq!(status, 200, "{answer}");
                policies.insert(answer["policy"].as_str().unwrap().to_owned());
            }
            policies
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        std::thread::sleep(Duration::from_millis(300));
        rename(&served, &dir.path().join("old")).unwrap();
        rename(&other, &served).unwrap();
        let (status, answer) = with_token().post("/v1/reload", &json!({}));
        assert_eq!(status, 200, "{answer}");
        std::thread::sleep(Duration::from_millis(300));
        let weights = served.join("model.safetensors");
        let mut bytes = std::fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&weights, bytes).unwrap();
        let (status, answer) = with_token().post("/v1/reload", &json!({}));
        assert_eq!(status, 422);
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("model.safetensors has changed"),
            "{answer}"
        );
        serving.signal("HUP");
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<BTreeSet<String>>()
    });
    assert_eq!(policies.len(), 2, "the old and the new one answered: {policies:?}");
    let metrics = with_token().get("/metrics").2;
    assert!(metrics.contains("recalign_reloads_total{outcome=\"done\"} 1"), "{metrics}");
    assert!(metrics.contains("recalign_reloads_total{outcome=\"refused\"} 2"), "{metrics}");
    assert_eq!(serving.client().get("/v1/model").0, 401);
    assert_eq!(serving.client().get("/healthz").0, 200);
    assert!(!serving.log().contains("a-secret-of-the-test"), "the token is in the log");
}

#[test]
fn a_shadow_of_the_same_directory_agrees() {
    let serving = Serving::start(exported(), &["--shadow", exported().to_str().unwrap()]);
    let mut client = serving.client();
    for _ in 0..3 {
        client.post("/v1/recommend", &json!({"requests": [{"history": [ids()[0]]}]}));
    }
    let (_, _, model) = client.get("/v1/model");
    let model: Value = serde_json::from_str(&model).unwrap();
    assert_eq!(
        model["shadow"],
        json!({"requests": 1, "same_first": 1.0, "overlap": 1.0, "score_drift": 0.0})
    );
}

#[test]
fn what_must_not_be_served_is_refused_before_listening() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = dir.path().join("damaged");
    copy_tree(exported(), &damaged);
    std::fs::write(damaged.join("serving.json"), "{}").unwrap();
    let (exported, damaged) = (exported().to_str().unwrap(), damaged.to_str().unwrap());
    let short = dir.path().join("short");
    std::fs::write(&short, "short").unwrap();
    for (arguments, code, expected) in [
        (&["serve", exported, "--address", "0.0.0.0:0"][..], 2, "there is no token"),
        (&["serve", exported, "--token-file", short.to_str().unwrap()], 2, "at least 16 printable"),
        (&["serve", exported, "--max-batch", "0"], 2, "--max-batch 0 would refuse"),
        (&["serve", dir.path().to_str().unwrap()], 2, "is not an exported directory"),
        (&["serve", damaged], 1, "does not verify: serving.json"),
    ] {
        let (found, _, log) = outcome(arguments);
        assert_eq!(found, code, "{arguments:?}: {log}");
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
}

#[test]
fn the_access_log_is_json_without_what_users_sent() {
    let serving = Serving::start(exported(), &["--access-log"]);
    let secret = "an-id-that-only-this-user-has";
    serving.client().post("/v1/recommend", &json!({"requests": [{"history": [secret]}]}));
    serving.client().get(&format!("/{secret}"));
    let lines: Vec<Value> =
        serving.output(2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["route"], "/v1/recommend");
    assert_eq!((&lines[1]["route"], &lines[1]["status"]), (&json!("other"), &json!(404)));
    assert!(!format!("{lines:?}{}", serving.log()).contains(secret));
}
