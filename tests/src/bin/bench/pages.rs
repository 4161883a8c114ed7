//! How long a page, an API list and a scrape take over a province of 8,000 sites with a month of history.
//!
//! One reader on a kept connection, as a browser is. The bound is 100 ms for the 99th percentile of each address.

use std::net::SocketAddr;
use std::time::Instant;

use rusqlite::Connection;
use rusta_tests::programs::{Programs, free_port, run_ok};
use rusta_tests::stage::Stage;
use serde_json::{Value, json};

/// Readings of each address, after five that warm it up.
const READINGS: usize = 200;

/// Days of history before today.
const DAYS: i64 = 32;

/// Gives every village, site and link a month of days: mostly up, some down, some unknown.
fn write_history(stage: &Stage) {
    let db = Connection::open(stage.path("collector/state.sqlite")).unwrap();
    #[allow(clippy::disallowed_methods, reason = "the benchmark's history ends today")]
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Tehran is three and a half hours ahead.
    let today = (seconds as i64 + 12_600) / 86_400;
    let rows = |file: &str, kinds: &[(i64, usize, Option<usize>)]| {
        let text = std::fs::read_to_string(stage.path("province").join(file)).unwrap();
        for line in text.lines().skip(1) {
            let cells: Vec<_> = line.split(',').collect();
            for (kind, code, link) in kinds.iter().filter(|(kind, ..)| *kind < 3 || cells[1] == "village") {
                let name = link.map_or("", |at| cells[at]);
                db.execute("INSERT OR IGNORE INTO objects (kind, code, link) VALUES (?1, ?2, ?3)", (kind, cells[*code], name)).unwrap();
            }
        }
    };
    db.execute_batch("BEGIN").unwrap();
    rows("regions.csv", &[(3, 0, None), (4, 0, None)]);
    rows("sites.csv", &[(2, 0, None)]);
    rows("links.csv", &[(1, 0, Some(1))]);
    let sql = "WITH RECURSIVE days(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM days WHERE n < ?2)
               INSERT INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
               SELECT kind, ?1 - n, id, 86400 - (id * 7919 + n * 104729) % 9000 - (id * 31 + n * 17) % 3600, 0,
                      (id * 7919 + n * 104729) % 9000, (id * 31 + n * 17) % 3600, 0, 0 FROM objects, days";
    db.execute(sql, (today, DAYS)).unwrap();
    db.execute_batch("COMMIT").unwrap();
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
        "/incidents?all=1".into(),
        "/kpis".into(),
        format!("/kpis?region={county}"),
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
    write_history(&stage);
    let _collector = stage.serve(None, http);
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
            for reading in 0..READINGS + 5 {
                let started = Instant::now();
                let answer = get(&path).await;
                assert_eq!(answer.status().as_u16(), 200, "{path}");
                bytes = answer.bytes().await.unwrap().len();
                if reading >= 5 {
                    took.push(started.elapsed().as_secs_f64() * 1e3);
                }
            }
            took.sort_by(f64::total_cmp);
            figures.push(json!({
                "bench": "pages", "path": path, "bytes": bytes,
                "p50_ms": took[READINGS / 2], "p99_ms": took[READINGS * 99 / 100], "within": took[READINGS * 99 / 100] <= 100.0,
            }));
        }
        figures
    })
}
