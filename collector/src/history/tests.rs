//! What really happened, whatever the order in which it was learnt.

use std::sync::Arc;

use rusta_wire::{AgentId, Batch, BootId, Metric, MonoMs, Outcome, ProbeKind, Reason, Rung, SeriesIndex, UnixMs};

use super::*;
use crate::config::Thresholds;
use crate::engine::testing::{Agent, inventory, second, series};
use crate::engine::{BootTime, Cause, LinkState, SiteState, VillageState};
use crate::inventory::Inventory;

/// Seconds from the tests' start (12:03:20 in Tehran) to the midnight after it.
const MIDNIGHT: i64 = 11 * 3600 + 56 * 60 + 40;

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn sighting(agent: &Agent, batch: Batch) -> Sighting {
    let boot = BootTime { at: second(agent.boot.1), error_ms: 10 };
    Sighting { boot, batch: Arc::new(batch), table: Arc::clone(&agent.table), vantage: false }
}

/// A site's day from what its agent saw; `from` and `until` in seconds from the start.
fn build(inventory: &Inventory, sightings: &[Sighting], from: i64, until: i64) -> SiteDay {
    timeline(&SiteInput {
        inventory,
        site: inventory.site_by_code("V0").unwrap(),
        from: second(from),
        until: second(until),
        sightings,
        seen_from: UnixMs(second(from).0 - LEAD_IN_MS),
        seen_until: UnixMs(second(until).0 + LOOK_AHEAD_MS),
        thresholds: &Thresholds::default(),
    })
}

fn states(day: &SiteDay) -> Vec<(i64, LinkState)> {
    let start = second(0).seconds();
    day.links[0].spans.iter().map(|span| (span.from.seconds() - start, span.state)).collect()
}

/// Minutes of reports, each told by `ok`; `None` is a minute without one.
fn minutes(agent: &mut Agent, range: std::ops::Range<i64>, ok: impl Fn(i64) -> Option<bool>) -> Vec<Sighting> {
    let told: Vec<(i64, bool)> = range.filter_map(|minute| Some((minute, ok(minute)?))).collect();
    let one = |(minute, ok)| {
        let batch = agent.batch(minute * 60, ok);
        sighting(agent, batch)
    };
    told.into_iter().map(one).collect()
}

#[test]
fn the_day_begins_at_the_midnight_the_tests_count_from() {
    assert_eq!(Day::of(second(0)).end(), second(MIDNIGHT));
}

#[test]
fn a_day_counted_by_hand() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    // Reports of minutes 1 to 240, sampled 30 s before each; 60 to 79 fail, 120 to 149 are missing.
    let seen = minutes(&mut agent, 1..241, |m| (!(120..150).contains(&m)).then_some(!(60..80).contains(&m)));
    let day = build(&inventory, &seen, 0, 4 * 3600);
    let expected = [
        (0, LinkState::Unknown),
        (30, LinkState::Up),
        (60 * 60 - 30, LinkState::Down),
        (80 * 60 - 30, LinkState::Up),
        // The last sample before the gap counts for two intervals.
        (119 * 60 - 30 + 120, LinkState::Unknown),
        (150 * 60 - 30, LinkState::Up),
    ];
    assert_eq!(states(&day), expected);
    let seconds = span::seconds_of(&day.links[0].spans);
    assert_eq!((seconds.down, seconds.unknown, seconds.total()), (20 * 60, 30 + 29 * 60, 4 * 3600));
    assert_eq!(span::seconds_of(&day.spans), seconds);
    // 190 rounds of two targets answered three of three; the 20 that failed were down and do not count as loss.
    assert_eq!(day.links[0].packets, (190 * 2 * 3, 190 * 2 * 3));
    assert_eq!(day.links[0].histograms[&Metric::RttUsP50].count(), 190 * 2);
    let evidence = &day.links[0].evidence[&second(3570)];
    assert_eq!(evidence[0], format!("{}/core@{}", AgentId(1), second(3570)));
    assert_eq!(evidence.len(), 2);
}

#[test]
fn a_thousand_orders_duplicates_and_splits_give_the_same_day() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let mut random = Xorshift(0x5eed_0001);
    let broken: Vec<bool> = (0..181)
        .scan(true, |ok, _| {
            Some({
                *ok ^= random.below(9) == 0;
                *ok
            })
        })
        .collect();
    let mut truth = minutes(&mut agent, 1..90, |m| (m % 40 < 33).then_some(broken[m as usize]));
    (agent.boot, agent.sequence) = ((BootId(2), 95 * 60), 0);
    truth.extend(minutes(&mut agent, 97..181, |m| (m % 40 < 33).then_some(broken[m as usize])));
    let expected = build(&inventory, &truth, 600, 10_800);
    assert!(states(&expected).len() > 6, "the story is too dull: {:?}", states(&expected));
    for seed in 1..=1000 {
        let mut random = Xorshift(seed * 0x9e37_79b9);
        let mut seen: Vec<Sighting> = Vec::new();
        for one in &truth {
            match random.below(4) {
                0 => seen.extend([one.clone(), one.clone()]),
                1 => seen.extend(split(one)),
                2 => seen.extend(split(one).into_iter().chain([one.clone()])),
                _ => seen.push(one.clone()),
            }
        }
        for place in (1..seen.len()).rev() {
            seen.swap(place, random.below(place + 1));
        }
        assert_eq!(build(&inventory, &seen, 600, 10_800), expected, "seed {seed}");
    }
}

/// The same samples in two batches, one for each target.
fn split(one: &Sighting) -> Vec<Sighting> {
    let part = |series: u16| {
        let samples = one.batch.samples.iter().filter(|sample| sample.series == SeriesIndex(series)).cloned().collect();
        Sighting { batch: Arc::new(Batch { samples, ..Batch::clone(&one.batch) }), ..one.clone() }
    };
    vec![part(1), part(0)]
}

#[test]
fn a_site_without_power_was_down_from_the_round_it_missed() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let mut seen = minutes(&mut agent, 1..60, |_| Some(true));
    (agent.boot, agent.sequence) = ((BootId(2), 7200), 0);
    seen.extend(minutes(&mut agent, 122..200, |_| Some(true)));
    let day = build(&inventory, &seen, 0, 12_000);
    let expected = [(0, LinkState::Unknown), (30, LinkState::Up), (59 * 60 - 30 + 60, LinkState::Down), (122 * 60 - 30, LinkState::Up)];
    assert_eq!(states(&day), expected);
    assert_eq!(day.links[0].spans[2].cause, Some(Cause { rung: Rung::Power, confidence: 70 }));
    assert!(day.links[0].evidence[&second(3570)][0].contains("/boot "));
}

#[test]
fn the_last_words_of_an_agent_tell_power_from_device() {
    let inventory = inventory(1);
    let cause = |reason: Reason| {
        let mut agent = Agent::village(1, "V0");
        let mut seen = minutes(&mut agent, 1..60, |_| Some(true));
        let last = seen.last_mut().unwrap();
        last.batch = Arc::new(Batch { reason, ..Batch::clone(&last.batch) });
        (agent.boot, agent.sequence) = ((BootId(2), 7200), 0);
        seen.extend(minutes(&mut agent, 122..200, |_| Some(true)));
        build(&inventory, &seen, 0, 12_000).links[0].spans[2].cause.unwrap()
    };
    assert_eq!(cause(Reason::PowerLoss), Cause { rung: Rung::Power, confidence: 95 });
    assert_eq!(cause(Reason::Shutdown), Cause { rung: Rung::Device, confidence: 80 });
}

#[test]
fn the_ladder_names_gateway_pop_and_core_from_replayed_rounds() {
    let inventory = inventory(1);
    let ladder = [("gateway", Rung::Gateway), ("pop", Rung::Pop), ("core", Rung::Core)];
    for (broken, (_, rung)) in ladder.iter().enumerate() {
        let targets = ladder.iter().map(|(name, rung)| series("apn0", name, *rung, "")).collect();
        let mut agent = Agent::new(1, "V0", targets);
        let mut seen = minutes(&mut agent, 1..30, |_| Some(true));
        seen.extend(minutes(&mut agent, 30..90, |_| Some(true)).into_iter().map(|one| {
            let mut batch = Batch::clone(&one.batch);
            for sample in batch.samples.iter_mut().filter(|sample| usize::from(sample.series.0) >= broken) {
                (sample.outcome, sample.values) = (Outcome::Timeout, vec![Some(3), Some(0), None]);
            }
            Sighting { batch: Arc::new(batch), ..one }
        }));
        let day = build(&inventory, &seen, 0, 4_800);
        let worst = day.links[0].spans.last().unwrap();
        assert_eq!(worst.cause.map(|cause| cause.rung), Some(*rung), "{:?}", day.links[0].spans);
        let expected = if broken == 0 { LinkState::Down } else { LinkState::Degraded };
        assert_eq!(worst.state, expected, "broken from {rung} on");
    }
}

#[test]
fn the_lead_in_decides_what_holds_when_the_day_begins_and_the_look_ahead_how_it_ends() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let first = MIDNIGHT / 60 - 120;
    let seen = minutes(&mut agent, first..first + 240, |m| Some(m % 60 < 50));
    let whole = build(&inventory, &seen, MIDNIGHT - 3600, MIDNIGHT + 3600);
    let (before, after) = (build(&inventory, &seen, MIDNIGHT - 3600, MIDNIGHT), build(&inventory, &seen, MIDNIGHT, MIDNIGHT + 3600));
    let sum = span::seconds_of(&before.links[0].spans) + span::seconds_of(&after.links[0].spans);
    assert_eq!(sum, span::seconds_of(&whole.links[0].spans));
    assert_eq!(sum.unknown, 0);
    assert_eq!(sum.down, 20 * 60);
}

#[test]
fn services_are_counted_apart_while_the_link_is_up() {
    let inventory = inventory(1);
    let service = rusta_wire::Series { probe: ProbeKind::Http, ..series("apn0", "portal", Rung::Service, "") };
    let mut agent = Agent::new(1, "V0", vec![series("apn0", "gateway", Rung::Gateway, ""), service]);
    let seen = minutes(&mut agent, 1..61, |m| Some(!(20..40).contains(&m)));
    let day = build(&inventory, &seen, 0, 3_600);
    let rounds = &day.rounds["portal"];
    assert_eq!((rounds.attempts, rounds.successes), (60, 40));
    assert_eq!((rounds.attempts_while_up, rounds.successes_while_up), (40, 40));
    assert_eq!(rounds.latency_us.count(), 40);
}

#[test]
fn a_village_is_connected_while_any_of_its_sites_is() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let seen = minutes(&mut agent, 1..61, |m| Some(!(20..40).contains(&m)));
    let day = build(&inventory, &seen, 0, 3_600);
    let site = inventory.site_by_code("V0").unwrap();
    let village = village_timeline(&inventory, &[(site, Some(&day))], second(0), second(3_600));
    let found: Vec<VillageState> = village.spans.iter().map(|span| span.state).collect();
    assert_eq!(found, [VillageState::Unknown, VillageState::Connected, VillageState::Disconnected, VillageState::Connected]);
    assert_eq!(day.spans[2].state, SiteState::Down);
    let unmeasured = village_timeline(&inventory, &[(site, None)], second(0), second(3_600));
    assert_eq!(span::seconds_of(&unmeasured.spans).unknown, 3_600);
}

#[test]
fn packed_days_come_back_as_they_were() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let seen = minutes(&mut agent, 1..61, |m| Some(!(20..40).contains(&m)));
    let day = build(&inventory, &seen, 0, 3_600);
    let back = packed::unpack_site(&packed::pack_site(&day)).unwrap();
    assert_eq!((&back.spans, &back.nin), (&day.spans, &day.nin));
    assert_eq!((&back.links[0].spans, &back.links[0].evidence), (&day.links[0].spans, &day.links[0].evidence));
    assert_eq!(packed::unpack_site(b"nonsense"), None);
}

#[test]
fn a_round_is_dated_by_its_own_boot() {
    let mono = MonoMs(90_000);
    assert_eq!(BootTime { at: UnixMs(1_000), error_ms: 0 }.date(mono), UnixMs(91_000));
}

#[test]
fn the_last_day_is_cut_out_of_two_timelines_to_the_second() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    agent.boot.1 = -7_200;
    let cut = |minute: i64| (-40..-20).contains(&minute) || (30..50).contains(&minute) || (1_000..1_010).contains(&minute);
    let seen = minutes(&mut agent, -60..1_441, |minute| Some(!cut(minute)));
    let (site, village) = (inventory.site_by_code("V0").unwrap(), inventory.villages().next().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(dir.path()).unwrap();
    let (first, now) = (Day::of(second(0)), second(86_400));
    store
        .write(|tx| {
            for day in [first, first.next()] {
                let (from, until) = (day.start(), day.end().min(now));
                let input = |from: UnixMs| from.seconds() - second(0).seconds();
                let built = build(&inventory, &seen, input(from), input(until));
                tables::write_site(tx, "V0", day, &built, until, tables::Digests { head: 0, tail: 0 })?;
                let of_village = village_timeline(&inventory, &[(site, Some(&built))], from, until);
                tables::write_village(tx, &inventory.region(village).code, day, &of_village, until)?;
            }
            Ok::<_, crate::store::StoreError>(())
        })
        .unwrap();
    let versions = crate::inventory::Versions::new(vec![Arc::clone(&inventory)]);
    let read = |period| store.read(|db| crate::kpi::load::facts(db, &versions, period, crate::kpi::View::AsWas, now)).unwrap();
    let facts = read(crate::persian::Period::Last24h);
    assert_eq!(facts.status, crate::kpi::Status::Live);
    let section = &facts.sections[0];
    let expected = StateSeconds { up: 86_400 - 1_800, down: 1_800, ..StateSeconds::default() };
    assert_eq!(section.villages[village.index()].unwrap().state, expected);
    assert_eq!(section.sites[site.index()], Some(expected));
    assert_eq!(section.links[0].as_ref().unwrap().state, expected);
    // The outage before the window touches no figure of it; the other two began inside.
    let began = crate::kpi::by_id("outage_count").unwrap();
    let count = |facts: &crate::kpi::Facts| {
        crate::kpi::answer(began, facts, crate::kpi::Ask { region: Some("09"), ..Default::default() }).remove(0)
    };
    assert_eq!(count(&facts).numerator, 2.0);
    let whole_first = read(crate::persian::Period::Day(crate::persian::JalaliDate::at(second(0))));
    assert_eq!((count(&whole_first).numerator, whole_first.sections[0].sites[site.index()].unwrap().down), (2.0, 2 * 1_200));
}
