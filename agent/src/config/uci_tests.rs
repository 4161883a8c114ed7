use super::*;
use crate::config::{Config, Faults};
use crate::interfaces::Device;
use rusta_wire::Network;
use std::time::Duration;

const PRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn load(text: &str) -> Result<Config, Faults> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rusta");
    std::fs::write(&file, text).unwrap();
    Config::load(&file)
}

fn told(text: &str) -> Vec<(usize, String)> {
    load(text).unwrap_err().mistakes.into_iter().map(|m| (m.line, m.text)).collect()
}

#[test]
fn what_a_technician_types_is_a_whole_configuration() {
    let disk = tempfile::tempdir().unwrap();
    let text = format!(
        "package rusta\n\nconfig agent 'main'\n\toption enabled '1'\n\toption invitation 'rusta1:tok:{PRINT}:collector.example:8443,10.0.0.1:8443'\n\
         \toption state '{}'\n\toption spool 2MiB\n\tlist resolver '10.1.0.53'\n\tlist resolver \"10.1.0.54\"\n\n\
         config link 'apn0'   # the SIM\n\toption interface 'wwan'\n\toption network apn\n\toption metered 'yes'\n\toption plan_gb '1.5'\n\
         \toption own_mb '30'\n\toption calendar 'jalali'\n\nconfig link\n\toption name 'gov-fibre'\n\toption interface 'wan'\n",
        disk.path().display()
    );
    let config = load(&text).unwrap();
    let collector = config.collector.as_ref().unwrap();
    let urls: Vec<String> = collector.urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["https://collector.example:8443", "https://10.0.0.1:8443"]);
    assert_eq!(collector.invitation.as_ref().unwrap().token, "tok");
    assert_eq!(config.spool.dir, disk.path().join("spool"));
    assert_eq!((config.spool.max_bytes, config.resolvers.len()), (2 << 20, 2));
    let links = config.watch().links;
    assert_eq!((links[0].name.as_str(), links[0].network, links[0].metered), ("apn0", Network::Apn, true));
    assert!(matches!(&links[0].way.interface, Some(Device::Netifd(name)) if name == "wwan"));
    let plan = links[0].plan.unwrap();
    assert_eq!((plan.bytes, plan.own_bytes, plan.cycle_day), (1_500_000_000, 30_000_000, 1));
    // A disk that was pulled takes nothing with it.
    drop(disk);
    assert_eq!(load(&text).unwrap().spool.dir, Path::new("/etc/rusta/state/spool"));
    assert_eq!((links[1].name.as_str(), links[1].metered), ("gov-fibre", false));
}

#[test]
fn what_is_in_the_package_runs_before_anybody_typed_anything() {
    let shipped = include_str!("../../../configs/openwrt/feed/rusta-agent/files/rusta.config");
    let config = load(shipped).unwrap();
    assert!(config.collector.unwrap().urls.is_empty());
    assert_eq!(config.spool.dir, Path::new("/etc/rusta/state/spool"));
    assert!(config.spool.writes_per_day > 0);
    // What is commented out there is right as well.
    let all: String =
        shipped.lines().map(|line| format!("{}\n", line.strip_prefix("#\t").map_or(line.into(), |on| format!("\t{on}")))).collect();
    let all = all.replace("\n#config ", "\nconfig ").replace("\toption config '/etc/rusta/agent.yaml'\n", "");
    let config = load(&all).unwrap();
    assert!(config.watch().links.len() == 1 && config.collector.unwrap().invitation.is_some(), "{all}");
}

#[test]
fn a_token_and_a_fingerprint_make_an_invitation() {
    let agent = format!(
        "config agent\n list collector https://a.example:8443/\n list collector https://b.example:8443\n option token t\n option fingerprint {PRINT}\n"
    );
    let config = load(&agent).unwrap();
    let invitation = config.collector.unwrap().invitation.unwrap();
    assert_eq!(invitation.to_string(), format!("rusta1:t:{PRINT}:a.example:8443,b.example:8443"));
    assert_eq!(told("config agent\n option token t\n")[0].0, 2);
    assert_eq!(told(&agent.replace(PRINT, "00"))[0].0, 5);
}

#[test]
fn yaml_holds_the_rest_when_the_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("agent.yaml");
    std::fs::write(&yaml, "report: { every: 7s }\n").unwrap();
    let named = format!("config agent\n option config '{}'\n", yaml.display());
    assert_eq!(load(&named).unwrap().report.every, Duration::from_secs(7));
    std::fs::write(&yaml, "report: { every: 7 }\n").unwrap();
    let faults = load(&named).unwrap_err();
    assert!(faults.file.ends_with("agent.yaml"), "{faults}");
}

#[test]
fn each_mistake_is_told_at_its_line_of_the_file() {
    let found = told(
        "config agent\n option colector 'x'\nconfig lnik\nconfig link\nconfig link a\n option plan_gb 'much'\n option metered perhaps\n \
         option cycle_day first\n option interface 'wan\nrubbish\n",
    );
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [2, 3, 4, 6, 7, 8, 9, 10], "{found:?}");
    assert!(found.iter().any(|(_, text)| text.contains("collector")), "{found:?}");
    // What the YAML's rules say is told there too.
    let found =
        told("config agent\n option report '1y'\n\nconfig link a\n option network moon\n option interface wan\n option device eth0\n");
    assert!(found.iter().any(|(line, text)| *line == 5 && text.contains("moon")), "{found:?}");
    assert!(found.iter().any(|(line, _)| *line == 2), "{found:?}");
    assert!(found.iter().any(|(_, text)| text.contains("tied to one device")), "{found:?}");
    assert_eq!(told("config agent\nconfig agent\n")[0].0, 2);
}

#[test]
fn words_are_split_as_uci_does() {
    assert_eq!(words("\toption  a 'b c' # d").unwrap(), ["option", "a", "b c"]);
    assert_eq!(words(r#"a "b\"c" d'e'f \#"#).unwrap(), ["a", "b\"c", "def", "#"]);
    assert_eq!(words("a ''").unwrap(), ["a", ""]);
    assert!(words("'").is_err() && words("\"\\").is_err());
}
