//! Kills a real agent again and again while its collector is away: what it spooled arrives, boot by boot, without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusta_tests::log::stored;
use rusta_tests::programs::{eventually, free_port, run};
use rusta_tests::random::Random;
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];
const LIVES: usize = 4;

/// The sequence numbers of each boot in the log.
fn sequences(log: &Path) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut boots: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for record in stored(log) {
        let fresh = boots.entry(record.id.boot.0).or_default().insert(record.id.sequence.0);
        assert!(fresh, "{} is stored twice", record.id);
        boots.entry(record.id.boot.0).or_default().extend(record.id.sequence.0..record.id.sequence.0 + u64::from(record.covers));
    }
    boots
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
    for _ in 0..LIVES {
        let mut agent = stage.run_agent_in_new_boot(None, "one");
        std::thread::sleep(Duration::from_millis(3_000 + random.below(1_500) as u64));
        assert!(agent.ended().is_none(), "the agent ended: {}", agent.output());
        agent.kill();
    }
    let _collector = stage.serve(None, http);
    let _agent = stage.run_agent_in_new_boot(None, "one");
    let log = stage.path("collector/log");
    let boots = eventually(Duration::from_secs(60), "every boot has reported", || {
        let boots = sequences(&log);
        (boots.len() == LIVES + 1).then_some(boots)
    });
    // The backlog may still be on its way: what has arrived so far must become whole.
    let whole = |boots: &BTreeMap<u64, BTreeSet<u64>>| boots.values().all(|seen| seen.len() as u64 == seen.last().unwrap() + 1);
    let boots = if whole(&boots) {
        boots
    } else {
        eventually(Duration::from_secs(30), "no boot has a gap", || Some(sequences(&log)).filter(whole))
    };
    let lengths: Vec<_> = boots.values().map(BTreeSet::len).collect();
    // Three seconds of life with a report a second: at least one batch was closed and written before the cut.
    assert!(lengths.iter().all(|length| *length >= 1), "{lengths:?}");
    assert!(lengths.iter().sum::<usize>() >= 2 * LIVES, "{lengths:?}");
}
