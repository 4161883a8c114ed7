//! A province with an hour of measurements from nearly every site, and weeks of them from one: written into the log and
//! the state database as if its agents had reported, because two thousand agents do not fit into a test.

use std::path::Path;
use std::sync::Arc;

use rusta_collector::day::Day;
use rusta_collector::history::ObjectKind;
use rusta_collector::inventory::{Access, Inventory, LinkId, NodeId, NodeKind, Parent, SiteId, Versions};
use rusta_collector::log::{Incoming, Keeping, Log, Upload, dir_in};
use rusta_collector::people::{NewUser, People, Role};
use rusta_collector::store::Store;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Outcome, ProbeKind, Reason, Rung, Sample,
    Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};

use crate::random::Random;

/// Who signs in.
pub const USER: (&str, &str) = ("rahbar", "a-password-for-the-browser");

/// Seconds between rounds.
const ROUND_S: i64 = 300;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What ordinary agents report: enough to judge their links by.
const QUARTER_MS: i64 = HOUR_MS / 4;

/// How long agents promise to be evidence, in seconds: as long as the slowest machine takes to look at every page.
const PROMISED_S: u32 = 3_600;

/// Days the well-known site has a past.
const DAYS: i64 = 36;

/// What a site suffers in the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Slow,
    Cut,
    WithoutPower,
    Silent,
    NeverSeen,
}

impl Fate {
    fn draw(random: &mut Random) -> Fate {
        match random.below(100) {
            0 | 1 => Fate::Cut,
            2 => Fate::WithoutPower,
            3 => Fate::Silent,
            4 => Fate::NeverSeen,
            5 | 6 => Fate::Slow,
            _ => Fate::Well,
        }
    }
}

/// What is measured before now.
#[derive(Debug, Clone, Copy)]
pub enum Measured {
    /// By every site what its state needs.
    Minutes,
    /// By every site this many hours.
    Hours(i64),
}

/// Fills the data directory of a collector whose inventory is imported, before it serves. Returns the site with a past.
pub fn fill(data_dir: &Path, measured: Measured, random: &mut Random) -> String {
    let now = rusta_collector::clock::now();
    let store = Store::open(data_dir).unwrap();
    let user = NewUser { name: USER.0.to_owned(), password: USER.1.to_owned(), role: Role::Admin, region: None };
    People::new(store.clone()).add_user(&user, "test", now).unwrap();
    let inventory = Versions::load(&store).unwrap().at(now);
    remember_villages(&store, &inventory, now);
    let log = Log::open(Keeping { dir: dir_in(data_dir), retention_days: 62, group_commit: std::time::Duration::from_millis(1) }).unwrap();
    let cut_node = busiest_pop(&inventory);
    let mut agents = Vec::new();
    let mut well_known: Option<String> = None;
    for site in (0..u32::try_from(inventory.sites.len()).unwrap()).map(SiteId) {
        let is_mobile = |id: LinkId| inventory.link(id).access == Some(Access::Lte);
        let is_cut = hangs_on(&inventory, site, cut_node);
        let known = well_known.is_none() && !is_cut && inventory.links_of(site).any(is_mobile);
        let fate = match (is_cut, known) {
            (true, _) => Fate::Cut,
            (false, true) => Fate::Well,
            _ => Fate::draw(random),
        };
        if known {
            well_known = Some(inventory.site(site).code.clone());
        }
        agents.push((Agent::enrolled(&store, &log, &inventory, site, now), fate, known));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hours = match measured {
        Measured::Minutes => 0,
        Measured::Hours(hours) => hours,
    };
    for back in (0..DAYS * 24).rev() {
        let mut uploads = Vec::new();
        for (agent, fate, known) in agents.iter().filter(|(_, fate, known)| *known || back < hours.max(1) && *fate != Fate::NeverSeen) {
            let silent_ms = if matches!(fate, Fate::WithoutPower | Fate::Silent) { 2 * HOUR_MS + 600_000 } else { 0 };
            let is_short = back == 0 && hours == 0 && !known && *fate != Fate::Cut;
            let length = if is_short { QUARTER_MS } else { HOUR_MS };
            uploads.push(agent.report(UnixMs(now.0 - back * HOUR_MS - silent_ms), length, *fate, back == 0, random));
        }
        uploads.sort_by_key(|upload| upload.received_at);
        runtime.block_on(async {
            // Under the log's queue, so that nothing is refused; side by side, so that they share its syncs.
            for group in uploads.chunks(1_024) {
                let append = |upload: &Upload| {
                    let (log, upload) = (log.clone(), upload.clone());
                    tokio::spawn(async move { log.append(upload).await })
                };
                for stored in group.iter().map(append).collect::<Vec<_>>() {
                    stored.await.unwrap().unwrap();
                }
            }
        });
    }
    well_known.expect("a province has a site with a mobile link")
}

/// Days every village has a past.
const VILLAGE_DAYS: i32 = 30;

/// Writes the days of every village as history would have built them: mostly connected, some days worse than others.
fn remember_villages(store: &Store, inventory: &Inventory, now: UnixMs) {
    let today = Day::of(now);
    let villages = inventory.villages().map(|id| inventory.region(id).code.as_str()).enumerate();
    store
        .write(|tx| {
            let kinds = [ObjectKind::Village, ObjectKind::VillageNin];
            for ((at, code), kind) in villages.flat_map(|village| kinds.map(|kind| (village, kind))) {
                tx.execute("INSERT INTO objects (kind, code) VALUES (?1, ?2)", (kind.code(), code)).unwrap();
                let object = tx.last_insert_rowid();
                let mut insert = tx.prepare_cached("INSERT INTO daily_seconds VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 0, 0)").unwrap();
                for back in 1..=VILLAGE_DAYS {
                    let share = (at * 31 + usize::try_from(back).unwrap() * 17) % 100;
                    let down = if at % 11 == 0 { 40_000 } else { i64::try_from(share).unwrap() * 60 };
                    let unknown = if share > 90 { 9_000 } else { 600 };
                    insert.execute((kind.code(), today.0 - back, object, 86_400 - down - unknown, down, unknown)).unwrap();
                }
            }
            Ok::<_, rusta_collector::store::StoreError>(())
        })
        .unwrap();
}

/// The PoP most links hang on: cutting it is one incident of many sites.
fn busiest_pop(inventory: &Inventory) -> NodeId {
    let pops = (0..).map(NodeId).zip(&inventory.nodes).filter(|(_, node)| node.kind == NodeKind::Pop).map(|(id, _)| id);
    let links = |pop| inventory.links.iter().filter(|link| hang(inventory, &link.parents, pop)).count();
    pops.max_by_key(|pop| links(*pop)).unwrap()
}

fn hang(inventory: &Inventory, parents: &[Parent], node: NodeId) -> bool {
    parents.iter().any(|parent| matches!(parent, Parent::Node(at) if inventory.hangs_on(*at, node)))
}

fn hangs_on(inventory: &Inventory, site: SiteId, node: NodeId) -> bool {
    inventory.links_of(site).all(|link| hang(inventory, &inventory.link(link).parents, node))
}

struct Agent {
    id: AgentId,
    site: Arc<str>,
    table: SeriesTable,
    names: Arc<rusta_collector::log::Names>,
    enrolled_at: UnixMs,
    /// How far its road is.
    base_us: i64,
}

impl Agent {
    fn enrolled(store: &Store, log: &Log, inventory: &Inventory, site: SiteId, now: UnixMs) -> Agent {
        let id = AgentId(0xa000_0000_0000_0000 + u64::from(site.0));
        let code = inventory.site(site).code.as_str();
        let enrolled_at = UnixMs(now.0 - (DAYS + 1) * DAY_MS);
        let not_after = now.0 + if site.0.is_multiple_of(97) { 9 * DAY_MS } else { 300 * DAY_MS };
        store
            .write(|tx| {
                let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?1, ?3, ?4)";
                tx.execute(sql, (id.to_string(), code, enrolled_at.0, not_after)).unwrap();
                Ok::<_, rusta_collector::store::StoreError>(())
            })
            .unwrap();
        let table = SeriesTable { series: inventory.links_of(site).flat_map(|link| series(inventory, link)).collect() };
        let names = log.learn_names(id, &table.encode()).unwrap();
        Agent { id, site: code.into(), table, names, enrolled_at, base_us: 18_000 + i64::from(site.0 * 7919 % 30_000) }
    }

    /// Reports what lies before `until`; its fate overtakes it in the last report only.
    fn report(&self, until: UnixMs, length_ms: i64, fate: Fate, is_last: bool, random: &mut Random) -> Upload {
        let mono = |at: i64| MonoMs(u64::try_from(at - self.enrolled_at.0).unwrap());
        let mut samples = Vec::new();
        for (index, series) in self.table.series.iter().enumerate() {
            for back in (0..length_ms / 1000 / ROUND_S).rev() {
                let at = until.0 - back * ROUND_S * 1000 - 1000;
                let cut = fate == Fate::Cut && is_last && back < 8 || self.was_cut(at);
                let (outcome, values) = self.round(series, UnixMs(at), cut, fate, random);
                samples.push(Sample { series: SeriesIndex(u16::try_from(index).unwrap()), at: mono(at), outcome, values });
            }
        }
        let reason = if fate == Fate::WithoutPower && is_last { Reason::PowerLoss } else { Reason::Interval };
        let batch = Batch {
            id: BatchId { agent: self.id, boot: BootId(1), sequence: Sequence(mono(until.0).0 / 1000) },
            covers: 1,
            from: mono(until.0 - length_ms),
            until: mono(until.0),
            clock: Clock { unix: until, source: ClockSource::Collector, uncertainty_ms: 20 },
            reason,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples,
        };
        let frame = Frame::new(FrameKind::Batch, batch.encode(&self.table).unwrap()).unwrap();
        let head = Batch::head(&frame.payload).unwrap();
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let incoming = Incoming { head, live_offset_ms: None, frame: bytes.into(), names: self.names.clone() };
        Upload { site_code: self.site.clone(), received_at: until, batches: vec![incoming] }
    }

    /// The well-known site loses its way for an hour every sixth night.
    fn was_cut(&self, at: i64) -> bool {
        let (day, hour) = (at / DAY_MS, at % DAY_MS / HOUR_MS);
        (day + self.base_us) % 6 == 0 && hour == 20
    }

    fn round(&self, series: &Series, at: UnixMs, cut: bool, fate: Fate, random: &mut Random) -> (Outcome, Vec<Option<i64>>) {
        let noise = |random: &mut Random, span: i64| i64::try_from(random.below(usize::try_from(span).unwrap())).unwrap();
        // Evenings are busy.
        let busy = ((at.0 % DAY_MS) as f64 / DAY_MS as f64 * std::f64::consts::TAU).sin().mul_add(-0.5, 0.5);
        let load = |most: i64| (busy * most as f64) as i64;
        let reaches = !matches!(series.rung, Rung::Device | Rung::Power | Rung::Modem | Rung::Radio);
        if cut && reaches {
            let lost = |metric: &Metric| match metric {
                Metric::Sent => Some(5),
                Metric::Received => Some(0),
                _ => None,
            };
            return (Outcome::Timeout, series.metrics.iter().map(lost).collect());
        }
        let slow = if fate == Fate::Slow { 390_000 } else { 0 };
        let rtt = self.base_us + i64::from(series.rung.code()) * 1_500 + load(14_000) + noise(random, 6_000) + slow;
        let lost = i64::from(noise(random, 60) == 0) + if fate == Fate::Slow { 1 } else { 0 };
        let spread = 4_000 + load(22_000) + noise(random, 9_000);
        let on_battery = fate == Fate::WithoutPower || (at.0 / DAY_MS + self.base_us) % 9 == 0 && at.0 % DAY_MS / HOUR_MS == 11;
        let value = |metric: &Metric, random: &mut Random| match metric {
            Metric::Sent => Some(5),
            Metric::Received => Some(5 - lost),
            Metric::RttUsMin => Some(rtt - spread / 5),
            Metric::RttUsP50 | Metric::ConnectUs => Some(rtt),
            Metric::RttUsP90 => Some(rtt + spread / 2),
            Metric::RttUsMax => Some(rtt + spread),
            Metric::FirstByteUs => Some(rtt * 2),
            Metric::HttpStatus => Some(200),
            Metric::RsrpDbm => Some(-93 - load(6) - noise(random, 4)),
            Metric::RsrqCb => Some(-105 - load(25) - noise(random, 12)),
            Metric::SinrCb => Some(125 - load(60) - noise(random, 30)),
            Metric::Rat => Some(4),
            Metric::Registration | Metric::SimState | Metric::BearerUp | Metric::ModemPresent => Some(1),
            Metric::ReceiveBps => Some(400_000 + load(5_600_000) + noise(random, 900_000)),
            Metric::TransmitBps => Some(90_000 + load(700_000) + noise(random, 150_000)),
            Metric::IfOperStatus => Some(1),
            Metric::UpsSource => Some(if on_battery { 5 } else { 3 }),
            Metric::UpsChargePct => Some(if on_battery { 64 + noise(random, 8) } else { 100 }),
            Metric::UpsInputDv => Some(if on_battery { 0 } else { 2_240 + noise(random, 60) }),
            Metric::UpsMinutesLeft => Some(if on_battery { 38 } else { 75 }),
            Metric::PlanUsedKib => Some((at.0 / DAY_MS % 30) * 90_000 + at.0 % DAY_MS / 1000),
            Metric::PlanOwnKib => Some(at.0 / DAY_MS % 30 * 900),
            Metric::PlanLimitKib => Some(3 << 20),
            Metric::PlanStage => Some(0),
            Metric::SpoolFrames => Some(1),
            Metric::SpoolBytes => Some(3_000),
            _ => None,
        };
        (Outcome::Ok, series.metrics.iter().map(|metric| value(metric, random)).collect())
    }
}

/// What an agent measures on one link.
fn series(inventory: &Inventory, id: LinkId) -> Vec<Series> {
    let link = inventory.link(id);
    let series = |target: &str, rung, probe, metrics: &[Metric]| Series {
        link: link.name.clone(),
        network: link.network,
        target: target.into(),
        towards: String::new(),
        rung,
        probe,
        interval_s: PROMISED_S,
        metrics: metrics.to_vec(),
    };
    let icmp = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax];
    let mut all = vec![
        series("gateway", Rung::Gateway, ProbeKind::Icmp, &icmp),
        series("core", Rung::Core, ProbeKind::Icmp, &icmp),
        series("nin", Rung::Nin, ProbeKind::Tcp, &[Metric::ConnectUs]),
    ];
    if inventory.links_of(link.site).next() == Some(id) {
        let power = [Metric::UpsSource, Metric::UpsChargePct, Metric::UpsInputDv, Metric::UpsMinutesLeft];
        all.push(series("ups", Rung::Power, ProbeKind::Snmp, &power));
        all.push(series("router/wan", Rung::Device, ProbeKind::Host, &[Metric::IfOperStatus, Metric::ReceiveBps, Metric::TransmitBps]));
        for service in inventory.services.iter().take(1 + link.site.index() % 5) {
            let target = format!("service-{}", service.id);
            all.push(series(&target, Rung::Service, ProbeKind::Http, &[Metric::ConnectUs, Metric::FirstByteUs, Metric::HttpStatus]));
        }
    }
    let mobile = matches!(link.access, Some(Access::Lte | Access::TdLte | Access::Umts | Access::Gsm));
    if mobile {
        use Metric::{BearerUp, ModemPresent, Rat, Registration, RsrpDbm, RsrqCb, SimState, SinrCb};
        let metrics = [ModemPresent, SimState, Registration, Rat, RsrpDbm, RsrqCb, SinrCb, BearerUp];
        all.push(series("modem", Rung::Radio, ProbeKind::Modem, &metrics));
    }
    let mut own = vec![Metric::SpoolBytes, Metric::SpoolFrames];
    if link.metered {
        own.extend([Metric::PlanUsedKib, Metric::PlanOwnKib, Metric::PlanLimitKib, Metric::PlanStage]);
    }
    all.push(series("agent", Rung::Device, ProbeKind::Agent, &own));
    all
}
