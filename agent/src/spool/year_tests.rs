//! A year of a village without a collector, with power cuts: history gives way to room, not to restarts.

use std::path::Path;

use super::tests::{batch, settings, table};
use super::*;
use rusta_wire::{Metric, Sample};

const DAYS: u64 = 365;

/// Minutes a batch tells of: reports and rounds are as rare as on a quiet metered link.
const MINUTES: u64 = 30;

/// Minutes between rounds.
const EVERY: u64 = 5;

const TARGETS: usize = 4;

/// What a year came to.
struct Year {
    rounds: u64,
    told: u64,
    /// Of those, the rounds that share a sample with others.
    merged: u64,
    thinned: u64,
    dropped: u64,
    lost: u64,
    /// Days since the oldest boot that is still told.
    days_told: u64,
}

fn quarter_hour(boot: BootId, sequence: u64, table: &SeriesTable) -> Batch {
    let minutes = (0..MINUTES / EVERY).map(|round| batch(boot, sequence * MINUTES + round * EVERY));
    let samples: Vec<Sample> = minutes.flat_map(|b| b.samples).filter(|s| usize::from(s.series.0) < TARGETS).collect();
    let first = batch(boot, sequence * MINUTES);
    let id = rusta_wire::BatchId { sequence: Sequence(sequence), ..first.id };
    Batch { id, until: MonoMs(first.from.0 + MINUTES * 60_000), table: table.id(), samples, ..first }
}

/// Lives so many days in which the power goes `cuts` times a day; no collector is ever met.
fn live(dir: &Path, max_bytes: u64, cuts: u64, days: u64) -> Year {
    let table = SeriesTable { series: table().series.into_iter().take(TARGETS).collect() };
    let batches_a_boot = 24 * 60 / MINUTES / cuts;
    let (mut thinned, mut dropped, mut lost, mut rounds) = (0, 0, 0, 0);
    let quick = config::Spool { sync: Sync::Never, ..settings(dir, max_bytes) };
    let mut oldest = 0;
    for number in 0..days * cuts {
        let boot = BootId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut spool = Spool::open(quick.clone(), boot, MonoMs(0)).unwrap();
        for _ in 0..batches_a_boot {
            let batch = quarter_hour(boot, spool.next_sequence().0, &table);
            rounds += batch.samples.len() as u64;
            let before = spool.depth().dropped;
            spool.append(batch, &table, false).unwrap();
            let depth = spool.depth();
            assert!(depth.disk_bytes <= max_bytes, "{} bytes in boot {number}", depth.disk_bytes);
            if depth.dropped > before {
                // Only when the summaries themselves fill it: all are hourly but those of the newest boots.
                assert!(depth.bytes * 10 > max_bytes * 6, "dropped with {} of {max_bytes} bytes waiting", depth.bytes);
                let fine = spool.entries.iter().filter(|e| e.summary_s < 3_600 && !e.settled);
                assert!(fine.count() <= usize::try_from(batches_a_boot).unwrap(), "dropped before all was thinned");
            }
        }
        let depth = spool.depth();
        (thinned, dropped, lost) = (thinned + depth.thinned, dropped + depth.dropped, lost + depth.lost);
        if number + 1 == days * cuts {
            oldest = spool.boots.iter().position(|b| Some(b.id) == spool.entries.first().map(|e| spool.ticket(e).boot)).unwrap();
            oldest = spool.boots.len() - oldest;
        }
    }
    let mut spool = Spool::open(quick, BootId(2), MonoMs(0)).unwrap();
    let (mut told, mut merged) = (0, 0);
    for entry in spool.entries.clone() {
        let (batch, table) = spool.batch_of(&entry).unwrap();
        told += thin::rounds_told(&batch, &table);
        for sample in &batch.samples {
            let rounds = table.series[usize::from(sample.series.0)].value(sample, Metric::Rounds).unwrap_or(1);
            merged += if rounds > 1 { u64::try_from(rounds).unwrap() } else { 0 };
        }
    }
    Year { rounds, told, merged, thinned, dropped, lost, days_told: oldest as u64 / cuts }
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Recovery reads the whole spool at each start, so the bounded form of thirteen cuts a day lives `days`; `RUSTA_LONG=1` a year.
fn check(max_bytes: u64, cuts: u64, days: u64, days_least: u64) {
    let days = if std::env::var_os("RUSTA_LONG").is_some() { DAYS } else { days };
    let dir = scratch();
    let year = live(dir.path(), max_bytes, cuts, days);
    println!(
        "{days} days, {cuts} cuts a day, {max_bytes} bytes: {} rounds, {} thinned, {} dropped, {} days told",
        year.rounds, year.thinned, year.dropped, year.days_told
    );
    assert_eq!((year.told + year.dropped, year.lost), (year.rounds, 0), "a round is neither told nor counted");
    assert!(year.days_told >= days_least.min(days), "only {} days are told", year.days_told);
    if year.dropped == 0 {
        assert_eq!(year.thinned, year.merged, "thinned rounds are counted once each");
    }
    assert!(year.dropped == 0 || days_least < days, "{} dropped", year.dropped);
}

#[test]
fn eight_mebibytes_tell_a_year_of_daily_power_cuts_and_drop_nothing() {
    check(8 << 20, 1, DAYS, DAYS);
}

#[test]
fn eight_mebibytes_tell_thirteen_power_cuts_a_day_and_drop_nothing() {
    check(8 << 20, 13, 40, 40);
}

#[test]
fn half_a_mebibyte_tells_a_year_of_daily_power_cuts_and_drops_nothing() {
    check(512 << 10, 1, DAYS, DAYS);
}

/// The fault this keeps out: batches of different boots never merged, so that restarts filled a spool with fine history that
/// nothing could thin, and samples were dropped while little waited.
#[test]
fn half_a_mebibyte_with_thirteen_power_cuts_a_day_drops_only_what_summaries_cannot_hold() {
    check(512 << 10, 13, 100, 60);
}
