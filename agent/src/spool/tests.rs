use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config;
use rusta_wire::{
    AgentId, BatchId, Clock, ClockSource, Metric, Network, Outcome, ProbeKind, Reason, Rung, Sample, Series, SeriesIndex, UnixMs,
};

pub(super) const BOOT: BootId = BootId(0xb007);

pub(super) fn settings(dir: &Path, max_bytes: u64) -> config::Spool {
    config::Spool { dir: dir.to_path_buf(), max_bytes, sync: Sync::Batch, writes_per_day: 1 << 30 }
}

fn open_boot(dir: &Path, boot: BootId) -> Spool {
    Spool::open(settings(dir, 512 * 1024), boot, MonoMs(0)).unwrap()
}

fn open(dir: &Path) -> Spool {
    open_boot(dir, BOOT)
}

/// A spool so small that a few dozen batches fill it.
pub(super) fn open_small(dir: &Path, now: MonoMs) -> Spool {
    Spool::open(settings(dir, 8 * 1024), BOOT, now).unwrap()
}

pub(super) fn table() -> SeriesTable {
    let series = |n: u32| Series {
        link: "apn0".into(),
        network: Network::Apn,
        target: format!("anchor-{n}"),
        towards: String::new(),
        rung: Rung::Gateway,
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: vec![Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50],
    };
    SeriesTable { series: (0..8).map(series).collect() }
}

/// A minute of eight targets; the third loses every round of every second minute.
pub(super) fn batch(boot: BootId, sequence: u64) -> Batch {
    let from = MonoMs(sequence * 60_000);
    let sample = |n: u16| {
        let lost = n == 2 && sequence % 2 == 1;
        let noise = i64::try_from((sequence * 2_654_435_761 + u64::from(n) * 97) % 5_000).unwrap();
        let (received, rtt) = if lost { (0, None) } else { (3, Some(30_000 + noise * 10)) };
        let outcome = if lost { Outcome::Timeout } else { Outcome::Ok };
        let values = vec![Some(3), Some(received), rtt, rtt.map(|r| r + 900)];
        Sample { series: SeriesIndex(n), at: MonoMs(from.0 + u64::from(n) * 1_000), outcome, values }
    };
    Batch {
        id: BatchId { agent: AgentId(1), boot, sequence: Sequence(sequence) },
        covers: 1,
        from,
        until: MonoMs(from.0 + 60_000),
        clock: Clock { unix: UnixMs(0), source: ClockSource::None, uncertainty_ms: 0 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table().id(),
        samples: (0..8).map(sample).collect(),
    }
}

pub(super) fn append(spool: &mut Spool, boot: BootId, offered: bool) -> Ticket {
    let batch = batch(boot, spool.next_sequence().0);
    let ticket = spool.append(batch, &table(), offered).unwrap();
    spool.sync(MonoMs(0), false);
    ticket
}

fn sequences(spool: &Spool) -> Vec<u64> {
    spool.waiting().iter().map(|(ticket, ..)| ticket.sequence.0).collect()
}

#[test]
fn what_was_not_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let tickets: Vec<_> = (0..6).map(|n| append(&mut spool, BOOT, n % 2 == 0)).collect();
    spool.acknowledge(&[tickets[1], tickets[4]]);
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!(sequences(&spool), [0, 2, 3, 5]);
    assert_eq!(spool.next_sequence(), Sequence(6));
    let (bytes, id) = spool.read(tickets[2]).unwrap();
    let table_frame = spool.read_table(id).unwrap();
    let table = SeriesTable::decode(&Frame::read(&table_frame).unwrap().0.payload).unwrap();
    assert_eq!(Batch::decode(&Frame::read(&bytes).unwrap().0.payload, &table).unwrap().samples.len(), 8);
}

/// The fault this keeps out: room for a batch was made by removing the last copy of its table, because all that waited were
/// summaries; the batch then stood in a segment that did not name it.
#[test]
fn a_power_cut_after_any_batch_leaves_all_that_waits_with_its_names() {
    for max_bytes in [3 * 1024, 4 * 1024, 6 * 1024] {
        let dir = tempfile::tempdir().unwrap();
        let quick = config::Spool { sync: Sync::Never, ..settings(dir.path(), max_bytes) };
        for n in 0..21u64 {
            let boot = BootId(n + 1);
            for batches in 1..=n % 7 + 1 {
                let mut spool = Spool::open(quick.clone(), boot, MonoMs(0)).unwrap();
                append(&mut spool, boot, false);
                drop(spool);
                let mut spool = Spool::open(quick.clone(), BootId(0), MonoMs(0)).unwrap();
                for (ticket, ..) in spool.waiting() {
                    let (_, table) = spool.read(ticket).unwrap();
                    assert!(spool.read_table(table).is_some(), "{max_bytes} bytes, batch {batches} of boot {n}: no names for {ticket:?}");
                }
            }
        }
    }
}

#[test]
fn numbers_go_on_within_a_boot_even_when_nothing_waits() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5u64 {
        let quick = config::Spool { sync: Sync::Never, ..settings(dir.path(), 512 * 1024) };
        let mut spool = Spool::open(quick, BOOT, MonoMs(0)).unwrap();
        assert_eq!(spool.next_sequence(), Sequence(round * 400));
        for _ in 0..400 {
            let ticket = append(&mut spool, BOOT, true);
            spool.acknowledge(&[ticket]);
        }
        assert!(spool.depth().disk_bytes < 256 * 1024, "{} bytes for nothing", spool.depth().disk_bytes);
    }
}

/// The fault this keeps out: a wiped spool began at 0 again, and the collector took what was new for what it had.
#[test]
fn a_number_is_never_used_twice_in_a_boot_whatever_became_of_the_journal() {
    let mut used = BTreeSet::new();
    let dir = tempfile::tempdir().unwrap();
    let open_at = |now: u64| Spool::open(settings(dir.path(), 512 * 1024), BOOT, MonoMs(now)).unwrap();
    for (life, now) in [0u64, 70_000, 140_000, 210_000, 280_000].into_iter().enumerate() {
        match life {
            1 => std::fs::remove_dir_all(dir.path()).unwrap(),
            2 => std::fs::write(dir.path().join("0000000001.journal"), b"damaged from the first byte on").unwrap(),
            3 => {
                // The directory takes nothing: what was numbered waited in memory only.
                std::fs::remove_dir_all(dir.path()).unwrap();
                std::fs::write(dir.path(), b"").unwrap();
            }
            4 => std::fs::remove_file(dir.path()).unwrap(),
            _ => {}
        }
        let mut spool = open_at(now);
        for _ in 0..60 {
            let ticket = append(&mut spool, BOOT, true);
            assert!(used.insert(ticket.sequence), "{} again in life {life}", ticket.sequence);
            spool.acknowledge(&[ticket]);
        }
    }
}

#[test]
fn boots_keep_their_order_and_a_new_one_counts_from_zero() {
    let dir = tempfile::tempdir().unwrap();
    for boot in [30, 20, 10] {
        let mut spool = open_boot(dir.path(), BootId(boot));
        assert_eq!(spool.next_sequence(), Sequence(0));
        append(&mut spool, BootId(boot), false);
    }
    let spool = open_boot(dir.path(), BootId(40));
    let boots: Vec<_> = spool.waiting().iter().map(|(t, ..)| t.boot.0).collect();
    assert_eq!(boots, [30, 20, 10]);
    assert_eq!(spool.oldest(1, 10), [Ticket { boot: BootId(30), sequence: Sequence(0) }]);
    assert!(spool.freshest(MonoMs(u64::MAX), u64::MAX, 3).is_empty());
}

#[test]
fn a_second_agent_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert!(Spool::open(settings(dir.path(), 512 * 1024), BOOT, MonoMs(0)).is_err());
}

#[test]
fn a_full_spool_thins_before_it_drops_and_never_grows_past_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    // Thousands of forced writes would only measure the disk.
    let quick = config::Spool { sync: Sync::Never, ..settings(dir.path(), 512 * 1024) };
    let mut spool = Spool::open(quick, BOOT, MonoMs(0)).unwrap();
    for n in 0..60_000u64 {
        append(&mut spool, BOOT, false);
        let depth = spool.depth();
        assert!(depth.disk_bytes <= 512 * 1024, "{} bytes after {n}", depth.disk_bytes);
        if spool.waiting().first().is_some_and(|(_, _, stands_for)| *stands_for == 3_600) {
            break;
        }
    }
    assert_eq!(spool.depth().dropped, 0, "dropped before it was thinned");
    let waiting = spool.waiting();
    assert!(waiting.iter().any(|(_, _, s)| *s == 3_600) && waiting.iter().any(|(_, _, s)| *s == 0), "{:?}", &waiting[..3]);
    let levels: Vec<u32> = waiting.iter().map(|(_, _, s)| *s).collect();
    assert!(levels.windows(2).filter(|w| w[0] < w[1]).count() <= 2, "older is coarser");
    // Every minute is still told, once.
    let mut next = 0;
    for (ticket, covers, _) in &waiting {
        assert_eq!(ticket.sequence.0, next);
        next += u64::from(*covers);
    }
    assert_eq!(next, spool.next_sequence().0);
    drop(spool);
    let again = open(dir.path());
    assert_eq!(again.waiting(), waiting);
    assert!(again.depth().thinned > 0);
}

#[test]
fn a_summary_tells_rounds_and_failures() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    for _ in 0..13 {
        append(&mut spool, BOOT, false);
    }
    assert_eq!(spool.thin(thin::FINE, true, &mut 9), room::Gain::Some);
    let entry = spool.entries[0];
    let (merged, table) = spool.batch_of(&entry).unwrap();
    assert_eq!((merged.covers, merged.summary_s, merged.samples.len()), (10, 300, 16));
    let lossy: Vec<_> = merged.samples.iter().filter(|s| s.series == SeriesIndex(2)).collect();
    let series = &table.series[2];
    assert_eq!(series.interval_s, 300);
    assert_eq!(lossy.iter().map(|s| series.value(*s, Metric::RoundsFailed)).collect::<Vec<_>>(), [Some(2), Some(3)]);
    assert_eq!(lossy.iter().map(|s| s.outcome).collect::<Vec<_>>(), [Outcome::Ok, Outcome::Timeout]);
    assert_eq!(series.value(lossy[0], Metric::Sent), Some(15));
}

#[test]
fn what_was_offered_is_never_merged() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let tickets: Vec<_> = (0..9).map(|_| append(&mut spool, BOOT, false)).collect();
    spool.offer(&tickets[2..3], MonoMs(0));
    drop(spool);
    let mut spool = open(dir.path());
    while spool.thin(thin::FINE, true, &mut 9) == room::Gain::Some {}
    let waiting: Vec<_> = spool.waiting().iter().map(|(t, covers, _)| (t.sequence.0, *covers)).collect();
    assert_eq!(waiting, [(0, 2), (2, 1), (3, 3), (6, 1), (7, 1), (8, 1)]);
}

#[test]
fn a_merged_batch_and_its_parts_are_never_both_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let all: Vec<_> = (0..13).map(|_| append(&mut spool, BOOT, false)).collect();
    assert_eq!(spool.thin(thin::FINE, true, &mut 9), room::Gain::Some);
    drop(spool);
    // The power went before the parts' segment was removed: the merged batch stands for them.
    let mut spool = open(dir.path());
    assert_eq!(spool.waiting().iter().map(|(_, covers, _)| *covers).collect::<Vec<_>>(), [10, 1, 1, 1]);
    spool.acknowledge(&[all[0], all[10], all[11], all[12]]);
    drop(spool);
    assert!(open(dir.path()).waiting().is_empty());
}

#[test]
fn fresh_goes_before_old() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    for _ in 0..10 {
        append(&mut spool, BOOT, false);
    }
    let numbers = |tickets: Vec<Ticket>| tickets.iter().map(|t| t.sequence.0).collect::<Vec<_>>();
    let never = MonoMs(u64::MAX);
    assert_eq!(numbers(spool.freshest(never, u64::MAX, 100)), [7, 8, 9]);
    assert_eq!(numbers(spool.freshest(never, 1, 100)), [7]);
    assert_eq!(numbers(spool.oldest(1, 100)), [0]);
    assert_eq!(spool.oldest(u64::MAX, 100).len(), 10);
    // A change of state closes a batch early: more than three of them may be of the last minutes.
    let since = spool.entries[5].until;
    assert_eq!(numbers(spool.freshest(since, u64::MAX, 100)), [5, 6, 7, 8, 9]);
    let fresh = spool.freshest(since, u64::MAX, 100);
    spool.acknowledge(&fresh);
    assert!(spool.freshest(since, u64::MAX, 100).is_empty());
}

#[test]
fn a_directory_that_takes_nothing_costs_nothing_but_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut spool = Spool::open(settings(&file.join("spool"), 512 * 1024), BOOT, MonoMs(0)).unwrap();
    let ticket = append(&mut spool, BOOT, true);
    let (_, table) = spool.read(ticket).unwrap();
    assert!(spool.read_table(table).is_some());
    for _ in 0..2_000 {
        append(&mut spool, BOOT, false);
    }
    assert!(spool.depth().bytes <= room::MEMORY_BYTES as u64 && spool.depth().dropped > 0);
    let waiting: Vec<_> = spool.freshest(MonoMs(u64::MAX), u64::MAX, 1);
    spool.acknowledge(&waiting);
}

#[test]
fn the_wear_budget_stretches_forced_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(config::Spool { writes_per_day: 40_000, ..settings(dir.path(), 512 * 1024) }, BOOT, MonoMs(0)).unwrap();
    for minute in 0..600u64 {
        let next = spool.next_sequence().0;
        spool.append(batch(BOOT, next), &table(), false).unwrap();
        spool.sync(MonoMs(minute * 60_000), false);
    }
    let forced = (spool.depth().written_today - spool.depth().bytes) / SYNC_BYTES;
    assert!((10..=16).contains(&forced), "{forced} forced writes in ten hours");
    spool.sync(MonoMs(90_000_000), false);
    assert!(spool.depth().written_today <= SYNC_BYTES);
}

/// Power cut: the journal cut at every byte, and every byte flipped. All batches whose frames are whole wait, each once, and
/// can be told once the same table was written again; none is invented; the next number was never used by one that survived;
/// what a flipped byte takes is counted.
#[test]
fn a_power_cut_at_every_byte_loses_only_what_it_touches() {
    let whole = tempfile::tempdir().unwrap();
    let mut spool = open(whole.path());
    let tickets: Vec<_> = (0..5).map(|n| append(&mut spool, BOOT, n != 3)).collect();
    spool.acknowledge(&tickets[1..2]);
    append(&mut spool, BOOT, true);
    drop(spool);
    let bytes = std::fs::read(whole.path().join("0000000001.journal")).unwrap();
    let check = |damaged: &[u8], what: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0000000001.journal"), damaged).unwrap();
        let mut spool = open(dir.path());
        let (waiting, lost) = (sequences(&spool), spool.depth().lost);
        assert!(waiting.windows(2).all(|w| w[0] < w[1]), "{what}: {waiting:?}");
        assert!(waiting.iter().all(|s| *s < spool.next_sequence().0), "{what}");
        append(&mut spool, BOOT, false);
        for ticket in spool.oldest(u64::MAX, 9) {
            let (_, table) = spool.read(ticket).unwrap();
            assert!(spool.read_table(table).is_some(), "{what}: {ticket:?} has no names");
        }
        drop(spool);
        let again = open(dir.path());
        assert!(sequences(&again).len() > waiting.len(), "{what}");
        assert_eq!(again.depth().lost, lost, "{what}: counted twice");
        (waiting, lost)
    };
    for cut in 0..=bytes.len() {
        let (waiting, lost) = check(&bytes[..cut], &format!("cut at {cut}"));
        let frames: Vec<_> = Frame::read_all(&bytes[..cut]).filter_map(Result::ok).collect();
        let batches = frames.iter().filter(|f| f.kind == FrameKind::Batch).count();
        let done = usize::from(batches == 5 && waiting.len() == 4 || batches == 6);
        assert_eq!((waiting.len(), lost), (batches - done, 0), "cut at {cut}");
    }
    let whole: Vec<u64> = (0..6).filter(|n| *n != 1).collect();
    let mut hit = 0;
    for (at, bit) in (0..bytes.len()).map(|at| (at, at % 8)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        let (waiting, lost) = check(&damaged, &format!("byte {at} flipped"));
        let gone = whole.iter().filter(|n| !waiting.contains(n)).count();
        // The second batch is done: its damage costs nothing, and is counted where nobody can tell.
        assert!(gone as u64 <= lost && lost <= 1, "byte {at} flipped: {gone} gone, {lost} counted");
        hit += gone;
    }
    assert!(hit > 500, "{hit} flips cost a batch");
}
