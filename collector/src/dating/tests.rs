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

/// One life of a router in [`lives`].
struct Life {
    began: i64,
    minutes: u64,
    /// Minute of the first contact, if there was one.
    contact: Option<u64>,
}

/// A batch's head, when it was received, and the offset its request proved.
type Received = (Head, i64, Option<i64>);

/// A router that is switched on and off for days, and sometimes meets its collector. Everything it spooled is carried by the
/// life that meets one next. Returns its lives, and its batches in the order received.
fn lives(random: &mut impl FnMut(u64) -> u64, count: u64) -> (Vec<Life>, Vec<Received>) {
    let (mut at, mut floor) = (START, None);
    let (mut all, mut spooled, mut received) = (Vec::new(), Vec::new(), Vec::new());
    for boot in 0..count {
        at += (1 + random(2_000) as i64) * MINUTE as i64;
        let minutes = 3 + random(200);
        let is_last = boot + 1 == count;
        let contact = (is_last || random(2) == 0).then(|| 1 + random(minutes - 2));
        for n in 0..minutes {
            let until = at + (n as i64 + 1) * MINUTE as i64;
            let is_learnt = contact.is_some_and(|contact| n > contact);
            let batch = match (is_learnt, floor) {
                (true, _) => head(boot, n, ClockSource::Collector, until + random(40) as i64 - 20, 20),
                (false, Some(floor)) => head(boot, n, ClockSource::Persisted, floor, u32::MAX),
                (false, None) => head(boot, n, ClockSource::None, n as i64, u32::MAX),
            };
            let arrives = until + 100;
            match contact {
                Some(contact) if n == contact => {
                    let live = at + random(3_000) as i64;
                    received.push((batch, arrives, Some(live)));
                    received.extend(spooled.drain(..).map(|old| (old, arrives + 1_000, None)));
                }
                Some(contact) if n > contact => received.push((batch, arrives, None)),
                _ => spooled.push(batch),
            }
        }
        if let Some(contact) = contact {
            floor = Some(at + (contact as i64 + 1) * MINUTE as i64);
        }
        all.push(Life { began: at, minutes, contact });
        at += minutes as i64 * MINUTE as i64;
    }
    (all, received)
}

#[test]
fn every_life_is_dated_within_its_error_or_bounded_by_its_neighbours() {
    let (mut unknown, mut bounded_both) = (0, 0);
    for seed in 1..=200u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (lives, received) = lives(&mut random, 6);
        let mut dating = Dating::default();
        for (head, at, live) in &received {
            observe(&mut dating, head, *at, *live);
        }
        for (head, received_at, _) in &received {
            let place = head.id.boot.0 as usize;
            let began = lives[place].began;
            let (from, until) = (began + signed(head.from), began + signed(head.until));
            match dating.date(head, UnixMs(*received_at)) {
                Dated::At { offset_ms, error_ms } => {
                    assert!(
                        (offset_ms - began).unsigned_abs() <= u64::from(error_ms),
                        "seed {seed}, boot {place}: {offset_ms} ± {error_ms}"
                    );
                    assert!(lives[place].contact.is_some(), "seed {seed}: boot {place} met nobody and was dated");
                }
                Dated::Unknown { not_before, not_after } => {
                    assert!(
                        not_before.is_none_or(|bound| bound.0 <= from) && until <= not_after.0,
                        "seed {seed}, boot {place}: {not_before:?}"
                    );
                    unknown += 1;
                    let next = lives[place + 1..].iter().find(|life| life.contact.is_some()).unwrap();
                    let rest = (lives[place].minutes as i64 * MINUTE as i64) - signed(head.until);
                    assert!(not_after.0 <= next.began + i64::from(WAY_MS) + 5_000 - rest, "seed {seed}, boot {place} lasts into the next");
                    if let Some(before) = lives[..place].iter().rfind(|life| life.contact.is_some()) {
                        let end = before.began + before.minutes as i64 * MINUTE as i64;
                        assert!(
                            not_before.unwrap().0 + 40_000 >= end + signed(head.from),
                            "seed {seed}, boot {place} begins in the one before"
                        );
                        bounded_both += 1;
                    }
                }
            }
        }
    }
    assert!(unknown > 5_000 && bounded_both > 2_000, "{unknown} unknown, {bounded_both} bounded on both sides");
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
    // Reports came at once, so what was measured from then on was not received much sooner.
    assert!((START - 2 * hour..=START).contains(&range.received_from.0), "{range:?}");
}

#[test]
fn a_boot_heard_late_may_yet_be_heard_at_once_and_that_is_saved() {
    let (mut dating, hour, days) = (Dating::default(), 3_600_000, 3 * 86_400_000);
    let told = |n: u64| head(1, n, ClockSource::Collector, START + (n as i64 + 1) * 60_000, 100);
    let received_from = |dating: &Dating| {
        let loaded = Dating::load(dating.boot(AgentId(1), BootId(1)).cloned());
        loaded.ranges("S", UnixMs(START + hour), UnixMs(START + hour + 60_000))[0].received_from.0
    };
    observe(&mut dating, &told(60), START + 61 * 60_000 + days, None);
    assert!(received_from(&dating) > START + days - 2 * hour, "all of it was three days late");
    dating.take_changed();
    observe(&mut dating, &told(61), START + 62 * 60_000, None);
    assert!(received_from(&dating) <= START + hour);
    assert_eq!(dating.take_changed().len(), 1, "who reads what is saved must know it too");
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
