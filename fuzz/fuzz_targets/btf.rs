//! libFuzzer's door to the target `btf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_fuzz::run("btf", data));
