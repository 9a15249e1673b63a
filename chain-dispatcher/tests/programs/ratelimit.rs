//! What no single vector of `skep/ratelimit` can say: processors that share one bucket.

use std::sync::Barrier;
use std::time::Instant;

use serde_json::json;
use skep_artifact::config::ConfigValues;

use super::package::Package;
use super::packet::build;

/// Threads on several processors take from one bucket until twice as many packets came as it ever held, with one
/// bucket after another. Each gave its burst and one token per elapsed second, not one more: no two processors shared
/// a token. (With a plain store in place of the exchange a bucket gives some 20,000 too many on two processors.)
#[test]
fn processors_that_share_a_bucket_never_share_a_token() {
    const BUCKETS: u8 = 3;
    const THREADS: usize = 4;
    const PACKETS: u32 = 500_000;
    const BURST: u64 = 1_000_000;
    let package = Package::compile("ratelimit");
    let config: ConfigValues =
        serde_json::from_value(json!({ "rate": 1, "burst": BURST })).unwrap();
    let program = package.load(&config);
    let mut passed_before = 0;
    for number in 1..=BUCKETS {
        let frame = build(&format!("eth/ipv4(src=198.51.100.{number})/udp")).unwrap();
        let barrier = Barrier::new(THREADS);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    program.repeat(&frame, PACKETS).unwrap();
                });
            }
        });
        let refilled = start.elapsed().as_secs() + 1;
        let passed = package.metric(&program, "passed") - passed_before;
        passed_before += passed;
        assert!(
            (BURST..=BURST + refilled).contains(&passed),
            "{passed} of a burst of {BURST} passed"
        );
    }
    assert_eq!(package.metric(&program, "sources"), u64::from(BUCKETS));
}

/// The map keeps 65,536 buckets; more sources evict old ones and none is refused for lack of room.
#[test]
fn more_sources_than_buckets_are_still_served() {
    let package = Package::compile("ratelimit");
    let config: ConfigValues = serde_json::from_value(json!({ "rate": 1, "burst": 1 })).unwrap();
    let program = package.load(&config);
    let mut frame = build("eth/ipv4(src=10.0.0.0)/udp").unwrap();
    for number in 0..70_000_u32 {
        frame[26..30].copy_from_slice(&(0x0a00_0000 | number).to_be_bytes());
        program.run(&frame).unwrap();
    }
    assert_eq!(package.metric(&program, "passed"), 70_000);
    assert_eq!(package.metric(&program, "untracked"), 0);
}
