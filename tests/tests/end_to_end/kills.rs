//! Kills the collector again and again while a fleet reports: what was acknowledged is in the log exactly once.
//!
//! Six kills and twenty agents by default; `scripts/lab --long` makes it two hundred of each. The seed is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rusta_tests::fleet::{Refused, VirtualAgent, round, village_table};
use rusta_tests::log::stored;
use rusta_tests::programs::{free_port, run_ok};
use rusta_tests::random::Random;
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{BatchId, BootId, MonoMs, Network, UnixMs};

fn how_many() -> usize {
    if std::env::var_os("RUSTA_LONG").is_some() { 200 } else { 0 }
}

/// Sends batches one after another until told to stop, each until it is acknowledged; some twice, and reboots now and
/// then, which forgets what was on its way. Returns what was acknowledged.
async fn report(mut agent: VirtualAgent, mut random: Random, stop: Arc<AtomicBool>) -> BTreeSet<BatchId> {
    let (started, mut acknowledged) = (Instant::now(), BTreeSet::new());
    let uptime = |started: Instant| MonoMs(60_000 + u64::try_from(started.elapsed().as_millis()).unwrap());
    let mut from = uptime(started);
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20 + random.below(60) as u64)).await;
        let until = uptime(started);
        let batch = agent.batch(from, until, now(), round(from, random.below(10) > 0).to_vec());
        from = until;
        let copies = if random.below(7) == 0 { vec![batch.clone(), batch.clone()] } else { vec![batch.clone()] };
        while !stop.load(Ordering::Relaxed) {
            match agent.send(&copies).await {
                Ok(_) => {
                    acknowledged.insert(batch.id);
                    break;
                }
                Err(Refused::Status(status, answer)) if status < 429 => panic!("{}: {status} {}", agent.site, answer.reason),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            if random.below(20) == 0 {
                break;
            }
        }
        if random.below(30) == 0 {
            agent.reboot(BootId(random.next()));
        }
    }
    acknowledged
}

fn now() -> UnixMs {
    #[allow(clippy::disallowed_methods, reason = "the test is the agent's clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(i64::try_from(since.as_millis()).unwrap())
}

#[test]
fn what_was_acknowledged_is_stored_once_through_every_kill() {
    let (agents, kills) = (how_many().max(20), how_many().max(6));
    let mut random = Random::from_clock();
    println!("seed {}, {agents} agents, {kills} kills", random.seed());

    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    let sites: Vec<&'static str> = (0..agents).map(|n| &*format!("site-{n}").leak()).collect();
    let villages: Vec<_> = sites.iter().map(|site| Village { site, links: &[("gov0", "gov", "primary", "fibre")] }).collect();
    stage.import(&villages);
    let mut collector = stage.serve(None, http);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stop, ca) = (Arc::new(AtomicBool::new(false)), std::fs::read_to_string(stage.ca()).unwrap());
    let url = format!("https://{port}");
    let fleet: Vec<_> = sites
        .iter()
        .map(|site| {
            let token = run_ok(stage.collector().args(["agents", "token", "--site", site]));
            let table = village_table("gov0", Network::Gov);
            let enrolment = VirtualAgent::enroll(&url, token.trim(), &ca, table, BootId(random.next()));
            let agent = runtime.block_on(enrolment).unwrap();
            runtime.spawn(report(agent, Random::from_seed(random.next()), stop.clone()))
        })
        .collect();
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(50 + random.below(900) as u64));
        collector.kill();
        collector = stage.serve(None, http);
    }
    std::thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    let acknowledged: BTreeSet<BatchId> = fleet.into_iter().flat_map(|agent| runtime.block_on(agent).unwrap()).collect();
    collector.signal(Signal::SIGTERM);
    collector.wait(Duration::from_secs(30));

    let mut times = BTreeMap::new();
    for record in stored(&stage.path("collector/log")) {
        *times.entry(record.id).or_insert(0) += 1;
    }
    println!("{} acknowledged, {} stored", acknowledged.len(), times.len());
    assert!(acknowledged.len() > agents, "the fleet hardly reported");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !times.contains_key(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
}
