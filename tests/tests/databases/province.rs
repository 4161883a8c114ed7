//! A small province whose every measurement, field and tag has a point.

use std::sync::Arc;

use rusta_collector::engine::{AgentState, AgentView, BootTime, LinkState, LinkView, Record, SiteState, SiteView, Snapshot};
use rusta_collector::inventory::{Access, Draft, Inventory, RegionKind, SiteId, SiteKind};
use rusta_collector::log::Position;
use rusta_collector::sink::line::write_line;
use rusta_collector::sink::schema::{KPI_FIELDS, KPI_TAGS};
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung, Sample, Sequence,
    Series, SeriesIndex, SeriesTable, UnixMs,
};

/// Minutes of data, ending now: more than two of the ten-minute buckets the panels are asked in, because a rate needs two.
pub const MINUTES: i64 = 30;

const SITES: u32 = 3;

/// What the collector would know.
pub struct Province {
    pub start: UnixMs,
    pub snapshot: Snapshot,
    pub records: Vec<Record>,
}

impl Province {
    /// Builds one whose data ends at the present minute, because databases refuse the far past.
    pub fn of_now() -> Province {
        let now = rusta_collector::clock::now();
        let start = UnixMs(now.0 - now.0.rem_euclid(60_000) - (MINUTES - 1) * 60_000);
        let inventory = Arc::new(inventory());
        Province { start, snapshot: snapshot(&inventory, now), records: (0..SITES).map(|site| record(site, start)).collect() }
    }

    /// What the collector would know if everything went down.
    pub fn in_an_outage(&self) -> Snapshot {
        let mut snapshot = self.snapshot.clone();
        snapshot.sites.iter_mut().for_each(|site| site.state = SiteState::Down);
        snapshot.links.iter_mut().for_each(|link| link.state = LinkState::Down);
        snapshot
    }

    pub fn probe_points(&self) -> usize {
        self.records.iter().map(|r| r.batch.samples.len()).sum()
    }

    pub fn state_points(&self) -> usize {
        self.snapshot.sites.len() + self.snapshot.links.len() + self.snapshot.agents.len()
    }
}

fn inventory() -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    for n in 0..SITES {
        let village = format!("0901010001{n:06}");
        draft.region(&village, RegionKind::Village, "0901010001");
        let site = draft.site(&format!("v{n}"), SiteKind::Village, &village);
        site.name_fa = "علی‌آباد".into();
        (site.lat, site.lon) = (Some(36.3), Some(59.6));
        let link = draft.link(&format!("v{n}"), "apn 0", Network::Apn, "");
        link.operator = "mci".into();
        link.access = Some(Access::Lte);
    }
    draft.build(1, UnixMs(0)).expect("the inventory is valid").inventory
}

fn snapshot(inventory: &Arc<Inventory>, at: UnixMs) -> Snapshot {
    let links = inventory.links.iter().map(|_| LinkView {
        state: LinkState::Up,
        since: at,
        evidence_at: Some(at),
        cause: None,
        targets: Arc::new([]),
    });
    let sites = inventory.sites.iter().map(|_| SiteView { state: SiteState::Up, since: at, cause: None, evidence_at: Some(at) });
    let agents = (0..SITES).map(|n| AgentView {
        id: AgentId(u64::from(n) + 1),
        site: SiteId(n),
        state: AgentState::Reporting,
        received_at: Some(at),
        observed_at: Some(at),
        clock: Some(ClockSource::Collector),
        clock_skew_ms: Some(12),
        spool_frames: Some(3),
        lost: 1,
    });
    Snapshot {
        at,
        inventory: inventory.clone(),
        links: links.collect(),
        sites: sites.collect(),
        villages: Vec::new(),
        agents: agents.collect(),
        fleet_quiet_since: None,
    }
}

/// One target a probe kind would have, with every metric of the catalogue spread over two series.
fn table() -> SeriesTable {
    let series = |target: &str, rung, probe, metrics: &[Metric]| Series {
        link: "apn 0".into(),
        network: Network::Apn,
        target: target.into(),
        towards: String::new(),
        rung,
        probe,
        interval_s: 60,
        metrics: metrics.to_vec(),
    };
    let (first, rest) = Metric::ALL.split_at(Metric::ALL.len() / 2);
    SeriesTable {
        series: vec![
            series("portal, main", Rung::Service, ProbeKind::Http, first),
            series("router/eth0", Rung::Device, ProbeKind::Snmp, rest),
        ],
    }
}

fn record(site: u32, start: UnixMs) -> Record {
    let table = table();
    let samples = (0..MINUTES).flat_map(|minute| {
        table.series.iter().enumerate().map(move |(index, series)| Sample {
            series: SeriesIndex(u16::try_from(index).expect("few series")),
            at: MonoMs(u64::try_from(minute * 60_000).expect("not negative")),
            outcome: Outcome::Ok,
            values: series.metrics.iter().map(|m| Some(i64::from(m.code()) + minute)).collect(),
        })
    });
    let batch = Batch {
        id: BatchId { agent: AgentId(u64::from(site) + 1), boot: BootId(1), sequence: Sequence(0) },
        covers: 1,
        from: MonoMs(0),
        until: MonoMs(1_800_000),
        clock: Clock { unix: start, source: ClockSource::Collector, uncertainty_ms: 5 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table.id(),
        samples: samples.collect(),
    };
    Record {
        position: Position(u64::from(site) + 1),
        received_at: start,
        site: SiteId(site),
        boot: Some(BootTime { at: start, error_ms: 5 }),
        batch,
        table: Arc::new(table),
    }
}

/// A KPI's points, as the sink writes them.
pub fn kpi_lines(at: UnixMs) -> String {
    let mut lines = String::new();
    for (kpi, period) in [("connected_share_now", "now"), ("availability", "month")] {
        let tags = KPI_TAGS.into_iter().zip([kpi, "09", "province", period, "village"]);
        write_line(&mut lines, "kpi", tags, KPI_FIELDS.into_iter().zip([0.9, 0.8, 0.95, 0.9, 9.0, 10.0]), at);
    }
    lines
}
