//! What really happened, whatever the order in which it was learnt.

use std::sync::Arc;

use rusta_wire::{AgentId, Batch, BootId, Metric, MonoMs, Outcome, ProbeKind, Reason, Rung, SampleRef, Samples, SeriesIndex, UnixMs};

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
    Sighting {
        boot,
        batch: Arc::new(batch.with_samples(batch.samples.iter().map(SampleRef::from).collect())),
        table: Arc::clone(&agent.table),
        vantage: false,
    }
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
        now: None,
        undated: &[],
        degraded_before: &[],
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
        // The last sample before the gap counts for two intervals and a quarter.
        (119 * 60 - 30 + 135, LinkState::Unknown),
        (150 * 60 - 30, LinkState::Up),
    ];
    assert_eq!(states(&day), expected);
    let seconds = span::seconds_of(&day.links[0].spans);
    assert_eq!((seconds.down, seconds.unknown, seconds.total()), (20 * 60, 30 + 29 * 60 - 15, 4 * 3600));
    assert_eq!(span::seconds_of(&day.spans), seconds);
    // 190 rounds of two targets answered three of three; the 20 that failed were down and do not count as loss.
    assert_eq!(day.links[0].values().packets, (190 * 2 * 3, 190 * 2 * 3));
    assert_eq!(day.links[0].values().histograms[&Metric::RttUsP50].count(), 190 * 2);
    let evidence = &day.links[0].evidence[&second(3570)].named;
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

/// The same sighting, where the samples of the wanted series came out otherwise.
fn with(one: Sighting, is_wanted: impl Fn(SeriesIndex) -> bool, outcome: Outcome, values: &[Option<i64>]) -> Sighting {
    let samples = one.batch.samples.iter();
    let samples = samples.map(|sample| if is_wanted(sample.series) { SampleRef { outcome, values, ..sample } } else { sample });
    let batch = one.batch.with_samples(samples.collect());
    Sighting { batch: Arc::new(batch), ..one }
}

/// The same samples in two batches, one for each target.
fn split(one: &Sighting) -> Vec<Sighting> {
    let part = |series: u16| {
        let samples = one.batch.samples.iter().filter(|sample| sample.series == SeriesIndex(series)).collect::<Samples>();
        Sighting { batch: Arc::new(one.batch.with_samples(samples)), ..one.clone() }
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
    let expected = [(0, LinkState::Unknown), (30, LinkState::Up), (59 * 60, LinkState::Down), (122 * 60 - 30, LinkState::Up)];
    assert_eq!(states(&day), expected);
    assert_eq!(day.links[0].spans[2].cause, Some(Cause { rung: Rung::Power, confidence: 70 }));
    let proofs = &day.links[0].evidence[&second(3540)];
    assert_eq!(
        proofs.named,
        [format!("{}/last sign@{}", AgentId(1), second(3540)), format!("{}/boot {}@{}", AgentId(1), BootId(2), second(7200))]
    );
    // Each end by the error its boot is dated with: 10 ms.
    let around = |from: i64, until: i64| (UnixMs(second(from).0 - 10), UnixMs(second(until).0 + 10));
    assert_eq!(proofs.bounds, Some(Bounds { started: around(3540, 7200), ended: around(7200, 122 * 60 - 30) }));
}

/// A site that reported until minute 60, had a life nobody can date, and reported again from minute 425 on. Measured for
/// five of the six hours between, that life saw its link carry traffic.
fn with_an_undated_life(not_before: Option<UnixMs>) -> SiteDay {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let mut seen = minutes(&mut agent, 1..61, |_| Some(true));
    (agent.boot, agent.sequence) = ((BootId(3), 420 * 60), 0);
    seen.extend(minutes(&mut agent, 421..500, |_| Some(true)));
    // Placed as late as can be it ended when the next life began.
    (agent.boot, agent.sequence) = ((BootId(2), 119 * 60), 0);
    let sightings = minutes(&mut agent, 121..421, |_| Some(true));
    let life = Undated { agent: agent.id, latest: (second(120 * 60), second(420 * 60)), not_before, sightings };
    timeline(&SiteInput {
        inventory: &inventory,
        site: inventory.site_by_code("V0").unwrap(),
        from: second(0),
        until: second(500 * 60),
        sightings: &seen,
        seen_from: second(-3_600),
        seen_until: second(510 * 60),
        now: None,
        undated: &[life],
        degraded_before: &[],
        thresholds: &Thresholds::default(),
    })
}

#[test]
fn a_life_without_a_clock_is_unknown_between_its_neighbours_and_its_answers_shorten_that_from_inside() {
    // An hour of six is open: its clock was kept in the life before, which reported until 3,600 s.
    let day = with_an_undated_life(Some(second(3_000)));
    let expected = [
        (0, LinkState::Unknown),
        (30, LinkState::Up),
        (3_570 + 135, LinkState::Unknown),
        (7_230, LinkState::Up),
        (21_600, LinkState::Unknown),
        (421 * 60 - 30, LinkState::Up),
    ];
    assert_eq!(states(&day), expected);
    assert_eq!(span::seconds_of(&day.links[0].spans).down, 0, "21,600 s were called down");
}

#[test]
fn a_life_without_any_bound_says_nothing_and_is_not_down() {
    let seconds = span::seconds_of(&with_an_undated_life(None).links[0].spans);
    assert_eq!((seconds.down, seconds.unknown), (0, 30 + 421 * 60 - 30 - 3_705));
}

#[test]
fn a_life_that_does_not_fit_into_a_gap_leaves_it_down() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let mut seen = minutes(&mut agent, 1..61, |_| Some(true));
    (agent.boot, agent.sequence) = ((BootId(3), 120 * 60), 0);
    seen.extend(minutes(&mut agent, 121..200, |_| Some(true)));
    (agent.boot, agent.sequence) = ((BootId(2), 0), 0);
    let sightings = minutes(&mut agent, 1..100, |_| Some(true));
    let life = Undated { agent: agent.id, latest: (second(0), second(99 * 60)), not_before: None, sightings };
    let site = inventory.site_by_code("V0").unwrap();
    let whole = SiteInput {
        inventory: &inventory,
        site,
        from: second(0),
        until: second(12_000),
        sightings: &seen,
        seen_from: second(-3_600),
        seen_until: second(15_600),
        now: None,
        undated: &[life],
        degraded_before: &[],
        thresholds: &Thresholds::default(),
    };
    assert_eq!(span::seconds_of(&timeline(&whole).links[0].spans).down, (121 - 60) * 60 - 30);
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
        seen.extend(
            minutes(&mut agent, 30..90, |_| Some(true))
                .into_iter()
                .map(|one| with(one, |series| usize::from(series.0) >= broken, Outcome::Timeout, &[Some(3), Some(0), None])),
        );
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
    let rounds = &day.rounds()["portal"];
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
fn a_site_that_knew_nothing_of_the_national_network_all_day_does_not_tell() {
    let inventory = inventory(1);
    let mut agent = Agent::new(1, "V0", vec![series("apn0", "nin", Rung::Nin, "")]);
    let seen = minutes(&mut agent, 1..61, |_| Some(true));
    assert!(build(&inventory, &seen, 0, 3_600).nin.is_some());
    assert_eq!(build(&inventory, &seen, 7_200, 10_800).nin, None, "what was seen in the lead-in has run out");
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
                let (digests, reports) = (tables::Digests { head: 0, tail: 0 }, DayReports::default());
                let slots = slots::pack(&built, &reports.slots);
                let late = Late::default();
                tables::write_site(tx, "V0", day, &tables::Built { day: &built, slots: &slots, until, digests, reports: &reports, late })?;
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

/// What devices say while nothing answers, and the rung it proves.
#[test]
fn every_cause_a_device_tells_is_told_from_replayed_samples() {
    let inventory = inventory(1);
    let cases: [(&[(Metric, i64)], Rung); 11] = [
        (&[(Metric::UpsSource, 5), (Metric::UpsOnBatteryS, 120)], Rung::Power),
        (&[(Metric::ModemPresent, 0)], Rung::Modem),
        (&[(Metric::SimState, 0)], Rung::Sim),
        (&[(Metric::SimState, 1), (Metric::Registration, 3)], Rung::Sim),
        (&[(Metric::PlanUsedKib, 4_096), (Metric::PlanLimitKib, 4_096)], Rung::Sim),
        (&[(Metric::Registration, 2)], Rung::Radio),
        (&[(Metric::Rat, 0)], Rung::Radio),
        (&[(Metric::RsrpDbm, -125), (Metric::BearerUp, 1)], Rung::Radio),
        (&[(Metric::Registration, 1), (Metric::BearerUp, 0)], Rung::Bearer),
        // The bearer holds and its first hop is gone: the operator's gateway.
        (&[(Metric::Registration, 1), (Metric::BearerUp, 1)], Rung::Gateway),
        // A device that says nothing leaves the lowest rung that was looked at.
        (&[(Metric::UptimeS, 9_000)], Rung::Gateway),
    ];
    for (gauges, rung) in cases {
        let device = rusta_wire::Series {
            probe: ProbeKind::Modem,
            metrics: gauges.iter().map(|(metric, _)| *metric).collect(),
            ..series("apn0", "device", Rung::Radio, "")
        };
        let targets = vec![series("apn0", "gateway", Rung::Gateway, ""), series("apn0", "core", Rung::Core, ""), device];
        let mut agent = Agent::new(1, "V0", targets);
        let said = |one: Sighting, values: &dyn Fn(i64) -> Option<i64>| {
            let values: Vec<Option<i64>> = gauges.iter().map(|(_, value)| values(*value)).collect();
            with(one, |series| series == SeriesIndex(2), Outcome::Ok, &values)
        };
        let holds = minutes(&mut agent, 1..30, |_| Some(true)).into_iter().map(|one| said(one, &|_| None));
        let broken = minutes(&mut agent, 30..60, |_| Some(false)).into_iter().map(|one| said(one, &Some));
        let seen: Vec<Sighting> = holds.chain(broken).collect();
        let day = build(&inventory, &seen, 0, 3_500);
        let last = day.links[0].spans.last().unwrap();
        assert_eq!((last.state, last.cause.map(|cause| cause.rung)), (LinkState::Down, Some(rung)), "{gauges:?}");
    }
}

#[test]
fn an_interface_that_is_gone_is_the_device_and_on_mobile_access_the_modem() {
    for (access, rung) in [(crate::inventory::Access::Fibre, Rung::Device), (crate::inventory::Access::Lte, Rung::Modem)] {
        let mut inventory = Inventory::clone(&inventory(1));
        inventory.links[0].access = Some(access);
        let mut agent = Agent::village(1, "V0");
        let mut seen = minutes(&mut agent, 1..60, |minute| Some(minute < 30));
        let broken = seen.split_off(29);
        seen.extend(broken.into_iter().map(|one| with(one, |_| true, Outcome::LinkGone, &[None; 3])));
        let day = build(&inventory, &seen, 0, 3_500);
        let last = day.links[0].spans.last().unwrap();
        assert_eq!((last.state, last.cause.map(|cause| cause.rung)), (LinkState::Down, Some(rung)), "{access}");
    }
}

#[test]
fn closing_hours_are_not_in_service_for_the_site_and_work_is_kept_apart_by_when_it_was_announced() {
    let mut inventory = Inventory::clone(&inventory(1));
    let window = |id: &str, from: i64, until: i64, announced: i64| crate::inventory::MaintenanceWindow {
        ended_at: None,
        id: id.to_owned(),
        reason: String::new(),
        span: (second(from), second(until)),
        repeat: crate::inventory::Repeat::Never,
        announced_at: second(announced),
        covers: vec![crate::inventory::Covered::Site(inventory.site_by_code("V0").unwrap())],
    };
    // The tests' day begins at 12:03:20; a site open from 12:10 to 13:10 is closed for the first 400 s and after 4,000 s.
    inventory.maintenance = vec![window("planned", 1_000, 1_600, -90_000), window("sudden", 2_000, 2_600, 1_000)];
    inventory.sites[0].calendar = "noon".to_owned();
    let hours = [Some((12 * 60 + 10, 13 * 60 + 10)); 7];
    inventory.calendars.services = vec![crate::inventory::ServiceCalendar { name: "noon".to_owned(), week: hours, holidays: Vec::new() }];
    let mut agent = Agent::village(1, "V0");
    // Down from 2,370 s to 2,670 s: 230 s of it inside the sudden work.
    let seen = minutes(&mut agent, 1..120, |minute| Some(!(40..45).contains(&minute)));
    let day = build(&inventory, &seen, 0, 7_200);
    let link = span::seconds_of(&day.links[0].spans);
    assert_eq!(
        (link.maintenance, link.down, link.not_in_service, link.total()),
        (0, 300, 0, 7_200),
        "a link works around the clock, and is up under work"
    );
    let late = span::seconds_of(&day.links[0].short_notice);
    assert_eq!((late.down, late.up, late.total()), (230, 370, 600));
    let site = span::seconds_of(&day.spans);
    assert_eq!((site.not_in_service, site.maintenance, site.down, site.unknown), (400 + 3_200, 0, 300, 0));
    assert_eq!(span::seconds_of(&day.short_notice), late);
    let back = packed::unpack_site(&packed::pack_site(&day)).unwrap();
    assert_eq!((&back.short_notice, &back.links[0].short_notice), (&day.short_notice, &day.links[0].short_notice));
    let village = village_timeline(&inventory, &[(inventory.site_by_code("V0").unwrap(), Some(&day))], second(0), second(7_200));
    let of_village = span::seconds_of(&village.spans);
    assert_eq!((of_village.unknown, of_village.down), (30, 300), "a village is connected while its public point is, open or not");
}

#[test]
fn slots_add_up_to_their_day_and_come_back_as_they_were() {
    let inventory = inventory(1);
    let service = rusta_wire::Series { probe: ProbeKind::Http, ..series("apn0", "portal", Rung::Service, "") };
    let anchors = [series("apn0", "gateway", Rung::Gateway, ""), series("apn0", "pop", Rung::Pop, "")];
    let mut agent = Agent::new(1, "V0", anchors.into_iter().chain([service]).collect());
    let seen = minutes(&mut agent, 1..61, |m| Some(!(20..40).contains(&m)));
    let day = build(&inventory, &seen, 0, 3_600);
    assert_eq!(day.links[0].slots.len(), 12);
    // Two anchors a minute make ten rounds in a slot; the cut makes five slots bad, the first and last of them in part.
    assert_eq!(day.links[0].values().quality, (12, 7));
    let reports = Reports { covered_ms: 60_000, on_time_ms: 0, ..Reports::default() };
    let back = slots::unpack(&slots::pack(&day, &[(3, reports.clone())].into()), |_| true).unwrap();
    let mut day = day;
    day.links[0].slots.values_mut().for_each(|slot| slot.histograms.retain(|metric, _| *metric != Metric::RttUsP50));
    assert_eq!((&back.links["apn0"], &back.services, &back.reports[&3]), (&day.links[0].slots, &day.service_slots, &reports));
    assert_eq!(slots::unpack(b"nonsense", |_| true), None);
}
