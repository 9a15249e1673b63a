//! libFuzzer's door to the target `loader`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_fuzz::run("loader", data));
