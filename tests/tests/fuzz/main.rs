//! Damaged input for every decoder: any bytes give a value or an error, never a panic, and soon.
//!
//! Seeds are whole documents; each input is a seed with a few random wounds. `scripts/test` gives each target a second,
//! `scripts/fuzz` as long as one likes (`RUSTA_FUZZ_SECONDS`, `RUSTA_FUZZ_TARGET`). The random numbers start from a fixed
//! seed, so a short run is the same run everywhere; a longer one goes on from there.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod targets;
mod wounds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusta_tests::random::Random;
use targets::Target;

/// No input of at most a few kilobytes may take longer than this, even in a slow build on a busy machine.
const SLOWEST: Duration = Duration::from_secs(5);

fn seconds() -> u64 {
    std::env::var("RUSTA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn wanted(name: &str) -> bool {
    std::env::var("RUSTA_FUZZ_TARGET").map_or(true, |wanted| wanted.is_empty() || wanted == name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs one input and says what is wrong with how the target took it.
fn fault_of(target: &Target, input: &[u8]) -> Option<String> {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = started.elapsed();
    match outcome {
        Err(_) => Some("panicked".into()),
        Ok(()) if took > SLOWEST => Some(format!("took {took:?}")),
        Ok(()) => None,
    }
}

fn torment(target: &Target) {
    let started = Instant::now();
    let mut random = Random::from_seed(20_261_121);
    let mut runs = 0u64;
    for seed in &target.seeds {
        assert_eq!(fault_of(target, seed), None, "{}: on its own seed", target.name);
    }
    while started.elapsed() < Duration::from_secs(seconds()) {
        let input = wounds::wounded(&mut random, &target.seeds);
        let fault = fault_of(target, &input);
        assert_eq!(fault, None, "{} in run {runs} on {}", target.name, hex(&input));
        runs += 1;
    }
    println!("{}: {runs} inputs", target.name);
}

#[test]
fn no_decoder_panics_or_hangs_on_damaged_input() {
    targets::all().iter().filter(|target| wanted(target.name)).for_each(torment);
}
