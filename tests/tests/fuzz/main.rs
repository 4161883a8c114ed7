//! Damaged input for every decoder: any bytes give a value or an error, never a panic, and soon.
//!
//! Seeds are whole documents; each input is a seed with a few random wounds. `scripts/test` gives each decoder a
//! second (`RUSTA_FUZZ_SECONDS`). The random numbers start from a fixed seed, so a short run is the same run everywhere.
//! `scripts/fuzz` searches the same decoders with `cargo fuzz`, led by which code an input reaches (`tests/fuzz`).

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod wounds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusta_tests::decoders::{self, Decoder};
use rusta_tests::random::Random;

/// No input of at most a few kilobytes may take longer than this, even in a slow build on a busy machine.
const SLOWEST: Duration = Duration::from_secs(5);

fn seconds() -> u64 {
    std::env::var("RUSTA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs one input and says what is wrong with how the target took it.
fn fault_of(decoder: &Decoder, input: &[u8]) -> Option<String> {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (decoder.run)(input)));
    let took = started.elapsed();
    match outcome {
        Err(_) => Some("panicked".into()),
        Ok(()) if took > SLOWEST => Some(format!("took {took:?}")),
        Ok(()) => None,
    }
}

fn torment(decoder: &Decoder) {
    let started = Instant::now();
    let mut random = Random::from_seed(20_261_121);
    let mut runs = 0u64;
    for seed in &decoder.seeds {
        assert_eq!(fault_of(decoder, seed), None, "{}: on its own seed", decoder.name);
    }
    while started.elapsed() < Duration::from_secs(seconds()) {
        let input = wounds::wounded(&mut random, &decoder.seeds);
        let fault = fault_of(decoder, &input);
        assert_eq!(fault, None, "{} in run {runs} on {}", decoder.name, hex(&input));
        runs += 1;
    }
    println!("{}: {runs} inputs", decoder.name);
}

#[test]
fn no_decoder_panics_or_hangs_on_damaged_input() {
    decoders::all().iter().for_each(torment);
}

#[test]
fn every_decoder_is_a_target_of_the_search() {
    let manifest: toml::Table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/Cargo.toml")).unwrap().parse().unwrap();
    let mut targets: Vec<_> = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    let all = decoders::all();
    let mut known: Vec<_> = all.iter().map(|decoder| decoder.name).collect();
    targets.sort_unstable();
    known.sort_unstable();
    assert_eq!(targets, known);
}
