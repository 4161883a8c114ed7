//! Tells the program when it was built: a time that has certainly passed, for routers that boot into 1970.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|s| s.parse::<u64>().ok()).unwrap_or_else(now);
    println!("cargo:rustc-env=RUSTA_BUILD_UNIX_S={seconds}");
}

// A build has no `clock.rs`; a reproducible one sets SOURCE_DATE_EPOCH.
#[allow(clippy::disallowed_methods)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0)
}
