//! Days and their neighbours: what goes on over midnight, what lasts, and what is laid over a day of which nothing was heard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusta_wire::{Batch, Frame, FrameKind, Network, Rung, UnixMs};
use tokio::sync::watch;

use super::village::village_timeline;
use super::*;
use crate::advance::{self, Advance};
use crate::config::Thresholds;
use crate::engine::LinkState::{Degraded, Down, Maintenance, Unknown, Up};
use crate::engine::testing::{Agent, inventory, second};
use crate::engine::{LinkState, SiteState};
use crate::inventory::{
    Covered, Draft, Inventory, MaintenanceWindow, Profile, RegionKind, Repeat, ServiceCalendar, SiteKind, TargetTemplate, Versions,
};
use crate::log::{Incoming, Keeping, Log, Upload};
use crate::store::Store;

/// Seconds from the tests' start to the midnight after it.
pub(super) const MIDNIGHT: i64 = 11 * 3600 + 56 * 60 + 40;
pub(super) const DAY_S: i64 = 86_400;

/// A collector's log, loop and history over a registry.
pub(super) struct World {
    _dir: tempfile::TempDir,
    log: Log,
    pub(super) store: Store,
    pub(super) inventories: watch::Sender<Arc<Versions>>,
    advance: Advance,
    pub(super) builder: Builder,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(inventory: Arc<Inventory>) -> World {
        World::of(Versions::new(vec![inventory]))
    }

    pub(super) fn of(versions: Versions) -> World {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(Keeping { dir: dir.path().join("log"), retention_days: 30, group_commit: Duration::from_millis(1) }).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (sender, inventories) = watch::channel(Arc::new(versions));
        let thresholds = Thresholds::default();
        let parts =
            advance::Parts { log: log.clone(), store: store.clone(), inventories: inventories.clone(), thresholds: thresholds.clone() };
        let of_builder = Parts { log: log.clone(), store: store.clone(), inventories, thresholds, retention_days: 30 };
        World {
            advance: Advance::open(parts, second(0)).unwrap(),
            builder: Builder::new(of_builder),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            _dir: dir,
            inventories: sender,
            log,
            store,
        }
    }

    pub(super) fn append(&self, agent: &Agent, batches: &[Batch], received: i64) {
        let incoming = |batch: &Batch| {
            let payload = batch.encode(&agent.table).unwrap();
            Incoming {
                head: Batch::head(&payload).unwrap(),
                live_offset_ms: Some(second(agent.boot.1).0),
                frame: Bytes::from(Frame::new(FrameKind::Batch, payload).unwrap().to_bytes()),
                names: self.log.learn_names(agent.id, &agent.table.encode()).unwrap(),
            }
        };
        let batches = batches.iter().map(incoming).collect();
        self.runtime.block_on(self.log.append(Upload { site_code: agent.site.into(), received_at: second(received), batches })).unwrap();
    }

    pub(super) fn catch_up(&mut self, now: i64) {
        while self.advance.step(second(now)).unwrap() > 0 {}
        // What a step marks is built by the next; a day that is not over is built once a quarter of an hour.
        while self.builder.step(second(now)).unwrap() > 0 {}
    }

    pub(super) fn day(&self, site: &str, at: i64) -> SiteDay {
        self.store.read(|db| tables::site_day(db, site, Day::of(second(at)))).unwrap().unwrap().day
    }

    fn outages(&self) -> Vec<Outage> {
        self.store.read(|db| tables::outages(db, ObjectKind::Link, UnixMs(0), UnixMs(i64::MAX))).unwrap()
    }
}

/// A minute in which so many of a hundred packets were lost.
fn losing(agent: &mut Agent, minute: i64, lost: i64) -> Batch {
    let mut batch = agent.batch(minute * 60, true);
    batch.samples.iter_mut().for_each(|sample| sample.values = vec![Some(100), Some(100 - lost), Some(40_000)]);
    batch
}

/// Half an hour of bad slots, five hours before midnight, then slots that are neither bad nor clean.
fn long_fair(agent: &mut Agent) -> (Vec<Batch>, Vec<Batch>) {
    let bad = (400..430).map(|minute| losing(agent, minute, 10)).collect();
    let fair = (430..1_000).map(|minute| losing(agent, minute, 3)).collect();
    (bad, fair)
}

fn states(day: &SiteDay) -> Vec<LinkState> {
    day.links[0].spans.iter().map(|span| span.state).collect()
}

#[test]
fn a_link_degraded_before_midnight_goes_on_being_degraded() {
    let mut world = World::new(inventory(1));
    let mut agent = Agent::village(1, "V0");
    let (bad, fair) = long_fair(&mut agent);
    let all: Vec<Batch> = bad.into_iter().chain(fair).collect();
    all.chunks(50).for_each(|some| world.append(&agent, some, 60_000));
    world.catch_up(MIDNIGHT + DAY_S + 2 * 3_600);
    assert_eq!(states(&world.day("V0", 0)).last(), Some(&Degraded));
    assert_eq!(states(&world.day("V0", MIDNIGHT)), [Degraded, Unknown], "three hours of lead-in alone would say up");
}

#[test]
fn when_late_data_degrades_the_day_before_the_day_after_follows() {
    let mut world = World::new(inventory(1));
    let mut agent = Agent::village(1, "V0");
    let (bad, fair) = long_fair(&mut agent);
    fair.chunks(50).for_each(|some| world.append(&agent, some, 60_000));
    let now = MIDNIGHT + DAY_S + 2 * 3_600;
    world.catch_up(now);
    assert_eq!(states(&world.day("V0", MIDNIGHT)), [Up, Unknown]);
    // Nothing of it is within the second day's reach: only the seam tells.
    world.append(&agent, &bad, now);
    world.catch_up(now + 60);
    assert_eq!(states(&world.day("V0", 0)).last(), Some(&Degraded));
    assert_eq!(states(&world.day("V0", MIDNIGHT)), [Degraded, Unknown]);
}

#[test]
fn an_outage_that_lasts_is_counted_as_far_as_it_was_seen() {
    let mut world = World::new(inventory(1));
    let mut agent = Agent::village(1, "V0");
    let batches: Vec<Batch> = (1..240).map(|minute| agent.batch(minute * 60, minute < 120)).collect();
    batches.chunks(50).for_each(|some| world.append(&agent, some, 14_400));
    world.catch_up(14_400);
    let lasting = world.outages().remove(0);
    // Built until ten minutes before; it does not run on to the present.
    assert_eq!((lasting.started_at, lasting.ended_at, lasting.ended), (second(120 * 60 - 30), None, None));
    assert_eq!(lasting.seen_until, Some(second(14_400 - 600)));
    let more: Vec<Batch> = (240..300).map(|minute| agent.batch(minute * 60, false)).collect();
    world.append(&agent, &more, 18_000);
    world.catch_up(18_000);
    let later = world.outages().remove(0);
    assert_eq!((later.seen_until, later.revision), (Some(second(18_000 - 600)), lasting.revision), "that it lasts is no revision");
    // Nothing more is heard: it ended with its evidence.
    world.catch_up(MIDNIGHT + 2 * 3_600);
    let ended = world.outages().remove(0);
    assert_eq!((ended.ended, ended.ended_at, ended.seen_until), (Some(Ended::Silence), Some(second(299 * 60 - 30 + 135)), None));
}

/// A registry with an office that keeps hours, a village whose link is under announced work, and one over which nothing is laid.
fn planned() -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.site("OFFICE", SiteKind::Farmandari, "0901");
    draft.link("OFFICE", "gov0", Network::Gov, "");
    for village in ["V0", "V1"] {
        draft.region(village, RegionKind::Village, "0901");
        draft.site(village, SiteKind::Village, village);
        draft.link(village, "apn0", Network::Apn, "");
    }
    let mut inventory = draft.build(1, second(-10 * DAY_S)).unwrap().inventory;
    let office = inventory.site_by_code("OFFICE").unwrap();
    inventory.calendars.services = vec![ServiceCalendar { name: "office".to_owned(), week: [Some((450, 870)); 7], holidays: Vec::new() }];
    inventory.sites[office.index()].calendar = "office".to_owned();
    inventory.maintenance = vec![MaintenanceWindow {
        id: "w".to_owned(),
        reason: "work".to_owned(),
        span: (second(MIDNIGHT + 36_000), second(MIDNIGHT + 39_600)),
        repeat: Repeat::Never,
        ended_at: None,
        announced_at: second(-5 * DAY_S),
        covers: vec![Covered::Site(inventory.site_by_code("V0").unwrap())],
    }];
    inventory
}

#[test]
fn hours_and_announced_work_are_laid_over_a_day_of_which_nothing_was_heard() {
    let mut world = World::new(Arc::new(planned()));
    world.catch_up(MIDNIGHT + DAY_S + 2 * 3_600);
    let midnight = second(MIDNIGHT).seconds();
    let office = world.day("OFFICE", MIDNIGHT);
    let spans: Vec<_> = office.spans.iter().map(|span| (span.from.seconds() - midnight, span.state)).collect();
    assert_eq!(spans, [(0, SiteState::NotInService), (27_000, SiteState::Unknown), (52_200, SiteState::NotInService)], "07:30 to 14:30");
    assert_eq!(states(&office), [Unknown], "a link has no hours");
    let village = world.day("V0", MIDNIGHT);
    let links: Vec<_> = village.links[0].spans.iter().map(|span| (span.from.seconds() - midnight, span.state)).collect();
    assert_eq!(links, [(0, Unknown), (36_000, Maintenance), (39_600, Unknown)]);
    let none = world.store.read(|db| tables::site_day(db, "V1", Day::of(second(MIDNIGHT)))).unwrap();
    assert!(none.is_none(), "a day over which nothing is laid is unknown without a row");
    // The same again is no work.
    assert_eq!(world.builder.step(second(MIDNIGHT + DAY_S + 2 * 3_600 + 5)).unwrap(), 0);
}

/// What order alone proves ends at the millisecond it ends, and is cut to its second only then.
#[test]
fn what_an_undated_life_proves_loses_no_second_to_rounding() {
    let inventory = inventory(1);
    let mut agent = Agent::village(1, "V0");
    let sighted = |agent: &mut Agent, minutes: std::ops::Range<i64>, ms: i64| -> Vec<Sighting> {
        let one = |minute: i64| {
            let batch = agent.batch(minute * 60, true);
            let batch = Arc::new(batch.with_samples(batch.samples.iter().map(rusta_wire::SampleRef::from).collect()));
            let boot = crate::engine::BootTime { at: UnixMs(second(agent.boot.1).0 + ms), error_ms: 0 };
            Sighting { boot, batch, table: Arc::clone(&agent.table), vantage: false }
        };
        minutes.map(one).collect()
    };
    let mut seen = sighted(&mut agent, 1..61, 0);
    (agent.boot, agent.sequence) = ((rusta_wire::BootId(3), 6_000), 0);
    seen.extend(sighted(&mut agent, 102..120, 0));
    // It may lie 120,300 ms earlier than as late as can be: up is proved until 6,000.9 s - 120.3 s = 5,880.6 s.
    (agent.boot, agent.sequence) = ((rusta_wire::BootId(2), 3_780), 0);
    let sightings = sighted(&mut agent, 64..101, 900);
    let latest = (UnixMs(second(3_780).0 + 900), UnixMs(second(6_000).0 + 900));
    let life = Undated { agent: agent.id, latest, not_before: Some(UnixMs(latest.0.0 - 120_300)), sightings };
    let day = timeline(&SiteInput {
        inventory: &inventory,
        site: inventory.site_by_code("V0").unwrap(),
        from: second(0),
        until: second(7_000),
        sightings: &seen,
        seen_from: second(-3_600),
        seen_until: second(10_600),
        now: None,
        undated: &[life],
        degraded_before: &[],
        thresholds: &Thresholds::default(),
    });
    let ends: Vec<_> = day.links[0].spans.iter().filter(|span| span.state == Up).map(|span| span.until).collect();
    assert!(ends.contains(&second(5_880)), "{ends:?}");
}

/// A village with a public point and a dehyari, both of them asked to look at the national network.
fn two_lookers(asked: bool) -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("v", RegionKind::Village, "0901");
    for (site, kind) in [("A", SiteKind::Village), ("B", SiteKind::Dehyari)] {
        draft.site(site, kind, "v");
        draft.link(site, "apn0", Network::Apn, "");
    }
    let mut inventory = draft.build(1, UnixMs(0)).unwrap().inventory;
    let target = TargetTemplate {
        name: "nin".to_owned(),
        rung: Rung::Nin,
        every: None,
        timeout: None,
        probe: "icmp".to_owned(),
        settings: serde_yaml::Value::Null,
    };
    if asked {
        inventory.profiles = vec![Profile {
            name: "all".to_owned(),
            kinds: Vec::new(),
            classes: Vec::new(),
            sites: Vec::new(),
            networks: Vec::new(),
            metered: None,
            targets: vec![target],
        }];
    }
    inventory
}

#[test]
fn a_site_that_is_to_look_and_says_nothing_leaves_the_national_network_unknown() {
    let reach = |asked, silent_has_day: bool| {
        let inventory = two_lookers(asked);
        let site = |code: &str| inventory.site_by_code(code).unwrap();
        let whole = |state| vec![Span { from: second(0), until: second(3_600), state, cause: None }];
        let day = |nin| SiteDay { links: Vec::new(), spans: Vec::new(), nin, short_notice: Vec::new(), service_slots: Default::default() };
        let (told, silent) = (day(Some(whole(Down))), day(None));
        let sites = [(site("A"), Some(&told)), (site("B"), silent_has_day.then_some(&silent))];
        village_timeline(&inventory, &sites, second(0), second(3_600)).nin.map(|spans| spans[0].state)
    };
    assert_eq!([reach(true, false), reach(true, true)], [Some(Unknown); 2], "nobody knows whether the silent one reaches it");
    assert_eq!([reach(false, false), reach(false, true)], [Some(Down); 2], "one that is not asked to look does not tell");
}
