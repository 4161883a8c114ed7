use super::*;

fn machine() -> Machine {
    Machine { interfaces: ["wwan0", "eth0"].map(String::from).into(), addresses: ["10.0.0.2".parse().unwrap()].into() }
}

fn mistakes(text: &str) -> Vec<String> {
    Config::parse(text).map(|_| ()).unwrap_err().iter().map(Mistake::to_string).collect()
}

const GOOD: &str = r#"
collector: { urls: ["https://127.0.0.1:8443"], identity_dir: /etc/rusta/identity }
report: { every: 60s }
spool: { dir: /var/lib/rusta-agent/spool, max_bytes: 8MiB, sync: batch }
links:
  - { name: apn0, network: apn, interface: wwan0, metered: true, plan: { bytes: 3GiB, cycle_day: 1, calendar: jalali } }
  - { name: gov, network: gov, source: 10.0.0.2 }
targets:
  - { name: gateway, link: apn0, rung: gateway, every: 60s, timeout: 3s, icmp: { address: 10.1.0.1, count: 3 } }
  - { name: portal, link: gov, rung: service, every: 5m, http: { url: "https://portal.example/", status: [200], keyword: "hi" } }
"#;

#[test]
fn a_good_file_means_what_it_says() {
    let config = Config::parse(GOOD).unwrap();
    assert_eq!(config.collector.as_ref().unwrap().urls[0].to_string(), "https://127.0.0.1:8443");
    let watch = config.watch();
    assert_eq!(watch.links[0].plan.unwrap().bytes, 3 << 30);
    assert_eq!(watch.links[0].way.interface, Some("wwan0".into()));
    assert_eq!((watch.targets[0].link, watch.targets[1].link), (0, 1));
    assert_eq!(watch.targets[0].every, Duration::from_secs(60));
}

#[test]
fn the_example_file_is_valid() {
    let text = include_str!("../../../configs/agent.yaml");
    Config::parse(text).unwrap();
}

#[test]
fn more_targets_than_a_table_holds_are_refused() {
    let with = |targets: usize| {
        let target = |n| format!("  - {{ name: t{n}, link: gov, rung: core, tcp: {{ address: '10.1.0.1:443' }} }}\n");
        let targets: String = (0..targets).map(target).collect();
        format!("links: [{{ name: gov, network: gov }}]\ntargets:\n{targets}")
    };
    assert!(Config::parse(&with(1_500)).is_ok());
    let found = mistakes(&with(2_500));
    assert!(found.len() == 1 && found[0].contains("targets: their names and metrics take"), "{found:?}");
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"
report: { every: 60 }
links:
  - { name: apn0, network: apm, interface: wwan0 }
  - { name: gov, network: gov, interface: eth7 }
  - { name: gov, network: gov }
targets:
  - { name: a, link: gov, rung: gateway, icmp: { adress: 10.1.0.1 } }
  - { name: b, link: gof, rung: gateway, tcp: { address: "10.1.0.1:443" } }
  - { name: b, link: gov, rung: gateway, evry: 5s, tcp: { address: "10.1.0.1:443" } }
  - { name: c, link: gov, rung: gateway }
  - { name: d, link: gov, rung: gateway, timeout: 90s, tcp: { address: "10.1.0.1:443" } }
"#;
    let found = mistakes(text);
    let expect = [
        "2:18: report.every: `60` is no duration",
        "4:28: links[0].network: `apm` is none of gov, apn",
        "6:13: links[2].name: a second link named `gov`",
        "8:50: targets[0].icmp.adress: unknown key `adress`; did you mean `address`?",
        "9:", // the unknown link is not told, because a link was left out
        "10:13: targets[2].name: a second target named `b`",
        "10:42: targets[2].evry: unknown key `evry`; did you mean `every`?",
        "11:5: targets[3]: no probe; add one of icmp",
        "12:51: targets[4].timeout: a timeout is longer",
    ];
    for start in expect.iter().filter(|e| **e != "9:") {
        assert!(found.iter().any(|f| f.starts_with(start)), "{start} is not in {found:#?}");
    }
    assert!(!found.iter().any(|f| f.starts_with("9:") || f.contains("missing")), "{found:#?}");
}

#[test]
fn a_link_is_tied_to_one_device_and_asks_its_own_resolvers() {
    let text = "links:\n  - { name: a, network: apn, netifd: wwan, resolvers: [10.74.2.1, \"[fd00::53]:5353\"] }\n  \
                - { name: b, network: apn, path: pci-0000:00:14.0-usb-0:1.2:1.4 }\n";
    let watch = Config::parse(text).unwrap().watch();
    assert_eq!(watch.links[0].way.interface, Some(Device::Netifd("wwan".into())));
    assert_eq!(watch.links[0].way.resolvers, ["10.74.2.1:53", "[fd00::53]:5353"].map(|a| a.parse().unwrap()));
    assert_eq!(watch.links[1].way.interface, Some(Device::Path("pci-0000:00:14.0-usb-0:1.2:1.4".into())));
    let sims = "links:\n  - { name: a, network: apn, iccid: '8998350000123456789' }\n  - { name: b, network: apn, apn: mtnirancell }\n";
    let watch = Config::parse(sims).unwrap().watch();
    assert_eq!(watch.links[0].way.interface, Some(Device::Sim("8998350000123456789".parse().unwrap())));
    assert_eq!(watch.links[1].way.interface, Some(Device::Apn("mtnirancell".into())));
    assert!(!format!("{watch:?}").contains("8998350000123456789"), "the number shows nowhere");
    let assigned = "links: [{ name: c, network: apn, iccid: '8998350000123456789' }]";
    let refused = Config::parse(sims).unwrap().assigned(assigned, None).unwrap_err();
    assert!(refused[0].to_string().contains("belongs in this router's own file"), "{refused:?}");
    let twice = mistakes("links:\n  - { name: a, network: apn, interface: eth0, netifd: wan }\n");
    assert!(twice[0].contains("links[0].netifd: a link is tied to one device: `interface` or `netifd`"), "{twice:?}");
}

#[test]
fn an_unknown_link_is_told_with_the_nearest() {
    let text = GOOD.replace("link: gov", "link: gof");
    assert_eq!(mistakes(&text), ["10:27: targets[1].link: unknown link `gof`; did you mean `gov`?"]);
}

/// The fault this keeps out: a modem that had not yet come up was a mistake of the file, and the init script never started.
#[test]
fn what_is_not_there_yet_is_a_note_and_no_mistake() {
    let text = GOOD.replace("interface: wwan0", "interface: wwan7").replace("source: 10.0.0.2", "source: 10.9.9.9");
    let config = Config::parse(&text).unwrap();
    let notes = config.absent(&machine());
    assert!(notes.len() == 2 && notes[0].contains("link apn0: there is no interface `wwan7`"), "{notes:?}");
    assert!(notes[1].contains("link gov: nothing here has the address 10.9.9.9"), "{notes:?}");
    assert!(Config::parse(GOOD).unwrap().absent(&machine()).is_empty());
    assert!(Config::parse("links: [{ name: a, network: apn, interface: nosuch0, hotplug: true }]").is_ok());
}

#[test]
fn an_assignment_is_laid_over_the_file() {
    let config = Config::parse(GOOD).unwrap();
    let watch = config
        .assigned("links: [{ name: apn0, network: apn, metered: true }]\ntargets:\n  - { name: county, link: apn0, rung: pop, tcp: { address: '10.2.0.1:443' } }\n  - { name: portal, link: apn0, rung: pop, tcp: { address: '10.2.0.1:443' } }\n", None)
        .unwrap();
    assert_eq!(watch.links[0].way.interface, Some("wwan0".into()));
    let names: Vec<_> = watch.targets.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["county", "gateway", "portal"]);
    assert_eq!(watch.links[watch.targets[2].link].name, "gov");
    let wrong = config
        .assigned("targets: [{ name: x, link: nowhere, rung: pop, tcp: { address: '10.2.0.1:443' } }]", None)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(wrong[0].path, "targets[0].link");
}

/// The fault this keeps out: an assignment overrode `metered: true` and the interface, and the SIM paid for it.
#[test]
fn what_the_file_says_of_this_place_holds_against_an_assignment() {
    let config = Config::parse(GOOD).unwrap();
    let assigned = "links:\n  - { name: apn0, network: internet, interface: eth0, metered: false, plan: { bytes: 90GiB } }\n  \
                    - { name: gov, network: gov, interface: eth9, metered: true }";
    let watch = config.assigned(assigned, Some(&machine())).unwrap();
    let (apn, gov) = (&watch.links[0], &watch.links[1]);
    assert_eq!((apn.way.interface.clone(), apn.network, apn.metered), (Some("wwan0".into()), Network::Apn, true));
    assert_eq!(apn.plan.unwrap().bytes, 3 << 30);
    assert_eq!((gov.way.interface.clone(), gov.way.source), (None, Some("10.0.0.2".parse().unwrap())));
    assert!(gov.metered, "what the file leaves open is the assignment's");
}

#[test]
fn a_new_assignment_with_an_interface_that_is_not_here_is_refused() {
    let config = Config::parse(GOOD).unwrap();
    let assigned = "links: [{ name: sat, network: nin, interface: eth7 }]";
    let wrong = config.assigned(assigned, Some(&machine())).map(|_| ()).unwrap_err();
    assert_eq!(wrong[0].to_string(), "1:47: links[0].interface: unknown interface `eth7`; did you mean `eth0`?");
    assert!(config.assigned(assigned, None).is_ok(), "one that was good before is not refused for a modem that is late");
}

/// The fault this keeps out: an imported sheet with an `exec` target was a root shell on every router.
#[test]
fn what_touches_the_router_itself_needs_its_own_word_before_an_assignment_may_name_it() {
    let target = |probe: &str| format!("targets: [{{ name: x, link: gov, rung: core, every: 1h, {probe} }}]");
    let here = std::env::current_exe().unwrap().display().to_string();
    let cases = [
        ("exec", "exec: { command: [/bin/true] }".to_string()),
        ("ussd", "ussd: { device: /dev/ttyUSB2, code: '*555#', allow_cost: true }".to_string()),
        ("files", "tls: { address: 'a.example:443', ca: /etc/ssl/own.pem }".to_string()),
        ("files", "modem: { reader: at, device: /dev/ttyUSB2 }".to_string()),
        ("files", format!("host: {{ disk: '{here}' }}")),
        #[cfg(feature = "snmp")]
        ("files", "snmp: { address: 10.0.0.1, community_file: /etc/shadow }".to_string()),
    ];
    for (word, probe) in &cases {
        let wrong = Config::parse(GOOD).unwrap().assigned(&target(probe), None).map(|_| ()).unwrap_err();
        assert!(wrong.iter().any(|m| m.to_string().contains(&format!("`allow_assigned: [{word}]`"))), "{probe}: {wrong:?}");
        let allowing = format!("allow_assigned: [{word}]\n{GOOD}");
        let said = Config::parse(&allowing).unwrap().assigned(&target(probe), None).map(|_| ());
        assert!(said.is_ok_and(|()| true) || probe.contains("/etc/ssl") || probe.contains("snmp"), "{probe}");
        assert_eq!(Config::parse(&allowing).unwrap().may_run_plugins(), *word == "exec");
    }
    assert!(Config::parse(GOOD).unwrap().assigned(&target("modem: { reader: mmcli }"), None).is_ok());
    assert!(mistakes("allow_assigned: [root]")[0].contains("root"));
}

#[test]
fn collector_urls_must_be_https() {
    assert!(mistakes("collector: { urls: [\"http://a.example\"] }")[0].contains("no https URL"));
    assert!(mistakes("collector: { urls: [] }")[0].contains("at least one URL"));
    let url: Url = "https://a.example".parse().unwrap();
    assert_eq!(url.port(), 443);
}
