use proptest::prelude::*;
use rusta_wire::{BatchId, Clock, Sequence, TableId};

use super::*;

const MINUTE: u64 = 60_000;
/// 2026-11-21T09:00:00Z.
const START: i64 = 1_795_251_600_000;

/// A batch of minute `n` of a boot that truly began at `began`.
fn head(boot: u64, n: u64, source: ClockSource, unix: i64, uncertainty_ms: u32) -> Head {
    Head {
        id: BatchId { agent: AgentId(1), boot: BootId(boot), sequence: Sequence(n) },
        covers: 1,
        from: MonoMs(n * MINUTE),
        until: MonoMs((n + 1) * MINUTE),
        clock: Clock { unix: UnixMs(unix), source, uncertainty_ms },
        summary_s: 0,
        table: TableId(0),
    }
}

fn observe(dating: &mut Dating, head: &Head, received_at: i64, live_offset_ms: Option<i64>) -> bool {
    dating.observe(&Contact { head, site_code: &"S".into(), received_at: UnixMs(received_at), live_offset_ms })
}

fn offset(dated: Dated) -> Option<(i64, u32)> {
    match dated {
        Dated::At { offset_ms, error_ms } => Some((offset_ms, error_ms)),
        Dated::Unknown { .. } => None,
    }
}

/// The story of the issue: a boot in 1970 with 200 samples, a power cut, a boot in 2019, contact, replay.
#[test]
fn a_boot_without_contact_stays_unknown_and_one_with_contact_is_dated_whole() {
    let mut dating = Dating::default();
    let now = START;
    let began = now - 30 * MINUTE as i64;
    // The present boot believes in 2019 until the collector tells it better.
    let believed = 1_546_300_800_000;
    let early: Vec<Head> = (0..30).map(|n| head(2, n, ClockSource::System, believed + n as i64 * 60_000, 1_000)).collect();
    observe(&mut dating, &early[29], now, None);
    assert_eq!(offset(dating.date(&early[29], UnixMs(now))), None, "a clock in 2019 proves nothing in 2026");
    let told = head(2, 30, ClockSource::Collector, began + 31 * MINUTE as i64 + 40, 250);
    assert!(observe(&mut dating, &told, now + 60_100, None), "earlier batches of the boot are dated now");
    for (n, early) in early.iter().enumerate() {
        observe(&mut dating, early, now + 120_000 + n as i64, None);
        let (offset, error) = offset(dating.date(early, UnixMs(now + 120_000))).unwrap();
        assert!((offset - began).unsigned_abs() <= u64::from(error) && error < 1_000, "batch {n}: off by {} of {error}", offset - began);
    }
    // The boot before lived in 1970 and met nobody; all that is known of it is that it is over.
    for n in 0..200 {
        let lost = head(1, n, ClockSource::None, n as i64 * 60_000, 0);
        observe(&mut dating, &lost, now + 180_000, None);
        let Dated::Unknown { not_before: None, not_after } = dating.date(&lost, UnixMs(now + 180_000)) else {
            panic!("a boot without contact was dated");
        };
        assert!(not_after.0 <= now + 180_000);
    }
}

#[test]
fn the_first_contact_dates_a_boot_when_the_request_says_how_long_it_lasted() {
    let mut dating = Dating::default();
    let first = head(1, 0, ClockSource::None, 60_000, 0);
    observe(&mut dating, &first, START, Some(START - 61_000));
    let (offset, error) = offset(dating.date(&first, UnixMs(START))).unwrap();
    assert_eq!((offset, error), (START - 61_000, 30_006));
}

#[test]
fn a_persisted_clock_bounds_an_unknown_boot_from_below() {
    let mut dating = Dating::default();
    let batch = head(1, 4, ClockSource::Persisted, START - 900_000, 0);
    observe(&mut dating, &batch, START, None);
    let Dated::Unknown { not_before: Some(not_before), not_after } = dating.date(&batch, UnixMs(START)) else { panic!("was dated") };
    assert_eq!(not_before.0, START - 900_000 - MINUTE as i64);
    assert_eq!(not_after.0, START);
}

/// Old tzdata: the system clock jumps an hour ahead and says it is synchronised.
#[test]
fn a_clock_an_hour_ahead_changes_nothing() {
    let mut dating = Dating::default();
    let jumped = head(1, 0, ClockSource::Synchronised, START + 3_600_000, 10);
    observe(&mut dating, &jumped, START, None);
    assert_eq!(offset(dating.date(&jumped, UnixMs(START))), None);
    let liar = head(1, 1, ClockSource::Collector, START + 3_600_000, 10);
    observe(&mut dating, &liar, START + 60_000, None);
    assert_eq!(offset(dating.date(&liar, UnixMs(START + 60_000))), None, "not even by its own word");
}

#[test]
fn an_old_proof_counts_for_less() {
    let mut dating = Dating::default();
    observe(&mut dating, &head(1, 0, ClockSource::Collector, START, 100), START, None);
    let later = head(1, 1_440, ClockSource::None, 0, 0);
    let (_, error) = offset(dating.date(&later, UnixMs(START + 90_000_000))).unwrap();
    assert!((8_000..10_000).contains(&error), "a day at 100 ppm is 8.6 s, not {error} ms");
}

#[test]
fn ranges_find_the_boots_of_a_window() {
    let mut dating = Dating::default();
    for n in 0..120 {
        observe(
            &mut dating,
            &head(1, n, ClockSource::Collector, START + (n as i64 + 1) * 60_000, 100),
            START + (n as i64 + 1) * 60_000,
            None,
        );
    }
    let hour = 3_600_000;
    let [range] = dating.ranges("S", UnixMs(START + hour), UnixMs(START + hour + 60_000)).try_into().unwrap();
    assert!(range.from.0 <= hour as u64 && range.until.0 >= hour as u64 + MINUTE);
    assert!(dating.ranges("S", UnixMs(START - 48 * hour), UnixMs(START - 24 * hour)).is_empty());
    assert!(dating.ranges("T", UnixMs(START), UnixMs(START + hour)).is_empty());
}

#[test]
fn what_is_saved_and_loaded_dates_the_same_and_a_boot_that_goes_on_is_saved_by_the_hour() {
    let mut dating = Dating::default();
    let mut saves = 0;
    for n in 0..180 {
        observe(
            &mut dating,
            &head(1, n, ClockSource::Collector, START + (n as i64 + 1) * 60_000, 100),
            START + (n as i64 + 1) * 60_000,
            None,
        );
        saves += dating.take_changed().len();
    }
    assert!(saves <= 5, "saved {saves} times in three hours");
    observe(&mut dating, &head(1, 200, ClockSource::None, 0, 0), START + 13_000_000, None);
    let loaded = Dating::load(dating.take_changed());
    let asked = head(1, 100, ClockSource::None, 0, 0);
    assert_eq!(loaded.date(&asked, UnixMs(START)), dating.date(&asked, UnixMs(START)));
}

proptest! {
    /// Invariant 3: whatever order batches arrive in, each is dated the same in the end.
    #[test]
    fn arrival_order_does_not_matter(order in Just((0..60u64).collect::<Vec<_>>()).prop_shuffle(), first_told in 1u64..50) {
        let batch = |n: u64| match n {
            n if n < first_told => head(1, n, ClockSource::None, 0, 0),
            n => head(1, n, ClockSource::Collector, START + (n as i64 + 1) * 60_000 + (n as i64 * 37) % 50, 50 + (n as u32 * 13) % 90),
        };
        let (mut in_order, mut shuffled) = (Dating::default(), Dating::default());
        for (a, b) in (0..60).zip(order) {
            observe(&mut in_order, &batch(a), START + 10_000_000, None);
            observe(&mut shuffled, &batch(b), START + 10_000_000, None);
        }
        for n in 0..60 {
            prop_assert_eq!(in_order.date(&batch(n), UnixMs(START + 10_000_000)), shuffled.date(&batch(n), UnixMs(START + 10_000_000)));
        }
    }
}
