//! A fleet that reports as fast as the collector acknowledges: one site a request, kept mTLS connections, durable.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusta_tests::fleet::{VirtualAgent, round, village_table};
use rusta_tests::programs::{Programs, free_port, run_ok};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{BootId, MonoMs, Network, UnixMs};
use serde_json::{Value, json};

use crate::process;

const AGENTS: usize = 64;
/// Rounds of both targets in one batch: five minutes at one a minute.
const ROUNDS: u64 = 5;
/// Values in a batch: an outcome, a time and the metrics of each sample.
const VALUES: u64 = ROUNDS * (6 + 1 + 2 * 2);

async fn report(mut agent: VirtualAgent, until: Instant) -> u64 {
    let mut from = 600_000;
    let mut acknowledged = 0;
    while Instant::now() < until {
        let to = from + ROUNDS * 60_000;
        let samples = (0..ROUNDS).flat_map(|n| round(MonoMs(from + n * 60_000), true)).collect();
        let batch = agent.batch(MonoMs(from), MonoMs(to), now(), samples);
        match agent.send(&[batch]).await {
            Ok(_) => acknowledged += 1,
            Err(refused) => panic!("{refused:?}"),
        }
        from = to;
    }
    acknowledged
}

fn now() -> UnixMs {
    #[allow(clippy::disallowed_methods, reason = "the benchmark is the agents' clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(i64::try_from(since.as_millis()).unwrap())
}

fn bytes_under(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| !entry.file_name().to_string_lossy().contains("-wal")).map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Loads the collector for `seconds`.
pub fn measure(programs: &Programs, seconds: u64) -> Value {
    let stage = Stage::new(programs.clone());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    let sites: Vec<&'static str> = (0..AGENTS).map(|n| &*format!("site-{n}").leak()).collect();
    let villages: Vec<_> = sites.iter().map(|site| Village { site, links: &[("gov0", "gov", "primary", "fibre")] }).collect();
    stage.import(&villages);
    let collector = stage.serve(None, http);
    let (url, ca) = (format!("https://{port}"), std::fs::read_to_string(stage.ca()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fleet: Vec<_> = sites
        .iter()
        .map(|site| {
            let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", site]));
            let table = village_table("gov0", Network::Gov);
            runtime.block_on(VirtualAgent::enroll(&url, token.trim(), &ca, table, BootId(9))).unwrap()
        })
        .collect();

    let before = process::read(collector.pid());
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let acknowledged: u64 = runtime.block_on(async {
        let tasks: Vec<_> = fleet.into_iter().map(|agent| tokio::spawn(report(agent, until))).collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        total
    });
    let took = started.elapsed().as_secs_f64();
    let after = process::read(collector.pid());
    json!({
        "bench": "collector_load", "agents": AGENTS, "seconds": took,
        "requests_per_s": acknowledged as f64 / took,
        "values_per_s": (acknowledged * VALUES) as f64 / took,
        "collector_cpu_us_per_request": (after.cpu_ns - before.cpu_ns) as f64 / 1e3 / acknowledged as f64,
        "collector_rss_kib": after.rss_kib,
        "log_bytes_per_value": bytes_under(&stage.path("collector/log")) as f64 / (acknowledged * VALUES) as f64,
    })
}
