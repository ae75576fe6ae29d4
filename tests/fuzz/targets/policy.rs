#![no_main]

#[path = "../target.rs"]
mod target;

/// Of the smallest policy.
const CONFIG: &[u8] = include_bytes!("policy.json");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::read("policy", ("model.safetensors", bytes), &[("config.json", CONFIG)]));
