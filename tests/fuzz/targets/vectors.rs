#![no_main]

#[path = "../target.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::read("vectors", ("vectors.safetensors", bytes), &[("log.txt", b"1 1 2 3 4\n2 2 3 4\n3 4 1 2\n")]));
