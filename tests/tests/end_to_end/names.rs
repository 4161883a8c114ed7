//! The collector by its name, over lines of either family and with resolvers of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rusta_tests::netns::{Lab, possible};
use rusta_tests::programs::{Running, eventually, run};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use serde_json::Value;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("apn0", "apn", "primary", "lte")] }];

/// An IPv6-only bearer never reached a collector whose name has addresses of both families.
#[test]
fn a_collector_of_both_families_is_reached_by_a_bearer_of_either() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "apn", "10.87.0.1/24"), (&village, "apn0", "10.87.0.2/24"));
    core.ip(&["address", "add", "fd87::1/64", "dev", "apn", "nodad"]);
    village.ip(&["address", "add", "fd87::2/64", "dev", "apn0", "nodad"]);

    let stage = Stage::new(rusta_tests::programs!());
    let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let names = ["collector.example", "10.87.0.1"];
    stage.configure_collector("[::]:8443".parse().unwrap(), &names, http, &format!("thresholds: {QUICK_THRESHOLDS}"));
    stage.import(&VILLAGES);
    let _collector = stage.serve(Some(&core), http);
    stage.enroll(Some(&village), "one", "https://10.87.0.1:8443");
    // The first resolver of the link knows nothing of the collector (split horizon), the second both of its families.
    let resolver = |name: &str, options: &[&str]| {
        let mut command = core.command("dnsmasq");
        command.args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--pid-file=", "--user=root"]);
        command.args(options);
        Running::start(name, command, &stage.path(""))
    };
    let _outside = resolver("outside", &["--port=5301", "--listen-address=10.87.0.1", "--listen-address=fd87::1", "--local=/example/"]);
    let both = ["--address=/collector.example/10.87.0.1", "--address=/collector.example/fd87::1"];
    let _inside = resolver("inside", &["--port=5302", "--listen-address=10.87.0.1", "--listen-address=fd87::1", both[0], both[1]]);

    let servers = r#"["10.87.0.1:5301", "[fd87::1]:5301", "10.87.0.1:5302", "[fd87::1]:5302"]"#;
    let link = format!("links:\n  - {{ name: apn0, network: apn, interface: apn0, resolvers: {servers} }}\ntargets: []\n");
    stage.configure_agent("one", &["https://collector.example:8443".into()], "2s, links: [apn0]", &link);
    village.ip(&["address", "del", "10.87.0.2/24", "dev", "apn0"]);
    let began = Instant::now();
    let _agent = stage.run_agent(Some(&village), "one");
    let acknowledged = || {
        let mut ask = stage.agent();
        ask.args(["status", "--json", "--socket"]).arg(stage.path("one/agent.sock"));
        let status: Option<Value> = serde_json::from_str(&run(&mut ask).stdout).ok();
        status.and_then(|status| status["report"]["acknowledged"].as_u64()).unwrap_or_default()
    };
    eventually(Duration::from_secs(40), "reports by IPv6 alone", || (acknowledged() > 1).then_some(()));
    println!("heard by IPv6 alone after {:.1} s", began.elapsed().as_secs_f64());

    village.ip(&["address", "del", "fd87::2/64", "dev", "apn0"]);
    village.ip(&["address", "add", "10.87.0.2/24", "dev", "apn0"]);
    let (changed, before) = (Instant::now(), acknowledged());
    eventually(Duration::from_secs(60), "reports by IPv4 alone", || (acknowledged() > before + 1).then_some(()));
    println!("heard by IPv4 alone {:.1} s after the bearer changed", changed.elapsed().as_secs_f64());
}
