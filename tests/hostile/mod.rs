//! Files that are damaged or made to do harm: whatever they hold, they are read as what they are or refused with a
//! message - no panic, no abort, in bounded time and memory.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "child processes tell the tests, and tests what they skip or found"
)]

mod artifacts;
mod bombs;
mod formats;
mod readers;
mod secrets;

use crate::support::{mutant, rounds};
use policy::random::Key;
use readers::Reader;
use std::process::Command;
use std::time::{Duration, Instant};

/// The most that reading one mutant may take.
const MOST_TIME: Duration = Duration::from_secs(5);
/// The most that a process which reads mutants may hold, those of its libraries included.
const MOST_MEMORY: u64 = 512 << 20;

/// What readers are known to stumble over, put into the middle of files.
const TOKENS: &[&str] = &[
    "\u{1b}[2J",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "1e999",
    "-1e999",
    "NaN",
    "-0.0",
    "99999999999999999999",
    "-1",
    "4294967296",
    "[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "\"\"\"",
    "'",
    "\\",
    "\r\r\n",
    "\t\t",
    ",,,,",
    "../../../../etc/passwd",
    "null",
    "true",
    "\\u0000",
    "\u{10ffff}",
    "[[a]]\n",
    "a.b.c=1\n",
];

/// One to four things wrong with the file.
fn damaged(bytes: &[u8], key: Key) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for number in 0..=key.named("count").bits() % 4 {
        let key = key.at(number);
        if key.named("token?").bits().is_multiple_of(3) {
            let token = TOKENS[(key.named("token").bits() % TOKENS.len() as u64) as usize];
            let at = (key.named("place").bits() % (damaged.len() as u64 + 1)) as usize;
            damaged.splice(at..at, token.bytes());
        } else {
            damaged = mutant(&damaged, key).0;
        }
    }
    damaged
}

/// Reads mutants in a process of its own, so that an abort is a failure and memory can be measured.
#[test]
#[ignore = "the child process of the tests beside it"]
#[allow(clippy::disallowed_methods, reason = "this test is about time")]
fn child() {
    let Ok(name) = std::env::var("HOSTILE_READER") else { return };
    let count: u64 = std::env::var("HOSTILE_COUNT").unwrap().parse().unwrap();
    let reader = Reader::named(&name);
    let originals = reader.originals();
    assert!(reader.read(), "{name}: the undamaged files are refused");
    let mut refused = 0;
    for number in 0..count {
        let key = Key::new(8).named(&name).at(number);
        let (path, original) = &originals[(key.named("file").bits() % originals.len() as u64) as usize];
        std::fs::write(path, damaged(original, key)).unwrap();
        let begun = Instant::now();
        // Where a panic says nothing of the mutant, this line does.
        println!("mutant {number}");
        refused += u64::from(!reader.read());
        assert!(begun.elapsed() < MOST_TIME, "{name}: mutant {number} took {:?}", begun.elapsed());
        std::fs::write(path, original).unwrap();
    }
    println!("refused {refused} of {count}");
    println!("memory {}", peak_memory());
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn survives(name: &str, ci: usize) {
    let count = rounds(ci).to_string();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["hostile::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("HOSTILE_READER", name).env("HOSTILE_COUNT", &count).env("RAYON_NUM_THREADS", "1");
    let output = command.env("POLARS_MAX_THREADS", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = text.lines().rev().take(4).collect();
    assert!(output.status.success(), "{name}: {tail:?}\n{log}");
    let memory = text.lines().find_map(|line| line.strip_prefix("memory ")?.parse().ok());
    let memory: u64 = memory.unwrap_or_else(|| panic!("{name}: {tail:?}"));
    assert!(memory < MOST_MEMORY, "{name}: {} MiB", memory >> 20);
    println!("{name}: {tail:?}");
}

#[test]
fn mutants_of_experiment_files_are_read_or_refused() {
    survives("toml", 2000);
}

#[test]
fn mutants_of_text_logs_are_read_or_refused() {
    for name in ["csv", "jsonl", "inter", "s3rec", "sequences"] {
        survives(name, 1000);
    }
}

#[test]
fn mutants_of_parquet_logs_are_read_or_refused() {
    survives("parquet", 300);
}

#[test]
fn mutants_of_vectors_and_weights_are_read_or_refused() {
    survives("vectors", 500);
    survives("policy", 300);
}

#[test]
fn mutants_of_semantic_ids_are_read_or_refused() {
    survives("ids", 200);
}

#[test]
fn mutants_of_run_directories_are_read_or_refused() {
    survives("run", 200);
}
