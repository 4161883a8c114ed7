//! Which way reports take: the cheapest that works, back to it once it works again, and every byte on the right account.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rusta_tests::netns::{Lab, Namespace, possible};
use rusta_tests::programs::{Running, eventually, run_ok};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use serde_json::Value;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre"), ("apn0", "apn", "backup", "lte")] }];

/// What a link may stay metered for after a free line answers again (`agent/src/uplink/route.rs`).
const RETURN_WITHIN: Duration = Duration::from_secs(120);

const GOV: &str = "{ name: gov0, network: gov, interface: gov0 }";

/// A village with a free line and a SIM, both to the core, and its collector.
struct TwoWays {
    agent: Running,
    _collector: Running,
    stage: Stage,
    core: Namespace,
    village: Namespace,
    _lab: Lab,
}

impl TwoWays {
    /// Starts both programs; `links` is the agent's list.
    fn start(links: &[&str], default_by: &str) -> TwoWays {
        let mut lab = Lab::new();
        let (core, village) = (lab.namespace("core"), lab.namespace("village"));
        lab.join((&core, "gov", "10.85.0.1/24"), (&village, "gov0", "10.85.0.2/24"));
        lab.join((&core, "apn", "10.85.1.1/24"), (&village, "apn0", "10.85.1.2/24"));
        core.ip(&["address", "add", "10.85.9.1/32", "dev", "lo"]);
        village.ip(&["route", "add", "10.85.9.1", "via", "10.85.0.1", "dev", "gov0"]);
        let stage = Stage::new(rusta_tests::programs!());
        let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &["10.85.9.1"], http, &format!("thresholds: {QUICK_THRESHOLDS}"));
        stage.import(&VILLAGES);
        let collector = stage.serve(Some(&core), http);
        let url = "https://10.85.9.1:8443".to_string();
        stage.enroll(Some(&village), "one", &url);
        village.ip(&["route", "del", "10.85.9.1"]);
        let (gov, apn) = if default_by == "gov0" { ("1", "2") } else { ("2", "1") };
        village.ip(&["route", "add", "10.85.9.1", "via", "10.85.0.1", "dev", "gov0", "metric", gov]);
        village.ip(&["route", "add", "10.85.9.1", "via", "10.85.1.1", "dev", "apn0", "metric", apn]);
        count(&village, "apn0");
        let links: String = links.iter().map(|link| format!("  - {link}\n")).collect();
        stage.configure_agent("one", &[url], "2s", &format!("links:\n{links}targets: []\n"));
        let agent = stage.run_agent(Some(&village), "one");
        TwoWays { agent, _collector: collector, stage, core, village, _lab: lab }
    }

    fn status(&self) -> Option<Value> {
        let mut ask = self.stage.agent();
        ask.args(["status", "--json", "--socket"]).arg(self.stage.path("one/agent.sock"));
        let said = rusta_tests::programs::run(&mut ask);
        serde_json::from_str(&said.stdout).ok()
    }

    /// Says by which link reports go, once one was acknowledged after `acknowledged` others.
    fn reports_by(&self, acknowledged: u64) -> Option<String> {
        let report = &self.status()?["report"];
        let heard = report["acknowledged"].as_u64()? > acknowledged && report["connected"].as_bool()?;
        heard.then(|| report["link"].as_str().unwrap_or("the routing table").to_string())
    }

    fn acknowledged(&self) -> u64 {
        self.status().and_then(|status| status["report"]["acknowledged"].as_u64()).unwrap_or_default()
    }

    fn own_bytes(&self, link: &str) -> u64 {
        let status = self.status().unwrap();
        let found = status["links"].as_array().unwrap().iter().find(|l| l["name"] == link).unwrap().clone();
        found["plan"]["own_bytes"].as_u64().unwrap()
    }
}

/// Counts the bytes of IP that pass an interface both ways.
fn count(namespace: &Namespace, interface: &str) {
    run_ok(namespace.command("iptables").args(["-A", "INPUT", "-i", interface]));
    run_ok(namespace.command("iptables").args(["-A", "OUTPUT", "-o", interface]));
}

fn counted(namespace: &Namespace) -> u64 {
    let bytes = |chain: &str| -> u64 {
        let told = run_ok(namespace.command("iptables").args(["-L", chain, "-v", "-x", "-n"]));
        told.lines().nth(2).and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_else(|| panic!("{told}"))
    };
    bytes("INPUT") + bytes("OUTPUT")
}

fn refuse(verb: &str, core: &Namespace) {
    let rule = ["INPUT", "-i", "gov", "-p", "tcp", "--dport", "8443", "-j", "REJECT", "--reject-with", "tcp-reset"];
    run_ok(core.command("iptables").arg(verb).args(rule));
}

const SIM: &str = "{ name: apn0, network: apn, interface: apn0, metered: true, plan: { bytes: 3GiB, own_bytes: 30MB } }";
const SPENT_SIM: &str = "{ name: apn0, network: apn, interface: apn0, metered: true, plan: { bytes: 3GiB, own_bytes: 1kB } }";

/// One reset of six seconds left the reports on the SIM for good.
#[test]
fn after_a_reset_reports_go_by_the_sim_and_come_back_to_the_free_line() {
    if !possible() {
        return;
    }
    let two = TwoWays::start(&[GOV, SIM], "gov0");
    eventually(Duration::from_secs(60), "reports by the free line", || (two.reports_by(0)? == "gov0").then_some(()));
    refuse("-A", &two.core);
    let cut = Instant::now();
    let before = two.acknowledged();
    eventually(Duration::from_secs(60), "reports by the SIM", || (two.reports_by(before)? == "apn0").then_some(()));
    let silent = cut.elapsed();
    std::thread::sleep(Duration::from_secs(6).saturating_sub(cut.elapsed()));
    refuse("-D", &two.core);
    let mended = Instant::now();
    let before = two.acknowledged();
    eventually(RETURN_WITHIN, "reports by the free line again", || (two.reports_by(before)? == "gov0").then_some(()));
    println!("silent {:.1} s, on the SIM {:.1} s after the free line answered", silent.as_secs_f64(), mended.elapsed().as_secs_f64());
}

/// A line that is cut far away tells neither end. Attempts by it must not hold up what the SIM carries meanwhile.
#[test]
fn while_the_free_line_is_silent_the_sim_carries_every_report() {
    if !possible() {
        return;
    }
    let two = TwoWays::start(&[GOV, SIM], "gov0");
    eventually(Duration::from_secs(60), "reports by the free line", || (two.reports_by(0)? == "gov0").then_some(()));
    two.core.lose_all("gov");
    let cut = Instant::now();
    let before = two.acknowledged();
    eventually(Duration::from_secs(60), "reports by the SIM", || (two.reports_by(before)? == "apn0").then_some(()));
    let silent = cut.elapsed();
    // Meanwhile the free line is tried in vain, each time for twenty seconds.
    let mut longest = 0;
    for _ in 0..200 {
        longest = longest.max(two.status().unwrap()["report"]["acknowledged_s_ago"].as_u64().unwrap());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(longest < 10, "reports every 2 s waited for {longest} s");
    two.core.lose_all_no_more("gov");
    let mended = Instant::now();
    let before = two.acknowledged();
    eventually(RETURN_WITHIN, "reports by the free line again", || (two.reports_by(before)? == "gov0").then_some(()));
    let returned = mended.elapsed().as_secs_f64();
    println!(
        "silent {:.1} s, longest wait on the SIM {longest} s, back {returned:.1} s after the free line answered",
        silent.as_secs_f64()
    );
}

/// A spent SIM that was first in the list kept the free line beside it silent for ten minutes.
#[test]
fn a_spent_sim_first_in_the_list_does_not_silence_the_free_line() {
    if !possible() {
        return;
    }
    let began = Instant::now();
    let two = TwoWays::start(&[SPENT_SIM, GOV], "apn0");
    eventually(Duration::from_secs(60), "reports by the free line", || (two.reports_by(0)? == "gov0").then_some(()));
    println!("heard after {:.1} s, start of both programs included", began.elapsed().as_secs_f64());
    assert_eq!(counted(&two.village), 0, "bytes over a SIM whose plan is spent");
}

/// The plan of a link could be gone around by the routing table, whose route leaves by the same interface.
#[test]
fn the_routing_table_is_no_way_around_a_spent_plan() {
    if !possible() {
        return;
    }
    let mut two = TwoWays::start(&[SPENT_SIM], "apn0");
    eventually(Duration::from_secs(30), "the agent runs", || two.status().map(drop));
    // Before a collector told the time nobody knows whether the plan's cycle is over: the agent asks once (`data_plan`, `ASK_BYTES`).
    std::thread::sleep(Duration::from_secs(15));
    let asked = counted(&two.village);
    assert!(asked <= 8_000, "{asked} bytes for one ask");
    std::thread::sleep(Duration::from_secs(15));
    assert!(two.agent.ended().is_none());
    assert_eq!(counted(&two.village), asked, "bytes over a SIM whose plan is spent, after the ask");
    assert!(two.own_bytes("apn0") >= asked * 95 / 100, "{} of {asked} bytes charged", two.own_bytes("apn0"));
}

/// 56 of 11,699 bytes were counted. The link's own address is missing, so its reports leave by the routing table.
#[test]
fn every_byte_of_the_routing_tables_route_is_charged_to_the_link_it_leaves_by() {
    if !possible() {
        return;
    }
    let sim = SIM.replace("interface: apn0", "interface: apn0, source: 10.85.1.99, hotplug: true");
    let two = TwoWays::start(&[&sim], "apn0");
    eventually(Duration::from_secs(60), "ten reports", || two.reports_by(10));
    let (counted, charged) = (counted(&two.village), two.own_bytes("apn0"));
    println!("{charged} bytes charged of {counted} that passed");
    assert!(charged >= counted * 95 / 100 && charged <= counted * 115 / 100 + 1_000, "{charged} of {counted} bytes");
}
