//! A simulated month of a registry: what every agent measured, what it sent, and when that arrived.
//!
//! ```text
//! registry, seed --faults--> when routers are off, what of each link fails
//!                --agents--> lives (boots), targets, reports of each life   -> Sending, by arrival
//!                --batch--> the rounds of one report, in the wire's form
//! ```
//! Pure: the same registry, plan and seed give the same reports. Of the reports 4 % come late, some never; 1.5 % of the
//! agents have a wrong clock; 0.5 % of the sites are never heard; one county's reports of three days come three days late.

pub mod faults;

use std::path::Path;
use std::sync::Arc;

use rusta_collector::advance::{self, Advance};
use rusta_collector::config::Thresholds;
use rusta_collector::history;
use rusta_collector::inventory::assignment::SERVICE_PREFIX;
use rusta_collector::inventory::{Access, Inventory, Link, LinkId, RegionId, RegionKind, Role, SiteId, Versions};
use rusta_collector::log::{Incoming, Log, Upload};
use rusta_collector::store::Store;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung,
    Sample, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};
use tokio::sync::watch;

use crate::random::Random;
use faults::{Effect, Fault, Faults, Off, Stretch};

/// What to simulate.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// From when on agents run.
    pub from: UnixMs,
    /// Until when.
    pub until: UnixMs,
    /// Brings the same month back.
    pub seed: u64,
    /// Seconds between rounds of the near targets: gateway or PoP, and core. Every tenth agent looks five times as often.
    pub near_s: u32,
    /// Seconds between rounds of the others: national network, services, modem.
    pub far_s: u32,
    /// Seconds between reports.
    pub report_s: u32,
    /// Multiplies the failure rates.
    pub intensity: f64,
}

/// A month.
pub struct Month {
    plan: Plan,
    agents: Vec<Agent>,
    /// When a county's reports were held back, and its sites' agents.
    held_back: Stretch,
}

/// One site's agent.
#[derive(Debug)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its site's code.
    pub site: Arc<str>,
    /// What it measures.
    pub table: SeriesTable,
    /// Its lives.
    pub lives: Vec<Life>,
    links: Vec<Line>,
    /// By series: the place of its link, and when after its life's start its first round is due.
    targets: Vec<(usize, u64)>,
    wrong_clock_ms: Option<i64>,
    is_held_back: bool,
}

/// What decides the rounds of a link.
#[derive(Debug)]
struct Line {
    faults: Vec<Fault>,
    rtt_us: u32,
    /// Radio generation; 0 without a modem.
    generation: i64,
}

/// One life of a router.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Its boot.
    pub boot: BootId,
    /// When it was.
    pub during: Stretch,
    gasp: bool,
}

/// One report, as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending {
    /// When it arrives.
    pub received_at: UnixMs,
    /// Whose, as a place in [`Month::agents`].
    pub agent: u32,
    life: u32,
    sequence: u64,
    from: MonoMs,
    until: MonoMs,
    reason: Reason,
}

const PACKETS: i64 = 3;

impl Sending {
    /// Returns how long after its life began it was sent.
    pub fn until(&self) -> MonoMs {
        self.until
    }
}

impl Month {
    /// Decides everything about a month but the rounds themselves.
    pub fn new(inventory: &Inventory, plan: Plan) -> Month {
        let faults = Faults::new(inventory, (plan.from, plan.until), plan.seed, plan.intensity);
        let county = (0..).zip(&inventory.regions).find(|(_, region)| region.kind == RegionKind::County).map(|(id, _)| id);
        let county = county.map(RegionId);
        let sites = (0..).map(SiteId).take(inventory.sites.len());
        let heard = sites.filter(|site| !Random::of(plan.seed, &format!("heard {}", inventory.site(*site).code)).one_in(200));
        let agents = heard.filter_map(|site| agent(inventory, &faults, plan, site, county)).collect();
        let day = 86_400_000;
        let begins = UnixMs(plan.from.0 + (plan.until.0 - plan.from.0) / 2);
        Month { plan, agents, held_back: (begins, UnixMs(begins.0 + 3 * day)) }
    }

    /// Lists the agents.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Lists every report that arrives, by arrival.
    pub fn sendings(&self) -> Vec<Sending> {
        let mut all: Vec<Sending> = (0..).zip(&self.agents).flat_map(|(place, agent)| self.sendings_of(place, agent)).collect();
        all.sort_by_key(|sending| (sending.received_at, sending.agent, sending.life, sending.sequence));
        all
    }

    fn sendings_of(&self, place: u32, agent: &Agent) -> Vec<Sending> {
        let every = u64::from(self.plan.report_s) * 1_000;
        let mut all = Vec::new();
        for (life, it) in (0..).zip(&agent.lives) {
            let length = (it.during.1.0 - it.during.0.0) as u64;
            // Agents report at their own minute, not all at once.
            let mut from = 0;
            let mut until = (every / 2 + agent.id.0 * 7_919 % every).min(length);
            for sequence in 0.. {
                let last = until >= length;
                let reason = if last && it.gasp { Reason::PowerLoss } else { Reason::Interval };
                let sent_at = UnixMs(it.during.0.0 + until as i64);
                let sending = Sending {
                    received_at: UnixMs(sent_at.0 + 2_000),
                    agent: place,
                    life,
                    sequence,
                    from: MonoMs(from),
                    until: MonoMs(until),
                    reason,
                };
                all.extend(self.arrives(agent, it, sequence, sent_at).map(|received_at| Sending { received_at, ..sending }));
                if last {
                    break;
                }
                (from, until) = (until, (until + every).min(length));
            }
        }
        all
    }

    /// Returns when a report arrives; `None` if never.
    fn arrives(&self, agent: &Agent, life: &Life, sequence: u64, sent_at: UnixMs) -> Option<UnixMs> {
        let mut random = Random::of(self.plan.seed, &format!("way {} {} {sequence}", agent.id, life.boot));
        if agent.is_held_back && self.held_back.0 <= sent_at && sent_at < self.held_back.1 {
            return Some(UnixMs(self.held_back.1.0 + random.below(3_600_000) as i64));
        }
        match random.below(1_000) {
            0..5 => None,
            5..45 => Some(UnixMs(sent_at.0 + 60_000 + random.below(2 * 86_400_000) as i64)),
            _ => Some(UnixMs(sent_at.0 + 2_000)),
        }
    }

    /// Makes a report with its rounds.
    pub fn batch(&self, sending: &Sending) -> Batch {
        let agent = &self.agents[sending.agent as usize];
        let life = &agent.lives[sending.life as usize];
        let mut samples = Vec::new();
        for (place, series) in agent.table.series.iter().enumerate() {
            let (link, splay) = agent.targets[place];
            let every = u64::from(series.interval_s) * 1_000;
            let mut random = Random::of(self.plan.seed, &format!("{} {} {} {place}", agent.id, life.boot, sending.sequence));
            let first = sending.from.0.saturating_sub(splay).div_ceil(every) * every + splay;
            for at in (first..sending.until.0).step_by(every as usize) {
                let observed = UnixMs(life.during.0.0 + at as i64);
                let line = &agent.links[link];
                let effect = line.faults.iter().find(|fault| holds(fault, observed, series.rung)).map(|fault| fault.effect);
                let (outcome, values) = round(series, effect, line, &mut random);
                samples.push(Sample { series: SeriesIndex(place as u16), at: MonoMs(at), outcome, values });
            }
        }
        let began = life.during.0.0 + sending.until.0 as i64;
        let clock = match agent.wrong_clock_ms {
            Some(wrong) => Clock { unix: UnixMs(began + wrong), source: ClockSource::System, uncertainty_ms: 0 },
            None => Clock { unix: UnixMs(began), source: ClockSource::Collector, uncertainty_ms: 50 },
        };
        Batch {
            id: BatchId { agent: agent.id, boot: life.boot, sequence: Sequence(sending.sequence) },
            covers: 1,
            from: sending.from,
            until: sending.until,
            clock,
            reason: sending.reason,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: agent.table.id(),
            samples,
        }
    }

    /// Returns when the boot of a report began.
    pub fn boot_at(&self, sending: &Sending) -> UnixMs {
        self.agents[sending.agent as usize].lives[sending.life as usize].during.0
    }

    /// Writes reports into a log as an ingest port does, `seen` told of each.
    pub fn append(&self, log: &Log, sendings: &[Sending], mut seen: impl FnMut(&Sending, &Batch)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Under the log's queue, so that nothing is refused.
        for group in sendings.chunks(1_024) {
            let mut under_way = Vec::new();
            for sending in group {
                let batch = self.batch(sending);
                seen(sending, &batch);
                let agent = &self.agents[sending.agent as usize];
                let payload = batch.encode(&agent.table).unwrap();
                let incoming = Incoming {
                    head: Batch::head(&payload).unwrap(),
                    live_offset_ms: Some(self.boot_at(sending).0),
                    frame: Frame::new(FrameKind::Batch, payload).unwrap().to_bytes().into(),
                    names: log.learn_names(agent.id, &agent.table.encode()).unwrap(),
                };
                let upload = Upload { site_code: Arc::clone(&agent.site), received_at: sending.received_at, batches: vec![incoming] };
                let log = log.clone();
                under_way.push(runtime.spawn(async move { log.append(upload).await }));
            }
            runtime.block_on(async {
                for one in under_way {
                    assert_eq!(one.await.unwrap().unwrap().stored, 1);
                }
            });
        }
    }
}

/// Lets the collector's own loop and builder read a log as `serve` does; returns how many days of sites were built.
pub fn build_history(data: &Path, log: &Log, now: UnixMs, retention_days: u32) -> usize {
    builder(data, log, now, retention_days)()
}

/// Lets the collector's own loop read a log as `serve` does; returns what builds the days that are due and counts them.
pub fn builder(data: &Path, log: &Log, now: UnixMs, retention_days: u32) -> impl FnMut() -> usize + use<> {
    let store = Store::open(data).unwrap();
    let inventories = watch::channel(Arc::new(Versions::load(&store).unwrap())).1;
    let thresholds = Thresholds::default();
    let parts = advance::Parts { log: log.clone(), store: store.clone(), inventories: inventories.clone(), thresholds: thresholds.clone() };
    let mut advance = Advance::open(parts, now).unwrap();
    let later = UnixMs(now.0 + 60_000);
    while advance.step(later).unwrap() > 0 {}
    let parts = history::Parts { log: log.clone(), store, inventories, thresholds, retention_days };
    let mut builder = history::Builder::new(parts);
    move || std::iter::from_fn(|| Some(builder.step(later).unwrap()).filter(|built| *built > 0)).sum()
}

fn holds(fault: &Fault, at: UnixMs, rung: Rung) -> bool {
    let reached = match fault.effect {
        Effect::Fails(lowest) => rung >= lowest,
        Effect::Gone | Effect::Loses | Effect::Slow => true,
    };
    reached && fault.during.0 <= at && at < fault.during.1
}

fn agent(inventory: &Inventory, faults: &Faults<'_>, plan: Plan, site: SiteId, county: Option<RegionId>) -> Option<Agent> {
    let of = inventory.site(site);
    let mut random = Random::of(plan.seed, &format!("agent {}", of.code));
    let links: Vec<LinkId> = inventory.links_of(site).collect();
    let services: Vec<&str> = inventory.services.iter().filter(|service| service.active).map(|service| service.id.as_str()).collect();
    let plan = if random.one_in(10) { Plan { near_s: plan.near_s / 5, ..plan } } else { plan };
    let series: Vec<(usize, Series)> = (0..)
        .zip(&links)
        .flat_map(|(place, link)| series_of(inventory.link(*link), plan, &services).into_iter().map(move |series| (place, series)))
        .collect();
    let splay = |series: &Series, random: &mut Random| random.below(series.interval_s as usize * 10) as u64 * 100;
    Some(Agent {
        id: AgentId(0x1000 + u64::from(site.0)),
        site: of.code.as_str().into(),
        targets: series.iter().map(|(link, series)| (*link, splay(series, &mut random))).collect(),
        table: SeriesTable { series: series.into_iter().map(|(_, series)| series).collect() },
        lives: lives(plan, &faults.off(site), &mut random),
        links: links.iter().map(|link| line(inventory.link(*link), faults.of(*link))).collect(),
        wrong_clock_ms: (random.below(1_000) < 15).then(|| if random.one_in(2) { 3_600_000 } else { random.below(86_400_000) as i64 }),
        is_held_back: county.is_some_and(|county| inventory.is_within(of.region, county)),
    })
    .filter(|agent| !agent.table.series.is_empty())
}

/// Lists the lives between the times the router is off.
fn lives(plan: Plan, off: &[Off], random: &mut Random) -> Vec<Life> {
    let ends = off.iter().map(|off| (off.during.0, off.gasp)).chain([(plan.until, false)]);
    let starts = std::iter::once(plan.from).chain(off.iter().map(|off| off.during.1));
    let all = starts.zip(ends).filter(|(start, (end, _))| start < end && *start < plan.until);
    all.map(|(start, (end, gasp))| Life { boot: BootId(random.next()), during: (start, end), gasp }).collect()
}

fn series_of(link: &Link, plan: Plan, services: &[&str]) -> Vec<Series> {
    let series = |target: String, rung, probe, interval_s, metrics: &[Metric]| Series {
        link: link.name.clone(),
        network: link.network,
        target,
        towards: String::new(),
        rung,
        probe,
        interval_s,
        metrics: metrics.to_vec(),
    };
    let ping = [Metric::Sent, Metric::Received, Metric::RttUsP50, Metric::PdvUsP95];
    let near = if link.metered { ("gateway", Rung::Gateway) } else { ("pop", Rung::Pop) };
    let mut all = vec![
        series(near.0.to_owned(), near.1, ProbeKind::Icmp, plan.near_s, &ping),
        series("core".to_owned(), Rung::Core, ProbeKind::Icmp, plan.near_s, &ping),
    ];
    if matches!(link.network, Network::Apn | Network::Gov | Network::Nin) && link.role == Role::Primary {
        all.push(series("nin".to_owned(), Rung::Nin, ProbeKind::Icmp, plan.far_s, &ping));
        // Two services: enough for every figure about services, and little of the month's rounds.
        let service =
            |id: &&str| series(format!("{SERVICE_PREFIX}{id}"), Rung::Service, ProbeKind::Http, plan.far_s, &[Metric::FirstByteUs]);
        all.extend(services.iter().take(2).map(service));
    }
    if generation(link) > 0 {
        let modem = [Metric::Rat, Metric::RsrpDbm, Metric::SinrCb];
        all.push(series(format!("modem/{}", link.name), Rung::Radio, ProbeKind::Modem, plan.far_s, &modem));
    }
    all
}

fn generation(link: &Link) -> i64 {
    match link.access {
        Some(Access::Lte | Access::TdLte) => 4,
        Some(Access::Umts) => 3,
        Some(Access::Gsm) => 2,
        _ => 0,
    }
}

fn line(link: &Link, faults: Vec<Fault>) -> Line {
    let generation = generation(link);
    // Well below what counts as slow, so that noise never decides.
    let rtt_us = match link.access {
        Some(Access::Vsat) => 580_000,
        _ if generation > 0 => 60_000,
        _ => 15_000,
    };
    Line { faults, rtt_us, generation }
}

/// Far above what counts as slow on any access.
const SLOW_US: i64 = 1_400_000;

fn round(series: &Series, effect: Option<Effect>, line: &Line, random: &mut Random) -> (Outcome, Vec<Option<i64>>) {
    let none = || vec![None; series.metrics.len()];
    if series.probe == ProbeKind::Modem {
        let rsrp_dbm = -88 - random.below(17) as i64;
        let sinr_cb = 100 - random.below(60) as i64;
        return (Outcome::Ok, vec![Some(line.generation), Some(rsrp_dbm), Some(sinr_cb)]);
    }
    let failed = match effect {
        Some(Effect::Gone) => Some(Outcome::LinkGone),
        Some(Effect::Fails(_)) => Some(Outcome::Timeout),
        Some(Effect::Loses) if random.one_in(10) => Some(Outcome::Timeout),
        _ if random.one_in(400) => Some(Outcome::Timeout),
        // A round that was put off says nothing; a refusal proves the way.
        _ if random.one_in(500) => Some(Outcome::NotRun),
        _ if random.one_in(500) => Some(Outcome::Refused),
        _ => None,
    };
    let is_ping = series.probe == ProbeKind::Icmp;
    if let Some(outcome) = failed {
        let sent = if outcome == Outcome::NotRun { None } else { Some(PACKETS) };
        return (outcome, if is_ping { vec![sent, sent.map(|_| 0), None, None] } else { none() });
    }
    let rtt = match effect {
        Some(Effect::Slow) => SLOW_US,
        _ => i64::from(line.rtt_us),
    } + random.below(900) as i64 * 10;
    let received = match effect {
        Some(Effect::Loses) => PACKETS - random.below(3) as i64,
        _ => PACKETS - i64::from(random.one_in(300)),
    };
    let values = if is_ping { vec![Some(PACKETS), Some(received), Some(rtt), Some(2_000)] } else { vec![Some(rtt)] };
    (Outcome::Ok, values)
}
