//! The SIM in a router's modem, with the real programs: it is told apart from others without its number being told to anybody, has a
//! data plan of its own, and carries its link wherever it is plugged in.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::log::{rounds_of, stored};
use rusta_tests::netns::{Lab, possible};
use rusta_tests::programs::{Running, eventually, free_port, run};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{Metric, Outcome};
use serde_json::Value;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("apn0", "apn", "primary", "lte")] }];

const FIRST: &str = "8998350000123456789";
const SECOND: &str = "8998110000987654321";

/// A modem on a serial port. Which SIM is in it, the file `sim` says.
const MODEM: &str = r#"
import os, pty, sys, tty
master, port = pty.openpty()
tty.setraw(port)
open(sys.argv[1] + '.part', 'w').write(os.ttyname(port))
os.rename(sys.argv[1] + '.part', sys.argv[1])
line = b''
while True:
    byte = os.read(master, 1)
    if byte != b'\r':
        line += byte
        continue
    say = {b'ATE0': 'OK', b'AT+CPIN?': '+CPIN: READY\r\n\r\nOK', b'AT+CEREG?': '+CEREG: 0,1\r\n\r\nOK',
           b'AT+CCID': '+CCID: ' + open(sys.argv[2]).read().strip() + '\r\n\r\nOK'}.get(line, 'ERROR')
    os.write(master, ('\r\n' + say + '\r\n').encode())
    line = b''
"#;

fn link_of(stage: &Stage) -> Option<Value> {
    let said = run(stage.agent().args(["status", "--json", "--socket"]).arg(stage.path("one/agent.sock"))).stdout;
    Some(serde_json::from_str::<Value>(&said).ok()?["links"][0].clone())
}

fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files_below(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[test]
fn another_sim_is_seen_and_told_and_counts_for_itself_and_its_number_stays_in_the_router() {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, web] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], web, "");
    stage.import(&VILLAGES);
    let _collector = stage.serve(None, web);
    let url = format!("https://{port}");
    stage.enroll(None, "one", &url);
    let (script, sim) = (stage.write("modem.py", MODEM), stage.write("sim", FIRST));
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(stage.path("port")).arg(&sim);
    let _modem = Running::start("modem", command, &stage.path(""));
    let device = eventually(Duration::from_secs(20), "the modem's port", || std::fs::read_to_string(stage.path("port")).ok());
    let targets = format!(
        "links:\n  - {{ name: apn0, network: apn, metered: true, quiet: 1s, plan: {{ bytes: 1GiB, own_bytes: 100MB }} }}\ntargets:\n  \
         - {{ name: modem, link: apn0, rung: modem, every: 1s, timeout: 900ms, modem: {{ reader: at, device: {device} }} }}\n  \
         - {{ name: core, link: apn0, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n",
        free_port()
    );
    stage.configure_agent("one", &[url], "2s", &targets);
    let mut agent = stage.run_agent(None, "one");
    let own = |link: &Value| link["plan"]["own_bytes"].as_u64().unwrap();
    let first = eventually(Duration::from_secs(60), "the first SIM's account moves", || {
        link_of(&stage).filter(|link| link["sim"].is_string() && own(link) > 2_000)
    });
    let swap_to = |number: &str, not: &Value| {
        stage.write("sim", number);
        eventually(Duration::from_secs(60), "another SIM", || link_of(&stage).filter(|link| link["sim"] != *not))
    };
    let second = swap_to(SECOND, &first["sim"]);
    assert!(own(&second) < own(&first), "{second} after {first}");
    // A power cut, and the accounts are still there.
    agent.kill();
    let _agent = stage.run_agent_in_new_boot(None, "one");
    let again = eventually(Duration::from_secs(60), "the same SIM after a power cut", || {
        link_of(&stage).filter(|link| link["sim"] == second["sim"])
    });
    assert!(own(&again) >= own(&second), "{again} after {second}");
    let back = swap_to(FIRST, &second["sim"]);
    assert_eq!(back["sim"], first["sim"]);
    assert!(own(&back) >= own(&first), "{back} after {first}");

    // The collector is told, in its log, its API and on the site's page.
    let series = eventually(Duration::from_secs(60), "the collector has heard of the swaps", || {
        let answer = http::get(web, "/api/v1/sites/one").ok()?;
        let site: Value = serde_json::from_str(&answer.text()).ok()?;
        Some(site).filter(|site| site["links"][0]["sim_swaps"] == 2)
    });
    assert_eq!(series["links"][0]["sim"], first["sim"]);
    assert!(http::get(web, "/sites/one").unwrap().text().contains("تعویض سیم‌کارت"));
    let mut files = Vec::new();
    files_below(&stage.path(""), &mut files);
    assert!(files.len() > 10 && !stored(&stage.path("collector/log")).is_empty());
    for file in files.iter().filter(|file| **file != sim) {
        let bytes = std::fs::read(file).unwrap_or_default();
        let shows = |number: &str| bytes.windows(number.len()).any(|part| part == number.as_bytes());
        assert!(!shows(FIRST) && !shows(SECOND), "{} shows a SIM's number", file.display());
    }
}

/// Two sticks, one SIM: its link goes where the SIM is, and is gone with it.
#[test]
fn a_link_goes_with_its_sim() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let (left, right, village) = (lab.namespace("left"), lab.namespace("right"), lab.namespace("village"));
    lab.join((&left, "left", "10.91.1.1/24"), (&village, "wwan5", "10.91.1.2/24"));
    lab.join((&right, "right", "10.91.2.1/24"), (&village, "wwan6", "10.91.2.2/24"));
    for (core, address) in [(&left, "10.91.1.1:7000"), (&right, "10.91.2.1:7000")] {
        let listener = core.enter(|| std::net::TcpListener::bind(address).unwrap());
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }
    let stage = Stage::new(rusta_tests::programs!());
    // ModemManager as its tool tells of it; in which stick the SIM is, the file `stick` says.
    let stick = stage.write("stick", "wwan5");
    let script = format!(
        "#!/bin/sh\nstick=$(cat {})\ncase \"$*\" in\n*-i*) echo '{{\"sim\":{{\"properties\":{{\"iccid\":\"{FIRST}\"}}}}}}' ;;\n\
         *--signal-get*|*--location-get*) echo '{{}}' ;;\n\
         *) test $stick != none || {{ echo '{{\"modem\":{{\"generic\":{{\"state\":\"failed\",\"state-failed-reason\":\"sim-missing\"}}}}}}'; exit 0; }}\n\
         echo '{{\"modem\":{{\"3gpp\":{{\"eps\":{{\"initial-bearer\":{{\"settings\":{{\"apn\":\"village\"}}}}}}}},\"generic\":{{\"state\":\"connected\",\"ports\":[\"cdc-wdm0 (qmi)\",\"'$stick' (net)\"],\"sim\":\"/org/SIM/0\"}}}}}}' ;;\nesac\n",
        stick.display()
    );
    let tool = stage.write("sbin/mmcli", &script);
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let target = |link: &str, address: &str| {
        format!(
            "  - {{ name: {link}-{}, link: {link}, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"{address}:7000\" }} }}\n",
            &address[6..7]
        )
    };
    let text = format!(
        "report: {{ every: 2s }}\nspool: {{ dir: {0}/spool, max_bytes: 8MiB, sync: batch }}\nstatus_socket: {0}/agent.sock\nlinks:\n  \
         - {{ name: sim, network: apn, iccid: \"{FIRST}\" }}\n  - {{ name: apn, network: apn, apn: village }}\ntargets:\n  \
         - {{ name: modem, link: sim, rung: modem, every: 1s, timeout: 900ms, modem: {{ reader: mmcli }} }}\n{1}{2}{3}",
        stage.path("one").display(),
        target("sim", "10.91.1.1"),
        target("sim", "10.91.2.1"),
        target("apn", "10.91.1.1"),
    );
    stage.write("one/agent.yaml", &text);
    // The tools of the system, and ours beside them.
    let mounts = format!("mount -t overlay overlay -o lowerdir={}:/usr/sbin /usr/sbin", stage.path("sbin").display());
    let _agent = stage.run_agent_among(Some(&village), "one", &mounts);
    let last = |target: &str| rounds_of(&stage.path("one/spool"), target, Metric::ConnectUs).last().map(|round| round.outcome);
    let expect = |what: &str, wanted: &dyn Fn([Option<Outcome>; 3]) -> bool| {
        eventually(Duration::from_secs(90), what, || wanted(["sim-1", "sim-2", "apn-1"].map(last)).then_some(()));
    };
    // Whom the other stick would reach, this one does not.
    let answers = |wanted: [bool; 3]| move |last: [Option<Outcome>; 3]| last.map(|outcome| outcome == Some(Outcome::Ok)) == wanted;
    expect("the SIM is in the left stick", &answers([true, false, true]));
    stage.write("stick", "wwan6");
    expect("the SIM is in the right stick", &answers([false, true, false]));
    stage.write("stick", "none");
    expect("the SIM is nowhere", &|last| last == [Some(Outcome::LinkGone); 3]);
    stage.write("stick", "wwan5");
    expect("the SIM is back", &answers([true, false, true]));
}
