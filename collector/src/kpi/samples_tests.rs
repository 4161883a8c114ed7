//! From samples in a log to figures: what the loader can give every definition, and what an hour without the collector
//! changes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung,
    Sample, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};
use tokio::sync::watch;

use super::*;
use crate::advance::{self, Advance};
use crate::config::Thresholds;
use crate::day::Day;
use crate::engine::testing::second;
use crate::history::{self, ObjectKind, tables};
use crate::inventory::{Access, Declared, Draft, Goal, Inventory, NodeKind, RegionKind, Service, SiteKind, Versions};
use crate::log::{Incoming, Keeping, Log, Upload};
use crate::persian::JalaliDate;
use crate::store::{Store, StoreError};

/// One round and one report every five minutes.
const CYCLE_S: i64 = 300;

/// The day that is looked at, by Tehran's calendar.
fn day() -> Day {
    Day::of(second(0)).next()
}

/// Seconds from the day's start.
fn at(seconds: i64) -> UnixMs {
    UnixMs(day().start().0 + seconds * 1000)
}

/// A province whose second county is a week old, with a site of every kind the catalogue asks about.
fn map(version: u32, from: UnixMs, with_new_county: bool) -> Arc<Inventory> {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    let county = if with_new_county { "0902" } else { "0901" };
    if with_new_county {
        draft.region("0902", RegionKind::County, "09");
    }
    for (code, households) in [("V", 30), ("W", 12)] {
        let village = draft.region(code, RegionKind::Village, county);
        (village.households, village.population, village.fixed_line) = (Some(households), Some(households * 4), Some(true));
    }
    draft.node("POP", NodeKind::Pop, "");
    draft.node("CORE", NodeKind::Core, "");
    let sites =
        [("SV", SiteKind::Village, "V"), ("SD", SiteKind::Dehyari, "V"), ("SW", SiteKind::Village, "W"), ("IC", SiteKind::IctOffice, "V")];
    for (code, kind, region) in sites {
        draft.site(code, kind, region);
        let link = draft.link(code, "up0", Network::Gov, "POP");
        (link.access, link.operator, link.metered) = (Some(Access::Lte), "mci".to_owned(), kind != SiteKind::IctOffice);
    }
    draft.site("GO", SiteKind::Farmandari, county).tags = vec!["polling".to_owned(), "ups-60".to_owned()];
    draft.link("GO", "up0", Network::Gov, "POP").access = Some(Access::Fibre);
    draft.link("GO", "up1", Network::Gov, "CORE").access = Some(Access::Radio);
    let mut inventory = draft.build(version, from).unwrap().inventory;
    let region = inventory.region_by_code("09").unwrap();
    let declared = |kpi: &str, value| Declared {
        kpi: kpi.to_owned(),
        value,
        unit: "ratio".to_owned(),
        numerator: None,
        denominator: None,
        region,
        as_of: "2026-01-01".to_owned(),
        announced_on: None,
        publisher: "x".to_owned(),
        source: String::new(),
        superseded_by: None,
    };
    inventory.declared = vec![declared("connected_share_period", 1.0), declared("urban_connected_share_period", 0.999)];
    let goal = |kpi: &str| Goal { kpi: kpi.to_owned(), region, value: 1.0, baseline: Some(0.0), due_on: None, policy_ref: String::new() };
    inventory.goals = vec![goal("connected_share_period")];
    inventory.services = vec![Service {
        id: "portal".to_owned(),
        name_fa: String::new(),
        name_en: String::new(),
        owner: String::new(),
        criticality: crate::inventory::Criticality::C,
        calendar: String::new(),
        channel: String::new(),
        check: None,
        vantages: Vec::new(),
        scope: Default::default(),
        active: true,
        single_window: true,
    }];
    Arc::new(inventory)
}

/// What an agent measures on a link: anchors, the modem, the plan, a service and a throughput test.
fn series_of(link: &str) -> Vec<Series> {
    let series = |target: &str, rung, probe, metrics: &[Metric]| Series {
        link: link.to_owned(),
        network: Network::Gov,
        target: target.to_owned(),
        towards: String::new(),
        rung,
        probe,
        interval_s: u32::try_from(CYCLE_S).unwrap(),
        metrics: metrics.to_vec(),
    };
    let ping = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::PdvUsP95, Metric::IpdvUsMean];
    vec![
        series("gateway", Rung::Gateway, ProbeKind::Icmp, &ping),
        series("nin", Rung::Nin, ProbeKind::Icmp, &ping),
        series("modem", Rung::Radio, ProbeKind::Modem, &[Metric::Rat, Metric::RsrpDbm, Metric::SinrCb]),
        series("plan", Rung::Device, ProbeKind::Agent, &[Metric::PlanUsedKib, Metric::PlanOwnKib, Metric::PlanLimitKib]),
        series("service-portal", Rung::Service, ProbeKind::Http, &[Metric::FirstByteUs]),
        series("test", Rung::Core, ProbeKind::Throughput, &[Metric::DownloadBps, Metric::UploadBps]),
    ]
}

fn value_of(metric: Metric, ok: bool) -> Option<i64> {
    match metric {
        Metric::Sent => Some(12),
        Metric::Received => Some(if ok { 12 } else { 0 }),
        Metric::Rat => Some(4),
        Metric::RsrpDbm => Some(-90),
        Metric::SinrCb => Some(150),
        Metric::PlanUsedKib => Some(400_000),
        Metric::PlanOwnKib => Some(9_000),
        Metric::PlanLimitKib => Some(4_000_000),
        _ if !ok => None,
        Metric::DownloadBps => Some(12_000_000),
        Metric::UploadBps => Some(3_000_000),
        Metric::PdvUsP95 | Metric::IpdvUsMean => Some(2_000),
        _ => Some(40_000),
    }
}

/// One report as it is on the wire, of the cycle that ends at `until` seconds of the day.
struct Report {
    site: &'static str,
    until: i64,
    incoming: Incoming,
}

const SITES: [&str; 5] = ["SV", "SD", "SW", "IC", "GO"];

/// Seconds of the day in which nothing answers the first village.
const CUT: std::ops::Range<i64> = 18_000..21_600;

struct World {
    _dir: tempfile::TempDir,
    log: Log,
    store: Store,
    versions: Versions,
    advance: Advance,
    builder: history::Builder,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(Keeping { dir: dir.path().join("log"), retention_days: 30, group_commit: Duration::from_millis(1) }).unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (place, site) in SITES.iter().enumerate() {
            let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?1, 0, 0)";
            store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (AgentId(place as u64 + 1).to_string(), site))?)).unwrap();
        }
        let versions = Versions::new(vec![map(1, UnixMs(0), false), map(2, at(-7 * 86_400), true)]);
        let inventories = watch::channel(Arc::new(versions.clone())).1;
        let (thresholds, from) = (Thresholds::default(), at(-3_600));
        let parts =
            advance::Parts { log: log.clone(), store: store.clone(), inventories: inventories.clone(), thresholds: thresholds.clone() };
        let parts_of_builder = history::Parts { log: log.clone(), store: store.clone(), inventories, thresholds, retention_days: 30 };
        World {
            advance: Advance::open(parts, from).unwrap(),
            builder: history::Builder::new(parts_of_builder),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            _dir: dir,
            log,
            store,
            versions,
        }
    }

    /// Encodes what every agent sees from an hour before the day to an hour after it.
    fn reports(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        for (place, site) in SITES.iter().enumerate() {
            let series = if *site == "GO" { [series_of("up0"), series_of("up1")].concat() } else { series_of("up0") };
            let table = Arc::new(SeriesTable { series });
            let names = self.log.learn_names(AgentId(place as u64 + 1), &table.encode()).unwrap();
            for cycle in -11..=300 {
                let until = cycle * CYCLE_S;
                let ok = *site != "SV" || !CUT.contains(&(until - 30));
                let batch = batch(AgentId(place as u64 + 1), &table, until, ok);
                let payload = batch.encode(&table).unwrap();
                let incoming = Incoming {
                    head: Batch::head(&payload).unwrap(),
                    live_offset_ms: Some(at(-7_200).0),
                    frame: Bytes::from(Frame::new(FrameKind::Batch, payload).unwrap().to_bytes()),
                    names: names.clone(),
                };
                reports.push(Report { site, until, incoming });
            }
        }
        reports.sort_by_key(|report| report.until);
        reports
    }

    fn append(&self, report: &Report, received: i64) {
        let upload = Upload { site_code: report.site.into(), received_at: at(received), batches: vec![report.incoming.clone()] };
        self.runtime.block_on(self.log.append(upload)).unwrap();
    }

    fn catch_up(&mut self, now: i64) {
        while self.advance.step(at(now)).unwrap() > 0 {}
        while self.builder.step(at(now)).unwrap() > 0 {}
    }

    fn facts(&self, period: Period, now: UnixMs) -> Facts {
        self.store.read(|db| load::facts(db, &self.versions, period, View::AsWas, now)).unwrap()
    }
}

fn batch(agent: AgentId, table: &SeriesTable, until: i64, ok: bool) -> Batch {
    let mono = |seconds: i64| MonoMs(u64::try_from((seconds + 7_200) * 1000).unwrap());
    let sample = |place: usize, series: &Series| {
        let is_gauge = matches!(series.probe, ProbeKind::Modem | ProbeKind::Agent);
        Sample {
            series: SeriesIndex(u16::try_from(place).unwrap()),
            at: mono(until - 30),
            outcome: if ok || is_gauge { Outcome::Ok } else { Outcome::Timeout },
            values: series.metrics.iter().map(|metric| value_of(*metric, ok)).collect(),
        }
    };
    Batch {
        id: BatchId { agent, boot: BootId(1), sequence: Sequence(u64::try_from(until / CYCLE_S + 12).unwrap()) },
        covers: 1,
        from: mono(until - CYCLE_S),
        until: mono(until),
        clock: Clock { unix: at(until), source: ClockSource::Synchronised, uncertainty_ms: 10 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table.id(),
        samples: table.series.iter().enumerate().map(|(place, series)| sample(place, series)).collect(),
    }
}

fn jalali_day() -> Period {
    Period::Day(JalaliDate::at(day().start()))
}

/// The whole day, reported as it happened.
fn lived() -> World {
    let mut world = World::new();
    for report in world.reports() {
        world.append(&report, report.until + 2);
    }
    world.catch_up(95_000);
    world
}

/// The province's figures by KPI and part.
fn figures(facts: &Facts) -> BTreeMap<String, Vec<Figure>> {
    let ask = Ask { region: Some("09"), ..Ask::default() };
    CATALOGUE.iter().map(|kpi| (kpi.id.to_owned(), answer(kpi, facts, ask))).collect()
}

/// Calls that woke somebody, as notify keeps them.
fn call_somebody(store: &Store) {
    let letter = r#"{"kind":"fire","severity":"page"}"#;
    let sql = "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at, opened_at,
                   causes, sites, villages, villages_share, classes, acknowledged_at, visited_at)
               VALUES (7, 'site', 'SV', 'site', '', '', 'down', 1, ?1, ?1, '[{\"code\":\"PWR\"}]', 1, 1, 1.0, 'C', ?2, ?2)";
    store
        .write(|tx| {
            tx.execute("INSERT INTO notify_memory (name, value) VALUES ('looked_at', '1')", [])?;
            tx.execute(sql, (at(18_000).0, at(18_900).0))?;
            let sql = "INSERT INTO incident_members (incident, site_code, link_name, trouble, since, attached_at, left_at)
                       VALUES (7, 'SV', 'up0', 'down', ?1, ?2, ?3)";
            tx.execute(sql, (at(CUT.start).0, at(CUT.start + 300).0, at(CUT.end).0))?;
            for (id, recipient, created) in [("a", "ali", 18_300), ("b", "sara", 18_300), ("c", "ali", 30_000)] {
                let sql = "INSERT INTO outbox (id, case_key, recipient, channels, letter, created_at, next_at) VALUES (?1, 'incident/7', ?2, '[]', ?3, ?4, ?4)";
                tx.execute(sql, (id, recipient, letter, at(created).0))?;
            }
            let sql = "INSERT INTO decisions (case_key, at, stage, verdict, reason) VALUES ('x', ?1, 'root_cause', 'drop', '')";
            tx.execute(sql, [at(18_400).0])?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

/// Lists, for every definition, whether samples, the registry and the record of calls give it a value. A definition
/// that cannot get one from them must say what it needs.
#[test]
fn every_definition_gets_a_figure_from_samples_in_a_log() {
    let world = lived();
    call_somebody(&world.store);
    let facts = world.facts(jalali_day(), at(95_000));
    let has_value = |kpi: &&Kpi| answer(kpi, &facts, Ask::default()).iter().any(|figure| figure.value.is_some());
    let without: Vec<&str> = CATALOGUE.iter().filter(|kpi| !has_value(kpi)).map(|kpi| kpi.id).collect();
    // The figure of now is made from the engine's snapshot, not from history.
    // A day is too short for the contract, and a round in five minutes too few to judge the five minutes by.
    assert_eq!(without, ["connected_share_now", "sla_pass_share", "quality_ok_share"]);
    let figures = figures(&facts);
    let one = |id: &str| &figures[id][0];
    let numbers = |id: &str| (one(id).numerator, one(id).denominator);
    // An hour of the first village's public point, while its dehyari kept it connected.
    assert_eq!(numbers("outage_count").0, 1.0);
    assert_eq!(one("mttr").value, Some(60.0));
    // From the first failure, 30 s before the report that said so, to the incident, to its acknowledgement, to the first answer.
    assert_eq!(["mttr_detect", "mttr_acknowledge", "mttr_restore"].map(|id| one(id).value), [0.5, 10.0, 49.5].map(Some));
    assert_eq!(numbers("connected_share_period"), (2.0 * 86_400.0, 2.0 * 86_400.0));
    assert_eq!(numbers("availability"), (5.0 * 86_400.0 - 3_600.0, 5.0 * 86_400.0));
    assert_eq!(numbers("radio_band_share"), (6.0 * 288.0, 6.0 * 288.0));
    assert_eq!(numbers("reporting_completeness"), (5.0, 5.0));
    assert_eq!(one("reporting_completeness").detail("lag_s_p95"), Some(2.0));
    assert_eq!(numbers("data_plan_use"), (6.0 * 400_000.0, 6.0 * 4_000_000.0));
    assert_eq!(numbers("service_reachability"), (6.0 * 288.0 - 12.0, 6.0 * 288.0));
    assert_eq!(numbers("loss_ratio"), (0.0, (6.0 * 288.0 - 12.0) * 24.0), "an outage is not loss");
    // Two people were woken by one call, and once more later: two calls in two shifts.
    assert_eq!((numbers("alert_load"), one("alert_load").detail("suppressed")), ((2.0, 2.0), Some(1.0)));
    assert_eq!((one("alert_load").detail("acknowledged_quickly"), one("alert_load").detail("actionable")), (Some(1.0), Some(1.0)));
}

/// The seconds of a row are those its numerator was judged by, not those of the village's paths.
#[test]
fn the_national_networks_share_is_explained_by_its_own_seconds() {
    let world = lived();
    let facts = world.facts(jalali_day(), at(95_000));
    let kpi = by_id("nin_share_20plus").unwrap();
    let explained = explain::explain(kpi, &facts, Ask { region: Some("09"), ..Ask::default() });
    let villages: Vec<_> = explained.rows.iter().filter(|row| row.kind == "village").collect();
    assert!(!villages.is_empty());
    for row in villages {
        let id = facts.last_map().region_by_code(&row.code).unwrap();
        let nin = facts.whole().sections.last().unwrap().villages[id.index()].unwrap().nin;
        assert_eq!((row.up_s, row.down_s, row.unknown_s), (Some(nin.up), Some(nin.down), Some(nin.unknown)), "{}", row.code);
    }
}

#[test]
fn what_explains_a_figure_adds_up_to_it_exactly_for_every_definition() {
    let world = lived();
    call_somebody(&world.store);
    let facts = world.facts(jalali_day(), at(95_000));
    for kpi in CATALOGUE.iter().filter(|kpi| kpi.id != "connected_share_now") {
        for weight in kpi.weights {
            let ask = Ask { region: Some("09"), weight: *weight, ..Ask::default() };
            let explained = explain::explain(kpi, &facts, ask);
            assert_eq!(explained.figures, answer(kpi, &facts, ask), "{}", kpi.id);
            // As anybody reads it: the columns of the file, summed.
            let csv = explained.csv().unwrap();
            let mut reader = csv::Reader::from_reader(csv.as_slice());
            let heading = reader.headers().unwrap().clone();
            let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
            let cell = |line: &csv::StringRecord, name: &str| line[heading.iter().position(|h| h == name).unwrap()].to_owned();
            for figure in &explained.figures {
                let part = figure.part.as_ref().map(|(by, part)| format!("{by}={part}")).unwrap_or_default();
                let of_part: Vec<_> = lines.iter().filter(|line| cell(line, "part") == part).collect();
                let added = of_part.iter().filter(|line| !["bucket", "figure"].contains(&cell(line, "kind").as_str()));
                let sum = |name: &str| {
                    let number = |line: &csv::StringRecord, name: &str| cell(line, name).parse::<f64>().unwrap();
                    let per = added.clone().map(|line| number(line, &format!("{name}_per"))).next().unwrap_or(1.0);
                    added.clone().map(|line| number(line, name)).sum::<f64>() / per
                };
                let sums = ["numerator", "denominator", "unknown"].map(sum);
                assert_eq!(sums, [figure.numerator, figure.denominator, figure.unknown], "{} {part}", kpi.id);
                assert_eq!(sums, explained.sums(figure), "{} {part}", kpi.id);
                let has_rows = added.count() > 0;
                assert!(has_rows || matches!(figure.standing, Standing::NotCollected | Standing::Empty), "{} {part} has no rows", kpi.id);
            }
        }
    }
}

#[test]
fn parts_of_every_breakdown_add_up_to_the_whole() {
    let world = lived();
    call_somebody(&world.store);
    let facts = world.facts(jalali_day(), at(95_000));
    for kpi in CATALOGUE.iter().filter(|kpi| kpi.id != "connected_share_now") {
        let asked = |by| answer(kpi, &facts, Ask { region: Some("09"), by, ..Ask::default() });
        let is_derived = matches!(kpi.measures[0], Measure::Derived(_));
        let Some(whole) = &asked(None).into_iter().next() else {
            assert!(is_derived, "{} has no figure", kpi.id);
            continue;
        };
        // Shares of services and gaps are judged anew in every part; all else is counted once in one part.
        let counted = kpi.by.iter().filter(|by| !is_derived || matches!(by, Breakdown::Service | Breakdown::Responsible));
        for by in counted {
            let parts = asked(Some(*by));
            if parts.is_empty() && whole.standing == Standing::NotCollected {
                continue;
            }
            assert!(!parts.is_empty() && parts.iter().all(|part| *by == Breakdown::Region || part.part.is_some()), "{} by {by}", kpi.id);
            let sum = |of: fn(&Figure) -> f64| parts.iter().map(of).sum::<f64>();
            let same = |what: &str, of: fn(&Figure) -> f64| {
                assert!((sum(of) - of(whole)).abs() < 1e-6, "{what} of {} by {by}: {} is not {}", kpi.id, sum(of), of(whole));
            };
            match by {
                // The attempts to use a service are no seconds of a site.
                Breakdown::Service if !kpi.instead.is_empty() => continue,
                // Every cause takes its own seconds off all that is known.
                Breakdown::Cause if kpi.form == Form::Share => {
                    let lost: f64 = parts.iter().map(|part| part.denominator - part.numerator).sum();
                    assert_eq!(lost, whole.denominator - whole.numerator, "{}", kpi.id);
                    assert!(lost > 0.0 && parts.iter().all(|part| part.denominator == whole.denominator), "{}", kpi.id);
                }
                // The hours between failures of one cause are all the hours links were up.
                Breakdown::Cause if kpi.form == Form::Between => {}
                _ => same("numerator", |figure| figure.numerator),
            }
            // What was watched for outages, and the shifts somebody was on call, belong to every part.
            let counts_outages = kpi.measures_by(Some(*by)).iter().any(|m| matches!(m, Measure::Outage(_) | Measure::Derived(_)));
            if !matches!(by, Breakdown::Cause | Breakdown::Responsible) || !counts_outages {
                same("denominator", |figure| figure.denominator);
                same("unknown", |figure| figure.unknown);
            }
        }
    }
}

#[test]
fn the_last_24_hours_are_the_day_when_they_are_asked_for_at_its_end() {
    let world = lived();
    let (rolling, whole) = (world.facts(Period::Last24h, at(86_400)), world.facts(jalali_day(), at(86_400)));
    let (rolling, whole) = (figures(&rolling), figures(&whole));
    let numbers = |of: &[Figure]| of.iter().map(|f| (f.part.clone(), f.numerator, f.denominator, f.unknown, f.value)).collect::<Vec<_>>();
    for (id, figures) in &whole {
        assert_eq!(numbers(&rolling[id]), numbers(figures), "{id}");
    }
    // Half a day later it is made of the ends of two days, read from spans and slots.
    let cut = world.facts(Period::Last24h, at(43_200));
    let of = |id: &str| answer(by_id(id).unwrap(), &cut, Ask { region: Some("09"), ..Ask::default() }).remove(0);
    // Heard from 3,330 s before midnight on: one round in each five minutes of 13 hours less one, on six links.
    assert_eq!(of("outage_count").numerator, 1.0);
    assert_eq!(of("connected_share_period").numerator, 2.0 * (43_200.0 + 3_330.0));
    assert_eq!(of("service_reachability").denominator, 6.0 * 156.0);
    assert_eq!(of("rtt_p50").denominator, (6.0 * 156.0 - 12.0) * 24.0, "two anchors of twelve packets");
    // Expected for all of it: nobody heard of eleven of these twenty-four hours.
    let expected = of("reporting_completeness");
    assert_eq!([expected.detail("received"), expected.detail("expected")], [5.0 * 155.0, 5.0 * 288.0].map(Some));
    assert_eq!((expected.numerator, expected.denominator), (2.690_97, 5.0), "site by site, to a millionth");
}

#[test]
fn an_hour_without_the_collector_changes_no_figure_once_it_is_replayed() {
    let lived = lived();
    let mut stopped = World::new();
    let stop = 36_000..39_600;
    let (owed, live): (Vec<Report>, Vec<Report>) = stopped.reports().into_iter().partition(|report| stop.contains(&report.until));
    let (before, after): (Vec<Report>, Vec<Report>) = live.into_iter().partition(|report| report.until < stop.start);
    before.iter().for_each(|report| stopped.append(report, report.until + 2));
    stopped.catch_up(stop.start);
    // The day is built while the hour is missing: then it is unknown, and nobody's outage.
    after.iter().take(60).for_each(|report| stopped.append(report, report.until + 2));
    stopped.catch_up(46_000);
    let missing = stopped.facts(jalali_day(), at(46_000));
    let of = |facts: &Facts, id: &str| answer(by_id(id).unwrap(), facts, Ask { region: Some("09"), ..Ask::default() }).remove(0);
    assert!(of(&missing, "connected_share_period").unknown > 0.0);
    let outages = |world: &World| {
        let of_kind = |kind| world.store.read(|db| tables::outages(db, kind, at(0), at(86_400))).unwrap();
        [ObjectKind::Link, ObjectKind::Site, ObjectKind::Village]
            .map(|kind| of_kind(kind).into_iter().map(|o| (o.object, o.started_at, o.ended_at)).collect::<Vec<_>>())
    };
    assert_eq!(outages(&stopped), outages(&lived), "no outage comes of it");
    owed.iter().for_each(|report| stopped.append(report, 46_100));
    after.iter().skip(60).for_each(|report| stopped.append(report, report.until + 2));
    stopped.catch_up(95_000);
    assert_eq!(outages(&stopped), outages(&lived));
    let (mut replayed, mut expected) = (figures(&stopped.facts(jalali_day(), at(95_000))), figures(&lived.facts(jalali_day(), at(95_000))));
    let (late, punctual) = (replayed.remove("reporting_completeness").unwrap(), expected.remove("reporting_completeness").unwrap());
    // What came late tells of the unknown, so only there is it an estimate.
    let marks = |figures: &mut BTreeMap<String, Vec<Figure>>| {
        figures.values_mut().flatten().filter_map(|figure| figure.estimate.take()).collect::<Vec<_>>()
    };
    assert_eq!(marks(&mut expected), []);
    assert!(marks(&mut replayed).iter().all(|mark| mark.error == 0.0), "nothing is unknown any more");
    assert_eq!(replayed, expected);
    // All of it arrived; an hour of five sites did not arrive on time.
    assert_eq!(late[0].value, punctual[0].value);
    assert_eq!(late[0].detail("on_time"), punctual[0].detail("on_time").map(|all| all - 5.0 * 12.0));
}

/// The layers as a real village fills them: a round of five packets to three anchors and a modem reading every minute, with noise
/// from a printed seed.
#[test]
fn the_layers_stay_as_small_as_they_are_said_to_be() {
    const SEED: u64 = 0x5eed_0005;
    println!("seed {SEED:#x}");
    let mut state = SEED;
    let mut noise = move |spread: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i64::try_from(state % (2 * spread.unsigned_abs() + 1)).unwrap() - spread
    };
    let mut world = World::new();
    let anchors = [("gateway", Rung::Gateway, 38_000), ("county", Rung::Pop, 47_000), ("nin", Rung::Nin, 61_000)];
    let ping = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsMax, Metric::PdvUsP95, Metric::IpdvUsMean];
    let radio = [Metric::Rat, Metric::RsrpDbm, Metric::RsrqCb, Metric::SinrCb, Metric::CellId];
    let mut series: Vec<Series> = anchors
        .iter()
        .map(|(target, rung, _)| Series {
            target: (*target).to_owned(),
            rung: *rung,
            interval_s: 60,
            metrics: ping.to_vec(),
            ..series_of("up0").remove(0)
        })
        .collect();
    series.push(Series { interval_s: 60, metrics: radio.to_vec(), ..series_of("up0").remove(2) });
    let table = Arc::new(SeriesTable { series });
    let names = world.log.learn_names(AgentId(1), &table.encode()).unwrap();
    let mono = |seconds: i64| MonoMs(u64::try_from((seconds + 7_200) * 1000).unwrap());
    let mut raw = 0;
    for cycle in -11..=300 {
        let until = cycle * CYCLE_S;
        let mut samples = Vec::new();
        for minute in 0..5 {
            for (place, (_, _, rtt)) in anchors.iter().enumerate() {
                let least = rtt + noise(3_000);
                let lost = i64::from(noise(50) == 0);
                let values = [
                    5,
                    5 - lost,
                    least,
                    least + 4_000 + noise(3_000),
                    least + 18_000 + noise(9_000),
                    14_000 + noise(8_000),
                    5_000 + noise(2_500),
                ];
                samples.push((place, minute, values.map(Some).to_vec()));
            }
            let values = [4, -97 + noise(3), -110 + noise(20), 90 + noise(40), 40_961];
            samples.push((3, minute, values.map(Some).to_vec()));
        }
        let sample = |(place, minute, values): (usize, i64, Vec<Option<i64>>)| Sample {
            series: SeriesIndex(u16::try_from(place).unwrap()),
            at: mono(until - CYCLE_S + minute * 60 + 7),
            outcome: Outcome::Ok,
            values,
        };
        let samples = samples.into_iter().map(sample).collect();
        let batch = Batch { table: table.id(), samples, ..batch(AgentId(1), &table, until, true) };
        let payload = batch.encode(&table).unwrap();
        let frame = Bytes::from(Frame::new(FrameKind::Batch, payload.clone()).unwrap().to_bytes());
        raw += if (1..=288).contains(&cycle) { frame.len() } else { 0 };
        let incoming = Incoming { head: Batch::head(&payload).unwrap(), live_offset_ms: Some(at(-7_200).0), frame, names: names.clone() };
        world.append(&Report { site: "SV", until, incoming }, until + 2);
    }
    world.catch_up(95_000);
    let bytes = |sql: &str| world.store.read(|db| Ok::<_, StoreError>(db.query_row(sql, [day().0], |row| row.get::<_, i64>(0))?)).unwrap();
    let slots = bytes("SELECT sum(length(bytes)) FROM slots WHERE day = ?1");
    // Six numbers of a row of seconds take about 30 bytes with their key.
    let daily = bytes(
        "SELECT (SELECT 30 * count(*) FROM daily_seconds WHERE day = ?1) + (SELECT sum(length(spans)) FROM timelines WHERE day = ?1)
              + (SELECT sum(12 + length(buckets)) FROM daily_values WHERE day = ?1) + (SELECT sum(24 + length(lag_s) + length(skew_ms)) FROM daily_reports WHERE day = ?1)",
    );
    println!("per site and day: raw {raw} B, five minutes {slots} B, daily {daily} B");
    assert!(raw <= 66_000, "raw {raw}");
    assert!(slots <= 11_000, "five minutes {slots}");
    assert!(daily <= 800, "daily {daily}");
}
