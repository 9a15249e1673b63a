//! libFuzzer's door to the target `policy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_fuzz::run("policy", data));
