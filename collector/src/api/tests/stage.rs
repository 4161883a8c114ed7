//! A generated province in a fixed state: one county cut off, one silent, the rest with a few faults each.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusta_wire::{AgentId, ClockSource, Metric, Network, Outcome, ProbeKind, Rung, UnixMs};
use tokio::sync::watch;

use crate::engine::{
    AgentState, AgentView, Cause, LinkState, LinkView, SiteState, SiteView, Snapshot, TargetView, VillageState, VillageView,
};
use crate::inventory::generate::{self, Size};
use crate::inventory::{Inventory, RegionId, RegionKind, SiteId};
use crate::store::Store;
use crate::web::WebState;

/// 1405/08/30 14:20 in Tehran.
pub const NOW: UnixMs = UnixMs(1_795_258_200_000);

/// A province with more than 8,000 sites, generated once.
pub fn province() -> Arc<Inventory> {
    static PROVINCE: OnceLock<Arc<Inventory>> = OnceLock::new();
    Arc::clone(PROVINCE.get_or_init(|| {
        let draft = generate::draft(Size::Kr, 7).unwrap();
        Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory)
    }))
}

/// A state directory that lives as long as the test, and the router's state over it.
pub fn web() -> (tempfile::TempDir, WebState) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    add_incidents(&store);
    let (sender, snapshots) = watch::channel(Arc::new(snapshot()));
    // The watch keeps its last value after its sender is gone.
    drop(sender);
    (dir, WebState::new(snapshots, store).with_clock(|| NOW))
}

/// The province's state at [`NOW`].
pub fn snapshot() -> Snapshot {
    let inventory = province();
    let counties: Vec<_> = ids(&inventory).filter(|id| inventory.region(*id).kind == RegionKind::County).collect();
    let (cut, quiet) = (counties[2], counties[5]);
    let dice = |salt: u64, at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt).rotate_left(29) % 1000;
    let ago = |seconds: u64| NOW - Duration::from_secs(seconds);
    let site_state = |at: usize| {
        let region = inventory.sites[at].region;
        match dice(3, at) {
            _ if inventory.is_within(region, cut) => SiteState::Down,
            _ if inventory.is_within(region, quiet) => SiteState::Unknown,
            0..=24 => SiteState::Down,
            25..=54 => SiteState::Unknown,
            55..=89 => SiteState::Degraded,
            90..=99 => SiteState::BackupOnly,
            100..=104 => SiteState::Maintenance,
            _ => SiteState::Up,
        }
    };
    let sites: Vec<_> = (0..inventory.sites.len())
        .map(|at| {
            let state = site_state(at);
            let cause = match state {
                SiteState::Down if inventory.is_within(inventory.sites[at].region, cut) => Some(Rung::Pop),
                SiteState::Down => Some([Rung::Power, Rung::Radio, Rung::Sim, Rung::Gateway][at % 4]),
                _ => None,
            };
            let evidence = if state == SiteState::Unknown { ago(7_200) } else { ago(20 + dice(9, at) / 20) };
            SiteView {
                state,
                since: ago(600 + dice(5, at) * 97),
                cause: cause.map(|rung| Cause { rung, confidence: 80 }),
                evidence_at: Some(evidence),
            }
        })
        .collect();
    let links = inventory.links.iter().map(|link| link_view(&sites[link.site.index()], link.network)).collect();
    let villages = inventory.villages().map(|region| village_view(&inventory, region, &sites)).collect();
    let agents = (0..inventory.sites.len()).map(|at| agent_view(at, &sites[at])).collect();
    Snapshot { at: NOW, inventory, links, sites, villages, agents, fleet_quiet_since: None }
}

fn ids(inventory: &Inventory) -> impl Iterator<Item = RegionId> + use<> {
    (0..u32::try_from(inventory.regions.len()).unwrap()).map(RegionId)
}

fn link_view(site: &SiteView, network: Network) -> LinkView {
    let state = match site.state {
        SiteState::Up => LinkState::Up,
        SiteState::Degraded => LinkState::Degraded,
        SiteState::Down | SiteState::BackupOnly => LinkState::Down,
        SiteState::Unknown => LinkState::Unknown,
        SiteState::Maintenance => LinkState::Maintenance,
        SiteState::NotInService => LinkState::NotInService,
    };
    let broken = site.cause.map(|cause| cause.rung);
    let at = site.evidence_at.unwrap_or(NOW);
    let target = |name: &str, rung: Rung, probe: ProbeKind, values: Vec<(Metric, i64)>| {
        let failed = broken.is_some_and(|broken| rung >= broken);
        let outcome = if failed { Outcome::Timeout } else { Outcome::Ok };
        TargetView { name: name.to_owned(), rung, probe, observed_at: at, outcome, values: if failed { Vec::new() } else { values } }
    };
    let rtt = |us: i64| {
        vec![
            (Metric::Sent, 3),
            (Metric::Received, 3),
            (Metric::RttUsMin, us - 4_000),
            (Metric::RttUsP50, us),
            (Metric::RttUsMax, us + 31_000),
        ]
    };
    let mut targets = vec![
        target("modem", Rung::Radio, ProbeKind::Modem, vec![(Metric::RsrpDbm, -98), (Metric::RsrqCb, -110), (Metric::SinrCb, 84)]),
        target("gateway", Rung::Gateway, ProbeKind::Icmp, rtt(41_200)),
        target("county", Rung::Pop, ProbeKind::Icmp, rtt(52_900)),
        target("province", Rung::Core, ProbeKind::Icmp, rtt(58_300)),
        target("resolver", Rung::Naming, ProbeKind::Dns, vec![(Metric::QueryUs, 63_000)]),
        target(
            "portal",
            Rung::Service,
            ProbeKind::Http,
            vec![
                (Metric::ConnectUs, 61_000),
                (Metric::TlsUs, 130_000),
                (Metric::FirstByteUs, 88_000),
                (Metric::HttpStatus, 200),
                (Metric::CertificateS, 3_456_000),
            ],
        ),
    ];
    if network != Network::Apn {
        targets.remove(0);
    }
    LinkView { state, since: site.since, evidence_at: site.evidence_at, cause: site.cause, targets: targets.into() }
}

fn village_view(inventory: &Inventory, region: RegionId, sites: &[SiteView]) -> VillageView {
    let here: Vec<_> = inventory.sites_of(region).iter().map(|site| &sites[site.index()]).collect();
    let any = |states: &[SiteState]| here.iter().any(|site| states.contains(&site.state));
    let state = if any(&[SiteState::Up, SiteState::Degraded, SiteState::BackupOnly]) {
        VillageState::Connected
    } else if any(&[SiteState::Down]) {
        VillageState::Disconnected
    } else {
        VillageState::Unknown
    };
    let evidence_at = here.iter().filter_map(|site| site.evidence_at).max();
    let networks_up = if state == VillageState::Connected { vec![Network::Apn, Network::Nin] } else { Vec::new() };
    VillageView { region, state, since: NOW - Duration::from_secs(5_000), evidence_at, networks_up }
}

fn agent_view(at: usize, site: &SiteView) -> AgentView {
    let state = match site.state {
        SiteState::Unknown => AgentState::Silent,
        _ if at.is_multiple_of(37) => AgentState::Late,
        _ => AgentState::Reporting,
    };
    AgentView {
        id: AgentId(0x5eed_0000 + at as u64),
        site: SiteId(u32::try_from(at).unwrap()),
        state,
        received_at: site.evidence_at,
        observed_at: site.evidence_at,
        clock: Some(ClockSource::Collector),
        clock_skew_ms: Some(-340),
        spool_frames: Some(if state == AgentState::Reporting { 0 } else { 12 }),
        lost: 0,
    }
}

/// Code of a site that is down.
pub fn a_down_site() -> String {
    let snapshot = snapshot();
    let at = snapshot.sites.iter().position(|site| site.state == SiteState::Down).unwrap();
    snapshot.inventory.sites[at].code.clone()
}

/// A cut county with many sites, and a single link of another county that is over.
fn add_incidents(store: &Store) {
    let snapshot = snapshot();
    let inventory = &snapshot.inventory;
    let down: Vec<_> = (0..).map(SiteId).zip(&snapshot.sites).filter(|(_, view)| view.state == SiteState::Down).map(|(id, _)| id).collect();
    store
        .write(|db| {
            let sql =
                "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at, opened_at,
                       resolved_at, causes, sites, villages, villages_share, classes)
                       VALUES (?1, 'node', ?2, ?3, ?4, ?5, 'down', 1, ?6, ?7, ?8, ?9, ?10, 40, 0.02, 'A B')";
            let causes = r#"[{"code":"POP","rung":"pop","confidence":86},{"code":"PWR","rung":"power","confidence":40}]"#;
            let begun = NOW.0 - 5_400_000;
            db.execute(sql, (1, "PoP-1", "pop", "گره شبکه مرکزی", "Central PoP", begun, begun + 90_000, None::<i64>, causes, 60))?;
            db.execute(sql, (2, "apn0", "link", "چشمه سفید", "Cheshmeh Sefid", begun, begun + 90_000, Some(NOW.0 - 60_000), causes, 1))?;
            for (at, site) in down.iter().take(60).enumerate() {
                let incident = if at == 59 { 2 } else { 1 };
                let link = inventory.links_of(*site).next().map_or_else(String::new, |link| inventory.link(link).name.clone());
                let sql = "INSERT OR IGNORE INTO incident_members (incident, site_code, link_name, trouble, since, attached_at)
                           VALUES (?1, ?2, ?3, 'down', ?4, ?4)";
                db.execute(sql, (incident, &inventory.site(*site).code, &link, begun))?;
            }
            let sql = "INSERT INTO incident_timeline (incident, at, actor, kind, text) VALUES (1, ?1, ?2, ?3, ?4)";
            db.execute(sql, (begun + 90_000, "engine", "opened", inventory.site(down[0]).code.as_str()))?;
            db.execute(sql, (begun + 120_000, "notify", "delivered", "sms: oncall"))?;
            Ok::<_, crate::store::StoreError>(())
        })
        .unwrap();
}

/// Signs somebody in; returns their cookie and form token.
pub fn session(people: &crate::people::People, name: &str, role: crate::people::Role, region: Option<&str>) -> (String, String) {
    let user =
        crate::people::NewUser { name: name.to_owned(), password: "ten letters!".to_owned(), role, region: region.map(str::to_owned) };
    people.add_user(&user, "cli", NOW).unwrap();
    let attempt = crate::people::Attempt {
        name: name.to_owned(),
        password: "ten letters!".to_owned(),
        address: name.to_owned(),
        ..crate::people::Attempt::default()
    };
    let crate::people::Login::Welcome(entry) = people.sign_in(&attempt, NOW).unwrap() else { panic!("{name} not let in") };
    let visitor = people.by_session(&entry.session, NOW).unwrap().unwrap();
    (format!("rusta_session={}", entry.session), visitor.csrf)
}
