use rusta_wire::BootId;

use super::*;

const A: AgentId = AgentId(1);
const VANTAGE: AgentId = AgentId(9);

/// An agent is believed to look on for ten minutes after its last report.
const PATIENCE: Duration = Duration::from_secs(600);

/// A machine with a gateway (slot 0) and a PoP (slot 1), fed by seconds.
struct Bench {
    machine: Machine,
    thresholds: Thresholds,
}

fn seconds(s: i64) -> UnixMs {
    UnixMs::from_seconds(s)
}

fn target(source: AgentId, vantage: bool, rung: Rung) -> Target {
    Target { source, vantage, rung, interval_s: 60 }
}

impl Bench {
    fn new() -> Self {
        let thresholds = Thresholds::default();
        let kind = LinkKind { anchors: Anchors::Of(Network::Gov), access: Some(Access::Lte), class_a: false };
        let mut machine = Machine::new(kind, seconds(0));
        machine.slot(target(A, false, Rung::Gateway), &thresholds);
        machine.slot(target(A, false, Rung::Pop), &thresholds);
        machine.slot(target(VANTAGE, true, Rung::Gateway), &thresholds);
        Bench { machine, thresholds }
    }

    fn round(&mut self, s: i64, slot: u16, ok: bool) {
        let outcome = if ok { Outcome::Ok } else { Outcome::Timeout };
        let round = Round {
            at: seconds(s),
            slot: Slot(slot),
            outcome,
            packets: Some((3, if ok { 3 } else { 0 })),
            rtt_us: ok.then_some(40_000),
            rounds: (1, 0),
        };
        self.machine.observe(&round, &self.thresholds);
        self.machine.pass(seconds(s), &self.thresholds);
    }

    /// Both anchors each minute of a range.
    fn minutes(&mut self, range: std::ops::Range<i64>, ok: bool) {
        for minute in range {
            self.round(minute * 60, 0, ok);
            self.round(minute * 60 + 1, 1, ok);
        }
    }

    fn said(&self) -> Vec<(i64, LinkState)> {
        self.machine.said().iter().map(|c| (c.at.seconds(), c.state)).collect()
    }
}

#[test]
fn an_outage_is_dated_to_its_first_failure_and_its_first_answer() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.minutes(10..20, false);
    bench.minutes(20..30, true);
    // Down since the PoP failed too (601 s); up from the first of three answers.
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up), (601, LinkState::Down), (1200, LinkState::Up)]);
}

#[test]
fn two_failures_are_no_outage_and_two_answers_no_repair() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.minutes(10..12, false);
    bench.minutes(12..14, true);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up)]);
    bench.minutes(14..20, false);
    bench.minutes(20..22, true);
    bench.minutes(22..30, false);
    assert_eq!(bench.said().last(), Some(&(841, LinkState::Down)));
}

#[test]
fn three_failures_within_the_confirm_time_are_no_outage() {
    let mut bench = Bench::new();
    bench.minutes(1..3, true);
    for (n, s) in [240, 255, 270].into_iter().enumerate() {
        bench.round(s, 0, false);
        bench.round(s + 1, 1, false);
        assert_eq!(bench.machine.change().state, LinkState::Up, "after failure {n}");
    }
    for s in [285, 300, 315, 330, 345] {
        bench.round(s, 0, false);
        bench.round(s + 1, 1, false);
    }
    assert_eq!(bench.said().last(), Some(&(241, LinkState::Down)));
}

#[test]
fn one_anchor_that_answers_keeps_a_link_from_being_down() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    for minute in 10..16 {
        bench.round(minute * 60, 0, true);
        bench.round(minute * 60 + 1, 1, false);
    }
    assert_eq!(bench.machine.change().state, LinkState::Up);
}

#[test]
fn silence_is_unknown_from_the_end_of_the_evidence() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.machine.progress(A, seconds(5_000), PATIENCE, &bench.thresholds);
    // The last round was at 541 s and counts for two intervals and a quarter.
    assert_eq!(bench.said().last(), Some(&(676, LinkState::Unknown)));
    bench.minutes(100..101, true);
    assert_eq!(bench.said().last(), Some(&(6000, LinkState::Up)));
}

#[test]
fn a_down_link_becomes_unknown_when_its_agent_falls_silent() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.minutes(10..20, false);
    bench.machine.progress(A, seconds(9_000), PATIENCE, &bench.thresholds);
    assert_eq!(bench.said().last(), Some(&(19 * 60 + 1 + 135, LinkState::Unknown)));
}

#[test]
fn a_vantage_answer_keeps_a_link_up_whose_agent_is_dead() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    for minute in 8..30 {
        bench.round(minute * 60 + 30, 2, true);
    }
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up)]);
}

#[test]
fn a_vantage_without_answer_proves_nothing() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    for minute in 8..30 {
        bench.round(minute * 60 + 30, 2, false);
    }
    assert_eq!(bench.said().last(), Some(&(676, LinkState::Unknown)));
}

#[test]
fn a_new_boot_after_a_gap_proves_that_the_site_was_off() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let boot = Boot { id: BootId(2), began_at: seconds(3_000), reason: None, after_undated: false };
    bench.machine.pass(seconds(3_060), &bench.thresholds);
    assert_eq!(bench.machine.change().state, LinkState::Unknown);
    bench.machine.booted(A, &boot, seconds(3_060), &bench.thresholds);
    bench.minutes(51..60, true);
    // The last sign of the old boot was at 541 s; the first answer of the other one came at 3,060 s.
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up), (541, LinkState::Down), (3060, LinkState::Up)]);
    assert_eq!(bench.machine.said()[2].cause, Some(Cause { rung: Rung::Power, confidence: 70 }));
}

#[test]
fn a_quick_restart_of_the_router_is_no_outage() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.machine.progress(A, seconds(600), PATIENCE, &bench.thresholds);
    let boot = Boot { id: BootId(2), began_at: seconds(640), reason: Some(2), after_undated: false };
    bench.machine.booted(A, &boot, seconds(660), &bench.thresholds);
    bench.minutes(11..20, true);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up)]);
}

#[test]
fn a_vantage_heard_during_the_gap_says_the_site_was_on() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    for minute in 8..50 {
        bench.round(minute * 60 + 30, 2, true);
    }
    let boot = Boot { id: BootId(2), began_at: seconds(2_900), reason: None, after_undated: false };
    bench.machine.booted(A, &boot, seconds(3_060), &bench.thresholds);
    bench.minutes(51..60, true);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up)]);
}

#[test]
fn lost_packets_in_three_of_five_slots_degrade_and_three_clean_slots_mend() {
    let mut bench = Bench::new();
    let mut at = 0;
    let mut slots = |bench: &mut Bench, count: i64, received: u32| {
        for _ in 0..count * 5 {
            at += 60;
            let round = Round {
                at: seconds(at),
                slot: Slot(0),
                outcome: Outcome::Ok,
                packets: Some((10, received)),
                rtt_us: Some(40_000),
                rounds: (1, 0),
            };
            bench.machine.observe(&round, &bench.thresholds);
        }
    };
    slots(&mut bench, 2, 10);
    slots(&mut bench, 4, 8);
    assert_eq!(bench.machine.change(), Change { at: seconds(1500), state: LinkState::Degraded, cause: None });
    slots(&mut bench, 4, 10);
    assert_eq!(bench.machine.change().state, LinkState::Up);
    assert_eq!(bench.machine.change().at, seconds(3000));
}

#[test]
fn the_lowest_broken_rung_is_the_cause() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    for minute in 10..20 {
        bench.round(minute * 60, 0, true);
        bench.round(minute * 60 + 1, 1, false);
    }
    assert_eq!(bench.machine.ladder(seconds(1141)), Some(Cause { rung: Rung::Pop, confidence: 90 }));
    bench.minutes(20..30, false);
    assert_eq!(bench.machine.change().cause, Some(Cause { rung: Rung::Gateway, confidence: 60 }));
    bench.machine.learn(seconds(1750), Fact::Gauge(Metric::Registration, 2), &bench.thresholds);
    assert_eq!(bench.machine.change().cause, Some(Cause { rung: Rung::Radio, confidence: 90 }));
}

#[test]
fn causes_of_an_off_site_are_told_apart() {
    let boot = |reason| Boot { id: BootId(2), began_at: seconds(9_000), reason, after_undated: false };
    let blame = |facts: &Facts, reason| facts.blame_boot(&boot(reason), seconds(600)).rung;
    let mut facts = Facts::default();
    assert_eq!(blame(&facts, Some(1)), Rung::Power);
    assert_eq!(blame(&facts, Some(3)), Rung::Device);
    facts.learn(seconds(300), Fact::Gauge(Metric::UpsSource, 3));
    assert_eq!(blame(&facts, None), Rung::Device, "the UPS saw nothing");
    facts.learn(seconds(580), Fact::Gauge(Metric::UpsSource, 5));
    assert_eq!(blame(&facts, None), Rung::Power, "the UPS went to battery");
    let mut gasped = Facts::default();
    gasped.learn(seconds(590), Fact::LastGasp);
    assert_eq!(blame(&gasped, None), Rung::Power);
}

#[test]
fn each_device_gauge_names_its_rung() {
    let cases = [
        (Metric::UpsSource, 5, Rung::Power),
        (Metric::ModemPresent, 0, Rung::Modem),
        (Metric::SimState, 2, Rung::Sim),
        (Metric::Registration, 3, Rung::Sim),
        (Metric::Registration, 2, Rung::Radio),
        (Metric::BearerUp, 0, Rung::Bearer),
        (Metric::RsrpDbm, -125, Rung::Radio),
    ];
    for (metric, value, rung) in cases {
        let mut bench = Bench::new();
        bench.minutes(1..10, true);
        bench.minutes(10..14, false);
        bench.machine.learn(seconds(800), Fact::Gauge(metric, value), &bench.thresholds);
        bench.minutes(14..16, false);
        assert_eq!(bench.machine.change().cause.map(|c| c.rung), Some(rung), "{metric:?} {value}");
    }
}

#[test]
fn seven_changes_in_half_an_hour_are_flapping_until_it_is_quiet() {
    let thresholds = Thresholds::default();
    let mut flap = Flap::default();
    let (mut from, mut to) = (LinkState::Up, LinkState::Down);
    for n in 0..7 {
        flap.observe(seconds(n * 240), from, to, &thresholds);
        (from, to) = (to, from);
    }
    assert_eq!(flap.since(), Some(seconds(6 * 240)));
    flap.settle(seconds(6 * 240 + 1799), &thresholds);
    assert!(flap.since().is_some());
    flap.settle(seconds(6 * 240 + 1800), &thresholds);
    assert_eq!(flap.since(), None);
}

#[test]
fn a_refusal_proves_the_path_and_a_missing_privilege_proves_nothing() {
    let mut bench = Bench::new();
    let round = |s, outcome| Round { at: seconds(s), slot: Slot(0), outcome, packets: None, rtt_us: None, rounds: (1, 0) };
    assert!(!bench.machine.observe(&round(10, Outcome::NotPermitted), &bench.thresholds));
    assert_eq!(bench.machine.change().state, LinkState::Unknown);
    assert!(bench.machine.observe(&round(20, Outcome::Refused), &bench.thresholds));
    bench.machine.pass(seconds(20), &bench.thresholds);
    assert_eq!(bench.machine.change().state, LinkState::Up);
}

#[test]
fn an_older_round_of_a_target_is_left_out() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let before = bench.said();
    let late = Round { at: seconds(300), slot: Slot(0), outcome: Outcome::Timeout, packets: None, rtt_us: None, rounds: (1, 0) };
    assert!(!bench.machine.observe(&late, &bench.thresholds));
    assert_eq!(bench.said(), before);
}

/// A machine whose gateway is probed every minute and whose PoP every five minutes, one round at a time.
fn bench_of(intervals: &[(Rung, u32)]) -> Bench {
    let mut bench = Bench::new();
    let kind = LinkKind { anchors: Anchors::Of(Network::Gov), access: Some(Access::Lte), class_a: false };
    bench.machine = Machine::new(kind, seconds(0));
    for (rung, interval_s) in intervals {
        bench.machine.slot(Target { interval_s: *interval_s, ..target(A, false, *rung) }, &bench.thresholds);
    }
    bench
}

/// Seconds in a state, from what was said until `until`.
fn seconds_in(bench: &Bench, state: LinkState, until: i64) -> i64 {
    let said = bench.said();
    let ends = said.iter().skip(1).map(|(at, _)| *at).chain([until]);
    said.iter().zip(ends).filter(|((_, held), _)| *held == state).map(|((at, _), end)| end - at).sum()
}

#[test]
fn a_restart_of_the_agent_never_dates_down_back_over_answers() {
    // From 06:00 on what lies behind the gateway fails; the gateway answers all day. At noon the agent restarts for three
    // minutes, after which the PoP's evidence is fresh and the gateway's is not: 21,810 s were called down.
    let (six, noon) = (6 * 3_600, 12 * 3_600);
    for (gateway_first, gateway_back) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut bench = bench_of(&[(Rung::Gateway, 60), (Rung::Pop, 300)]);
        let minute = |bench: &mut Bench, s: i64, gateway: bool| {
            let order = if gateway_first { [0, 1] } else { [1, 0] };
            for slot in order {
                if slot == 0 {
                    bench.round(s, 0, gateway);
                } else if s % 300 == 0 {
                    bench.round(s, 1, s < six);
                }
            }
        };
        (300..noon).step_by(60).for_each(|s| minute(&mut bench, s, true));
        // The gateway needs three more minutes to answer in the second kind of noon.
        (noon + 180..noon + 3_600).step_by(60).for_each(|s| minute(&mut bench, s, gateway_back || s >= noon + 360));
        let down = seconds_in(&bench, LinkState::Down, noon + 3_600);
        assert!(down <= 180, "{down} s down: {:?}", bench.said());
    }
}

#[test]
fn rounds_of_one_cycle_are_judged_together_whatever_their_targets_are_called() {
    // After a silence one anchor fails and the other answers, in the same instant or within the cycle. Judged one by one the
    // first alone was the whole link: 540 s down, or 180, as the names sorted.
    for splay in [0, 1, 20, 59] {
        for order in [[0u16, 1], [1, 0]] {
            let mut bench = bench_of(&[(Rung::Gateway, 60), (Rung::Pop, 300)]);
            (300..6_000).step_by(60).for_each(|s| {
                bench.round(s, 0, true);
                if s % 300 == 0 {
                    bench.round(s + 1, 1, s < 4_800);
                }
            });
            // Silent for three minutes: the PoP's failures are still evidence, the gateway's answers are not.
            let mut rounds: Vec<(i64, u16, bool)> = Vec::new();
            for s in (6_180..7_200).step_by(60) {
                rounds.push((s + splay, 0, true));
                if s % 300 == 180 {
                    rounds.push((s, 1, false));
                }
            }
            rounds.sort_by_key(|(s, slot, _)| (*s, order.iter().position(|one| one == slot)));
            rounds.into_iter().for_each(|(s, slot, ok)| bench.round(s, slot, ok));
            assert_eq!(seconds_in(&bench, LinkState::Down, 7_200), 0, "splay {splay}, {order:?}: {:?}", bench.said());
        }
    }
}

#[test]
fn twenty_milliseconds_of_clock_decide_nothing() {
    for late_ms in [-20, 0, 20, 1_000, 14_000] {
        let mut bench = bench_of(&[(Rung::Gateway, 60)]);
        for minute in 1..10 {
            bench.round(minute * 60, 0, true);
        }
        // One round is lost; the next but one comes when it is due, as the agent's clock reads.
        let at = UnixMs(seconds(660).0 + late_ms);
        let round = Round { at, slot: Slot(0), outcome: Outcome::Ok, packets: None, rtt_us: None, rounds: (1, 0) };
        bench.machine.observe(&round, &bench.thresholds);
        bench.machine.progress(A, UnixMs(at.0 + 1), PATIENCE, &bench.thresholds);
        assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up)], "{late_ms} ms late");
    }
}

#[test]
fn an_outage_of_power_lasts_until_the_first_answer_whatever_comes_between() {
    let back = |between: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::new();
        bench.minutes(1..10, true);
        let boot = Boot { id: BootId(2), began_at: seconds(3_000), reason: None, after_undated: false };
        bench.machine.booted(A, &boot, seconds(3_005), &bench.thresholds);
        between(&mut bench);
        bench.minutes(60..70, true);
        bench.said()
    };
    let expected = [(0, LinkState::Unknown), (60, LinkState::Up), (541, LinkState::Down), (3_600, LinkState::Up)];
    assert_eq!(back(&|_| {}), expected);
    assert_eq!(back(&|bench| bench.minutes(51..55, false)), expected, "rounds that fail");
    let nothing = |bench: &mut Bench| {
        for s in (3_005..3_500).step_by(60) {
            let round = Round { at: seconds(s), slot: Slot(0), outcome: Outcome::NotRun, packets: None, rtt_us: None, rounds: (1, 0) };
            bench.machine.observe(&round, &bench.thresholds);
            bench.machine.progress(A, seconds(s), PATIENCE, &bench.thresholds);
        }
    };
    assert_eq!(back(&nothing), expected, "rounds that prove nothing");
    let gauge = |bench: &mut Bench| bench.machine.learn(seconds(3_010), Fact::Gauge(Metric::ModemPresent, 1), &bench.thresholds);
    assert_eq!(back(&gauge), expected, "a gauge");
}

#[test]
fn five_minutes_without_power_are_seen_at_the_metered_cadence() {
    let mut bench = bench_of(&[(Rung::Gateway, 900), (Rung::Pop, 900)]);
    for quarter in 1..5 {
        bench.round(quarter * 900, 0, true);
        bench.round(quarter * 900 + 5, 1, true);
        bench.machine.progress(A, seconds(quarter * 900 + 60), PATIENCE, &bench.thresholds);
    }
    // It reported last at 3,660 s and was off from then until 3,960 s.
    let boot = Boot { id: BootId(2), began_at: seconds(3_960), reason: None, after_undated: false };
    bench.machine.booted(A, &boot, seconds(4_000), &bench.thresholds);
    bench.round(4_000, 0, true);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (900, LinkState::Up), (3_660, LinkState::Down), (4_000, LinkState::Up)]);
    assert_eq!(bench.machine.said()[2].cause.map(|cause| cause.rung), Some(Rung::Power));
}

#[test]
fn a_life_nobody_can_date_makes_the_gap_unknown() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let boot = Boot { id: BootId(3), began_at: seconds(22_141), reason: None, after_undated: true };
    bench.machine.booted(A, &boot, seconds(22_200), &bench.thresholds);
    bench.minutes(370..380, true);
    assert_eq!(seconds_in(&bench, LinkState::Down, 23_000), 0);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up), (676, LinkState::Unknown), (22_200, LinkState::Up)]);
}

#[test]
fn evidence_at_the_metered_cadence_runs_out_by_itself() {
    let mut bench = bench_of(&[(Rung::Gateway, 900)]);
    bench.round(900, 0, true);
    bench.machine.progress(A, seconds(960), PATIENCE, &bench.thresholds);
    let mut now = seconds(960);
    let mut woken = Vec::new();
    while let Some(due) = bench.machine.due(now) {
        assert!(due > now, "a timer that does not move");
        now = due;
        bench.machine.stand_at(due, &bench.thresholds);
        woken.push(due.0);
    }
    // Silent after ten minutes; the round of 900 s counts for two intervals of 900 s and a quarter.
    assert_eq!(woken, [1_560_001, 2_925_001]);
    assert_eq!(bench.machine.change(), Change { at: seconds(2_925), state: LinkState::Unknown, cause: None });
}

#[test]
fn a_dead_router_on_a_quiet_metered_link_is_unknown_as_soon_as_it_is_silent() {
    // The nearest anchor is probed every minute, the others every quarter of an hour: their rounds kept a dead site up.
    let mut bench = bench_of(&[(Rung::Gateway, 60), (Rung::Core, 900)]);
    for minute in 1..=46 {
        bench.round(minute * 60, 0, true);
        if minute % 15 == 0 {
            bench.round(minute * 60, 1, true);
        }
    }
    bench.machine.progress(A, seconds(2_765), PATIENCE, &bench.thresholds);
    bench.machine.stand_at(seconds(2_765 + 600), &bench.thresholds);
    assert_eq!(bench.machine.change().state, LinkState::Up);
    assert_eq!(bench.machine.due(seconds(2_765 + 600)), Some(UnixMs(seconds(2_765 + 600).0 + 1)));
    bench.machine.stand_at(seconds(2_765 + 601), &bench.thresholds);
    assert_eq!(bench.machine.change().state, LinkState::Unknown);
    assert_eq!(bench.machine.change().at, seconds(2_760 + 135));
    // When it speaks again it is judged as if nobody had asked: the round of a quarter past still counted.
    bench.round(3_600, 0, true);
    bench.machine.stand_at(seconds(3_601), &bench.thresholds);
    assert_eq!((bench.machine.change().state, bench.machine.change().at), (LinkState::Up, seconds(60)));
}

#[test]
fn a_router_that_was_off_and_then_said_nothing_of_its_link_was_down_until_it_came_back() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let boot = Boot { id: BootId(2), began_at: seconds(3_000), reason: None, after_undated: false };
    bench.machine.booted(A, &boot, seconds(3_020), &bench.thresholds);
    bench.machine.end(seconds(3_600), &bench.thresholds);
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up), (541, LinkState::Down), (3_020, LinkState::Unknown)]);
}
