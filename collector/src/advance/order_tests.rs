//! One truth, told in any order: log -> dating -> engine -> history -> KPIs give the same rows and the same figures.
//!
//! Each order cuts what two villages measured into uploads of random sizes, sends some of them twice or three times, delays
//! each by up to three days, and lets the builder work in between. Twenty orders by default, a thousand with
//! `RUSTA_LONG=1`; the pure timeline has its thousand in `history/tests.rs` in every run. The seeds are printed.

use rusta_wire::{Batch, BootId, Clock, ClockSource};

use super::tests::{Bench, history};
use super::*;
use crate::engine::testing::{Agent, second};
use crate::history::{Builder, Parts as HistoryParts};
use crate::kpi::{Ask, CATALOGUE, View, answer, load};
use crate::persian::Period;

const HOUR: i64 = 3_600;

/// When nothing more arrives.
const END: i64 = 140 * HOUR;

/// What one life of one agent measured, oldest first.
struct Life {
    agent: Agent,
    batches: Vec<Batch>,
    /// Whether the collector ever learnt when it began.
    is_dated: bool,
}

/// A life of `minutes` from `from` on. Until minute 25 it does not know the time; then the collector has told it, give or
/// take what answers take. `ok` says what each minute saw.
fn life(id: u64, boot: u64, from: i64, minutes: i64, is_dated: bool, ok: impl Fn(i64) -> bool) -> Life {
    let mut agent = Agent::village(id, if id == 1 { "V0" } else { "V1" });
    agent.boot = (BootId(boot), from);
    let mut one = |minute: i64| {
        let until = from + minute * 60;
        let mut batch = agent.batch(until, ok(minute));
        batch.clock = match is_dated && minute > 25 {
            true => Clock { unix: UnixMs(second(until).0 + minute * 37 % 60 - 30), source: ClockSource::Collector, uncertainty_ms: 40 },
            false => Clock { unix: UnixMs(minute), source: ClockSource::None, uncertainty_ms: u32::MAX },
        };
        batch
    };
    let batches = (1..=minutes).map(&mut one).collect();
    Life { agent, batches, is_dated }
}

/// Two villages over three days: cuts, a night without power, a reboot, and a life that met nobody.
fn truth() -> Vec<Life> {
    vec![
        life(1, 11, 0, 200, true, |m| !(60..84).contains(&m) && m % 50 < 47),
        life(1, 12, 15 * HOUR, 40, false, |_| false),
        life(1, 13, 30 * HOUR, 180, true, |m| !(100..140).contains(&m)),
        life(2, 21, HOUR, 300, true, |m| m % 90 < 80),
        life(2, 22, 50 * HOUR, 120, true, |m| !(30..50).contains(&m)),
    ]
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % n
    }
}

/// One upload on its way: when it arrives, whose, and which of its batches.
type Arrival = (i64, usize, std::ops::Range<usize>);

/// Cuts a truth into uploads that arrive whenever.
fn shuffled(truth: &[Life], random: &mut Random) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (place, life) in truth.iter().enumerate() {
        let mut from = 0;
        while from < life.batches.len() {
            let until = (from + 1 + usize::try_from(random.below(40)).unwrap()).min(life.batches.len());
            let measured = life.agent.boot.1 + i64::try_from(until).unwrap() * 60;
            for _ in 0..1 + random.below(6) / 4 + random.below(6) / 5 {
                let delay = if random.below(3) == 0 { random.below(90) } else { random.below(72 * HOUR) };
                arrivals.push((measured + 1 + delay, place, from..until));
            }
            from = until;
        }
    }
    // The sort keeps what arrives in the same second in the order it was drawn.
    arrivals.sort_by_key(|(at, ..)| *at);
    arrivals
}

/// Lets what arrives go all the way, and returns history's rows and every figure of the year.
fn told(truth: &[Life], arrivals: &[Arrival], mut pause: impl FnMut() -> bool) -> (Vec<String>, Vec<String>) {
    let mut bench = Bench::new(2);
    bench.start(0);
    let mut builder = Builder::new(HistoryParts {
        log: bench.log.clone(),
        store: bench.store.clone(),
        inventories: bench.inventories.clone(),
        thresholds: Thresholds::default(),
        retention_days: 30,
    });
    let mut build = |now: i64| while builder.step(second(now)).unwrap() > 0 {};
    for (at, place, range) in arrivals {
        let life = &truth[*place];
        // A live request tells how long its boot has lasted; later boots carry what is left of earlier ones.
        let is_live = life.is_dated && *at < life.agent.boot.1 + i64::try_from(life.batches.len()).unwrap() * 60;
        bench.append_told(&life.agent, &life.batches[range.clone()], *at, is_live.then_some(second(life.agent.boot.1).0));
        if pause() {
            bench.step(*at + 2);
            build(*at + 3);
        }
    }
    bench.step(END);
    build(END);
    let versions = Arc::clone(&bench.inventories.borrow());
    let facts = bench.store.read(|tx| load::facts(tx, &versions, Period::Year(1405), View::AsWas, second(END))).unwrap();
    let figures = CATALOGUE.iter().flat_map(|kpi| answer(kpi, &facts, Ask::default()));
    let told = figures.map(|mut figure| {
        // How late the reports were, and what is guessed of the unknown from that, is about their arrival, and is to differ.
        figure.estimate = None;
        figure.details.retain(|detail| !["on_time", "lag_s_p95"].contains(&detail.name));
        format!("{figure:?}")
    });
    (history(&bench.store), told.collect())
}

#[test]
fn any_order_of_arrival_gives_the_same_history_and_the_same_figures() {
    let orders = if std::env::var_os("RUSTA_LONG").is_some() { 1_000 } else { 20 };
    let truth = truth();
    let expected = told(&truth, &at_once(&truth), || false);
    assert!(
        expected.0.len() > 30 && expected.1.iter().any(|figure| figure.contains("availability")),
        "the truth is too dull: {expected:#?}"
    );
    println!("orders 1 to {orders}, {} rows, {} figures", expected.0.len(), expected.1.len());
    for seed in 1..=orders {
        let mut random = Random(seed);
        let arrivals = shuffled(&truth, &mut random);
        let found = told(&truth, &arrivals, || random.below(4) == 0);
        let others = found.0.iter().zip(&expected.0).filter(|(found, expected)| found != expected).take(4).collect::<Vec<_>>();
        assert!(others.is_empty() && found.0.len() == expected.0.len(), "order {seed}: history: {others:#?}");
        assert_eq!(found.1, expected.1, "order {seed}: figures");
    }
}

fn at_once(truth: &[Life]) -> Vec<Arrival> {
    truth.iter().enumerate().map(|(place, life)| (END - HOUR, place, 0..life.batches.len())).collect()
}

/// Seconds of a link from history's rows: up, down, unknown.
fn seconds(rows: &[String], link: &str) -> (i64, i64, i64) {
    let text = |text: &str| format!("Text({:?})", text.as_bytes());
    let of_link = format!("{} Integer(1) {} {} Integer(", text("seconds"), text(link), text("apn0"));
    let mut sum = (0, 0, 0);
    for row in rows.iter().filter(|row| row.starts_with(&of_link)) {
        let numbers: Vec<i64> = row[of_link.len() - 8..].split_whitespace().map(|n| n[8..n.len() - 1].parse().unwrap()).collect();
        let [_day, up, _degraded, down, unknown] = numbers[..] else { panic!("{row}") };
        sum = (sum.0 + up, sum.1 + down, sum.2 + unknown);
    }
    sum
}

/// A life that met no clock: forty minutes in which everything failed, and nobody can say when. The gap it may lie in was
/// called down.
#[test]
fn a_boot_that_never_met_a_clock_makes_the_gap_it_may_lie_in_unknown_and_nothing_else() {
    let with = truth();
    let mut without = truth();
    assert!(!without.remove(1).is_dated);
    let (with, without) = (told(&with, &at_once(&with), || false).0, told(&without, &at_once(&without), || false).0);
    let (known, open) = (seconds(&without, "V0"), seconds(&with, "V0"));
    // From the end of the evidence of the round at 11,970 s until the first answer of the life that began at 30 h.
    let gap = 30 * HOUR + 30 - (200 * 60 - 30 + 135);
    assert_eq!((open.0, open.1), (known.0, known.1 - gap), "{known:?} {open:?}");
    assert_eq!(seconds(&with, "V1"), seconds(&without, "V1"));
}

/// A boot without a clock lay between two dated ones: six hours in which the router answered for five. 21,600 s were down.
#[test]
fn a_boot_with_a_clock_kept_from_the_one_before_is_unknown_between_its_neighbours_and_up_where_order_proves_it() {
    let base = 100 * 60;
    let gap = 6 * HOUR;
    let mut between = life(1, 12, base + 1_800, 300, false, |_| true);
    for batch in &mut between.batches {
        let unix = UnixMs(second(base - 600).0 + i64::try_from(batch.until.0).unwrap());
        batch.clock = Clock { unix, source: ClockSource::Persisted, uncertainty_ms: u32::MAX };
    }
    let truth = vec![life(1, 11, 0, 100, true, |_| true), between, life(1, 13, base + gap, 60, true, |_| true)];
    let found = told(&truth, &at_once(&truth), || false).0;
    let (up, down, unknown) = seconds(&found, "V0");
    assert_eq!(down, 0);
    // Bounds are computed in milliseconds and cut to their second. The clocks here are told up to 30 ms off: rounds before minute
    // 26 are dated by its clock, 28 ms early, so both dated lives are up from second 29 on; the last round of the first is 10 ms
    // late and holds 135 s, until 6,105 s of it, that of the last 30 ms early, until 3,704 s.
    let dated = (6_105 - 29) + (3_704 - 29);
    // Placed as late as can be, its first round lies 30 s after five hours before the next life, which began at most 168 ms later
    // than told (28 ms early, 40 ms of the clock, 156 ms of drift until minute 26): cut to second 30. Placed as early as can be, it
    // lasts five hours from the last report before it, whose clock was 10 ms late. In any case it covers the middle four hours.
    assert_eq!(up - dated, 4 * HOUR - 30, "{up} {unknown}");
    for seed in 1..=5 {
        let mut random = Random(seed);
        let arrivals = shuffled(&truth, &mut random);
        assert_eq!(told(&truth, &arrivals, || random.below(4) == 0).0, found, "order {seed}");
    }
}
