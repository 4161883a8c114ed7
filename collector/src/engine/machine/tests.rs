use rusta_wire::BootId;

use super::*;

const A: AgentId = AgentId(1);
const VANTAGE: AgentId = AgentId(9);

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
        self.machine.progress_all(seconds(s), &self.thresholds);
        self.machine.observe(&round, &self.thresholds);
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
    bench.machine.progress(A, seconds(5_000), &bench.thresholds);
    // The last round was at 541 s and counts for two intervals.
    assert_eq!(bench.said().last(), Some(&(661, LinkState::Unknown)));
    bench.minutes(100..101, true);
    assert_eq!(bench.said().last(), Some(&(6000, LinkState::Up)));
}

#[test]
fn a_down_link_becomes_unknown_when_its_agent_falls_silent() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    bench.minutes(10..20, false);
    bench.machine.progress(A, seconds(9_000), &bench.thresholds);
    assert_eq!(bench.said().last(), Some(&(19 * 60 + 1 + 120, LinkState::Unknown)));
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
    assert_eq!(bench.said().last(), Some(&(661, LinkState::Unknown)));
}

#[test]
fn a_new_boot_after_a_gap_proves_that_the_site_was_off() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let boot = Boot { id: BootId(2), began_at: seconds(3_000), reason: None };
    bench.machine.progress_all(seconds(3_060), &bench.thresholds);
    assert_eq!(bench.machine.change().state, LinkState::Unknown);
    bench.machine.booted(A, &boot, seconds(3_060), &bench.thresholds);
    bench.minutes(51..60, true);
    // The round due at 601 s never ran; the first answer of the other boot came at 3,060 s.
    assert_eq!(bench.said(), [(0, LinkState::Unknown), (60, LinkState::Up), (601, LinkState::Down), (3060, LinkState::Up)]);
    assert_eq!(bench.machine.said()[2].cause, Some(Cause { rung: Rung::Power, confidence: 70 }));
}

#[test]
fn a_quick_restart_of_the_router_is_no_outage() {
    let mut bench = Bench::new();
    bench.minutes(1..10, true);
    let boot = Boot { id: BootId(2), began_at: seconds(640), reason: Some(2) };
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
    let boot = Boot { id: BootId(2), began_at: seconds(2_900), reason: None };
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
    let boot = |reason| Boot { id: BootId(2), began_at: seconds(9_000), reason };
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
