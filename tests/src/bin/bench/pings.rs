//! Pings at scale: an agent of a county node asks 1,000 targets for ten replies each every ten seconds, 1,000 packets a second
//! that a namespace answers; `fping` sends as many beside it, one a millisecond.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusta_tests::log::spooled_values;
use rusta_tests::netns::{Lab, Namespace};
use rusta_tests::programs::{Programs, Running, run_ok};
use rusta_wire::Metric;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process;

const TARGETS: u16 = 1_000;

const EACH: u16 = 10;

/// The figures are per this many.
const PINGS: f64 = 10_000.0;

fn address(n: u16) -> String {
    format!("10.85.{}.{}", n >> 8, n & 0xff)
}

fn configuration(folder: &TempDir) -> String {
    let folder = folder.path().display();
    let mut text = format!("spool: {{ dir: {folder}/spool, sync: never }}\nstatus_socket: {folder}/agent.sock\n");
    text += "links: [{ name: gov0, network: gov, interface: gov0 }]\ntargets:\n";
    for n in 0..TARGETS {
        let probe = format!("icmp: {{ address: {}, count: {EACH} }}", address(n));
        writeln!(text, "  - {{ name: t{n}, link: gov0, rung: core, every: 10s, timeout: 3s, {probe} }}").unwrap();
    }
    text
}

/// Echo requests that left a namespace.
fn asked(inside: &Namespace) -> u64 {
    let text = run_ok(inside.command("cat").arg("/proc/net/snmp"));
    let mut lines = text.lines().filter(|line| line.starts_with("Icmp:")).map(str::split_whitespace);
    let (mut names, mut values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.position(|name| name == "OutEchos").unwrap();
    values.nth(place).unwrap().parse().unwrap()
}

fn fping(village: &Namespace) -> Option<Value> {
    Command::new("fping").arg("-v").stdout(Stdio::null()).status().ok()?;
    let targets = (0..EACH * TARGETS).map(address);
    let before = process::children_cpu_s();
    let said = village.command("fping").args(["-q", "-c", "1", "-i", "1", "-t", "3000"]).args(targets).output().unwrap();
    let lines = String::from_utf8_lossy(&said.stderr).lines().filter(|line| line.contains("/1/0%")).count();
    Some(json!({ "cpu_s": process::children_cpu_s() - before, "answered": lines }))
}

/// Counts for `seconds` after half a minute of warm-up.
pub fn measure(programs: &Programs, seconds: u64) -> Value {
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "gov", "10.84.0.1/24"), (&village, "gov0", "10.84.0.2/24"));
    core.ip(&["route", "add", "local", "10.85.0.0/16", "dev", "lo"]);
    village.ip(&["route", "add", "10.85.0.0/16", "via", "10.84.0.1"]);

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("agent.yaml");
    std::fs::write(&file, configuration(&folder)).unwrap();
    let mut command = village.command(&programs.agent);
    command.arg("run").arg("--config").arg(&file);
    let agent = Running::start("pings", command, folder.path());

    std::thread::sleep(Duration::from_secs(30));
    let (before, asked_before) = (process::read(agent.pid()), asked(&village));
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, asked_after) = (process::read(agent.pid()), asked(&village));
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    let mut agent = agent;
    agent.wait(Duration::from_secs(20));
    let total = |metric| spooled_values(&folder.path().join("spool"), metric).iter().sum::<i64>();
    let pings = asked_after - asked_before;
    json!({
        "bench": "pings", "seconds": seconds, "pings": pings,
        "cpu_s_per_10000": (after.cpu_ns - before.cpu_ns) as f64 / 1e9 / pings as f64 * PINGS,
        "context_switches_per_s": (after.switches - before.switches) as f64 / seconds as f64,
        "rss_kib": after.rss_kib,
        "sent": total(Metric::Sent), "lost": total(Metric::Sent) - total(Metric::Received),
        "fping": fping(&village),
    })
}
