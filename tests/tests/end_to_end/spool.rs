//! Kills a real agent again and again while its collector is away: whatever it spooled, in whichever boot, arrives once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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
