//! libFuzzer's door to the target `facts`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_fuzz::run("facts", data));
