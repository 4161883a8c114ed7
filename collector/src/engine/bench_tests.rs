//! A country's minute: run it with
//! `cargo test --release -p rusta-collector --lib engine::bench_tests -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use super::testing::{Agent, inventory, second};
use super::*;
use crate::config::Thresholds;
use crate::log::Position;

/// Sites of a whole country.
const SITES: usize = 65_000;

#[test]
#[ignore = "a measurement: cargo test --release -p rusta-collector --lib engine:: -- --ignored --nocapture"]
fn a_country_for_a_few_minutes() {
    let inventory = inventory(SITES);
    let mut engine = Engine::new(Arc::clone(&inventory), Thresholds::default(), second(0));
    let shared = Agent::village(0, "V0").table;
    let mut agents: Vec<Agent> = (0..SITES).map(|n| Agent { table: Arc::clone(&shared), ..Agent::village(n as u64 + 1, "V0") }).collect();
    for minute in 1..=5i64 {
        let record = |(place, agent): (usize, &mut Agent)| Record {
            position: Position((minute as u64) << 32 | place as u64),
            received_at: second(minute * 60),
            site: crate::inventory::SiteId(place as u32),
            boot: Some(BootTime { at: second(0), error_ms: 10 }),
            batch: agent.batch(minute * 60, true),
            table: Arc::clone(&agent.table),
        };
        let records: Vec<Record> = agents.iter_mut().enumerate().map(record).collect();
        let begun = Instant::now();
        let events: usize = records.iter().map(|record| engine.apply(record).len()).sum();
        let applied = begun.elapsed();
        let whole = Instant::now();
        let all = engine.snapshot();
        let first = whole.elapsed();
        // A second's share of the fleet changed since the snapshot before.
        let mut some: Vec<Record> = agents.iter_mut().enumerate().take(SITES / 60).map(record).collect();
        some.iter_mut().for_each(|record| record.received_at = second(minute * 60 + 1));
        some.iter().for_each(|record| drop(engine.apply(record)));
        let again = Instant::now();
        let next = engine.snapshot();
        let second_one = again.elapsed();
        let dropping = Instant::now();
        drop(all);
        println!(
            "minute {minute}: {SITES} records in {applied:?}, {events} events; snapshot after all {first:?}, after a second's share {second_one:?}, dropped in {:?}",
            dropping.elapsed()
        );
        drop(next);
    }
}
