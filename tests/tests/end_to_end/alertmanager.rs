//! Debian's Alertmanager behind a real collector: what fires goes on firing, what is over is over, and its receiver hears of
//! each once, through restarts of both.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_tests::ear::{Ear, Says};
use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port};
use rusta_tests::stage::Stage;
use serde_json::Value;

use crate::villages::Villages;

/// How long Alertmanager believes an alert that is not repeated. Ten times what the collector's repeats are apart, so that
/// a busy machine decides nothing.
const FORGETS: Duration = Duration::from_secs(20);

struct Alertmanager {
    address: SocketAddr,
}

impl Alertmanager {
    fn start(&self, stage: &Stage, receiver: SocketAddr) -> Running {
        let config = format!(
            "global: {{ resolve_timeout: {}s }}\n\
             route: {{ receiver: ear, group_by: [case], group_wait: 0s, group_interval: 1s, repeat_interval: 24h }}\n\
             receivers: [{{ name: ear, webhook_configs: [{{ url: \"http://{receiver}/\", send_resolved: true }}] }}]\n",
            FORGETS.as_secs()
        );
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", stage.write("alertmanager.yaml", &config).display()));
        command.arg(format!("--storage.path={}", stage.path("alertmanager").display()));
        command.args([&format!("--web.listen-address={}", self.address), "--cluster.listen-address="]);
        let running = Running::start("alertmanager", command, &stage.path("collector"));
        let ready = || http::get(self.address, "/-/ready").is_ok_and(|answer| answer.status == 200).then_some(());
        eventually(Duration::from_secs(60), "Alertmanager is ready", ready);
        running
    }

    /// Lists the active alerts.
    fn active(&self) -> Vec<Value> {
        http::get(self.address, "/api/v2/alerts").unwrap().json().as_array().unwrap().clone()
    }

    /// Waits until the collector has repeated every active alert, of which there are `count`, after this moment.
    fn is_told_again(&self, count: usize) {
        let times = || self.active().iter().map(|alert| alert["updatedAt"].to_string()).collect::<Vec<_>>();
        let before = times();
        eventually(Duration::from_secs(90), "alerts are told again", || {
            let now = times();
            (now.len() == count && now.iter().all(|time| !before.contains(time))).then_some(())
        });
    }
}

/// What the receiver heard, by the Persian name of what failed: `firing دهیاری 3`.
fn told(ear: &Ear) -> Vec<String> {
    let alerts = ear.heard().into_iter().flat_map(|heard| heard.json()["alerts"].as_array().unwrap().clone());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    alerts.map(|alert| format!("{} {}", word(&alert["status"]), word(&alert["labels"]["root"]))).collect()
}

fn wait_for(ear: &Ear, wanted: &[&str]) {
    eventually(Duration::from_secs(120), &format!("the receiver was told {wanted:?}"), || {
        let told = told(ear);
        assert!(told.len() <= wanted.len(), "told too much: {told:?}");
        (told == wanted).then_some(())
    });
}

#[test]
fn alertmanager_hears_of_each_trouble_and_its_end_once_through_restarts_of_both() {
    let alertmanager = Alertmanager { address: SocketAddr::from(([127, 0, 0, 1], free_port())) };
    let oncall = format!(
        "page_url: \"https://rusta.example.ir\"\n\
         channels: [{{ name: alertmanager, preset: alertmanager, url: \"http://{}\", options: {{ repeat: 2s }} }}]\n\
         routes: [{{ name: noc, page: [{{ systems: [alertmanager] }}], ticket: [{{ systems: [alertmanager] }}] }}]\n",
        alertmanager.address
    );
    let mut villages = Villages::start(&oncall);
    let ear = Ear::http(TcpListener::bind("127.0.0.1:0").unwrap(), |_, _| Says::Answer(200, ""));
    let mut running = alertmanager.start(&villages.stage, ear.address);

    villages.set(3, false);
    wait_for(&ear, &["firing دهیاری 3"]);
    let fired = &ear.heard()[0].json()["alerts"][0];
    assert_eq!(fired["labels"]["root"], "دهیاری 3", "a Persian label value: {fired}");
    assert_eq!(fired["labels"]["severity"], "ticket", "{fired}");
    let labels = ["alertname", "rule", "site", "region"].map(|name| fired["labels"][name].as_str().unwrap_or_default().to_owned());
    assert_eq!(labels, ["RustaClassBDown", "class-b-down", "site-3", "0901"], "{fired}");
    assert_eq!(fired["generatorURL"], "https://rusta.example.ir/incidents/1", "{fired}");
    assert!(fired["annotations"]["summary"].as_str().unwrap().starts_with("مهم: قطع سایت رده ب، دهیاری 3"), "{fired}");
    assert!(fired["annotations"]["description"].as_str().unwrap().contains("https://rusta.example.ir/incidents/1"), "{fired}");

    // Longer than Alertmanager believes: without repeats it would have called it resolved by itself.
    std::thread::sleep(FORGETS + Duration::from_secs(5));
    alertmanager.is_told_again(1);
    assert_eq!(told(&ear), ["firing دهیاری 3"]);

    villages.restart_collector();
    alertmanager.is_told_again(1);
    running.signal(Signal::SIGTERM);
    running.wait(Duration::from_secs(60));
    running = alertmanager.start(&villages.stage, ear.address);
    alertmanager.is_told_again(1);
    assert_eq!(told(&ear), ["firing دهیاری 3"], "a restart tells nothing again");

    // While Alertmanager is away one trouble ends and another begins, and the collector is killed over it.
    running.signal(Signal::SIGTERM);
    running.wait(Duration::from_secs(60));
    villages.set(3, true);
    villages.set(7, false);
    eventually(Duration::from_secs(90), "the collector has both to tell", || {
        let said = http::get(villages.http, "/api/v1/incidents?state=all").unwrap().json();
        let items = said["items"].as_array().unwrap_or_else(|| panic!("{said}"));
        let is_over = |root: &str| items.iter().find(|one| one["root_fa"] == root).map(|one| !one["resolved_at"].is_null());
        (is_over("دهیاری 3") == Some(true) && is_over("دهیاری 7") == Some(false)).then_some(())
    });
    villages.restart_collector();
    let _running = alertmanager.start(&villages.stage, ear.address);
    let mut both: Vec<String> = Vec::new();
    eventually(Duration::from_secs(300), "the end of one and the beginning of the other are told", || {
        both = told(&ear).split_off(1);
        (both.len() >= 2).then_some(())
    });
    both.sort();
    assert_eq!(both, ["firing دهیاری 7", "resolved دهیاری 3"]);

    villages.set(7, true);
    eventually(Duration::from_secs(120), "the second end is told", || (told(&ear).len() == 4).then_some(()));
    assert_eq!(told(&ear)[3], "resolved دهیاری 7");
    eventually(Duration::from_secs(60), "nothing is active any more", || alertmanager.active().is_empty().then_some(()));
    assert_eq!(told(&ear).len(), 4, "each once");
}
