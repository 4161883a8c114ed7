//! Kills the collector and agents again and again while a fleet reports: what was acknowledged is in the log exactly once.
//!
//! Six kills of the collector, twenty virtual agents and three real ones, killed by themselves, by default; `scripts/lab --long`
//! makes it two hundred kills and two hundred agents. The seed is printed. For comparison the same is done to
//! VictoriaMetrics, which acknowledges before its disk has anything: printed as a figure, judged by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rusta_tests::fleet::{Refused, VirtualAgent, round, village_table};
use rusta_tests::http::post;
use rusta_tests::log::{spooled, stored};
use rusta_tests::programs::{Running, eventually, free_port, run, run_ok};
use rusta_tests::random::Random;
use rusta_tests::router;
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{BatchId, BootId, MonoMs, Network, UnixMs};

fn how_many() -> usize {
    if std::env::var_os("RUSTA_LONG").is_some() { 200 } else { 0 }
}

/// Sends batches one after another, a while of 20 to 80 `units` apart, until told to stop, each until it is acknowledged;
/// some twice, and reboots now and then, which forgets what was on its way. Returns what was acknowledged.
async fn report(mut agent: VirtualAgent, mut random: Random, unit: Duration, stop: Arc<AtomicBool>) -> BTreeSet<BatchId> {
    let (started, mut acknowledged) = (Instant::now(), BTreeSet::new());
    let uptime = |started: Instant| MonoMs(60_000 + u64::try_from(started.elapsed().as_millis()).unwrap());
    let mut from = uptime(started);
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(unit * (20 + random.below(60) as u32)).await;
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

/// Runs the real agent of `site` and kills it at random moments until told to stop, as a power cut does and as an
/// out-of-memory kill does; then lets it report what it owes. Returns everything it ever spooled.
fn live_and_die(stage: &Stage, site: &str, mut random: Random, stop: &AtomicBool) -> (BTreeSet<BatchId>, usize) {
    let (mut ever, mut kills) = (BTreeSet::new(), 0);
    let spool = stage.path(&format!("{site}/spool"));
    let can_reboot = router::possible();
    let start = |random: &mut Random| {
        if can_reboot && random.below(2) == 0 { stage.run_agent_in_new_boot(None, site) } else { stage.run_agent(None, site) }
    };
    while !stop.load(Ordering::Relaxed) {
        let mut agent = start(&mut random);
        std::thread::sleep(Duration::from_millis(300 + random.below(3_500) as u64));
        agent.kill();
        kills += 1;
        ever.extend(spooled(&spool).iter().map(|batch| batch.id));
    }
    let mut agent = start(&mut random);
    eventually(Duration::from_secs(120), "the agent owes nothing", || {
        let said = run(stage.agent().args(["status", "--json", "--config"]).arg(stage.path(&format!("{site}/agent.yaml"))));
        let status: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
        (status["spool"]["frames"].as_u64()? == 0).then_some(())
    });
    agent.signal(Signal::SIGTERM);
    agent.wait(Duration::from_secs(20));
    ever.extend(spooled(&spool).iter().map(|batch| batch.id));
    (ever, kills)
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
    let real = ["real-0", "real-1", "real-2"];
    let villages: Vec<_> = sites.iter().chain(&real).map(|site| Village { site, links: &[("gov0", "gov", "primary", "fibre")] }).collect();
    stage.import(&villages);
    let mut collector = stage.serve(None, http);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stop, ca) = (Arc::new(AtomicBool::new(false)), std::fs::read_to_string(stage.ca()).unwrap());
    let url = format!("https://{port}");
    // As many batches a second whatever the size of the fleet: each restart reads the last half an hour again.
    let unit = Duration::from_micros(agents as u64 * 50);
    let fleet: Vec<_> = sites
        .iter()
        .map(|site| {
            let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", site]));
            let table = village_table("gov0", Network::Gov);
            let enrolment = VirtualAgent::enroll(&url, token.trim(), &ca, table, BootId(random.next()));
            let agent = runtime.block_on(enrolment).unwrap();
            runtime.spawn(report(agent, Random::from_seed(random.next()), unit, stop.clone()))
        })
        .collect();
    for site in real {
        stage.enroll(None, site, &url);
        let probe = format!("tcp: {{ address: \"127.0.0.1:{}\" }}", http.port());
        let targets = format!("targets:\n  - {{ name: core, link: gov0, rung: core, every: 1s, timeout: 500ms, {probe} }}\n");
        stage.configure_agent(site, std::slice::from_ref(&url), "1s", &format!("links:\n  - {{ name: gov0, network: gov }}\n{targets}"));
    }
    let (spooled, agent_kills) = std::thread::scope(|scope| {
        let seeds = real.map(|site| (site, Random::from_seed(random.next())));
        let (stage, stopped) = (&stage, &stop);
        let lives = seeds.map(|(site, random)| scope.spawn(move || live_and_die(stage, site, random, stopped)));
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(50 + random.below(900) as u64));
            collector.kill();
            collector = stage.serve(None, http);
        }
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        let lives = lives.map(|life| life.join().unwrap());
        let kills: usize = lives.iter().map(|(_, kills)| kills).sum();
        (lives.into_iter().flat_map(|(ever, _)| ever).collect::<BTreeSet<_>>(), kills)
    });
    let acknowledged: BTreeSet<BatchId> = fleet.into_iter().flat_map(|agent| runtime.block_on(agent).unwrap()).collect();
    collector.signal(Signal::SIGTERM);
    collector.wait(Duration::from_secs(30));

    let mut times = BTreeMap::new();
    for record in stored(&stage.path("collector/log")) {
        *times.entry(record.id).or_insert(0) += 1;
    }
    println!(
        "{} acknowledged, {} spooled by real agents in {agent_kills} kills, {} stored",
        acknowledged.len(),
        spooled.len(),
        times.len()
    );
    assert!(agent_kills >= 3 && spooled.len() >= 3, "the real agents hardly lived");
    let missing: Vec<_> = spooled.iter().filter(|id| !times.contains_key(id)).collect();
    assert!(missing.is_empty(), "spooled and never arrived: {missing:?}");
    assert!(acknowledged.len() > agents, "the fleet hardly reported");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !times.contains_key(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
}

/// Pushes samples to VictoriaMetrics and ends it after a random while; returns how many it acknowledged and how many it
/// has after a restart.
fn victoria_metrics(random: &mut Random, by: Signal) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let start = || {
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", folder.path().join("data").display())).arg(format!("-httpListenAddr={address}"));
        let running = Running::start("victoria-metrics", command, folder.path());
        eventually(Duration::from_secs(30), "VictoriaMetrics answers", || {
            rusta_tests::http::get(address, "/health").is_ok_and(|answer| answer.status == 200).then_some(())
        });
        running
    };
    let mut server = start();
    let (mut acknowledged, until) = (0usize, Instant::now() + Duration::from_millis(500 + random.below(2_000) as u64));
    while Instant::now() < until {
        let at = now().0;
        let lines: String = (0..20).map(|n| format!("rusta_sample{{n=\"{}\"}} 1 {at}\n", acknowledged + n)).collect();
        let pushed = post(address, "/api/v1/import/prometheus", lines.as_bytes()).is_ok_and(|answer| answer.status < 300);
        acknowledged += if pushed { 20 } else { 0 };
        std::thread::sleep(Duration::from_millis(10));
    }
    server.signal(by);
    server.wait(Duration::from_secs(60));
    let _server = start();
    // It shows what it has a moment after it answers at all: asked until all is there, or for long enough.
    let (asked, mut kept) = (Instant::now(), 0);
    while kept < acknowledged && asked.elapsed() < Duration::from_secs(5) {
        kept = rusta_tests::http::get(address, "/api/v1/export?match[]=rusta_sample").unwrap().text().lines().count();
        std::thread::sleep(Duration::from_millis(200));
    }
    (acknowledged, kept)
}

#[test]
fn what_a_database_that_acknowledges_before_its_disk_loses_is_printed() {
    if run(Command::new("sh").args(["-c", "command -v victoria-metrics"])).code != Some(0) {
        eprintln!("left out: VictoriaMetrics is not installed");
        return;
    }
    let mut random = Random::from_clock();
    println!("seed {}", random.seed());
    let rounds: Vec<_> = (0..if how_many() > 0 { 10 } else { 2 }).map(|_| victoria_metrics(&mut random, Signal::SIGKILL)).collect();
    let sum = |of: fn(&(usize, usize)) -> usize| rounds.iter().map(of).sum::<usize>();
    let (acknowledged, kept) = (sum(|round| round.0), sum(|round| round.1));
    println!("VictoriaMetrics acknowledged {acknowledged} samples before {} kills and had {kept} of them afterwards", rounds.len());
    assert!(acknowledged > 0 && kept <= acknowledged, "the comparison compared nothing");
    // Told to stop, it writes what it has: so what is missing above was lost by the kill.
    let (acknowledged, kept) = victoria_metrics(&mut random, Signal::SIGTERM);
    assert_eq!(kept, acknowledged, "the comparison does not count right");
}
