//! Kills a real agent again and again while its collector is away: whatever it spooled, in whichever boot, arrives once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusta_tests::disk::SmallDisk;
use rusta_tests::http;
use rusta_tests::log::{spooled, stored};
use rusta_tests::programs::{eventually, free_port, run};
use rusta_tests::random::Random;
use rusta_tests::stage::{Stage, Village};
use rusta_wire::BatchId;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];
const LIVES: usize = 4;

/// What is in the log, each batch once.
fn in_the_log(log: &Path) -> BTreeSet<BatchId> {
    let mut found = BTreeSet::new();
    for record in stored(log) {
        assert!(found.insert(record.id), "{} is stored twice", record.id);
    }
    found
}

#[test]
fn what_an_agent_spooled_arrives_through_its_power_cuts() {
    let may_mount = run(Command::new("unshare").args(["--mount", "true"])).code == Some(0);
    if !may_mount {
        eprintln!("left out: needs root for another boot id");
        return;
    }
    let mut random = Random::from_clock();
    println!("seed {}", random.seed());
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    let url = format!("https://{port}");
    let mut collector = stage.serve(None, http);
    stage.enroll(None, "one", &url);
    collector.kill();

    let targets = format!(
        "links:\n  - {{ name: gov0, network: gov }}\ntargets:\n  \
         - {{ name: core, link: gov0, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n",
        http.port()
    );
    stage.configure_agent("one", &[url], "1s", &targets);
    let mut owed = BTreeSet::new();
    for _ in 0..LIVES {
        let mut agent = stage.run_agent_in_new_boot(None, "one");
        std::thread::sleep(Duration::from_millis(3_000 + random.below(1_500) as u64));
        assert!(agent.ended().is_none(), "the agent ended: {}", agent.output());
        agent.kill();
        owed.extend(spooled(&stage.path("one/spool")).iter().map(|batch| batch.id));
    }
    let boots: BTreeSet<_> = owed.iter().map(|id| id.boot).collect();
    // Three seconds of life with a report a second: at least one batch was closed and written before each cut.
    assert!(boots.len() == LIVES && owed.len() >= 2 * LIVES, "{} batches of {} boots", owed.len(), boots.len());
    let _collector = stage.serve(None, http);
    let _agent = stage.run_agent_in_new_boot(None, "one");
    let log = stage.path("collector/log");
    eventually(Duration::from_secs(60), "everything owed has arrived", || owed.is_subset(&in_the_log(&log)).then_some(()));
}

/// A flash of a mebibyte that is full for a while, a kill, and a flipped bit: what waited in memory goes to the disk as soon as there is
/// room, and only what the bit took is missing, counted.
#[test]
fn a_full_flash_a_power_cut_and_a_flipped_bit_lose_nothing_uncounted() {
    let stage = Stage::new(rusta_tests::programs!());
    let spool = stage.path("one/spool");
    let Some(disk) = SmallDisk::mount(&spool, 1) else { return };
    let [port, web] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], web, "");
    stage.import(&VILLAGES);
    let url = format!("https://{port}");
    let mut collector = stage.serve(None, web);
    stage.enroll(None, "one", &url);
    collector.kill();
    let targets = format!(
        "links:\n  - {{ name: gov0, network: gov }}\ntargets:\n  \
         - {{ name: core, link: gov0, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n",
        web.port()
    );
    stage.configure_agent("one", &[url], "1s", &targets);
    let mut agent = stage.run_agent_in_new_boot(None, "one");
    let count = || spooled(&spool).len();
    let grows = |what: &str, by: usize| {
        let before = count();
        eventually(Duration::from_secs(60), what, || (count() >= before + by).then_some(()));
    };
    grows("batches are spooled", 3);
    disk.fill();
    std::thread::sleep(Duration::from_secs(5));
    disk.relieve();
    grows("what waited in memory is on the disk", 5);
    agent.kill();
    let owed: BTreeSet<BatchId> = spooled(&spool).iter().map(|batch| batch.id).collect();
    let numbers: BTreeSet<u64> = owed.iter().map(|id| id.sequence.0).collect();
    assert_eq!(numbers.len() as u64, numbers.last().unwrap() - numbers.first().unwrap() + 1, "a batch never reached the disk: {numbers:?}");

    let mut segments: Vec<_> = std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    let largest = segments.iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(largest, bytes).unwrap();

    let _collector = stage.serve(None, web);
    let _agent = stage.run_agent_in_new_boot(None, "one");
    let log = stage.path("collector/log");
    let lost = || {
        let said = run(stage.agent().args(["status", "--json", "--socket"]).arg(stage.path("one/agent.sock"))).stdout;
        serde_json::from_str::<serde_json::Value>(&said).ok()?["spool"]["lost"].as_u64()
    };
    let told = || {
        let agents = http::get(web, "/api/v1/agents").ok()?;
        serde_json::from_str::<serde_json::Value>(&agents.text()).ok()?["items"][0]["lost"].as_u64()
    };
    let missing = eventually(Duration::from_secs(90), "all but what was counted has arrived", || {
        let missing = owed.difference(&in_the_log(&log)).count() as u64;
        (missing <= lost()?).then_some(missing)
    });
    assert!(missing <= 2, "{missing} batches are gone with one bit");
    if missing > 0 {
        eventually(Duration::from_secs(60), "the collector has heard of the loss", || (told()? >= missing).then_some(()));
    }
}
