//! A core and three villages, real agents, a real collector: the API shows what happens to the lines, and that it ends.
//!
//! ```text
//!   core: collector --+-- gov0 --- one    the line is cut; a second way, no link of the registry, carries its reports
//!                     +-- way0 ---/
//!                     +-- apn0 --- two    loses its power
//!                     +-- gov0 --- three  loses half of all packets
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::netns::{Lab, Namespace, possible};
use rusta_tests::programs::{Running, eventually};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use serde_json::Value;

const HTTP: &str = "127.0.0.1:8080";
const VILLAGES: [Village; 3] = [
    Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "two", links: &[("apn0", "apn", "primary", "lte")] },
    Village { site: "three", links: &[("gov0", "gov", "primary", "radio")] },
];

/// The programs go before the stage, which holds what they said.
struct Province {
    agents: Vec<Running>,
    _collector: Running,
    stage: Stage,
    core: Namespace,
    villages: [Namespace; 3],
    _lab: Lab,
}

impl Province {
    fn start() -> Province {
        let mut lab = Lab::new();
        let core = lab.namespace("core");
        let villages = ["one", "two", "three"].map(|name| lab.namespace(name));
        for (number, (interface, village)) in ["gov0", "apn0", "gov0"].iter().zip(&villages).enumerate() {
            let (ours, theirs) = (format!("10.81.{number}.1/24"), format!("10.81.{number}.2/24"));
            lab.join((&core, &format!("line{number}"), &ours), (village, interface, &theirs));
        }
        lab.join((&core, "way0", "10.82.0.1/24"), (&villages[0], "way0", "10.82.0.2/24"));

        let stage = Stage::new(rusta_tests::programs!());
        let http: SocketAddr = HTTP.parse().unwrap();
        let names = ["10.81.0.1", "10.81.1.1", "10.81.2.1", "10.82.0.1"];
        stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &names, http, &format!("thresholds: {QUICK_THRESHOLDS}"));
        stage.import(&VILLAGES);
        let collector = stage.serve(Some(&core), http);
        let agents = (0..3).map(|number| start_agent(&stage, number, &villages[number])).collect();
        Province { agents, _collector: collector, stage, core, villages, _lab: lab }
    }

    fn ask(&self, path: &str) -> Value {
        let answer = self.core.enter(|| http::get(HTTP.parse().unwrap(), path)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    fn site(&self, code: &str) -> Value {
        self.ask(&format!("/api/v1/sites/{code}"))
    }

    fn states(&self) -> [String; 3] {
        VILLAGES.map(|village| self.site(village.site)["state"].as_str().unwrap_or_default().to_string())
    }

    fn wait_for_states(&self, expected: [&str; 3]) {
        let mut last = self.states();
        eventually(Duration::from_secs(120), &format!("the sites are {expected:?}"), || {
            let states = self.states();
            if states != last {
                eprintln!("states: {states:?}");
                last = states.clone();
            }
            (states == expected).then_some(())
        });
    }

    fn connected_share_now(&self) -> Value {
        let items = self.ask("/api/v1/kpis?id=connected_share_now")["items"].take();
        let of_province = |item: &&Value| item["region"]["code"] == "09";
        items.as_array().unwrap().iter().find(of_province).unwrap_or_else(|| panic!("no province in {items}")).clone()
    }
}

/// Enrols and starts the agent of village `number`, which reports by the line or, in village one, by the second way.
fn start_agent(stage: &Stage, number: usize, village: &Namespace) -> Running {
    let Village { site, links } = VILLAGES[number];
    let (link, network, ..) = links[0];
    let collector = if number == 0 { "10.82.0.1".to_string() } else { format!("10.81.{number}.1") };
    let url = format!("https://{collector}:8443");
    stage.enroll(Some(village), site, &url);
    let second_way = if number == 0 { "  - { name: way0, network: internet, interface: way0 }\n" } else { "" };
    let targets = format!(
        "links:\n  - {{ name: {link}, network: {network}, interface: {link} }}\n{second_way}targets:\n  \
         - {{ name: gateway, link: {link}, rung: gateway, every: 1s, timeout: 900ms, icmp: {{ address: 10.81.{number}.1, count: 6 }} }}\n  \
         - {{ name: core, link: {link}, rung: core, every: 2s, timeout: 900ms, tcp: {{ address: \"10.81.{number}.1:8443\" }} }}\n"
    );
    stage.configure_agent(site, &[url], "2s", &targets);
    stage.run_agent(Some(village), site)
}

#[test]
fn three_villages_fail_in_three_ways_and_come_back() {
    if !possible() {
        return;
    }
    let mut province = Province::start();
    province.wait_for_states(["up", "up", "up"]);
    assert_eq!(province.connected_share_now()["value"], 1.0);

    province.core.down("line0");
    province.agents[1].kill();
    province.villages[1].down("apn0");
    province.core.lose_half("line2");
    province.wait_for_states(["down", "unknown", "degraded"]);

    let cut = province.site("one");
    assert_eq!(cut["links"][0]["state"], "down", "{cut}");
    assert_eq!(cut["village"]["state"], "disconnected", "{cut}");
    assert_eq!(province.site("two")["village"]["state"], "unknown");
    assert_eq!(province.site("three")["village"]["state"], "connected");
    let share = province.connected_share_now();
    // One of three connected, one not, one unknown: between a third and two thirds, and too little known for one number.
    assert_eq!((share["numerator"].as_f64(), share["denominator"].as_f64()), (Some(1.0), Some(2.0)), "{share}");
    let bound = |name: &str| (share[name].as_f64().unwrap() * 3.0).round();
    assert_eq!((bound("lo"), bound("hi"), bound("known_ratio")), (1.0, 2.0, 2.0), "{share}");
    assert!(share["value"].is_null(), "{share}");

    province.core.up("line0");
    province.villages[1].up("apn0");
    province.agents[1] = province.stage.run_agent_in_new_boot(Some(&province.villages[1]), "two");
    province.core.lose_nothing("line2");
    province.wait_for_states(["up", "up", "up"]);
    assert_eq!(province.connected_share_now()["value"], 1.0);
}
