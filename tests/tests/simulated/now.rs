//! Now equals history: at any time, what the live engine says of a link, a site, a village and an agent is what the timeline
//! says of that moment from what had been received by it.
//!
//! Random small fleets report over a real log to the real loop: quiet metered links (a target a minute, the others every
//! quarter of an hour), links probed every minute or every five, several links and sites of one village, a vantage that looks
//! from outside. Routers lose power, agents fall silent, reports are lost or come late, paths fail, work is announced,
//! another inventory is imported. `RUSTA_WORLDS` says how many worlds; `RUSTA_SEED` brings one back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusta_collector::advance::{Advance, Parts};
use rusta_collector::config::Thresholds;
use rusta_collector::engine::roll_up::{Path, VillagePolicy, site_state, village_state};
use rusta_collector::engine::{AgentState, BootTime, LinkState, Snapshot};
use rusta_collector::history::{Sighting, SiteInput, timeline};
use rusta_collector::inventory::{
    Covered, Draft, Inventory, LinkId, MaintenanceWindow, RegionKind, Repeat, Role, SiteId, SiteKind, Versions,
};
use rusta_collector::log::{Incoming, Keeping, Log, Upload};
use rusta_collector::store::{Store, StoreError};
use rusta_tests::random::Random;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung,
    Sample, SampleRef, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};
use tokio::sync::watch;

/// 2026-11-21T09:00:00Z, far from midnight in Tehran.
const START: i64 = 1_795_251_600;
const HOURS: i64 = 4;
const STEP_S: i64 = 20;

fn second(s: i64) -> UnixMs {
    UnixMs::from_seconds(START + s)
}

/// A stretch of seconds.
type Stretch = (i64, i64);

fn holds(stretches: &[Stretch], s: i64) -> bool {
    stretches.iter().any(|(from, until)| *from <= s && s < *until)
}

fn some_stretches(random: &mut Random, most: usize, longest_s: usize) -> Vec<Stretch> {
    let count = random.below(most + 1);
    let one = |random: &mut Random| {
        let from = random.below((HOURS * 3_600) as usize) as i64;
        (from, from + 30 + random.below(longest_s) as i64)
    };
    (0..count).map(|_| one(random)).collect()
}

/// One agent, and the truth about it.
struct Agent {
    id: AgentId,
    site: String,
    table: Arc<SeriesTable>,
    report_s: i64,
    /// Without power: the next life begins at the end.
    off: Vec<Stretch>,
    /// Reports made meanwhile never arrive, or all of them at the end.
    lost: Vec<Stretch>,
    late: Vec<Stretch>,
    /// When each of its targets does not answer.
    fails: Vec<Vec<Stretch>>,
    boot: (BootId, i64),
    sequence: u64,
    reported_s: i64,
}

fn series(link: &str, network: Network, target: &str, rung: Rung, towards: &str, interval_s: u32) -> Series {
    Series {
        link: link.into(),
        network,
        target: target.into(),
        towards: towards.into(),
        rung,
        probe: ProbeKind::Icmp,
        interval_s,
        metrics: vec![Metric::Sent, Metric::Received, Metric::RttUsP50],
    }
}

impl Agent {
    fn new(random: &mut Random, id: u64, site: &str, series: Vec<Series>) -> Agent {
        let whole = some_stretches(random, 2, 3_600);
        let fails = series.iter().map(|_| {
            let own = some_stretches(random, 1, 2_400);
            whole.iter().copied().chain(own).collect()
        });
        Agent {
            id: AgentId(id),
            site: site.to_owned(),
            fails: fails.collect(),
            table: Arc::new(SeriesTable { series }),
            report_s: [60, 60, 300][random.below(3)],
            off: some_stretches(random, 2, 5_400),
            lost: some_stretches(random, 2, 1_800),
            late: some_stretches(random, 2, 2_400),
            boot: (BootId(id * 1_000), -100),
            sequence: 0,
            reported_s: 0,
        }
    }

    /// Makes its report if one is due, and says when it arrives; `None` of it if it never does.
    fn report(&mut self, s: i64) -> Option<(Batch, Option<i64>)> {
        if holds(&self.off, s) {
            return None;
        }
        if let Some(ended) = self.off.iter().map(|(_, until)| *until).filter(|until| *until <= s && *until > self.boot.1).max() {
            (self.boot, self.sequence, self.reported_s) = ((BootId(self.boot.0.0 + 1), ended), 0, ended);
        }
        if s - self.reported_s < self.report_s {
            return None;
        }
        let began = self.boot.1;
        let mono = move |at: i64| MonoMs(((at - began) * 1_000) as u64);
        let (from, places) = (self.reported_s, 0..self.table.series.len());
        let (table, all_fails) = (&self.table, &self.fails);
        let samples = places.flat_map(|place| {
            let interval = i64::from(table.series[place].interval_s);
            // Each target has its place in the cycle, and its first round soon after the start.
            let splay = place as i64 * 7 % 20;
            let dues = (from..s).filter(move |at| (at - splay).rem_euclid(interval) == 0 || *at == from && from == began);
            let fails = &all_fails[place];
            dues.map(move |at| -> Sample {
                let ok = !holds(fails, at);
                Sample {
                    series: SeriesIndex(place as u16),
                    at: mono(at),
                    outcome: if ok { Outcome::Ok } else { Outcome::Timeout },
                    values: vec![Some(3), Some(if ok { 3 } else { 0 }), ok.then_some(40_000)],
                }
            })
        });
        let mut samples: Vec<Sample> = samples.collect();
        samples.sort_by_key(|sample| (sample.at, sample.series));
        self.sequence += 1;
        let batch = Batch {
            id: BatchId { agent: self.id, boot: self.boot.0, sequence: Sequence(self.sequence) },
            covers: 1,
            from: mono(from),
            until: mono(s),
            clock: Clock { unix: second(s), source: ClockSource::Collector, uncertainty_ms: 10 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples,
        };
        self.reported_s = s;
        let late = self.late.iter().find(|(from, until)| *from <= s && s < *until).map(|(_, until)| *until);
        Some((batch, if holds(&self.lost, s) { None } else { Some(late.unwrap_or(s)) }))
    }
}

/// Villages with one or two sites, of one or two links each, and a core that looks at some of them.
fn draft(random: &mut Random, villages: usize) -> Draft {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    for n in 0..villages {
        let region = format!("0901010001{n:06}");
        draft.region(&region, RegionKind::Village, "0901010001");
        let mut site = |code: String, kind| {
            draft.site(&code, kind, &region);
            draft.link(&code, "apn0", Network::Apn, "");
            if random.one_in(2) {
                draft.link(&code, "gov0", Network::Gov, "").role = Role::Backup;
            }
        };
        site(format!("V{n}"), SiteKind::Village);
        if n % 3 == 0 {
            site(format!("D{n}"), SiteKind::Dehyari);
        }
    }
    draft.site("CORE", SiteKind::Core, "09");
    draft.link("CORE", "core", Network::Gov, "");
    draft
}

fn agents(random: &mut Random, inventory: &Inventory) -> Vec<Agent> {
    let mut agents = Vec::new();
    for site in inventory.sites.iter().filter(|site| site.code != "CORE") {
        let (near, far) = [(60, 900), (60, 60), (60, 300), (900, 900), (300, 300)][random.below(5)];
        let id = inventory.site_by_code(&site.code).unwrap();
        let targets = inventory.links_of(id).flat_map(|link| {
            let link = inventory.link(link);
            let target = |name: &str, rung, pace| series(&link.name, link.network, &format!("{}-{name}", link.name), rung, "", pace);
            [target("gateway", Rung::Gateway, near), target("core", Rung::Core, far), target("nin", Rung::Nin, far)]
        });
        let targets: Vec<Series> = targets.collect();
        agents.push(Agent::new(random, agents.len() as u64 + 1, &site.code, targets));
    }
    let mut looks = vec![series("core", Network::Gov, "pop", Rung::Core, "", 60)];
    for site in inventory.sites.iter().filter(|site| site.code != "CORE") {
        if random.one_in(3) {
            looks.push(series("core", Network::Apn, &format!("{}/apn0", site.code), Rung::Gateway, &site.code, 60));
        }
    }
    let mut core = Agent::new(random, 99, "CORE", looks);
    (core.off, core.late, core.report_s) = (Vec::new(), Vec::new(), 60);
    agents.push(core);
    agents
}

struct World {
    agents: Vec<Agent>,
    log: Log,
    store: Store,
    inventories: watch::Sender<Arc<Versions>>,
    thresholds: Thresholds,
    advance: Advance,
    runtime: tokio::runtime::Runtime,
    /// Every report that arrived, oldest first.
    heard: Vec<(i64, usize, BootTime, Arc<Batch<rusta_wire::Samples>>)>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(random: &mut Random) -> World {
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let keeping = Keeping { dir: folder.path().join("log"), retention_days: 30, group_commit: Duration::from_millis(1) };
        let (log, store) = (Log::open(keeping).unwrap(), Store::open(folder.path()).unwrap());
        let mut inventory = draft(random, 3).build(1, UnixMs(0)).unwrap().inventory;
        let agents = agents(random, &inventory);
        for agent in &agents {
            let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?1, 0, 0)";
            store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (&agent.id.to_string(), &agent.site))?)).unwrap();
        }
        announce(random, &mut inventory);
        let inventories = watch::channel(Arc::new(Versions::new(vec![Arc::new(inventory)]))).0;
        let thresholds = Thresholds { flap_changes: 1_000, ..Thresholds::default() };
        let parts = Parts { log: log.clone(), store: store.clone(), inventories: inventories.subscribe(), thresholds: thresholds.clone() };
        let advance = Advance::open(parts, second(0)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        World { agents, log, store, inventories, thresholds, advance, runtime, heard: Vec::new(), _folder: folder }
    }

    fn arrive(&mut self, place: usize, batch: &Batch, received_s: i64) {
        let agent = &self.agents[place];
        let payload = batch.encode(&agent.table).unwrap();
        let incoming = Incoming {
            head: Batch::head(&payload).unwrap(),
            live_offset_ms: None,
            frame: Bytes::from(Frame::new(FrameKind::Batch, payload).unwrap().to_bytes()),
            names: self.log.learn_names(agent.id, &agent.table.encode()).unwrap(),
        };
        let upload = Upload { site_code: agent.site.as_str().into(), received_at: second(received_s), batches: vec![incoming] };
        self.runtime.block_on(self.log.append(upload)).unwrap();
        let offset = batch.clock.unix.0 - batch.until.0 as i64;
        let boot = BootTime { at: UnixMs(offset), error_ms: 10 };
        let flat = batch.with_samples(batch.samples.iter().map(SampleRef::from).collect());
        self.heard.push((received_s, place, boot, Arc::new(flat)));
    }

    /// Imports another inventory: what keeps its code keeps its agents.
    fn import(&mut self, random: &mut Random) {
        let versions = Arc::clone(&self.inventories.borrow());
        let mut next = Inventory::clone(&versions.last());
        next.version += 1;
        announce(random, &mut next);
        self.inventories.send_replace(Arc::new(Versions::new(vec![Arc::new(next)])));
    }

    /// What bears on a site: its own agents' reports, and what the core saw of it.
    fn sightings(&self, site: &str) -> Vec<Sighting> {
        let of = |(_, place, boot, batch): &(i64, usize, BootTime, Arc<Batch<rusta_wire::Samples>>)| {
            let agent = &self.agents[*place];
            let table = Arc::clone(&agent.table);
            if agent.site == site {
                return Some(Sighting { boot: *boot, batch: Arc::clone(batch), table, vantage: false });
            }
            let about = |sample: &SampleRef<'_>| table.series[usize::from(sample.series.0)].towards == site;
            let samples: rusta_wire::Samples = batch.samples.iter().filter(about).collect();
            (samples.count() > 0).then(|| Sighting {
                boot: *boot,
                batch: Arc::new(batch.with_samples(samples)),
                table: Arc::clone(&table),
                vantage: true,
            })
        };
        self.heard.iter().filter_map(of).collect()
    }

    fn compare(&self, snapshot: &Snapshot, seed: u64) {
        let (inventory, at) = (&snapshot.inventory, snapshot.at);
        let in_window = |link: LinkId| {
            let open = |window: &&MaintenanceWindow| !window.spans(at, UnixMs(at.0 + 1)).is_empty();
            inventory.maintenance.iter().filter(open).any(|window| inventory.is_covered(window, link))
        };
        let mut paths: BTreeMap<SiteId, (Vec<Path>, Option<LinkState>, String)> = BTreeMap::new();
        for (index, site) in inventory.sites.iter().enumerate() {
            let id = SiteId(index as u32);
            let sightings = self.sightings(&site.code);
            let day = timeline(&SiteInput {
                inventory,
                site: id,
                from: second(-3_600),
                // What holds from this moment on, too.
                until: UnixMs(at.0 + 1_000),
                sightings: &sightings,
                seen_from: second(-3_600),
                seen_until: UnixMs(at.0 + 1),
                now: Some(at),
                undated: &[],
                degraded_before: &[],
                thresholds: &self.thresholds,
            });
            let mut here = Vec::new();
            for (link, told) in inventory.links_of(id).zip(&day.links) {
                // Work takes the place of what is measured in the live state, however late it was announced.
                let measured = told.spans.last().map_or(LinkState::Unknown, |span| span.state);
                let state = if in_window(link) { LinkState::Maintenance } else { measured };
                let live = snapshot.link(link);
                let s = at.seconds() - START;
                assert_eq!(
                    live.state,
                    state,
                    "seed {seed}: {}/{} at {s} s: {:?}",
                    site.code,
                    told.name,
                    self.story(&site.code, &told.spans)
                );
                let of = inventory.link(link);
                here.push(Path { role: of.role, network: of.network, state, flapping: false });
            }
            assert_eq!(snapshot.site(id).state, site_state(&here), "seed {seed}: site {} at {}", site.code, at.seconds() - START);
            let nin = day.nin.as_ref().and_then(|spans| spans.last().map(|span| span.state));
            let nin_story =
                if site.code == "CORE" { String::new() } else { self.story(&site.code, day.nin.as_deref().unwrap_or_default()) };
            paths.insert(id, (here, nin, nin_story));
        }
        let mut connected = 0;
        for village in &snapshot.villages {
            let sites =
                inventory.sites_of(village.region).iter().filter(|site| VillagePolicy::Either.includes(inventory.site(**site).kind));
            let sites: Vec<_> = sites.map(|site| &paths[site]).collect();
            let of: Vec<Path> = sites.iter().flat_map(|(paths, ..)| paths.iter().copied()).collect();
            let nin = || sites.iter().filter_map(|(_, nin, _)| *nin);
            let lost = nin().any(|state| state == LinkState::Down) && nin().all(|state| state == LinkState::Down);
            let expected = village_state(&of, lost);
            assert_eq!(
                village.state,
                expected,
                "seed {seed}: village at {} s: national network {:?}",
                at.seconds() - START,
                sites.iter().map(|site| &site.2).collect::<Vec<_>>()
            );
            connected += usize::from(of.iter().any(Path::carries));
        }
        let now = rusta_collector::kpi::connected_share_now::figures(snapshot, rusta_collector::kpi::Weight::Village);
        assert_eq!(now[0].numerator, connected as f64, "seed {seed}: map and figure are one number at {} s", at.seconds() - START);
        self.compare_agents(snapshot, seed);
    }

    /// Silent agents have said nothing for three intervals and ten minutes.
    fn compare_agents(&self, snapshot: &Snapshot, seed: u64) {
        for view in &snapshot.agents {
            let place = self.agents.iter().position(|agent| agent.id == view.id).unwrap();
            let last = self.heard.iter().filter(|(_, of, ..)| *of == place).map(|(received_s, ..)| *received_s).max();
            let limit_s = (3 * self.agents[place].report_s).max(600);
            let age_s = last.map_or(0, |last| snapshot.at.seconds() - START - last);
            let is_silent = view.state == AgentState::Silent;
            // A report is closed by the first step after its interval, and that long is the interval the collector learns.
            let (must_be, may_be) = (age_s >= limit_s + 3 * STEP_S, age_s >= limit_s);
            assert!(must_be <= is_silent && is_silent <= may_be, "seed {seed}: agent {} heard {age_s} s ago", view.id);
        }
    }

    fn story(&self, site: &str, spans: &[rusta_collector::history::Span<LinkState>]) -> String {
        let agent = self.agents.iter().find(|agent| agent.site == site).unwrap();
        let spans: Vec<_> = spans.iter().map(|span| (span.from.seconds() - START, span.state)).collect();
        format!(
            "{spans:?} off {:?} lost {:?} late {:?} fails {:?} every {}",
            agent.off, agent.lost, agent.late, agent.fails, agent.report_s
        )
    }
}

/// Announces work on some links.
fn announce(random: &mut Random, inventory: &mut Inventory) {
    inventory.maintenance.clear();
    for link in (0..inventory.links.len() as u32).map(LinkId) {
        if !random.one_in(4) {
            continue;
        }
        let from = random.below((HOURS * 3_600) as usize) as i64;
        inventory.maintenance.push(MaintenanceWindow {
            ended_at: None,
            id: format!("w{}", link.0),
            reason: "work".into(),
            span: (second(from), second(from + 60 + random.below(3_600) as i64)),
            repeat: Repeat::Never,
            announced_at: second(from - [600, 200_000][random.below(2)]),
            covers: vec![Covered::Link(link)],
        });
    }
}

fn live_through(seed: u64) {
    let mut random = Random::of(seed, "now");
    let mut world = World::new(&mut random);
    let snapshots = world.advance.snapshots();
    let mut waiting: Vec<(i64, usize, Batch)> = Vec::new();
    let mut compared = 0;
    for s in (STEP_S..HOURS * 3_600).step_by(STEP_S as usize) {
        for place in 0..world.agents.len() {
            if let Some((batch, Some(arrives_s))) = world.agents[place].report(s) {
                waiting.push((arrives_s, place, batch));
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(at, ..)| *at <= s);
        waiting = later;
        // The freshest first, as agents send them.
        let mut due = due;
        due.sort_by_key(|(_, place, batch)| (*place, std::cmp::Reverse((batch.clock.unix, batch.id.sequence))));
        due.iter().for_each(|(_, place, batch)| world.arrive(*place, batch, s));
        if random.one_in(90) {
            world.import(&mut random);
        }
        // The loop stays a second behind the clock, and publishes once a second.
        for ahead in [2, 4] {
            while world.advance.step(second(s + ahead)).unwrap() > 0 {}
        }
        let snapshot = Arc::clone(&snapshots.borrow());
        world.compare(&snapshot, seed);
        compared += 1;
    }
    assert!(compared > 100 && world.heard.len() > 100, "too quiet");
    let kept =
        world.store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM live_states", [], |row| row.get::<_, i64>(0))?));
    assert!(kept.unwrap() > 0);
}

#[test]
fn at_any_time_the_live_state_is_what_the_timeline_says_of_it() {
    // Two known worlds in every run; as many new ones as are asked for.
    let asked: Option<u64> = std::env::var("RUSTA_WORLDS").ok().and_then(|text| text.parse().ok());
    let (worlds, first) = asked.map_or((2, 1), |worlds| (worlds, Random::from_clock().seed()));
    println!("seeds from {first}");
    (0..worlds).for_each(|n| live_through(first.wrapping_add(n)));
}
