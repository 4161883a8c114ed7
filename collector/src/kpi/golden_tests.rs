//! Golden fixtures: hand-computed cases in `tests/golden/kpi`, at least one for every definition.

mod typed;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rusta_wire::{Network, Rung, UnixMs};
use serde_json::json;

use super::dictionary::{self, Example, example_name};
use super::facts::{Affected, AlertLoad, LinkFacts, OutageFact, PlanUse, Reports, Rounds, Section, ServiceFact};
use super::*;
use crate::engine::{Snapshot, VillageState, VillageView};
use crate::history::{Ended, Histogram, Late, StateSeconds};
use crate::inventory::{Declared, Draft, Goal, Inventory, NodeKind, RegionId, Service, dates};
use crate::persian::Window;
use typed::*;

impl Number {
    fn get(&self) -> f64 {
        match self {
            Number::Whole(value) => *value,
            Number::Fraction(text) => {
                let (over, under) = text.split_once('/').unwrap_or_else(|| panic!("`{text}` is not a fraction"));
                over.trim().parse::<f64>().unwrap() / under.trim().parse::<f64>().unwrap()
            }
        }
    }
}

impl From<Seconds> for StateSeconds {
    fn from(s: Seconds) -> Self {
        let Seconds { up, degraded, down, unknown, maintenance, not_in_service } = s;
        StateSeconds { up, degraded, down, unknown, maintenance, not_in_service }
    }
}

fn histogram(values: &[i64]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|value| histogram.add(*value));
    histogram
}

impl From<&RoundsText> for Rounds {
    fn from(text: &RoundsText) -> Self {
        let mut generation = Histogram::default();
        for (value, count) in &text.generation {
            (0..*count).for_each(|_| generation.add(*value));
        }
        let plan = text.plan.as_ref().map(|(at, used_kib, own_kib, limit_kib)| PlanUse {
            at: dates::moment(at).unwrap(),
            used_kib: *used_kib,
            own_kib: *own_kib,
            limit_kib: *limit_kib,
        });
        Rounds {
            sent: text.sent,
            lost: text.lost,
            rtt_us: histogram(&text.rtt_us),
            pdv_us: histogram(&text.pdv_us),
            packet_rtt_us: histogram(&text.packet_rtt_us),
            packet_pdv_us: histogram(&text.packet_pdv_us),
            ipdv_us: histogram(&text.ipdv_us),
            generation,
            rsrp_dbm: histogram(&text.rsrp_dbm),
            sinr_cb: histogram(&text.sinr_cb),
            download_bps: histogram(&text.download_bps),
            upload_bps: histogram(&text.upload_bps),
            slots: text.slots,
            good_slots: text.good_slots,
            plan,
        }
    }
}

fn inventory(text: &SectionText, version: u32, window: Window) -> Inventory {
    let mut draft = Draft::default();
    for r in &text.regions {
        let region = draft.region(&r.code, r.kind.parse().unwrap(), &r.parent);
        (region.households, region.population, region.fixed_line) = (r.households, r.population, r.fixed_line);
        region.households_as_of.clone_from(&r.households_as_of);
        (region.cohort, region.previous_code) = (r.cohort.clone(), r.previous_code.clone());
        region.inhabited = !r.uninhabited;
        region.name_en.clone_from(&r.name_en);
        (region.lat, region.lon) = (r.place.map(|p| p.0), r.place.map(|p| p.1));
    }
    for s in &text.sites {
        let site = draft.site(&s.code, s.kind.parse().unwrap(), &s.region);
        site.tags.clone_from(&s.tags);
        if let Some(class) = &s.class {
            site.criticality = class.parse().unwrap();
        }
    }
    let nodes: HashSet<&str> = text.links.iter().map(|l| l.parent.as_str()).filter(|p| !p.is_empty()).collect();
    for node in nodes {
        draft.node(node, NodeKind::Bts, "");
    }
    for l in &text.links {
        let network = Network::ALL.iter().copied().find(|n| n.as_str() == l.network).unwrap();
        let link = draft.link(&l.of, &l.name, network, &l.parent);
        link.access = l.access.as_ref().map(|a| a.parse().unwrap());
        link.operator.clone_from(&l.operator);
        (link.metered, link.cycle_day, link.plan_bytes) = (l.metered, l.cycle_day, l.cycle_day.map(|_| 1 << 30));
    }
    let mut inventory = draft.build(version, window.from).unwrap_or_else(|faults| panic!("{}", faults[0])).inventory;
    let region = |code: &str| inventory.region_by_code(code).unwrap_or_else(|| panic!("no region {code}"));
    let declared = text.declared.iter().map(|d| Declared {
        kpi: d.kpi.clone(),
        value: d.value,
        unit: d.unit.clone().unwrap_or_else(|| "ratio".to_owned()),
        numerator: None,
        denominator: None,
        region: region(&d.region),
        as_of: d.as_of.clone().unwrap_or_else(|| "2026-01-01".to_owned()),
        announced_on: None,
        publisher: "x".to_owned(),
        source: String::new(),
        superseded_by: None,
    });
    let declared: Vec<_> = declared.collect();
    let goals: Vec<_> = text
        .goals
        .iter()
        .map(|g| Goal {
            kpi: g.kpi.clone(),
            region: region(&g.region),
            value: g.value,
            baseline: g.baseline,
            due_on: None,
            policy_ref: String::new(),
        })
        .collect();
    inventory.services = text.services.iter().map(|id| service(id)).collect();
    (inventory.declared, inventory.goals) = (declared, goals);
    inventory
}

fn service(id: &str) -> Service {
    Service {
        id: id.trim_end_matches('*').to_owned(),
        name_fa: id.to_owned(),
        name_en: String::new(),
        owner: String::new(),
        criticality: crate::inventory::Criticality::C,
        calendar: String::new(),
        channel: String::new(),
        check: None,
        vantages: Vec::new(),
        scope: Default::default(),
        active: true,
        single_window: id.ends_with('*'),
    }
}

fn section(text: &SectionText, version: u32, whole: Window) -> Section {
    let at = |text: &Option<String>, default| text.as_ref().map_or(default, |t| dates::moment(t).unwrap());
    let window = Window { from: at(&text.from, whole.from), until: at(&text.until, whole.until) };
    let mut section = Section::unknown(Arc::new(inventory(text, version, window)), window);
    section.share = window.length().as_secs_f64() / whole.length().as_secs_f64();
    let inventory = Arc::clone(&section.inventory);
    let region = |code: &str| inventory.region_by_code(code).unwrap_or_else(|| panic!("no region {code}"));
    let site = |code: &str| inventory.site_by_code(code).unwrap_or_else(|| panic!("no site {code}"));
    let link = |code: &str| {
        let (of, name) = code.split_once('/').unwrap();
        inventory.link_by_name(site(of), name).unwrap_or_else(|| panic!("no link {code}"))
    };
    for (code, seconds) in &text.villages {
        section.villages[region(code).index()].as_mut().unwrap().state = (*seconds).into();
    }
    for (code, seconds) in &text.nin {
        section.villages[region(code).index()].as_mut().unwrap().nin = (*seconds).into();
    }
    for (code, seconds) in &text.site_seconds {
        section.sites[site(code).index()] = Some((*seconds).into());
    }
    for (code, seconds) in &text.link_seconds {
        section.links[link(code).index()] = Some(LinkFacts { state: (*seconds).into(), ..LinkFacts::default() });
    }
    for (code, seconds) in &text.dehyari_uplink {
        section.villages[region(code).index()].as_mut().unwrap().dehyari_uplink = (*seconds).into();
    }
    for (code, seconds) in &text.site_short_notice {
        section.short_notice[site(code).index()] = (*seconds).into();
    }
    for (code, seconds) in &text.link_short_notice {
        section.links[link(code).index()].as_mut().unwrap().short_notice = (*seconds).into();
    }
    for (code, rounds) in &text.rounds {
        section.links[link(code).index()].as_mut().unwrap().rounds = Some(Box::new(rounds.into()));
    }
    section.outages = text
        .outages
        .iter()
        .map(|o| {
            let (kind, code) = o.of.split_once(' ').unwrap();
            OutageFact {
                of: match kind {
                    "link" => Affected::Link(link(code)),
                    "site" => Affected::Site(site(code)),
                    _ => Affected::Village(region(code)),
                },
                started_at: dates::moment(&o.from).unwrap(),
                ended_at: o.until.as_ref().map(|u| dates::moment(u).unwrap()),
                ended: o.until.as_ref().map(|_| match (o.lost_from_sight, o.ended_by_work) {
                    (true, _) => Ended::Silence,
                    (_, true) => Ended::Work,
                    _ => Ended::Restored,
                }),
                seen_until: o.until.as_ref().map_or(window.until, |until| dates::moment(until).unwrap()),
                bounds: None,
                cause: o.cause.as_ref().map(|c| Rung::ALL.iter().copied().find(|r| r.as_str() == c).unwrap()),
                detected_at: o.detected.as_ref().map(|at| dates::moment(at).unwrap()),
                acknowledged_at: o.acknowledged.as_ref().map(|at| dates::moment(at).unwrap()),
                work: o.work.iter().map(|(from, until)| (dates::moment(from).unwrap(), dates::moment(until).unwrap())).collect(),
            }
        })
        .collect();
    let attempts = text.attempts.iter().map(|a| ServiceFact {
        service: a.service.clone(),
        site: site(&a.site),
        attempts: a.attempts,
        ok: a.ok,
        attempts_up: a.up,
        ok_up: a.ok_up.unwrap_or(a.ok),
        latency_us: histogram(&a.latency_us),
    });
    section.services = (!text.attempts.is_empty()).then(|| attempts.collect());
    let reports = |code: &String| {
        text.reports.get(code).map(|r| Reports {
            expected: r.expected,
            received: r.received,
            on_time: r.on_time,
            lag_s: histogram(&r.lag_s),
            skew_ms: histogram(&r.skew_ms),
            late: r.late.map_or_else(Default::default, |(known_s, down_s, days)| Late { known_s, down_s, days }),
        })
    };
    section.reports = (!text.reports.is_empty()).then(|| inventory.sites.iter().map(|s| reports(&s.code)).collect());
    section.young_counties = text.young.iter().map(|code| region(code)).collect();
    section
}

fn facts(fixture: &Fixture) -> Facts {
    let period: Period = fixture.period.parse().unwrap();
    let window = period.window(UnixMs(0));
    let mut sections: Vec<Section> = fixture.sections.iter().zip(1..).map(|(text, version)| section(text, version, window)).collect();
    for at in 1..sections.len() {
        let (old, new) = (Arc::clone(&sections[at - 1].inventory), Arc::clone(&sections[at].inventory));
        let named =
            |code: &str| (0..).map(RegionId).zip(&new.regions).find(|(_, r)| r.previous_code.as_deref() == Some(code)).map(|(id, _)| id);
        sections[at - 1].next = old.regions.iter().map(|r| named(&r.code).or_else(|| new.region_by_code(&r.code))).collect();
    }
    let load = |[pages, quick, actionable, suppressed]: [u64; 4]| AlertLoad { pages, quick, actionable, suppressed };
    let alerts = fixture.alerts.as_ref().map(|by| by.iter().map(|(who, counts)| (who.clone(), load(*counts))).collect());
    let definitions = Definitions::new(fixture.definitions.iter().map(definition).collect());
    Facts { period, window, read_at: window.until, status: Status::Provisional, sections, alerts, definitions, whole: Default::default() }
}

fn definition(text: &DefinitionText) -> Definition {
    let (kpi, mut terms) = (by_id(&text.kpi).unwrap(), Terms::FIRST);
    text.set.iter().for_each(|(term, value)| terms.set(term.parse().unwrap(), value).unwrap());
    Definition { kpi, version: text.version, effective_from: Some(dates::moment(&text.from).unwrap()), decree: "x".to_owned(), terms }
}

/// The moment the last section describes, for the figure of now.
fn snapshot(fixture: &Fixture, facts: &Facts) -> Snapshot {
    let (inventory, at) = (facts.last_map(), UnixMs(1_000_000_000));
    let view = |(code, (state, age_s)): (&String, &(String, i64))| VillageView {
        region: inventory.region_by_code(code).unwrap(),
        state: VillageState::ALL.iter().copied().find(|known| known.as_str() == state).unwrap(),
        since: UnixMs(0),
        evidence_at: Some(UnixMs(at.0 - age_s * 1000)),
        networks_up: Vec::new(),
    };
    let villages = fixture.sections.iter().flat_map(|section| &section.now).map(view).collect();
    Snapshot {
        at,
        inventory: Arc::clone(&inventory),
        links: Vec::new(),
        sites: Vec::new(),
        villages,
        agents: Vec::new(),
        fleet_quiet_since: None,
    }
}

fn close(what: &str, expected: Option<&Number>, found: Option<f64>) {
    match (expected.map(Number::get), found) {
        (None, None) => {}
        (Some(expected), Some(found)) if (expected - found).abs() <= 1e-9 * expected.abs().max(1.0) => {}
        (expected, found) => panic!("{what}: expected {expected:?}, found {found:?}"),
    }
}

fn check(name: &str, facts: &Facts, snapshot: &Snapshot, expect: &Expect) {
    let what = format!("{name}: {} of {} {}", expect.kpi, expect.region, expect.part.as_deref().unwrap_or(""));
    let (id, version) = expect.kpi.split_once('@').map_or((expect.kpi.as_str(), None), |(id, v)| (id, Some(v.parse().unwrap())));
    let kpi = by_id(id).unwrap_or_else(|| panic!("{what}: no such KPI"));
    let weight = expect.weight.as_ref().map_or(kpi.weights[0], |w| w.parse().unwrap());
    let by = expect.by.as_ref().map(|b| b.parse().unwrap());
    let ask = Ask { region: Some(&expect.region), weight, by, version };
    let figures = match kpi.measures {
        [Measure::Now(_)] => connected_share_now::answer(snapshot, ask),
        _ => compute(kpi, facts, ask),
    };
    let is_wanted = |f: &&Figure| expect.part.is_none() || f.part.as_ref().map(|(_, part)| part) == expect.part.as_ref();
    let figure = figures.iter().find(is_wanted).unwrap_or_else(|| panic!("{what}: no figure in {figures:?}"));
    assert_eq!(figure.standing.as_str(), expect.standing, "{what}: {figure:?}");
    version.into_iter().for_each(|version: u32| assert_eq!(figure.definition_version, version, "{what}"));
    close(&format!("{what} value"), expect.value.as_ref(), figure.value);
    let given = [
        ("numerator", &expect.numerator, Some(figure.numerator)),
        ("denominator", &expect.denominator, Some(figure.denominator)),
        ("unknown", &expect.unknown, Some(figure.unknown)),
        ("lo", &expect.lo, figure.lo),
        ("hi", &expect.hi, figure.hi),
        ("known_ratio", &expect.known_ratio, figure.known_ratio),
    ];
    for (name, expected, found) in given.into_iter().filter(|(_, expected, _)| expected.is_some()) {
        close(&format!("{what} {name}"), expected.as_ref(), found);
    }
    if let Some((value, error)) = expect.estimate {
        let mark = figure.estimate.unwrap_or_else(|| panic!("{what}: no estimate"));
        let is_near = |found: f64, expected: f64| (found - expected).abs() <= 1e-9;
        assert!(is_near(mark.value, value) && is_near(mark.error, error), "{what} estimate: {mark:?}");
        assert!(figure.lo <= Some(mark.value) && Some(mark.value) <= figure.hi, "{what}: the third mark lies between the bounds");
    }
    assert!(!expect.no_estimate || figure.estimate.is_none(), "{what}: {:?}", figure.estimate);
    for (name, expected) in &expect.details {
        let found = figure.detail(name).unwrap_or_else(|| panic!("{what}: no detail {name} in {:?}", figure.details));
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what} {name}: expected {expected}, found {found}");
    }
}

/// Reads every fixture, by name.
fn fixtures() -> Vec<(String, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/kpi");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let fixture = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, fixture)
    };
    files.iter().filter(|p| p.extension().is_some_and(|e| e == "yaml")).map(read).collect()
}

#[test]
fn every_definition_gives_what_was_computed_by_hand() {
    let mut covered: HashSet<String> = HashSet::new();
    for (name, fixture) in fixtures() {
        assert!(!fixture.why.is_empty());
        let facts = facts(&fixture);
        let snapshot = snapshot(&fixture, &facts);
        for expect in &fixture.expect {
            check(&name, &facts, &snapshot, expect);
            covered.extend(is_written_out(expect).then(|| expect.kpi.clone()));
        }
    }
    let missing: Vec<_> = CATALOGUE.iter().map(|k| k.id).filter(|id| !covered.contains(*id)).collect();
    assert!(missing.is_empty(), "no fixture writes out numerator, denominator and bounds of {missing:?}");
}

/// Tells whether a case stands on a hand computation: what was counted, of what, the result, and where what is unknown
/// can be bounded, both bounds.
fn is_written_out(expect: &Expect) -> bool {
    let Ok((kpi, _)) = named(&expect.kpi) else { return false };
    let has_bounds = matches!(kpi.form, Form::Share | Form::ShareOfAll) && kpi.unit == Unit::Ratio;
    let counted = match kpi.form {
        Form::Count => expect.numerator.is_some(),
        // A percentile or median counts values; there is nothing over them.
        Form::Median | Form::Percentile(..) => expect.denominator.is_some(),
        _ => expect.numerator.is_some() && expect.denominator.is_some(),
    };
    let bounded = !has_bounds || (expect.lo.is_some() && expect.hi.is_some());
    counted && bounded && (expect.value.is_some() || has_bounds)
}

/// The example of each text of each definition: the first case written out whose figure is known, else the first.
fn examples() -> BTreeMap<String, Example> {
    let mut found: BTreeMap<String, (bool, Example)> = BTreeMap::new();
    for (name, fixture) in fixtures().into_iter().filter(|(_, fixture)| fixture.definitions.is_empty()) {
        let facts = facts(&fixture);
        let snapshot = snapshot(&fixture, &facts);
        for expect in fixture.expect.iter().filter(|expect| expect.by.is_none()) {
            let (kpi, version) = named(&expect.kpi).unwrap();
            let rules = if kpi.second.is_some() && version != Some(1) { Rules::Second } else { Rules::First };
            let weight = expect.weight.as_ref().map_or(kpi.weights[0], |w| w.parse().unwrap());
            let ask = Ask { region: Some(&expect.region), weight, by: None, version };
            let explained = match kpi.measures {
                [Measure::Now(_)] => explain::explain_now(&snapshot, ask),
                _ => explain::explain(kpi, &facts, ask),
            };
            let is_wanted = |f: &&Figure| expect.part.is_none() || f.part.as_ref().map(|(_, part)| part) == expect.part.as_ref();
            let figure = explained.figures.iter().find(is_wanted).unwrap_or_else(|| panic!("{name}: {} has no figure", expect.kpi));
            let example = Example::of(&name, figure, &explained.rows);
            let is_whole = !example.rows.is_empty() && is_written_out(expect);
            let is_better = |(known, _): &(bool, Example)| !known && figure.value.is_some();
            match found.entry(example_name(kpi, rules)) {
                _ if !is_whole => {}
                Entry::Vacant(free) => drop(free.insert((figure.value.is_some(), example))),
                Entry::Occupied(mut taken) if is_better(taken.get()) => drop(taken.insert((true, example))),
                Entry::Occupied(_) => {}
            }
        }
    }
    found.into_iter().map(|(name, (_, example))| (name, example)).collect()
}

/// `RUSTA_WRITE=1` writes them.
#[test]
fn the_dictionarys_worked_examples_are_the_golden_fixtures() {
    let examples = examples();
    if std::env::var_os("RUSTA_WRITE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kpi/dictionary/examples.json");
        let lines: Vec<String> = examples.iter().map(|(name, one)| format!("{}: {}", json!(name), json!(one))).collect();
        std::fs::write(path, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
        return;
    }
    let written = dictionary::examples();
    for (name, example) in &examples {
        assert_eq!(written.get(name), Some(example), "the example of {name} is not the fixture's; write it with RUSTA_WRITE=1");
    }
    assert_eq!(written.len(), examples.len());
}
