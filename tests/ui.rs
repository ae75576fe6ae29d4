//! The pages over run directories, through their socket: what is shown, what is refused, runs that grow.

use crate::directories::t5;
use crate::serve::client::{Client, Response, Serving};
use crate::support::{copy_tree, outcome};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A name that would be markup, a script, and a part of an address.
const HOSTILE: &str = "a <img src=x onerror=alert(1)>, \"b\" & 'c' %2e%2e?x#y";

/// Two runs, one of them in a sweep's directory, and a file that is none of their business.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        copy_tree(t5(), &fixture.runs().join("sweep-a/t5-seed1"));
        copy_tree(t5(), &fixture.runs().join(HOSTILE));
        let record = fixture.runs().join(HOSTILE).join("run.json");
        let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        value["seed"] = 8.into();
        fs::write(record, value.to_string()).unwrap();
        fs::write(fixture.dir.path().join("secret"), "the secret").unwrap();
        fixture
    }
    fn runs(&self) -> PathBuf {
        self.dir.path().join("runs")
    }
    fn serve(&self) -> Serving {
        Serving::command("ui", &self.runs(), &[])
    }
}

fn encode(text: &str) -> String {
    let digits = text.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>();
    format!("%{}", digits.join("%"))
}

fn ok(response: Response) -> String {
    let (status, head, body) = response;
    assert_eq!(status, 200, "{head}{body}");
    body
}

#[test]
fn runs_are_listed_and_their_names_are_data() {
    let fixture = Fixture::new();
    let serving = fixture.serve();
    let list = ok(serving.client().get("/"));
    assert!(list.contains("sweep-a&#x2f;t5-seed1") && list.contains("finished"), "{list}");
    assert!(list.contains("a &lt;img src=x onerror=alert(1)&gt;, &quot;b&quot; &amp;"), "{list}");
    assert!(!list.contains("<img"), "{list}");
    let page = ok(serving.client().get(&format!("/runs/{}/", encode(HOSTILE))));
    assert!(page.contains("<svg") && page.contains("pretrain") && !page.contains("<img"), "{page}");
    let (_, head, _) = serving.client().get("/");
    assert!(
        head.contains("content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'")
    );
}

#[test]
fn nothing_outside_the_directory_is_shown() {
    let fixture = Fixture::new();
    let report = fixture.runs().join("sweep-a/t5-seed1/report");
    #[cfg(unix)]
    std::os::unix::fs::symlink(fixture.dir.path().join("secret"), report.join("link.html")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(fixture.dir.path(), fixture.runs().join("up")).unwrap();
    let serving = fixture.serve();
    let run = "/runs/sweep-a%2Ft5-seed1";
    ok(serving.client().get(&format!("{run}/report/index.html")));
    for path in [
        "/runs/../secret",
        "/runs/%2E%2E/",
        "/runs/..%2Fsecret/",
        "/runs/up/",
        "/sweeps/up/secret",
        "/sweeps/%2E%2E/secret",
        &format!("{run}/report/../../../../secret"),
        &format!("{run}/report/%2E%2E/%2E%2E/%2E%2E/%2E%2E/secret"),
        &format!("{run}/report/..%2F..%2F..%2F..%2Fsecret"),
        &format!("{run}/report/link.html"),
        &format!("{run}/report/%2Fetc%2Fpasswd"),
        &format!("{run}/report/..%5C..%5Csecret"),
        &format!("{run}/report/%00"),
        &format!("{run}/config.toml"),
        "/static/../secret",
        "/compare/%2E%2E%2Csweep-a%252Ft5-seed1/index.html",
    ] {
        let (status, _, body) = serving.client().get(path);
        assert_eq!(status, 404, "{path}: {body}");
        assert!(!body.contains("the secret") && !body.contains("root:"), "{path}: {body}");
    }
    assert_eq!(serving.client().get("/runs/%FF/").0, 400, "a name that is no text");
}

#[test]
fn other_names_of_this_machine_and_anything_but_reading_are_refused() {
    let fixture = Fixture::new();
    let serving = fixture.serve();
    let (status, _, body) = serving.client().with_host("rebound.example").get("/");
    assert_eq!(status, 421);
    assert!(!body.contains("t5-seed1"), "{body}");
    ok(serving.client().with_host("localhost:1234").get("/"));
    assert_eq!(serving.client().send("POST", "/", &[], b"x").0, 405);
    let (code, _, log) = outcome(&["ui", fixture.runs().to_str().unwrap(), "--address", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(log.contains("reachable from other machines"), "{log}");
    assert_eq!(outcome(&["ui", "nowhere-at-all"]).0, 2);
}

#[test]
fn a_report_may_run_its_own_script_and_reach_nothing() {
    let fixture = Fixture::new();
    let serving = fixture.serve();
    let (_, head, body) = serving.client().get("/runs/sweep-a%2Ft5-seed1/report/index.html");
    assert!(head.contains("sandbox allow-scripts") && head.contains("script-src 'sha256-"), "{head}");
    assert!(body.contains("<h1>"), "{body}");
}

/// Makes a run one that is in the middle of pretraining; returns where its rows grow.
fn running(run: &Path) -> PathBuf {
    for entry in fs::read_dir(run.join("stages")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("01-ingest") && !path.ends_with("02-tokenize") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    fs::remove_dir_all(run.join("report")).unwrap();
    fs::write(run.join("metrics.jsonl"), "").unwrap();
    let work = run.join("stages/03-pretrain.work");
    fs::create_dir_all(work.join("scratch")).unwrap();
    fs::write(work.join("progress.json"), "{\"label\":\"steps\",\"done\":10,\"total\":40,\"seconds\":5.0}")
        .unwrap();
    work.join("live.jsonl")
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn row(step: u64, value: f64) -> String {
    format!("{{\"stage\":\"pretrain\",\"step\":{step},\"key\":\"loss\",\"value\":{value}}}\n")
}

fn look(client: &mut Client, tag: &str) -> (u16, String, String) {
    let (status, head, body) =
        client.send("GET", "/runs/sweep-a%2Ft5-seed1/live", &[("If-None-Match", tag)], b"");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
    (status, tag.to_owned(), body)
}

#[test]
fn curves_grow_with_the_file_and_half_a_row_is_not_one() {
    let fixture = Fixture::new();
    let rows = running(&fixture.runs().join("sweep-a/t5-seed1"));
    let serving = fixture.serve();
    let mut client = serving.client();
    let (status, first, body) = look(&mut client, "");
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains("running") && body.contains("steps 10&#x2f;40") && body.contains("No curve"),
        "{body}"
    );
    append(&rows, &(row(1, 3.0) + &row(2, 2.5) + "{\"stage\":\"pretr"));
    let (status, second, body) = look(&mut client, &first);
    assert_eq!((status, body.contains("<svg")), (200, true), "{body}");
    assert_eq!(look(&mut client, &second).0, 304, "nothing has come since");
    let csv = |client: &mut Client| ok(client.get("/runs/sweep-a%2Ft5-seed1/figures/pretraining.csv"));
    assert_eq!(csv(&mut client).matches("pretrain").count(), 2, "{}", csv(&mut client));
    append(&rows, "ain\",\"step\":3,\"key\":\"loss\",\"value\":2.25}\n");
    assert_eq!(look(&mut client, &second).0, 200);
    assert!(csv(&mut client).contains("2.25"), "{}", csv(&mut client));
    let list = ok(client.get("/list"));
    assert!(list.contains("<strong>running</strong>") && list.contains("2.25"), "{list}");
    append(&rows, "no row\n");
    let (status, _, body) = client.get("/runs/sweep-a%2Ft5-seed1/");
    assert!(status == 500 && body.contains("line 4"), "{body}");
    ok(client.get("/"));
}

#[test]
fn chosen_runs_are_compared_and_the_pages_figures_are_there() {
    let fixture = Fixture::new();
    let serving = fixture.serve();
    let mut client = serving.client();
    let (status, head, _) =
        client.get(&format!("/compare?run={}&run={}", encode("sweep-a/t5-seed1"), encode(HOSTILE)));
    assert_eq!(status, 303, "{head}");
    let target = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let page = ok(client.get(target));
    assert!(page.contains("comparison"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    let table = ok(client.get(&target.replace("index.html", "sweep.json")));
    assert!(table.contains("\"runs\""), "{table}");
    assert_eq!(client.get("/compare?run=sweep-a%2Ft5-seed1").0, 400);
    assert_eq!(client.get("/compare?run=x&run=y").0, 303);
    assert_eq!(client.get("/compare/x%2Cy/index.html").0, 404);
}

#[test]
fn pairs_show_both_sides_with_every_score_a_page_at_a_time() {
    let fixture = Fixture::new();
    let serving = fixture.serve();
    let mut client = serving.client();
    let run = "/runs/sweep-a%2Ft5-seed1/pairs";
    let first = ok(client.get(run));
    for part in ["chosen", "rejected", "reference log-prob", "proxy", "margin", "next pairs"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    let second = ok(client.get(&format!("{run}?stage=sample-ipa-1&from=25")));
    assert!(second.contains("pairs 26 to") && second.contains("previous pairs"), "{second}");
    assert_eq!(client.get(&format!("{run}?stage=..")).0, 404);
    ok(client.get(&format!("{run}?from=999999999")));
    ok(client.get(&format!("{run}?from=-1&stage=%zz")));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_while_a_browser_is_connected() {
    let fixture = Fixture::new();
    let mut serving = fixture.serve();
    let mut client = serving.client();
    ok(client.get("/"));
    serving.signal("TERM");
    assert_eq!(serving.exit(), Some(0));
}
