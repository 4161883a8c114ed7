//! A village with two uplinks: what belongs to one never leaves by the other, also while the other is the only one left.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_tests::netns::{Lab, Namespace, possible};
use rusta_tests::programs::{Running, eventually, run};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre"), ("apn0", "apn", "backup", "lte")] }];

/// Shows every IP packet on an interface, one line each.
fn capture(stage: &Stage, village: &Namespace, interface: &str) -> Running {
    let mut command = village.command("tcpdump");
    command.args(["-i", interface, "-n", "-l", "-q", "-t", "ip"]);
    let running = Running::start(&format!("packets-{interface}"), command, &stage.path(""));
    eventually(Duration::from_secs(10), "tcpdump listens", || running.output().contains("listening on").then_some(()));
    running
}

fn packets(capture: &Running) -> Vec<String> {
    capture.output().lines().filter(|line| line.starts_with("IP ")).map(String::from).collect()
}

#[test]
fn nothing_of_one_uplink_leaves_by_the_other() {
    let tcpdump = run(std::process::Command::new("sh").args(["-c", "command -v tcpdump"])).code == Some(0);
    if !possible() || !tcpdump {
        eprintln!("left out: needs namespaces and tcpdump");
        return;
    }
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "gov", "10.83.0.1/24"), (&village, "gov0", "10.83.0.2/24"));
    lab.join((&core, "apn", "10.83.1.1/24"), (&village, "apn0", "10.83.1.2/24"));
    // The trap: the routing table would send anything by the government network, and the core would answer it.
    village.ip(&["route", "add", "default", "via", "10.83.0.1"]);

    let stage = Stage::new(rusta_tests::programs!());
    let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let names = ["10.83.0.1", "10.83.1.1"];
    stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &names, http, &format!("thresholds: {QUICK_THRESHOLDS}"));
    stage.import(&VILLAGES);
    let _collector = stage.serve(Some(&core), http);
    let url = "https://10.83.0.1:8443".to_string();
    stage.enroll(Some(&village), "one", &url);
    let target = |name: &str, link: &str, rung: &str, probe: &str| {
        format!("  - {{ name: {name}, link: {link}, rung: {rung}, every: 1s, timeout: 800ms, {probe} }}\n")
    };
    let mut text = String::from(
        "links:\n  - { name: gov0, network: gov, interface: gov0 }\n  - { name: apn0, network: apn, interface: apn0 }\ntargets:\n",
    );
    for (link, net) in [("gov0", "10.83.0"), ("apn0", "10.83.1")] {
        text += &target(&format!("{link}-gateway"), link, "gateway", &format!("icmp: {{ address: {net}.1, count: 2 }}"));
        text += &target(&format!("{link}-core"), link, "core", &format!("tcp: {{ address: \"{net}.1:8443\" }}"));
        text += &target(&format!("{link}-names"), link, "naming", &format!("dns: {{ server: {net}.1, name: example.ir, type: A }}"));
        text += &target(&format!("{link}-page"), link, "service", &format!("http: {{ url: \"http://{net}.1:9/\", status: [200] }}"));
    }
    stage.configure_agent("one", &[url], "2s, links: [gov0]", &text);
    let (gov, apn) = (capture(&stage, &village, "gov0"), capture(&stage, &village, "apn0"));
    let _agent = stage.run_agent(Some(&village), "one");

    let enough = |capture: &Running, least: usize| (packets(capture).len() >= least).then_some(());
    eventually(Duration::from_secs(30), "both uplinks carry probes", || enough(&gov, 60).and(enough(&apn, 60)));
    core.down("apn");
    std::thread::sleep(Duration::from_secs(5));
    village.down("apn0");
    std::thread::sleep(Duration::from_secs(5));

    let (gov, apn) = (packets(&gov), packets(&apn));
    let strays = |packets: &[String], foreign: &str| packets.iter().filter(|line| line.contains(foreign)).cloned().collect::<Vec<_>>();
    assert!(strays(&gov, "10.83.1.").is_empty(), "by the government network: {:?}", strays(&gov, "10.83.1."));
    assert!(strays(&apn, "10.83.0.").is_empty(), "by the APN: {:?}", strays(&apn, "10.83.0."));
    assert!(gov.iter().any(|line| line.contains("10.83.0.1.8443")), "no report was seen");
}
