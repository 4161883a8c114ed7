//! What people mistype: refused with its place, and nothing is started or changed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rusta_tests::programs::{Said, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

fn stage() -> Stage {
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    stage
}

fn files_under(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        found.push(path.display().to_string());
        found.extend(files_under(&path));
    }
    found.sort();
    found
}

/// Asserts exit code 2 and that every `place` stands in the complaint.
fn assert_refused(said: &Said, places: &[&str]) {
    assert_eq!(said.code, Some(2), "{said:?}");
    for place in places {
        assert!(said.stderr.contains(place), "`{place}` is not in:\n{}", said.stderr);
    }
}

#[test]
fn every_mistake_of_an_agent_configuration_is_listed_with_its_place() {
    let stage = stage();
    let text = r#"collector: { urls: ["https://127.0.0.1:8443"], identity_dir: /nowhere }
report: { every: 60x }
links:
  - { name: gov0, network: gov, interfce: eth0 }
targets:
  - { name: gateway, link: gov0, rung: gateway, every: 60s, icmp: { address: 127.0.0.1 } }
  - { name: gateway, link: gov0, rung: pop, every: 60s, tcp: { address: "127.0.0.1:1" } }
"#;
    let config = stage.write("agent.yaml", text);
    let places = ["agent.yaml:2:", "60x", "agent.yaml:4:", "interfce", "interface", "agent.yaml:7:", "gateway"];
    let before = files_under(&stage.path(""));
    for verb in ["check", "run"] {
        assert_refused(&run(stage.agent().arg(verb).arg("--config").arg(&config)), &places);
    }
    assert_eq!(files_under(&stage.path("")), before);
}

/// A modem that was unplugged while the router started kept the agent from ever running.
#[test]
fn an_interface_that_is_not_there_is_noted_and_keeps_nothing_from_running() {
    let stage = stage();
    let links = "links:\n  - { name: gov0, network: gov, interface: nosuch0 }\ntargets:\n  \
                 - { name: gateway, link: gov0, rung: gateway, every: 1s, timeout: 1s, icmp: { address: 127.0.0.1 } }";
    let config = stage.configure_agent("one", &["https://127.0.0.1:8443".into()], "60s", links);
    let said = run_ok(stage.agent().arg("check").arg("--config").arg(&config));
    assert!(said.contains("note: link gov0: ") && said.contains("`nosuch0`") && said.contains("no mistakes"), "{said}");
    let offline = std::fs::read_to_string(&config).unwrap().replace("collector: {", "# {");
    std::fs::write(&config, offline).unwrap();
    let _agent = stage.run_agent(None, "one");
    let outcome = || {
        let mut ask = stage.agent();
        ask.args(["status", "--json", "--socket"]).arg(stage.path("one/agent.sock"));
        let status: serde_json::Value = serde_json::from_str(&run(&mut ask).stdout).ok()?;
        status["links"][0]["targets"][0]["outcome"].as_str().map(String::from)
    };
    eventually(Duration::from_secs(30), "the link is gone", || (outcome()? == "link_gone").then_some(()));
}

#[test]
fn every_mistake_of_a_collector_configuration_is_listed_with_its_place() {
    let stage = stage();
    let text = format!(
        "data_dir: {}\nagents: {{ listen: \"127.0.0.1:0\", nmes: [\"a\"] }}\nthresholds:\n  confirm_time: 90 parsecs\n  clean_slots: many\n",
        stage.path("collector").display()
    );
    stage.write("collector.yaml", &text);
    for verb in ["check", "serve"] {
        let said = run(stage.collector().arg(verb));
        assert_refused(&said, &["collector.yaml:2:", "nmes", "names", "collector.yaml:4:", "90 parsecs"]);
    }
    assert!(!stage.path("collector").exists());
}

/// The crash named the certificate, whichever of the two files was wrong.
#[test]
fn a_certificate_or_key_that_cannot_serve_is_named_before_the_start() {
    let stage = stage();
    let make = |name: &str| {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "9",
            "-subj",
            "/CN=rusta.example",
        ]);
        run_ok(openssl.arg("-keyout").arg(stage.path(&format!("{name}.key"))).arg("-out").arg(stage.path(&format!("{name}.crt"))));
    };
    make("one");
    make("two");
    std::fs::write(stage.path("empty.key"), "").unwrap();
    let check = |certificate: &str, key: &str| {
        let (certificate, key) = (stage.path(certificate), stage.path(key));
        let tls = format!("tls: {{ certificate: {}, key: {} }}", certificate.display(), key.display());
        stage.write(
            "collector.yaml",
            &format!("data_dir: {}\nhttp: {{ listen: \"127.0.0.1:0\", {tls} }}\n", stage.path("collector").display()),
        );
        run(stage.collector().arg("check"))
    };
    assert_eq!(check("one.crt", "one.key").code, Some(0));
    assert_refused(&check("none.crt", "one.key"), &["none.crt cannot be read", "No such file"]);
    assert_refused(&check("one.crt", "none.key"), &["the key", "none.key cannot be read", "No such file"]);
    assert_refused(&check("one.crt", "two.key"), &["two.key does not belong to the certificate", "one.crt"]);
    assert_refused(&check("one.crt", "empty.key"), &["empty.key holds no private key"]);
    assert_refused(&check("one.key", "one.key"), &["one.key holds no certificate"]);
}

#[test]
fn check_doubts_an_anchor_that_answers_whatever_is_cut() {
    let stage = stage();
    let profile = "- name: gov\n  networks: [gov]\n  targets:\n    - { name: gw, rung: gateway, icmp: { address: 192.168.1.1 } }\n";
    stage.write("inventory/profiles.yaml", profile);
    stage.import(&VILLAGES);
    let said = run(stage.collector().arg("check"));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("gov/gw") && said.stderr.contains("one/gov0") && said.stderr.contains("شبکه محلی"), "{said:?}");
}

#[test]
fn an_inventory_with_mistakes_changes_nothing() {
    let stage = stage();
    stage.import(&VILLAGES);
    let exported = |name: &str| {
        run_ok(stage.collector().args(["inventory", "export"]).arg(stage.path(name)));
        std::fs::read_to_string(stage.path(name).join("sites.csv")).unwrap()
    };
    let before = exported("before");
    let sites = stage.path("inventory/sites.csv");
    let mut text = std::fs::read_to_string(&sites).unwrap();
    text.push_str("two,dehyari,0901010001999999,دهیاری,Dehyari,B\nthree,castle,0901010001000000,دهیاری,Dehyari,B\n");
    std::fs::write(&sites, text).unwrap();
    let said = run(stage.collector().args(["inventory", "import"]).arg(stage.path("inventory")));
    assert_refused(&said, &["sites.csv:3:", "0901010001999999", "sites.csv:4:", "castle"]);
    assert_eq!(exported("after"), before);
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_and_a_full_disk_fails_it() {
    let stage = stage();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let left = stage.collector().args(["kpi", "definitions"]).stdout(writer).output().unwrap();
    assert_eq!((left.status.code(), String::from_utf8_lossy(&left.stderr).as_ref()), (Some(0), ""));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let full = stage.collector().args(["kpi", "definitions"]).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output") && !said.contains("panicked"), "{said}");
}

#[test]
fn figures_are_explained_and_what_cannot_be_answered_is_refused() {
    let stage = stage();
    stage.import(&VILLAGES);
    let regions = std::fs::read_to_string(stage.path("inventory/regions.csv")).unwrap();
    let province = regions.lines().nth(1).and_then(|line| line.split(',').next()).unwrap().to_owned();
    let explain =
        |kpi: &str, region: &str, period: &str| run(stage.collector().args(["explain", kpi, "--region", region, "--period", period]));
    let said = explain("connected_share_period", &province, "1404-01");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.starts_with("part,kind,code") && said.stdout.contains("figure"), "{said:?}");
    for (kpi, region, period, place) in [
        ("nothing", province.as_str(), "1404-01", "there is no KPI `nothing`"),
        ("saidi", "NOWHERE", "1404-01", "there is no region `NOWHERE`"),
        ("saidi", province.as_str(), "someday", "someday"),
        ("saidi", province.as_str(), "now", "a figure of a period"),
        ("saidi@9", province.as_str(), "1404-01", "has no version 9"),
    ] {
        assert_refused(&explain(kpi, region, period), &[place]);
    }
    // Nobody serves, so nobody can say what holds now: that is a failure, not a wrong question.
    assert_eq!(explain("connected_share_now", &province, "now").code, Some(1));
    let dictionary = run_ok(stage.collector().args(["kpi", "dictionary"]));
    for words in ["3 failures in a row", "### saidi@2", "worked example"] {
        assert!(dictionary.contains(words), "the dictionary does not tell: {words}");
    }
    assert_refused(&run(stage.collector().args(["kpi", "definitions", "--id", "saidi@9"])), &["has no version 9"]);
}
