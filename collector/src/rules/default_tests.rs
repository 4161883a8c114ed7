//! Every rule that ships, over a small province: what it is about makes it fire after its time, and the repair resolves it.

use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{AgentId, Metric, Network, Outcome, ProbeKind, Rung, UnixMs};

use super::*;
use crate::engine::incident::{Incidents, Settings};
use crate::engine::{AgentView, LinkState, LinkView, SiteView, Snapshot, TargetView, VillageState, VillageView};
use crate::inventory::{Draft, Inventory, NodeKind, SiteId};

/// Saturday, 08:00 in Tehran: every calendar opens within the hour and stays open for six.
const BEGINS: &str = "1405-08-30 08:00";
const STEP: Duration = Duration::from_secs(15);
/// How much later than its time a rule may speak: what fell is gathered, held back and looked at in steps.
const LATE: Duration = Duration::from_secs(330);

fn inventory() -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "").inhabited = true;
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    for (node, kind) in [("gw", NodeKind::ApnGateway), ("mast", NodeKind::Bts)] {
        draft.node(node, kind, "");
    }
    let mut number = 0;
    let mut add = |code: &str, kind: SiteKind, class: Criticality, parents: &str| {
        number += 1;
        let region = if kind == SiteKind::Village { format!("0901010001{number:06}") } else { "0901".to_owned() };
        if kind == SiteKind::Village {
            draft.region(&region, RegionKind::Village, "0901010001").households = Some(50);
        }
        draft.site(code, kind, &region).criticality = class;
        draft.link(code, "up", Network::Gov, parents);
    };
    add("core", SiteKind::Core, Criticality::C, "");
    add("pop", SiteKind::Pop, Criticality::C, "");
    add("office", SiteKind::Headquarters, Criticality::A, "");
    add("agency", SiteKind::Village, Criticality::B, "");
    for (prefix, count, parents) in [("behind-pop", 6, "pop"), ("behind-gw", 6, "gw"), ("on-mast", 4, "mast"), ("v", 60, "")] {
        (0..count).for_each(|n| add(&format!("{prefix}-{n}"), SiteKind::Village, Criticality::C, parents));
    }
    draft.build(1, UnixMs(0)).unwrap_or_else(|faults| panic!("{:?}", faults.iter().map(|f| f.english()).collect::<Vec<_>>())).inventory
}

struct World {
    snapshot: Snapshot,
    incidents: Incidents,
    watch: Watch,
    kpis: Vec<KpiFact>,
}

impl World {
    fn new() -> World {
        let (at, inventory) = (crate::inventory::dates::moment(BEGINS).unwrap(), Arc::new(inventory()));
        let link = LinkView { state: LinkState::Up, since: at, evidence_at: Some(at), cause: None, targets: Arc::new([]) };
        let site = SiteView { state: SiteState::Up, since: at, cause: None, evidence_at: Some(at) };
        let village =
            |region| VillageView { region, state: VillageState::Connected, since: at, evidence_at: Some(at), networks_up: Vec::new() };
        let agent = |n: usize| AgentView {
            id: AgentId(n as u64 + 1),
            site: SiteId(n as u32),
            state: AgentState::Reporting,
            received_at: Some(at),
            observed_at: Some(at),
            clock: None,
            clock_skew_ms: Some(40),
            spool_frames: None,
            lost: 0,
        };
        let snapshot = Snapshot {
            at,
            links: vec![link; inventory.links.len()],
            sites: vec![site; inventory.sites.len()],
            villages: inventory.villages().map(village).collect(),
            agents: (0..inventory.sites.len()).map(agent).collect(),
            fleet_quiet_since: None,
            inventory,
        };
        World { snapshot, incidents: Incidents::new(Settings::default()), watch: Watch::default(), kpis: Vec::new() }
    }

    fn sites(&self, prefix: &str) -> Vec<SiteId> {
        let all = self.snapshot.inventory.sites.iter().enumerate().filter(|(_, site)| site.code.starts_with(prefix));
        all.map(|(index, _)| SiteId(index as u32)).collect()
    }

    /// Sets every site whose code begins so.
    fn set(&mut self, prefix: &str, state: LinkState) {
        let at = self.snapshot.at;
        for site in self.sites(prefix) {
            for link in self.snapshot.inventory.links_of(site) {
                (self.snapshot.links[link.index()].state, self.snapshot.links[link.index()].since) = (state, at);
            }
            let view = &mut self.snapshot.sites[site.index()];
            (view.state, view.since) = (if state == LinkState::Up { SiteState::Up } else { SiteState::Down }, at);
            let silent = state == LinkState::Unknown;
            self.snapshot.agents[site.index()].state = if silent { AgentState::Silent } else { AgentState::Reporting };
        }
    }

    /// Lets a target of one village say something.
    fn says(&mut self, values: &[(Metric, i64)]) {
        let site = self.sites("v-3")[0];
        let link = self.snapshot.inventory.links_of(site).next().unwrap();
        let target = TargetView {
            name: "device".into(),
            rung: Rung::Device,
            probe: ProbeKind::Snmp,
            observed_at: self.snapshot.at,
            outcome: Outcome::Ok,
            values: values.to_vec(),
        };
        self.snapshot.links[link.index()].targets = if values.is_empty() { Arc::new([]) } else { Arc::new([target]) };
    }

    fn figure(&mut self, id: &str, over: KpiSpan, of: RegionKind, value: f64) {
        let inventory = &self.snapshot.inventory;
        let region = inventory.region_by_code(if of == RegionKind::Province { "09" } else { "0901" }).unwrap();
        self.kpis = vec![KpiFact { id: id.into(), over, region, value: Some(value), goal: Some(0.9) }];
    }

    /// Lets time pass until the rule says `wanted`; returns how long that took.
    fn pass_until(&mut self, rules: &Rules, name: &str, most: Duration, wanted: impl Fn(&Change) -> bool) -> Option<Duration> {
        let began = self.snapshot.at;
        while self.snapshot.at.since(began) <= most {
            let at = self.snapshot.at;
            for view in self.snapshot.links.iter_mut().filter(|view| view.state == LinkState::Up) {
                view.evidence_at = Some(at);
            }
            self.incidents.advance(&self.snapshot);
            let median = |_, metric| (metric == Metric::RsrpDbm).then_some(-88.0);
            let facts = Facts { kpis: self.kpis.clone(), median: &median, ..Facts::new(&self.snapshot, &self.incidents) };
            let changes = self.watch.look(rules, &facts);
            let of_rule = |change: &Change| match change {
                Change::Fired(alert) | Change::Resolved(alert) => alert.rule == name,
            };
            if changes.iter().any(|change| of_rule(change) && wanted(change)) {
                return Some(at.since(began));
            }
            self.snapshot.at = at + STEP;
        }
        None
    }
}

/// What makes a rule fire, and what mends it.
type Story = (&'static str, fn(&mut World), fn(&mut World));

fn all_up(world: &mut World) {
    world.set("", LinkState::Up);
}

fn quiet_device(world: &mut World) {
    world.says(&[]);
}

const STORIES: &[Story] = &[
    ("core-down", |w| w.set("core", LinkState::Down), all_up),
    ("gateway-down", |w| w.set("behind-gw", LinkState::Down), all_up),
    ("pop-down", |w| w.set("pop", LinkState::Down), all_up),
    ("class-a-down", |w| w.set("office", LinkState::Down), all_up),
    (
        "many-villages-lost",
        |w| {
            w.set("pop", LinkState::Down);
            w.set("behind-pop", LinkState::Down)
        },
        all_up,
    ),
    ("collector-blind", |w| w.snapshot.fleet_quiet_since = Some(w.snapshot.at), |w| w.snapshot.fleet_quiet_since = None),
    ("class-b-down", |w| w.set("agency", LinkState::Down), all_up),
    ("mast-down", |w| w.set("on-mast", LinkState::Unknown), all_up),
    ("village-down", |w| w.set("v-7", LinkState::Down), all_up),
    (
        "redundancy-lost",
        |w| {
            let site = w.sites("v-7")[0];
            (w.snapshot.sites[site.index()].state, w.snapshot.sites[site.index()].since) = (SiteState::BackupOnly, w.snapshot.at);
        },
        all_up,
    ),
    (
        "connected-share-low",
        |w| w.figure("connected_share_now", KpiSpan::Now, RegionKind::County, 0.79),
        |w| w.figure("connected_share_now", KpiSpan::Now, RegionKind::County, 0.84),
    ),
    (
        "connected-share-under-goal",
        |w| w.figure("connected_share_now", KpiSpan::Now, RegionKind::Province, 0.89),
        |w| w.figure("connected_share_now", KpiSpan::Now, RegionKind::Province, 0.92),
    ),
    (
        "availability-low",
        |w| w.figure("availability", KpiSpan::Yesterday, RegionKind::County, 0.94),
        |w| w.figure("availability", KpiSpan::Yesterday, RegionKind::County, 0.97),
    ),
    ("ups-on-battery", |w| w.says(&[(Metric::UpsSource, 5)]), |w| w.says(&[(Metric::UpsSource, 3)])),
    ("plan-nearly-used", |w| w.says(&[(Metric::PlanUsedKib, 96), (Metric::PlanLimitKib, 100)]), quiet_device),
    ("flapping", |w| w.set("v-7", LinkState::Flapping), all_up),
    (
        "agent-silent",
        |w| {
            let site = w.sites("v-7")[0];
            w.snapshot.agents[site.index()].state = AgentState::Silent;
        },
        all_up,
    ),
    ("clock-wrong", |w| w.snapshot.agents[5].clock_skew_ms = Some(-61_000), |w| w.snapshot.agents[5].clock_skew_ms = Some(59_000)),
    ("spool-filling", |w| w.says(&[(Metric::SpoolFrames, 1441)]), |w| w.says(&[(Metric::SpoolFrames, 10)])),
    ("weak-radio", |w| w.says(&[(Metric::RsrpDbm, -97)]), |w| w.says(&[(Metric::RsrpDbm, -92)])),
    ("optical-power-low", |w| w.says(&[(Metric::OpticalRxCdbm, -2750)]), |w| w.says(&[(Metric::OpticalRxCdbm, -2500)])),
    ("certificate-expires", |w| w.says(&[(Metric::CertificateS, 86_400)]), |w| w.says(&[(Metric::CertificateS, 7_776_000)])),
    // Three quarters of the plan on the last day of the month is no forecast of more; nine tenths is past the bound itself.
    ("plan-forecast", |w| w.says(&[(Metric::PlanUsedKib, 90), (Metric::PlanLimitKib, 100)]), quiet_device),
    ("battery-low", |w| w.says(&[(Metric::UpsBatteryStatus, 3)]), |w| w.says(&[(Metric::UpsBatteryStatus, 2)])),
];

#[test]
fn every_rule_that_ships_fires_after_its_time_and_resolves() {
    let rules = parse("alerts.yaml", DEFAULT_RULES).unwrap();
    for rule in &rules.rules {
        let (_, breaks, mends) =
            STORIES.iter().find(|(name, ..)| *name == rule.name).unwrap_or_else(|| panic!("no story of {}", rule.name));
        let mut world = World::new();
        assert_eq!(world.pass_until(&rules, &rule.name, Duration::from_secs(60), |_| true), None, "{} fires out of nothing", rule.name);
        breaks(&mut world);
        let fired = world.pass_until(&rules, &rule.name, rule.hold + LATE, |change| matches!(change, Change::Fired(_)));
        let fired = fired.unwrap_or_else(|| panic!("{} did not fire", rule.name));
        assert!(fired >= rule.hold, "{} fired after {fired:?}", rule.name);
        mends(&mut world);
        let resolved = world.pass_until(&rules, &rule.name, LATE, |change| matches!(change, Change::Resolved(_)));
        assert!(resolved.is_some(), "{} did not resolve", rule.name);
    }
    let told: Vec<_> = STORIES.iter().filter(|(name, ..)| rules.rule(name).is_none()).map(|(name, ..)| name).collect();
    assert!(told.is_empty(), "stories of no rule: {told:?}");
}

#[test]
fn hysteresis_keeps_an_alert_until_its_other_bound() {
    let rules = parse("alerts.yaml", DEFAULT_RULES).unwrap();
    let mut world = World::new();
    world.says(&[(Metric::OpticalRxCdbm, -2750)]);
    let is_fired = |change: &Change| matches!(change, Change::Fired(_));
    assert!(world.pass_until(&rules, "optical-power-low", Duration::from_secs(2400), is_fired).is_some());
    world.says(&[(Metric::OpticalRxCdbm, -2650)]);
    assert_eq!(
        world.pass_until(&rules, "optical-power-low", Duration::from_secs(600), |_| true),
        None,
        "between the bounds nothing changes"
    );
    world.says(&[(Metric::OpticalRxCdbm, -2550)]);
    assert!(world.pass_until(&rules, "optical-power-low", Duration::from_secs(60), |_| true).is_some());
}

#[test]
fn a_kpi_rule_names_a_kpi_and_its_time() {
    let rule = |kpi: &str| format!("rules:\n  - name: one\n    kpi: {{ {kpi} }}\n    severity: ticket\n");
    let wrong = |kpi: &str| parse("x", &rule(kpi)).unwrap_err().to_string();
    assert!(wrong("id: availabilty, over: month, below: 90%").contains("did you mean `availability`"));
    assert!(wrong("id: availability, below: 90%").contains("give over"));
    assert!(wrong("id: connected_share_now, over: month, below: 90%").contains("a figure of now"));
    assert!(parse("x", &rule("id: availability, over: month, below: 90%")).is_ok());
    let median = "rules:\n  - name: one\n    metric: { name: spool_frames, below_median_by: 8 }\n    severity: ticket\n";
    assert!(parse("x", median).unwrap_err().to_string().contains("keeps no daily values"));
}
