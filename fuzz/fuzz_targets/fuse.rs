//! libFuzzer's door to the target `fuse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_fuzz::run("fuse", data));
