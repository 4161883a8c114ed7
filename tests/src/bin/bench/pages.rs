//! How long a page, an API list and a scrape take over a province of 8,000 sites in all kinds of trouble, with a day of
//! measurements from each and a month of history.
//!
//! One reader on a kept connection, as a browser is, while nobody reports. The bound is 100 ms for the 99th percentile of
//! each address, and 60 KB for a page. `first_ms` is the first answer after a start, or after a minute of silence.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusta_collector::day::Day;
use rusta_collector::history::{Histogram, ObjectKind};
use rusta_tests::programs::{Programs, eventually, free_port, run_ok};
use rusta_tests::province::{self, Measured};
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;
use rusta_wire::{Metric, UnixMs};
use serde_json::{Value, json};

/// Readings of each address, after five that warm it up.
const READINGS: usize = 200;

/// Days of history before today.
const DAYS: i64 = 32;

/// Hours measured by every site before now.
const HOURS: i64 = 26;

/// Gives every village, site and link a month of days, with what was measured on them: mostly up, some down, some unknown.
fn write_history(stage: &Stage, random: &mut Random) {
    let db = Connection::open(stage.path("collector/state.sqlite")).unwrap();
    let today = Day::of(rusta_collector::clock::now());
    let add = |kind: ObjectKind, code: &str, link: &str| {
        db.execute("INSERT OR IGNORE INTO objects (kind, code, link) VALUES (?1, ?2, ?3)", (kind.code(), code, link)).unwrap();
    };
    db.execute_batch("BEGIN; CREATE TEMP TABLE mobile (code TEXT, link TEXT)").unwrap();
    for cells in rows(stage, "regions.csv").filter(|cells| cells[1] == "village") {
        add(ObjectKind::Village, &cells[0], "");
        add(ObjectKind::VillageNin, &cells[0], "");
    }
    for cells in rows(stage, "sites.csv") {
        add(ObjectKind::Site, &cells[0], "");
    }
    for cells in rows(stage, "links.csv") {
        add(ObjectKind::Link, &cells[0], &cells[1]);
        if cells.iter().any(|cell| cell == "lte") {
            db.execute("INSERT INTO mobile VALUES (?1, ?2)", (&cells[0], &cells[1])).unwrap();
        }
    }
    let days = "WITH RECURSIVE days(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM days WHERE n < ?2)";
    let run = |insert: &str| db.execute(&format!("{days} {insert}"), (today.0, DAYS)).unwrap();
    run("INSERT OR IGNORE INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
         SELECT kind, ?1 - n, id, 86400 - (id * 7919 + n * 104729) % 9000 - (id * 31 + n * 17) % 3600, 0,
                (id * 7919 + n * 104729) % 9000, (id * 31 + n * 17) % 3600, 0, 0 FROM objects, days");
    run("INSERT INTO daily_packets (day, object, sent, received, slots, good_slots)
         SELECT ?1 - n, id, 14000, 14000 - (id * 31 + n) % 400, 280, 280 - (id + n) % 30 FROM objects, days WHERE kind = 1");
    // One outage of an hour a week, of the site, of its links, of its village.
    run("INSERT OR IGNORE INTO outages (object, started_at, ended_at, restored, rung, confidence, evidence, revision)
         SELECT id, (?1 - n) * 86400000 + id % 80000 * 1000, (?1 - n) * 86400000 + id % 80000 * 1000 + 3600000, 1, 1 + id % 12, 70, '[]', 1
         FROM objects, days WHERE kind <= 3 AND (id + n) % 7 = 0");
    distributions(&db, random);
    run("INSERT OR IGNORE INTO daily_values (day, object, metric, buckets)
         SELECT ?1 - n, o.id, b.metric, b.buckets FROM days, objects o JOIN shapes b ON b.shape = (o.id + n) % 16
         WHERE o.kind = 1 AND b.metric > 0 AND (b.radio = 0 OR EXISTS (SELECT 1 FROM mobile m WHERE m.code = o.code AND m.link = o.link))");
    run("INSERT OR IGNORE INTO daily_reports (day, object, interval_s, covered_s, on_time_s, lag_s, skew_ms)
         SELECT ?1 - n, o.id, 60, 86000, 85000, b.buckets, b.buckets FROM days, objects o JOIN shapes b ON b.shape = (o.id + n) % 16
         WHERE o.kind = 2 AND b.metric = 0");
    run("INSERT OR IGNORE INTO daily_rounds (day, object, target, attempts, successes, attempts_while_up, successes_while_up, latency)
         SELECT ?1 - n, o.id, 'service-' || s.target, 280, 270, 275, 270, b.buckets
         FROM days, objects o JOIN shapes b ON b.shape = (o.id + n) % 16, (SELECT 'health' target UNION SELECT 'single_window') s
         WHERE o.kind = 2 AND b.metric = 0");
    db.execute_batch("COMMIT").unwrap();
}

fn rows(stage: &Stage, file: &str) -> impl Iterator<Item = Vec<String>> + use<> {
    let text = std::fs::read_to_string(stage.path("province").join(file)).unwrap();
    let rows: Vec<Vec<String>> = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
    rows.into_iter()
}

/// Makes sixteen shapes of a day's values for each metric; metric 0 stands for what is not of a link.
fn distributions(db: &Connection, random: &mut Random) {
    db.execute_batch("CREATE TEMP TABLE shapes (shape INTEGER, metric INTEGER, radio INTEGER, buckets BLOB)").unwrap();
    let metrics = [
        (0, 0, 40_000.0, 9_000.0),
        (Metric::RttUsP50.code(), 0, 45_000.0, 12_000.0),
        (Metric::PdvUsP95.code(), 0, 9_000.0, 4_000.0),
        (Metric::Rat.code(), 1, 4.0, 0.0),
        (Metric::RsrpDbm.code(), 1, -95.0, 6.0),
        (Metric::SinrCb.code(), 1, 110.0, 40.0),
    ];
    for (shape, (metric, radio, middle, spread)) in (0..16).flat_map(|shape| metrics.map(|metric| (shape, metric))) {
        let mut values = Histogram::default();
        (0..288).for_each(|_| values.add((middle + f64::from(shape) + spread * random.normal()) as i64));
        db.execute("INSERT INTO shapes VALUES (?1, ?2, ?3, ?4)", (shape, metric, radio, values.encode())).unwrap();
    }
}

/// Waits until history has built every day that is over and settled; the others it builds every quarter of an hour.
fn wait_for_history(stage: &Stage) {
    let db = Connection::open(stage.path("collector/state.sqlite")).unwrap();
    let settled = Day::of(UnixMs(rusta_collector::clock::now().0 - 2 * 3_600_000));
    let waiting = "SELECT (SELECT COUNT(*) FROM timelines) = 0 OR EXISTS (SELECT 1 FROM dirty_days WHERE day < ?1)";
    eventually(Duration::from_secs(1_800), "history has built what was measured", || {
        let is_waiting: bool = db.query_row(waiting, [settled.0], |row| row.get(0)).unwrap();
        (!is_waiting).then_some(())
    });
}

/// Every page and list, with the widest question each takes.
fn addresses(site: &str, county: &str, month: &str) -> Vec<String> {
    vec![
        "/".into(),
        "/?wall=1".into(),
        format!("/regions/{county}"),
        "/sites".into(),
        "/sites?state=unknown".into(),
        format!("/sites/{site}"),
        format!("/sites/{site}?range=30d"),
        "/incidents?all=1".into(),
        "/incidents/1".into(),
        "/kpis".into(),
        format!("/kpis?region={county}"),
        "/kpis?period=24h".into(),
        "/kpis/availability".into(),
        "/kpis/availability?by=operator".into(),
        "/kpis/connected_share_period?months=1".into(),
        "/kpis/rtt_p50".into(),
        "/services".into(),
        "/agents".into(),
        "/map/all.svg".into(),
        "/api/v1/kpis?id=connected_share_now".into(),
        format!("/api/v1/kpis?id=availability&period={month}"),
        format!("/api/v1/kpis?region={county}&period={month}"),
        "/api/v1/regions?limit=1000".into(),
        "/api/v1/sites?limit=1000".into(),
        format!("/api/v1/sites/{site}"),
        format!("/api/v1/sites/{site}/series?hours=720"),
        "/api/v1/incidents?state=all".into(),
        "/api/v1/agents?limit=1000".into(),
        "/api/v1/services".into(),
        "/metrics".into(),
    ]
}

/// Measures every address; one line of figures each.
pub fn measure(programs: &Programs) -> Vec<Value> {
    let stage = Stage::new(programs.clone());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    run_ok(stage.collector().args(["inventory", "generate", "--size", "kr", "--seed", "7", "--out"]).arg(stage.path("province")));
    run_ok(stage.collector().args(["inventory", "import", "--effective-from", "1404-01-01"]).arg(stage.path("province")));
    let mut random = Random::from_seed(7);
    province::fill(&stage.path("collector"), Measured::Hours(HOURS), &mut random);
    write_history(&stage, &mut random);
    let _collector = stage.serve(None, http);
    wait_for_history(&stage);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let get = async |path: &str| client.get(format!("http://{http}{path}")).send().await.unwrap();
        let json = async |path: &str| serde_json::from_slice::<Value>(&get(path).await.bytes().await.unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let sites = json("/api/v1/sites?limit=1").await;
        let counties = json("/api/v1/regions?kind=county&limit=1").await;
        let month = rusta_collector::persian::Period::month_at(rusta_collector::clock::now()).to_string();
        let mut figures = Vec::new();
        for path in addresses(&text(&sites["items"][0]["code"]), &text(&counties["items"][0]["code"]), &month) {
            let (mut took, mut bytes) = (Vec::with_capacity(READINGS), 0);
            let mut first = 0.0;
            for reading in 0..READINGS + 5 {
                let started = Instant::now();
                let answer = get(&path).await;
                assert_eq!(answer.status().as_u16(), 200, "{path}");
                bytes = answer.bytes().await.unwrap().len();
                let length = started.elapsed().as_secs_f64() * 1e3;
                match reading {
                    0 => first = length,
                    1..5 => {}
                    _ => took.push(length),
                }
            }
            took.sort_by(f64::total_cmp);
            let p99 = took[READINGS * 99 / 100];
            let is_page = !path.starts_with("/api/") && !path.ends_with(".svg") && path != "/metrics";
            figures.push(json!({
                "bench": "pages", "path": path, "bytes": bytes, "first_ms": first, "p50_ms": took[READINGS / 2], "p99_ms": p99,
                "within": p99 <= 100.0 && (!is_page || bytes <= 60 * 1024),
            }));
        }
        figures
    })
}
