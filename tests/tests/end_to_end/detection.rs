//! From a cut line to the delivered webhook, with the thresholds that ship: class A within 45 s, class B within 120 s.
//!
//! ```text
//!   core: collector, webhook --+-- gov0 --- office   class A, looked at every 5 s   the line is cut silently; a second way,
//!                              +-- gov0 --- village  class B, every 10 s            no link of the registry, has the reports
//!                              +-- gov0 --- roamer   class B, every 10 s            its reports took the line that is cut
//!                              +-- way0 -- each
//! ```
//! The test asserts what arrives, not how soon: it prints the seconds as one JSON line.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rusta_tests::ear::{Ear, Heard, Says};
use rusta_tests::http;
use rusta_tests::netns::{Lab, Namespace, possible};
use rusta_tests::programs::{Running, eventually};
use rusta_tests::stage::{Stage, Village};
use serde_json::json;

const HTTP: &str = "127.0.0.1:8080";
const SITES: [(&str, &str, u64); 3] = [("office", "A", 5), ("village", "B", 10), ("roamer", "B", 10)];

/// The agent's targets are those of `configs/inventory/profiles.yaml` for a fixed link of the site's class.
fn start_agent(stage: &Stage, number: usize, inside: &Namespace) -> Running {
    let (site, _, watch_every) = SITES[number];
    let url = format!("https://10.85.{number}.1:8443");
    stage.enroll(Some(inside), site, &url);
    let line = format!("10.84.{number}.1");
    let targets = format!(
        "links:\n  - {{ name: gov0, network: gov, interface: gov0 }}\n  - {{ name: way0, network: internet, interface: way0 }}\ntargets:\n  \
         - {{ name: watch, link: gov0, rung: pop, every: {watch_every}s, timeout: 2s, icmp: {{ address: {line}, count: 1 }} }}\n  \
         - {{ name: pop, link: gov0, rung: pop, every: 60s, icmp: {{ address: {line}, count: 3 }} }}\n  \
         - {{ name: core, link: gov0, rung: core, every: 60s, icmp: {{ address: {line}, count: 3 }} }}\n"
    );
    let report = if site == "roamer" { "60s" } else { "60s, links: [way0]" };
    stage.configure_agent(site, &[url], report, &targets);
    stage.run_agent(Some(inside), site)
}

/// Picks what the webhook heard of a site: `trigger` or `resolve`.
fn about(ear: &Ear, site: &str, action: &str) -> Vec<Heard> {
    let is = |heard: &Heard| {
        let said = heard.json();
        said["event_action"] == action && said["payload"]["custom_details"]["sites"][0]["code"] == site
    };
    ear.heard().into_iter().filter(is).collect()
}

#[test]
#[ignore = "five minutes of real thresholds: scripts/lab detection --ignored"]
fn a_cut_line_reaches_the_webhook_once_and_so_does_its_repair() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let core = lab.namespace("core");
    let places = SITES.map(|(site, ..)| lab.namespace(site));
    for (number, place) in places.iter().enumerate() {
        lab.join((&core, &format!("line{number}"), &format!("10.84.{number}.1/24")), (place, "gov0", &format!("10.84.{number}.2/24")));
        lab.join((&core, &format!("way{number}"), &format!("10.85.{number}.1/24")), (place, "way0", &format!("10.85.{number}.2/24")));
    }
    let ear = Ear::http(core.enter(|| TcpListener::bind("127.0.0.1:0").unwrap()), |_, _| Says::Answer(202, "{}"));
    let stage = Stage::new(rusta_tests::programs!());
    let oncall = format!(
        "channels: [{{ name: pager, preset: webhook, url: \"http://{}/\" }}]\n\
         routes: [{{ name: noc, page: [{{ systems: [pager] }}], ticket: [{{ systems: [pager] }}] }}]\n",
        ear.address
    );
    let oncall = stage.write("oncall.yaml", &oncall);
    let http: SocketAddr = HTTP.parse().unwrap();
    let names = ["10.85.0.1", "10.85.1.1", "10.85.2.1"];
    stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &names, http, &format!("alerts: {{ oncall: {} }}", oncall.display()));
    // Villages nobody has heard of make one village less than the share that pages.
    let others = (0..30).map(|n| &*format!("other-{n}").leak());
    let sites = SITES.iter().map(|(site, ..)| *site).chain(others);
    let villages: Vec<_> = sites.map(|site| Village { site, links: &[("gov0", "gov", "primary", "fibre")] }).collect();
    stage.import_changed(
        &villages,
        |file, text| {
            if file == "sites.csv" { text.replace("Dehyari office,B", "Dehyari office,A") } else { text }
        },
    );
    let _collector = stage.serve(Some(&core), http);
    let _agents: Vec<_> = places.iter().enumerate().map(|(number, place)| start_agent(&stage, number, place)).collect();
    let state = |site: &str| core.enter(|| http::get(http, &format!("/api/v1/sites/{site}"))).unwrap().json()["state"].clone();
    eventually(Duration::from_secs(120), "every site is up", || SITES.iter().all(|(site, ..)| state(site) == "up").then_some(()));

    // Until every target has had its turn, a failure finds the ladder still awake and hurries nobody.
    std::thread::sleep(Duration::from_secs(65));

    let mut figures = Vec::new();
    for (number, (site, class, _)) in SITES.iter().enumerate() {
        let cut = Instant::now();
        core.lose_all(&format!("line{number}"));
        let told = eventually(Duration::from_secs(400), &format!("{site} is told"), || about(&ear, site, "trigger").first().cloned());
        let seconds = (told.at.duration_since(cut).as_secs_f64() * 10.0).round() / 10.0;
        figures.push(json!({ "site": site, "class": class, "cut_to_webhook_s": seconds }));
        eprintln!("{site}, class {class}: {seconds} s");
        let payload = &told.json()["payload"];
        assert_eq!(payload["component"], format!("Dehyari {site}"), "{payload}");
        assert_eq!(payload["severity"], if *class == "A" { "critical" } else { "error" }, "{payload}");
        assert_eq!(payload["class"], "POP", "the lowest rung that is broken: {payload}");
    }
    println!("{}", json!({ "group": "detection", "figures": figures }));

    for (number, (site, ..)) in SITES.iter().enumerate() {
        core.lose_all_no_more(&format!("line{number}"));
        eventually(Duration::from_secs(400), &format!("the end of {site} is told"), || about(&ear, site, "resolve").first().cloned());
    }
    for (site, ..) in SITES {
        assert_eq!((about(&ear, site, "trigger").len(), about(&ear, site, "resolve").len()), (1, 1), "{site} is told once");
    }
    assert_eq!(ear.heard().len(), 6, "nobody else is called about: {:?}", ear.heard());
}
