//! Timelines in, events out.

use std::sync::Arc;

use rusta_wire::{Network, Outcome, Rung, UnixMs};

use super::testing::{Agent, START, inventory, second, series};
use super::*;
use crate::config::Thresholds;
use crate::day::Day;
use crate::inventory::{Draft, LinkId, RegionKind, Role, SiteId, SiteKind};
use crate::log::Position;

struct World {
    engine: Engine,
    position: u64,
    events: Vec<Event>,
}

impl World {
    fn new(villages: usize) -> Self {
        World { engine: Engine::new(inventory(villages), Thresholds::default(), second(0)), position: 0, events: Vec::new() }
    }

    fn record(&mut self, agent: &mut Agent, until: i64, received: i64, ok: bool) -> Record {
        self.position += 1;
        Record {
            position: Position(self.position),
            received_at: second(received),
            site: self.site(agent.site),
            boot: Some(BootTime { at: second(agent.boot.1), error_ms: 10 }),
            batch: agent.batch(until, ok),
            table: Arc::clone(&agent.table),
        }
    }

    /// A report that arrives at once.
    fn report(&mut self, agent: &mut Agent, until: i64, ok: bool) {
        let record = self.record(agent, until, until, ok);
        self.apply(&record);
    }

    fn apply(&mut self, record: &Record) {
        self.events.extend(self.engine.apply(record));
    }

    fn pass(&mut self, until: i64) {
        self.events.extend(self.engine.advance_to(second(until)));
    }

    fn site(&self, code: &str) -> SiteId {
        self.engine.inventory().site_by_code(code).unwrap()
    }

    fn link(&self, code: &str) -> LinkId {
        self.engine.inventory().links_of(self.site(code)).next().unwrap()
    }

    fn link_state(&mut self, code: &str) -> LinkState {
        let link = self.link(code);
        self.engine.snapshot().link(link).state
    }

    fn link_changes(&self) -> Vec<(i64, LinkState)> {
        let change = |event: &Event| match event {
            Event::LinkChanged { since, to, .. } => Some((since.seconds() - START, *to)),
            _ => None,
        };
        self.events.iter().filter_map(change).collect()
    }
}

#[test]
fn a_cut_link_takes_its_site_and_village_down_and_back() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=10 {
        world.report(&mut agent, minute * 60, true);
    }
    for minute in 11..=20 {
        world.report(&mut agent, minute * 60, false);
    }
    let snapshot = world.engine.snapshot();
    assert_eq!(snapshot.site(world.site("V0")).state, SiteState::Down);
    assert_eq!(snapshot.site(world.site("V0")).cause, Some(Cause { rung: Rung::Gateway, confidence: 60 }));
    assert_eq!(snapshot.villages[0].state, VillageState::Disconnected);
    assert_eq!(snapshot.villages[0].evidence_at, Some(second(1170)));
    for minute in 21..=25 {
        world.report(&mut agent, minute * 60, true);
    }
    assert_eq!(world.link_changes(), [(30, LinkState::Up), (630, LinkState::Down), (1230, LinkState::Up)]);
    let snapshot = world.engine.snapshot();
    assert_eq!(snapshot.villages[0].state, VillageState::Connected);
    assert_eq!(snapshot.villages[0].networks_up, [Network::Apn]);
    assert_eq!(snapshot.link(world.link("V0")).targets.len(), 2);
    assert!(world.events.contains(&Event::DayTouched { site: world.site("V0"), day: Day::of(second(0)) }));
}

#[test]
fn a_powered_off_site_is_late_then_silent_then_unknown_and_never_down() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=10 {
        world.report(&mut agent, minute * 60, true);
    }
    world.pass(720);
    assert_eq!(world.engine.snapshot().agents[0].state, AgentState::Late);
    assert_eq!(world.link_state("V0"), LinkState::Up);
    world.pass(1_300);
    let snapshot = world.engine.snapshot();
    assert_eq!(snapshot.agents[0].state, AgentState::Silent);
    assert_eq!(snapshot.villages[0].state, VillageState::Unknown);
    // The last round was at 570 s and counts for two intervals and a quarter.
    assert_eq!(world.link_changes().last(), Some(&(705, LinkState::Unknown)));
    assert!(!world.link_changes().iter().any(|(_, state)| *state == LinkState::Down));
}

#[test]
fn a_vantage_tells_a_dead_agent_from_a_dead_link() {
    let mut world = World::new(2);
    let (mut one, mut two) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
    let towards = |site: &str| series("core", &format!("to-{site}"), Rung::Gateway, site);
    let mut core = Agent::new(9, "CORE", vec![series("core", "pop", Rung::Core, ""), towards("V0"), towards("V1")]);
    for minute in 1..=10 {
        world.report(&mut one, minute * 60, true);
        world.report(&mut two, minute * 60, true);
        world.report(&mut core, minute * 60, true);
    }
    // Both agents die; the core still reaches V0 and no longer V1.
    for minute in 11..=30 {
        let mut record = world.record(&mut core, minute * 60, minute * 60, true);
        record.batch.samples[2].outcome = Outcome::Timeout;
        world.apply(&record);
    }
    assert_eq!(world.link_state("V0"), LinkState::Up);
    assert_eq!(world.link_state("V1"), LinkState::Unknown);
    let states: Vec<_> = world.engine.snapshot().agents.iter().map(|agent| agent.state).collect();
    assert_eq!(states, [AgentState::Silent, AgentState::Silent, AgentState::Reporting]);
}

#[test]
fn older_batches_after_the_freshest_change_nothing_live_and_touch_their_day() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=10 {
        world.report(&mut agent, minute * 60, true);
    }
    let backlog: Vec<Record> = (11..=200).map(|m| world.record(&mut agent, m * 60, 201 * 60 + m, false)).collect();
    let fresh = world.record(&mut agent, 201 * 60, 201 * 60, true);
    world.apply(&fresh);
    assert_eq!(world.link_state("V0"), LinkState::Up);
    let before = world.link_changes();
    for record in backlog.iter().rev() {
        world.apply(record);
        assert_eq!(world.link_state("V0"), LinkState::Up);
    }
    assert_eq!(world.link_changes(), before);
    assert_eq!(world.engine.snapshot().agents[0].state, AgentState::Buffered);
}

#[test]
fn a_new_life_whose_beginning_is_known_a_little_too_early_is_heard() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=3 {
        world.report(&mut agent, minute * 60, true);
    }
    for minute in 30..=32 {
        let mut record = world.record(&mut agent, minute * 60, minute * 60, true);
        record.batch.id.boot = rusta_wire::BootId(record.batch.id.boot.0 + 1);
        record.boot = record.boot.map(|boot| BootTime { at: boot.at - std::time::Duration::from_millis(3), ..boot });
        world.apply(&record);
        assert_eq!(world.link_state("V0"), LinkState::Up, "minute {minute}");
    }
}

#[test]
fn data_of_an_earlier_day_touches_that_day() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    world.report(&mut agent, 120 * 3600, true);
    let late = world.record(&mut agent, 24 * 3600, 120 * 3600 + 60, true);
    world.apply(&late);
    let day = Day::of(second(24 * 3600));
    assert_eq!(world.events.last(), Some(&Event::DayTouched { site: world.site("V0"), day }));
    // A boot nobody could date says that the agent speaks and nothing of its links.
    let mut unknown = world.record(&mut agent, 121 * 3600, 121 * 3600, false);
    unknown.boot = None;
    let count = world.events.len();
    world.apply(&unknown);
    assert!(
        world.events[count..]
            .iter()
            .all(|event| !matches!(event, Event::LinkChanged { to: LinkState::Down, .. } | Event::DayTouched { .. }))
    );
}

#[test]
fn much_of_the_fleet_quiet_at_once_is_our_own_outage() {
    let mut world = World::new(10);
    let names = ["V0", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9"];
    let mut agents: Vec<Agent> = names.iter().enumerate().map(|(n, site)| Agent::village(n as u64 + 1, site)).collect();
    for minute in 1..=10 {
        for agent in &mut agents {
            world.report(agent, minute * 60, true);
        }
    }
    world.pass(900);
    let quiet = world.events.iter().filter(|event| matches!(event, Event::FleetQuiet { .. })).count();
    assert_eq!(quiet, 1);
    assert_eq!(world.engine.snapshot().fleet_quiet_since, Some(second(720)));
    for agent in &mut agents {
        world.report(agent, 960, true);
    }
    assert_eq!(world.engine.snapshot().fleet_quiet_since, None);
    assert!(world.events.iter().any(|event| matches!(event, Event::FleetBack { .. })));
}

#[test]
fn an_hour_without_the_collector_is_no_outage_of_anybody() {
    let mut world = World::new(1);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=10 {
        world.report(&mut agent, minute * 60, true);
    }
    let backlog: Vec<Record> = (11..70).map(|m| world.record(&mut agent, m * 60, 4_260, true)).collect();
    world.events.extend(world.engine.listen_from(second(4_200)));
    assert_eq!(world.link_state("V0"), LinkState::Unknown);
    world.report(&mut agent, 4_200, true);
    for record in &backlog {
        world.apply(record);
    }
    world.pass(4_300);
    assert_eq!(world.link_state("V0"), LinkState::Up);
    assert!(!world.link_changes().iter().any(|(_, state)| *state == LinkState::Down));
    assert!(!world.events.iter().any(|event| matches!(event, Event::AgentChanged { to: AgentState::Silent | AgentState::Late, .. })));
}

#[test]
fn the_same_records_give_the_same_events_whatever_the_ticks() {
    let run = |ticks: &dyn Fn(i64) -> bool| {
        let mut world = World::new(2);
        let (mut one, mut two) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
        for minute in 1..200 {
            let ok = minute % 17 > 5;
            world.report(&mut one, minute * 60, ok);
            if minute % 31 < 12 {
                world.report(&mut two, minute * 60, true);
            }
            for s in 0..60 {
                if ticks(minute * 60 + s) {
                    world.pass(minute * 60 + s);
                }
            }
        }
        world.pass(20_000);
        world.events
    };
    let never = run(&|_| false);
    assert_eq!(never, run(&|_| true));
    assert_eq!(never, run(&|s| s % 7 == 0));
    assert!(never.len() > 40);
}

#[test]
fn another_inventory_keeps_what_keeps_its_code() {
    let mut world = World::new(2);
    let mut agent = Agent::village(1, "V1");
    for minute in 1..=10 {
        world.report(&mut agent, minute * 60, true);
    }
    world.events.clear();
    let events = world.engine.replace_inventory(inventory(5));
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(world.link_state("V1"), LinkState::Up);
    for minute in 11..=15 {
        world.report(&mut agent, minute * 60, false);
    }
    assert_eq!(world.link_changes(), [(630, LinkState::Down)]);
}

#[test]
fn an_announced_window_covers_a_link_whatever_it_does() {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.site("S", SiteKind::Core, "09");
    draft.link("S", "apn0", Network::Apn, "");
    draft.link("S", "spare", Network::Gov, "").role = Role::Backup;
    let mut inventory = draft.build(1, UnixMs(0)).unwrap().inventory;
    inventory.maintenance.push(crate::inventory::MaintenanceWindow {
        ended_at: None,
        id: "w".into(),
        reason: "work".into(),
        span: (second(600), second(1_200)),
        repeat: crate::inventory::Repeat::Never,
        announced_at: second(-90_000),
        covers: vec![crate::inventory::Covered::Link(LinkId(0))],
    });
    let mut world = World { engine: Engine::new(Arc::new(inventory), Thresholds::default(), second(0)), position: 0, events: Vec::new() };
    let mut agent = Agent::village(1, "S");
    for minute in 1..=30 {
        world.report(&mut agent, minute * 60, !(11..=15).contains(&minute));
    }
    assert_eq!(world.link_changes(), [(30, LinkState::Up), (600, LinkState::Maintenance), (1200, LinkState::Up)]);
}
