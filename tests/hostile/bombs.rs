//! Small files that ask for much: sizes that no memory holds, depth without end, names that lead elsewhere.

use super::readers::write_policy;
use crate::support::{MINIMAL, experiment, outcome};
use recalign::config::load;
use std::fs;

fn refusal(
    result: Result<(policy::model::Policy, policy::model::PolicyConfig), policy::checkpoint::CheckpointError>,
) -> String {
    format!("{:#}", anyhow::Error::from(result.err().unwrap()))
}

#[test]
fn sizes_that_the_weights_cannot_have_are_refused_before_memory_is_taken() {
    for key in ["vocab_size", "d_model", "d_ff", "d_kv", "num_heads", "num_layers", "num_decoder_layers"] {
        let dir = tempfile::tempdir().unwrap();
        write_policy(dir.path());
        let path = dir.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for huge in [1u64 << 20, 1 << 40, u64::MAX] {
            config[key] = huge.into();
            fs::write(&path, config.to_string()).unwrap();
            let message = refusal(policy::checkpoint::read(dir.path(), &burn::prelude::Device::flex()));
            assert!(message.contains("config.json"), "{key} = {huge}: {message}");
        }
    }
}

#[test]
fn a_header_that_claims_to_be_larger_than_the_file_is_refused() {
    for claimed in [u64::MAX, 1 << 40, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        write_policy(dir.path());
        let path = dir.path().join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        bytes[..8].copy_from_slice(&claimed.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let message = refusal(policy::checkpoint::read(dir.path(), &burn::prelude::Device::flex()));
        assert!(message.contains("model.safetensors"), "{message}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    for deep in
        [format!("{MINIMAL}x = {}", "[".repeat(100_000)), format!("{MINIMAL}{}x = 1", "a.".repeat(100_000))]
    {
        let (_dir, path) = experiment(&deep);
        assert!(load(&path, &[]).is_err());
    }
    let dir = tempfile::tempdir().unwrap();
    crate::faults::small::run(dir.path()).unwrap();
    fs::write(dir.path().join("stages/01-first/manifest.json"), "[".repeat(1_000_000)).unwrap();
    let (code, stdout, log) = outcome(&["verify", dir.path().to_str().unwrap()]);
    assert_eq!(code, 1, "{stdout}{log}");
}

#[test]
fn the_name_of_a_run_leads_nowhere_else() {
    for name in ["../escape", "/tmp/escape", "a/b", "..", "", "a\\u0000b", &"x".repeat(5000)] {
        let (_dir, path) = experiment(&MINIMAL.replace("'test'", &format!("\"{name}\"")));
        assert!(load(&path, &[]).is_err(), "{name:?}");
    }
}

#[test]
fn a_stage_directory_that_is_a_link_elsewhere_is_not_followed_when_it_is_removed() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::faults::small::run(dir.path()).unwrap();
    fs::write(elsewhere.path().join("precious"), "").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("stages/03-third.partial")).unwrap();
    crate::faults::small::run(dir.path()).unwrap();
    assert!(elsewhere.path().join("precious").is_file());
    assert!(!dir.path().join("stages/03-third.partial").exists());
}

#[test]
fn names_of_files_cannot_speak_to_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    crate::faults::small::run(dir.path()).unwrap();
    fs::write(dir.path().join("stages/01-first/\u{1b}]0;owned\u{7}"), "").unwrap();
    let (code, stdout, log) = outcome(&["verify", dir.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stdout.contains("\\u{1b}]0;owned\\u{7} is not in the manifest"), "{stdout}");
    assert!(!stdout.contains('\u{1b}') && !log.contains('\u{1b}'), "{log}");
}
