//! What KPIs of a period are computed from: seconds, outages and rounds per object, joined with the inventory.
//!
//! ```text
//! window |--- version 1 ---|------ version 2 ------|      as_was: one section per version in force
//!        |----------- today's version -------------|      as_is:  one section, everything mapped to today's map
//! ```
//!
//! Time-weighted figures sum the sections as they are, so a county that splits in mid-month has its days before and its
//! parts' days after. Figures that judge an object over the whole window ([`Facts::whole`]) move what is known about an
//! object to the last section it exists in, so that each object is counted once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rusta_wire::{Rung, UnixMs};

use super::Kpi;
use super::definitions::Definitions;
use super::figure::Status;
pub use crate::history::PlanUse;
use crate::history::{Bounds, Ended, Histogram, Late, StateSeconds};
use crate::inventory::{Inventory, LinkId, RegionId, SiteId};
use crate::persian::{Period, Window};

/// Alerting in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AlertLoad {
    /// Calls that woke somebody.
    pub pages: u64,
    /// Of those, acknowledged within 15 minutes.
    pub quick: u64,
    /// Of those, judged actionable.
    pub actionable: u64,
    /// Notifications a parent's incident made needless.
    pub suppressed: u64,
}

impl std::ops::Add for AlertLoad {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        AlertLoad {
            pages: self.pages + other.pages,
            quick: self.quick + other.quick,
            actionable: self.actionable + other.actionable,
            suppressed: self.suppressed + other.suppressed,
        }
    }
}

/// Everything known about a window.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The question's period.
    pub period: Period,
    /// Its window.
    pub window: Window,
    /// When it was read.
    pub read_at: UnixMs,
    /// How far it is settled.
    pub status: Status,
    /// Parts of the window with one map each, in order.
    pub sections: Vec<Section>,
    /// Alerting, by who has to mend what was called about; `None` while nobody keeps it.
    pub alerts: Option<BTreeMap<String, AlertLoad>>,
    /// Versions of definitions.
    pub definitions: Definitions,
    /// Made when it is first asked for: see [`Facts::whole`].
    pub whole: OnceLock<Box<Facts>>,
}

/// A part of the window under one inventory version.
#[derive(Debug, Clone)]
pub struct Section {
    /// The map.
    pub inventory: Arc<Inventory>,
    /// The part.
    pub window: Window,
    /// Its length over the whole window's.
    pub share: f64,
    /// By [`RegionId`], villages only; `None` where there is no inhabited village to count.
    pub villages: Vec<Option<VillageSeconds>>,
    /// By [`SiteId`].
    pub sites: Vec<Option<StateSeconds>>,
    /// By [`SiteId`]: what of it was measured inside work announced too late for the contract.
    pub short_notice: Vec<StateSeconds>,
    /// By [`LinkId`].
    pub links: Vec<Option<LinkFacts>>,
    /// Outages that overlap the window.
    pub outages: Vec<OutageFact>,
    /// Attempts per service and vantage; `None` while nobody collects them.
    pub services: Option<Vec<ServiceFact>>,
    /// Reports of agents, by [`SiteId`]; `None` while nobody collects them.
    pub reports: Option<Vec<Option<Reports>>>,
    /// Counties younger than 36 months.
    pub young_counties: Vec<RegionId>,
    /// For each region, where it is in the next section; empty in the last one.
    pub next: Vec<Option<RegionId>>,
}

/// How a village spent the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VillageSeconds {
    /// Connected, partial, disconnected, unknown.
    pub state: StateSeconds,
    /// The national network reached or not.
    pub nin: StateSeconds,
    /// Its states under the policy `mobile_public`; unknown unless that differs from `either`.
    pub mobile_public: StateSeconds,
    /// Its states under the policy `dehyari_uplink`; unknown unless that differs from `either`.
    pub dehyari_uplink: StateSeconds,
}

/// How a link spent the window, and what its rounds measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkFacts {
    /// Its states.
    pub state: StateSeconds,
    /// What of them was measured inside work announced too late for the contract.
    pub short_notice: StateSeconds,
    /// What its rounds measured; `None` if there were none.
    pub rounds: Option<Box<Rounds>>,
}

/// What rounds measured. Everything adds up over days.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rounds {
    /// Packets sent while the link was up.
    pub sent: u64,
    /// Of those, lost.
    pub lost: u64,
    /// Medians of rounds' round-trip times, microseconds.
    pub rtt_us: Histogram,
    /// 95th percentiles of rounds' delay variation, microseconds.
    pub pdv_us: Histogram,
    /// Round-trip times packet by packet, microseconds; those of a round that keeps a few are estimated from them.
    pub packet_rtt_us: Histogram,
    /// The same over the least of its five minutes (RFC 5481), microseconds.
    pub packet_pdv_us: Histogram,
    /// Mean difference of consecutive round-trip times, microseconds.
    pub ipdv_us: Histogram,
    /// Modem samples by radio generation, 0 to 5.
    pub generation: Histogram,
    /// RSRP, dBm.
    pub rsrp_dbm: Histogram,
    /// SINR, tenths of a decibel.
    pub sinr_cb: Histogram,
    /// Throughput tests, bits per second.
    pub download_bps: Histogram,
    /// Throughput tests, bits per second.
    pub upload_bps: Histogram,
    /// Five-minute slots with at least ten rounds.
    pub slots: u64,
    /// Of those, slots of good quality.
    pub good_slots: u64,
    /// The data plan at the newest sample.
    pub plan: Option<PlanUse>,
}

/// An outage of one link, site or village.
#[derive(Debug, Clone, PartialEq)]
pub struct OutageFact {
    /// What was down.
    pub of: Affected,
    /// The first failure.
    pub started_at: UnixMs,
    /// The first answer or the end of evidence; `None` while it lasts.
    pub ended_at: Option<UnixMs>,
    /// How it ended; `None` while it lasts.
    pub ended: Option<Ended>,
    /// As far as it was seen: its end, or as far as history is built.
    pub seen_until: UnixMs,
    /// Between what the ends of a power cut lie.
    pub bounds: Option<Bounds>,
    /// The leading cause; `None` is unattributed.
    pub cause: Option<Rung>,
    /// When an incident began to hold the link; `None` if none did, and for sites and villages.
    pub detected_at: Option<UnixMs>,
    /// When somebody acknowledged that incident.
    pub acknowledged_at: Option<UnixMs>,
    /// Work announced a day ahead inside it.
    pub work: Vec<(UnixMs, UnixMs)>,
}

/// What an outage hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected {
    /// A link.
    Link(LinkId),
    /// A whole site.
    Site(SiteId),
    /// A village.
    Village(RegionId),
}

/// Attempts to use a service from one site.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFact {
    /// The service's id.
    pub service: String,
    /// The vantage.
    pub site: SiteId,
    /// Attempts.
    pub attempts: u64,
    /// Of those, good ones.
    pub ok: u64,
    /// Attempts made while the site's anchors answered.
    pub attempts_up: u64,
    /// Of those, good ones.
    pub ok_up: u64,
    /// Response times of good attempts, microseconds.
    pub latency_us: Histogram,
}

/// Reports of a site's agents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reports {
    /// Expected from the reporting interval.
    pub expected: u64,
    /// Received, late ones included.
    pub received: u64,
    /// Received within ten minutes.
    pub on_time: u64,
    /// From a report's end to its arrival, seconds.
    pub lag_s: Histogram,
    /// The agent's clock minus true time, milliseconds.
    pub skew_ms: Histogram,
    /// What was learnt of the site too late to be known in time.
    pub late: Late,
}

impl Reports {
    /// Adds another part of the window.
    pub fn add(&mut self, other: &Reports) {
        self.expected += other.expected;
        self.received += other.received;
        self.on_time += other.on_time;
        self.lag_s.merge(&other.lag_s);
        self.skew_ms.merge(&other.skew_ms);
        self.late += other.late;
    }
}

impl Rounds {
    /// Adds another day's rounds; of two plans the later stays.
    pub fn add(&mut self, later: &Rounds) {
        self.sent += later.sent;
        self.lost += later.lost;
        self.rtt_us.merge(&later.rtt_us);
        self.pdv_us.merge(&later.pdv_us);
        self.packet_rtt_us.merge(&later.packet_rtt_us);
        self.packet_pdv_us.merge(&later.packet_pdv_us);
        self.ipdv_us.merge(&later.ipdv_us);
        self.generation.merge(&later.generation);
        self.rsrp_dbm.merge(&later.rsrp_dbm);
        self.sinr_cb.merge(&later.sinr_cb);
        self.download_bps.merge(&later.download_bps);
        self.upload_bps.merge(&later.upload_bps);
        self.slots += later.slots;
        self.good_slots += later.good_slots;
        self.plan = later.plan.or(self.plan);
    }
}

impl Section {
    /// Takes what is known of no object: the registry did not hold yet, so nothing was in service.
    pub fn outside(inventory: Arc<Inventory>, at: UnixMs) -> Section {
        let mut section = Section::unknown(inventory, Window { from: at, until: at });
        section.villages.iter_mut().for_each(|village| *village = None);
        section.sites.iter_mut().for_each(|site| *site = None);
        section.links.iter_mut().for_each(|link| *link = None);
        section
    }

    /// Returns what was learnt of a site too late to be known in time.
    pub fn late(&self, site: SiteId) -> Late {
        let reports = self.reports.as_ref().and_then(|reports| reports.get(site.index())?.as_ref());
        reports.map(|reports| reports.late).unwrap_or_default()
    }

    /// Adds seconds before the registry held to every object: not in service.
    pub fn add_before(&mut self, seconds: u64) {
        let before = StateSeconds { not_in_service: seconds, ..StateSeconds::default() };
        for village in self.villages.iter_mut().flatten() {
            for state in [&mut village.state, &mut village.nin, &mut village.mobile_public, &mut village.dehyari_uplink] {
                *state += before;
            }
        }
        self.sites.iter_mut().flatten().for_each(|site| *site += before);
        self.links.iter_mut().flatten().for_each(|link| link.state += before);
    }

    /// Starts a section in which nothing is known: every second of every object is unknown until a row says otherwise.
    pub fn unknown(inventory: Arc<Inventory>, window: Window) -> Section {
        let seconds = u64::try_from(window.until.seconds() - window.from.seconds()).unwrap_or(0);
        let unknown = StateSeconds { unknown: seconds, ..StateSeconds::default() };
        let mut villages = vec![None; inventory.regions.len()];
        let village = VillageSeconds { state: unknown, nin: unknown, mobile_public: unknown, dehyari_uplink: unknown };
        inventory.villages().for_each(|v| villages[v.index()] = Some(village));
        Section {
            villages,
            sites: vec![Some(unknown); inventory.sites.len()],
            short_notice: vec![StateSeconds::default(); inventory.sites.len()],
            links: vec![Some(LinkFacts { state: unknown, ..LinkFacts::default() }); inventory.links.len()],
            outages: Vec::new(),
            services: None,
            reports: None,
            young_counties: Vec::new(),
            next: Vec::new(),
            share: 1.0,
            inventory,
            window,
        }
    }
}

impl Facts {
    /// Returns a KPI as the version in force when the window began defines it.
    pub fn in_force(&self, kpi: &Kpi) -> Kpi {
        self.definitions.version(kpi, self.window.from, None).unwrap_or(*kpi)
    }

    /// Returns the same facts with each object's knowledge moved to the last section it exists in.
    pub fn whole(&self) -> &Facts {
        if self.sections.len() < 2 {
            return self;
        }
        self.whole.get_or_init(|| {
            let mut whole = Facts { whole: OnceLock::new(), ..self.clone() };
            for at in 0..whole.sections.len() - 1 {
                let (before, after) = whole.sections.split_at_mut(at + 1);
                move_on(&mut before[at], &mut after[0]);
            }
            Box::new(whole)
        })
    }

    /// Returns the last moment of the window that facts may speak of.
    pub fn last_moment(&self) -> UnixMs {
        UnixMs(self.window.until.0 - 1).min(self.read_at)
    }

    /// Returns how much of the window, as far as it has gone, lies under a version of the registry.
    pub fn seconds_in_service(&self) -> f64 {
        self.sections.iter().map(|section| (section.window.until.seconds() - section.window.from.seconds()).max(0) as f64).sum()
    }

    /// Returns the map at the window's end.
    pub fn last_map(&self) -> Arc<Inventory> {
        self.sections.last().map(|s| Arc::clone(&s.inventory)).unwrap_or_default()
    }
}

fn move_on(from: &mut Section, to: &mut Section) {
    for (at, village) in from.villages.iter_mut().enumerate() {
        let successor = from.next.get(at).copied().flatten().or_else(|| to.inventory.region_by_code(&from.inventory.regions[at].code));
        let place = successor.and_then(|id| to.villages[id.index()].as_mut());
        if let (Some(seconds), Some(place)) = (*village, place) {
            place.state += seconds.state;
            place.nin += seconds.nin;
            place.mobile_public += seconds.mobile_public;
            place.dehyari_uplink += seconds.dehyari_uplink;
            *village = None;
        }
    }
    for (at, seconds) in from.sites.iter_mut().enumerate() {
        let id = to.inventory.site_by_code(&from.inventory.sites[at].code);
        if let (Some(id), Some(known)) = (id, *seconds)
            && let Some(place) = to.sites[id.index()].as_mut()
        {
            *place += known;
            to.short_notice[id.index()] += std::mem::take(&mut from.short_notice[at]);
            *seconds = None;
        }
    }
    for (at, reports) in from.reports.iter_mut().flatten().enumerate() {
        let id = to.inventory.site_by_code(&from.inventory.sites[at].code);
        if let Some((id, known)) = id.zip(reports.take()) {
            let count = to.inventory.sites.len();
            to.reports.get_or_insert_with(|| vec![None; count])[id.index()].get_or_insert_default().add(&known);
        }
    }
    for (at, facts) in from.links.iter_mut().enumerate() {
        let link = &from.inventory.links[at];
        let site = to.inventory.site_by_code(&from.inventory.site(link.site).code);
        let place = site.and_then(|site| to.inventory.link_by_name(site, &link.name)).and_then(|id| to.links[id.index()].as_mut());
        if let (Some(known), Some(place)) = (facts.as_ref(), place) {
            let mut sum = known.clone();
            sum.add(place);
            *place = sum;
            *facts = None;
        }
    }
}

impl LinkFacts {
    /// Adds a later part of the window.
    pub fn add(&mut self, later: &LinkFacts) {
        self.state += later.state;
        self.short_notice += later.short_notice;
        match (&mut self.rounds, &later.rounds) {
            (Some(rounds), Some(later)) => rounds.add(later),
            (None, Some(later)) => self.rounds = Some(later.clone()),
            _ => {}
        }
    }
}
