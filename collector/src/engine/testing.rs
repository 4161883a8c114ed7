//! Agents and registries that tests of the engine, the loop and history share.

use std::sync::Arc;

use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung, Sample, Sequence,
    Series, SeriesIndex, SeriesTable, UnixMs,
};

use crate::inventory::{Draft, Inventory, RegionKind, SiteKind};

/// When every test begins.
pub(crate) const START: i64 = 1_795_250_000;

pub(crate) fn second(s: i64) -> UnixMs {
    UnixMs::from_seconds(START + s)
}

/// Villages `V0..` with one primary APN link, one with a gov backup too, and a core site.
pub(crate) fn inventory(villages: usize) -> Arc<Inventory> {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    for n in 0..villages {
        let (region, site) = (format!("0901010001{n:06}"), format!("V{n}"));
        draft.region(&region, RegionKind::Village, "0901010001");
        draft.site(&site, SiteKind::Village, &region);
        draft.link(&site, "apn0", Network::Apn, "");
    }
    draft.site("CORE", SiteKind::Core, "09");
    draft.link("CORE", "core", Network::Gov, "");
    Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory)
}

pub(crate) fn series(link: &str, target: &str, rung: Rung, towards: &str) -> Series {
    Series {
        link: link.into(),
        network: Network::Apn,
        target: target.into(),
        towards: towards.into(),
        rung,
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: vec![Metric::Sent, Metric::Received, Metric::RttUsP50],
    }
}

/// One agent that reports every minute what it is told.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) site: &'static str,
    pub(crate) boot: (BootId, i64),
    pub(crate) sequence: u64,
    pub(crate) table: Arc<SeriesTable>,
}

impl Agent {
    pub(crate) fn new(id: u64, site: &'static str, series: Vec<Series>) -> Self {
        Agent { id: AgentId(id), site, boot: (BootId(1), 0), sequence: 0, table: Arc::new(SeriesTable { series }) }
    }

    pub(crate) fn village(id: u64, site: &'static str) -> Self {
        let targets = [("gateway", Rung::Gateway), ("core", Rung::Core)];
        Agent::new(id, site, targets.iter().map(|(name, rung)| series("apn0", name, *rung, "")).collect())
    }

    /// What it saw in the minute before `until`: every target answered or none did.
    pub(crate) fn batch(&mut self, until: i64, ok: bool) -> Batch {
        let mono = |s: i64| MonoMs(u64::try_from((s - self.boot.1) * 1000).unwrap());
        self.sequence += 1;
        let sample = |index: usize| Sample {
            series: SeriesIndex(u16::try_from(index).unwrap()),
            at: mono(until - 30),
            outcome: if ok { Outcome::Ok } else { Outcome::Timeout },
            values: vec![Some(3), Some(if ok { 3 } else { 0 }), ok.then_some(40_000)],
        };
        Batch {
            id: BatchId { agent: self.id, boot: self.boot.0, sequence: Sequence(self.sequence) },
            covers: 1,
            from: mono(until - 60),
            until: mono(until),
            clock: Clock { unix: second(until), source: ClockSource::Synchronised, uncertainty_ms: 10 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples: (0..self.table.series.len()).map(sample).collect(),
        }
    }
}
