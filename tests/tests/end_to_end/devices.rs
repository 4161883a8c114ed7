//! Links by what stays the same: the kernel's names and the addresses change, and the links and their reports come back.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rusta_tests::netns::{Lab, Namespace, possible};
use rusta_tests::programs::{Running, eventually, run, run_ok};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use serde_json::Value;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("sim", "apn", "primary", "lte")] }];

/// A village whose four links are known by the kernel's name, an address, netifd's name, and a place on the bus.
struct Devices {
    _agent: Running,
    _collector: Running,
    stage: Stage,
    village: Namespace,
    core: Namespace,
    lab: Lab,
}

/// The links, each with its interface and what ties it there.
const LINKS: [(&str, &str, &str); 4] = [
    ("name", "eth5", "interface: eth5"),
    ("address", "eth6", "source: 10.88.1.2"),
    ("sim", "wwan0", "netifd: wwan"),
    ("place", "usb0", "path: platform-1b000000.usb-usb-0:1.2:1.4"),
];

impl Devices {
    fn start() -> Devices {
        let mut lab = Lab::new();
        let (core, village) = (lab.namespace("core"), lab.namespace("village"));
        for (number, (_, interface, _)) in LINKS.iter().enumerate() {
            join(&lab, &core, &village, number, interface, 2);
        }
        let stage = Stage::new(rusta_tests::programs!());
        let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &["10.88.2.1"], http, &format!("thresholds: {QUICK_THRESHOLDS}"));
        stage.import(&VILLAGES);
        let collector = stage.serve(Some(&core), http);
        let url = "https://10.88.2.1:8443".to_string();
        stage.enroll(Some(&village), "one", &url);
        let links: String = LINKS.iter().map(|(name, _, tie)| format!("  - {{ name: {name}, network: apn, {tie} }}\n")).collect();
        let mut text = format!("links:\n{links}targets:\n");
        for (number, (name, ..)) in LINKS.iter().enumerate() {
            let ping = format!("icmp: {{ address: 10.88.{number}.1, count: 1 }}");
            text += &format!("  - {{ name: {name}-core, link: {name}, rung: core, every: 1s, timeout: 800ms, {ping} }}\n");
        }
        stage.configure_agent("one", &[url], "2s, links: [sim]", &text);
        netifd_says(&stage, "wwan0");
        udev_says(&stage, &village, "usb0");
        let ubus = stage.write("sbin/ubus", &format!("#!/bin/sh\ncat {}\n", stage.path("netifd.json").display()));
        std::fs::set_permissions(&ubus, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mounts = format!(
            "mount -t overlay overlay -o lowerdir={}:/usr/sbin /usr/sbin\nmkdir -p /run/udev\nmount -t tmpfs tmpfs /run/udev\n\
             mkdir /run/udev/data\nmount --bind {} /run/udev/data",
            stage.path("sbin").display(),
            stage.path("udev").display()
        );
        let agent = stage.run_agent_among(Some(&village), "one", &mounts);
        Devices { _agent: agent, _collector: collector, stage, village, core, lab }
    }

    fn status(&self) -> Option<Value> {
        let mut ask = self.stage.agent();
        ask.args(["status", "--json", "--socket"]).arg(self.stage.path("one/agent.sock"));
        serde_json::from_str(&run(&mut ask).stdout).ok()
    }

    fn outcome(&self, link: &str) -> Option<String> {
        let status = self.status()?;
        let link = status["links"].as_array()?.iter().find(|l| l["name"] == link)?.clone();
        link["targets"][0]["outcome"].as_str().map(String::from)
    }

    fn wait_for(&self, link: &str, outcome: &str) -> f64 {
        let began = Instant::now();
        eventually(Duration::from_secs(30), &format!("{link} is {outcome}"), || (self.outcome(link)? == outcome).then_some(()));
        began.elapsed().as_secs_f64()
    }

    fn acknowledged(&self) -> u64 {
        self.status().and_then(|status| status["report"]["acknowledged"].as_u64()).unwrap_or_default()
    }

    /// Plugs a modem out and in again: it has another name, another number and another address.
    fn plug_again(&self, number: usize, name: &str) {
        self.village.ip(&["link", "del", LINKS[number].1]);
        join(&self.lab, &self.core, &self.village, number, name, 7);
    }
}

fn join(lab: &Lab, core: &Namespace, village: &Namespace, number: usize, interface: &str, host: u8) {
    let (ours, theirs) = (format!("10.88.{number}.1/24"), format!("10.88.{number}.{host}/24"));
    lab.join((core, &format!("line{number}"), &ours), (village, interface, &theirs));
}

/// Lets netifd say which device carries the logical interface `wwan`.
fn netifd_says(stage: &Stage, device: &str) {
    let said = format!(r#"{{"interface":[{{"interface":"lan","l3_device":"br-lan"}},{{"interface":"wwan","l3_device":"{device}"}}]}}"#);
    stage.write("netifd.json", &said);
}

/// Lets udev say where an interface of the village is.
fn udev_says(stage: &Stage, village: &Namespace, interface: &str) {
    let told = run_ok(village.command("ip").args(["-o", "link", "show", "dev", interface]));
    let number = told.split(':').next().unwrap();
    stage.write(&format!("udev/n{number}"), "I:1\nE:ID_BUS=usb\nE:ID_PATH=platform-1b000000.usb-usb-0:1.2:1.4\n");
}

#[test]
fn a_renamed_interface_and_a_changed_address_are_followed() {
    if !possible() {
        return;
    }
    let devices = Devices::start();
    for (link, ..) in LINKS {
        devices.wait_for(link, "ok");
    }
    eventually(Duration::from_secs(30), "reports", || (devices.acknowledged() > 1).then_some(()));

    devices.village.down("eth5");
    devices.wait_for("name", "link_gone");
    devices.village.ip(&["link", "set", "eth5", "name", "eth9"]);
    devices.village.up("eth9");
    println!("renamed: back after {:.1} s", devices.wait_for("name", "ok"));

    devices.village.ip(&["address", "del", "10.88.1.2/24", "dev", "eth6"]);
    devices.wait_for("address", "link_gone");
    devices.village.ip(&["address", "add", "10.88.1.7/24", "dev", "eth6"]);
    println!("another address: back after {:.1} s", devices.wait_for("address", "ok"));

    devices.plug_again(3, "usb1");
    devices.wait_for("place", "link_gone");
    udev_says(&devices.stage, &devices.village, "usb1");
    println!("plugged in again, by its place: back after {:.1} s", devices.wait_for("place", "ok"));

    netifd_says(&devices.stage, "wwan1");
    let (began, before) = (Instant::now(), devices.acknowledged());
    devices.plug_again(2, "wwan1");
    eventually(Duration::from_secs(60), "reports by the modem's next name", || (devices.acknowledged() > before + 1).then_some(()));
    println!("plugged in again, by netifd: reports after {:.1} s", began.elapsed().as_secs_f64());
    devices.wait_for("sim", "ok");
}
