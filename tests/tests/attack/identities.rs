//! Certificates, tokens, and what a workbook may put on a router.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rusta_tests::programs::{eventually, run, run_ok};
use serde_json::{Value, json};

use crate::stand::Stand;

struct Device {
    client: reqwest::Client,
    key: KeyPair,
}

fn client(ca: &str, identity: Option<(&str, &KeyPair)>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
        .timeout(Duration::from_secs(20));
    if let Some((certificate, key)) = identity {
        builder = builder.identity(reqwest::Identity::from_pem(format!("{certificate}{}", key.serialize_pem()).as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

impl Stand {
    fn ask(&self, client: &reqwest::Client, body: &Value) -> (u16, Value) {
        let request = client.post(format!("{}/v1/enroll", self.url())).json(body);
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap_or_default())
        })
    }

    fn device(&self, site: &str) -> Device {
        let (key, ca) = (KeyPair::generate().unwrap(), self.ca());
        let (status, answer) = self.ask(&client(&ca, None), &json!({ "token": self.token(site), "csr_pem": csr(&key) }));
        assert_eq!(status, 200, "{answer}");
        Device { client: client(&ca, Some((answer["certificate_pem"].as_str().unwrap(), &key))), key }
    }

    fn assignment(&self, device: &Device) -> (u16, String) {
        let request = device.client.get(format!("{}/v1/assignment", self.url()));
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap_or_default())
        })
    }
}

/// 7,016 renewals in five seconds, and the key before the last one still worked.
#[test]
fn renewals_are_limited_and_the_key_before_the_last_one_is_refused() {
    let stand = Stand::start();
    let device = stand.device("stolen");
    let statuses: Vec<u16> = (0..300).map(|_| stand.ask(&device.client, &json!({ "csr_pem": csr(&device.key) })).0).collect();
    let given = statuses.iter().filter(|status| **status == 200).count();
    println!("{} renewals tried, {given} given", statuses.len());
    assert!(given <= 10 && statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    let other = stand.device("two");
    let key = KeyPair::generate().unwrap();
    let (status, answer) = stand.ask(&other.client, &json!({ "csr_pem": csr(&key) }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(stand.assignment(&other).0, 200, "the answer may have been lost on its way");
    let renewed = Device { client: client(&stand.ca(), Some((answer["certificate_pem"].as_str().unwrap(), &key))), key };
    assert_eq!(stand.assignment(&renewed).0, 200);
    assert_eq!(stand.assignment(&other).0, 403, "the old key after the first use of the new one");
}

/// 4,412 audit rows in eight seconds.
#[test]
fn guessed_tokens_are_counted_and_are_no_audit_rows_each() {
    let stand = Stand::start();
    let (stranger, key) = (client(&stand.ca(), None), KeyPair::generate().unwrap());
    let csr = csr(&key);
    let refused = (0..500).filter(|n| stand.ask(&stranger, &json!({ "token": format!("guess{n}"), "csr_pem": csr })).0 == 403).count();
    println!("{refused} guesses refused");
    assert!(refused >= 490, "{refused}");
    assert!(stand.metric("rusta_requests_refused_total{reason=\"token\"}") >= 490);
    assert!(stand.audited("agent.enroll.refused") <= 2, "{} rows", stand.audited("agent.enroll.refused"));
}

/// A profile with an `exec` target ran as root on every router.
#[test]
fn a_probe_that_runs_programs_is_assigned_to_nobody_until_another_administrator_confirms_it() {
    let stand = Stand::start();
    let device = stand.device("one");
    let folder = stand.stage.path("inventory");
    let target = |name: &str, probe: &str| format!("- name: {name}\n  targets: [{{ name: {name}, rung: gateway, {probe} }}]\n");
    let profiles = [
        target("safe", "icmp: { address: 127.0.0.1 }"),
        target("shell", "exec: { command: [/bin/sh, -c, id] }"),
        target("file", "modem: { device: /etc/shadow }"),
    ];
    std::fs::write(folder.join("profiles.yaml"), profiles.concat()).unwrap();
    let said = run(stand.stage.collector().args(["inventory", "import", "--dry-run"]).arg(&folder));
    assert!(format!("{said:?}").contains("shell/shell") && format!("{said:?}").contains("/bin/sh"), "the difference shows it: {said:?}");
    let said = run(stand.stage.collector().args(["inventory", "import"]).arg(&folder));
    assert!(format!("{said:?}").contains("--with-programs"), "it is refused without a word: {said:?}");
    run_ok(stand.stage.collector().args(["inventory", "import", "--with-programs"]).arg(&folder));
    eventually(Duration::from_secs(30), "the safe target is assigned", || stand.assignment(&device).1.contains("gov0-safe").then_some(()));
    assert!(!stand.assignment(&device).1.contains("/bin/sh") && !stand.assignment(&device).1.contains("/etc/shadow"));
    let listed: Value = serde_json::from_str(&run_ok(stand.stage.collector().args(["inventory", "programs", "--json"]))).unwrap();
    let shell = listed.as_array().unwrap().iter().find(|one| one["probe"] == "exec").unwrap()["digest"].as_str().unwrap().to_owned();
    let with_password = |args: &[&str]| {
        let mut child =
            stand.stage.collector().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"a long enough password 7\n").unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(with_password(&["users", "add", "noc2", "--role", "admin"]).status.success());
    assert!(with_password(&["users", "add", "reader", "--role", "viewer"]).status.success());
    assert!(!with_password(&["inventory", "confirm", &shell, "--as", "reader"]).status.success(), "a viewer confirmed it");
    let confirmed = with_password(&["inventory", "confirm", &shell, "--as", "noc2"]);
    assert!(confirmed.status.success(), "{confirmed:?}");
    eventually(Duration::from_secs(30), "it is assigned", || stand.assignment(&device).1.contains("/bin/sh").then_some(()));
    assert!(!stand.assignment(&device).1.contains("/etc/shadow"), "the other one still waits");
    println!("2 probes that run programs tried, 1 confirmed");
}
