//! The public text, `wire/CONTRACT.md`: a reader and a writer made from it alone, `tests/contract/rusta.py`, and both programs
//! understand each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusta_tests::log::{spooled, stored};
use rusta_tests::programs::{free_port, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 2] = [
    Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "two", links: &[("gov0", "gov", "primary", "fibre")] },
];

fn python(what: &[&str]) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("/usr/bin/python3");
    command.arg(root.join("contract/rusta.py")).args(what);
    command
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_neutral_vectors_are_read_and_written_by_a_program_made_from_the_text_alone() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/contract.json");
    assert_eq!(run_ok(&mut python(&["vectors", vectors.to_str().unwrap()])).trim(), "5");
}

#[test]
fn a_program_made_from_the_text_alone_reads_a_spool_and_is_stored_by_the_collector() {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    let url = format!("https://{port}");
    let mut collector = stage.serve(None, http);
    stage.enroll(None, "one", &url);
    collector.kill();

    // A spool of the real agent, with a device, a path that answers and one that does not.
    let target = |name: &str, rung: &str, port: u16| {
        format!("  - {{ name: {name}, link: gov0, rung: {rung}, every: 1s, timeout: 300ms, tcp: {{ address: \"127.0.0.1:{port}\" }} }}\n")
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut text = String::from("links:\n  - { name: gov0, network: gov }\ntargets:\n");
    text += &target("answers", "core", listener.local_addr().unwrap().port());
    text += &target("refuses", "pop", free_port());
    text += "  - { name: router, link: gov0, rung: device, every: 1s, timeout: 900ms, host: {} }\n";
    stage.configure_agent("one", std::slice::from_ref(&url), "1s", &text);
    let mut agent = stage.run_agent(None, "one");
    std::thread::sleep(Duration::from_secs(5));
    assert!(agent.ended().is_none(), "the agent ended: {}", agent.output());
    agent.kill();
    let spool = stage.path("one/spool");
    let ours: BTreeMap<_, _> = spooled(&spool).iter().map(|b| ((b.id.boot.to_string(), b.id.sequence.0), b.samples)).collect();
    let read = json(&run_ok(&mut python(&["read", spool.to_str().unwrap()])));
    let batches = read.as_array().unwrap();
    let name = |b: &serde_json::Value| (b["boot"].as_str().unwrap().to_string(), b["sequence"].as_u64().unwrap());
    let theirs: BTreeMap<_, _> = batches.iter().map(|b| (name(b), b["samples"].as_array().unwrap().len())).collect();
    assert!(ours.len() >= 2, "{ours:?}");
    assert_eq!(theirs, ours);
    let outcomes: BTreeSet<u64> =
        batches.iter().flat_map(|b| b["samples"].as_array().unwrap()).map(|s| s["outcome"].as_u64().unwrap()).collect();
    assert!(outcomes.is_superset(&BTreeSet::from([0, 2])), "answered and refused: {outcomes:?}");

    // An identity and a spool of its own, sent in both codings.
    let _collector = stage.serve(None, http);
    let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", "two"]));
    let (identity, spool) = (stage.path("two/identity"), stage.path("two/spool"));
    let enrolled = json(&run_ok(python(&["enroll", &url, stage.ca().to_str().unwrap(), token.trim()]).arg(&identity)));
    assert_eq!(enrolled["site"], "two");
    for (coding, sequence) in [("plain", 10), ("dense", 20)] {
        let vectors = json(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/contract.json")).unwrap());
        let mut batch = vectors["batches"][0]["is"].clone();
        (batch["agent"], batch["sequence"], batch["covers"]) = (enrolled["agent"].clone(), sequence.into(), 1.into());
        let content = serde_json::json!({ "tables": [vectors["tables"][0]], "batches": [batch] });
        let folder = spool.join(coding);
        let input = stage.write(&format!("two/{coding}.json"), &content.to_string());
        run_ok(Command::new("sh").arg("-c").arg(format!(
            "/usr/bin/python3 {}/contract/rusta.py write {} < {}",
            env!("CARGO_MANIFEST_DIR"),
            folder.display(),
            input.display()
        )));
        // The programs' own reader takes what was written.
        assert_eq!(spooled(&folder).iter().map(|b| (b.id.sequence.0, b.samples)).collect::<Vec<_>>(), [(sequence, 7)]);
        let answers = json(&run_ok(python(&["send", &url]).arg(&identity).arg(&folder).arg(coding)));
        let statuses: Vec<_> = answers.as_array().unwrap().iter().map(|a| a["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses.last(), Some(&200), "{answers}");
    }
    let agent = enrolled["agent"].as_str().unwrap();
    let kept: BTreeSet<_> =
        stored(&stage.path("collector/log")).iter().filter(|b| b.id.agent.to_string() == agent).map(|b| b.id.sequence.0).collect();
    assert_eq!(kept, BTreeSet::from([10, 20]));
}
