//! Modems: tools that play back recorded outputs, a serial port with somebody at the other end, a stick on the network.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};

use super::super::tests_support::*;
use crate::socket::Way;

/// A modem at the far end of a pseudo-terminal. It answers each command with the first entry it starts with.
pub fn modem_at(answers: &'static [(&'static str, &'static str)]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let pty = nix::pty::openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap().display().to_string();
    let (mut far, near) = (fs::File::from(pty.master), pty.slave);
    let thread = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut line = Vec::new();
        let mut byte = [0];
        // Our own handle keeps the terminal there until the first command has come.
        let mut near = Some(near);
        while far.read_exact(&mut byte).is_ok() {
            if byte[0] != b'\r' {
                line.push(byte[0]);
                continue;
            }
            drop(near.take());
            let command = String::from_utf8(std::mem::take(&mut line)).unwrap();
            let answer = answers.iter().find(|(start, _)| command.starts_with(start)).map_or("\r\nERROR\r\n", |(_, answer)| answer);
            heard.push(command);
            // In two pieces, as USB delivers.
            let (first, second) = answer.split_at(answer.len() / 2);
            far.write_all(first.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            far.write_all(second.as_bytes()).unwrap();
        }
        heard
    });
    (path, thread)
}

const REGISTERED: &[(&str, &str)] = &[
    ("ATE0", "ATE0\r\r\nOK\r\n"),
    ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    ("AT+CEREG?", "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"),
    ("AT+COPS?", "\r\n+COPS: 0,2,\"43235\",7\r\n\r\nOK\r\n"),
    ("AT+CESQ", "\r\n+CESQ: 99,99,255,255,19,42\r\n\r\nOK\r\n"),
    ("AT+CGPADDR", "\r\n+CGPADDR: 1,\"10.71.3.9\"\r\n\r\nOK\r\n"),
];

async fn read(yaml: &str) -> super::Measurement {
    prober().measure(&probe(yaml), &Way::default(), Duration::from_millis(1_500)).await
}

#[tokio::test]
async fn a_serial_modem_is_asked_and_only_asked() {
    let (port, modem) = modem_at(REGISTERED);
    let measured = read(&format!("modem: {{ reader: at, device: {port}, require: bearer }}")).await;
    assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
    assert_eq!(measured.value(Metric::ModemPresent), Some(1));
    assert_eq!((measured.value(Metric::RsrpDbm), measured.value(Metric::Rat)), (Some(-98), Some(4)));
    let heard = modem.join().unwrap();
    assert_eq!(heard.len(), 12);
    assert!(heard.iter().all(|c| c == "ATE0" || c.ends_with('?') || !c.contains('=') || c.contains("QENG")), "nothing is set: {heard:?}");
}

#[tokio::test]
async fn each_rung_of_a_modem_has_its_own_requirement() {
    const DENIED: &[(&str, &str)] =
        &[("ATE0", "\r\nOK\r\n"), ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n"), ("AT+CEREG?", "\r\n+CEREG: 0,3\r\n\r\nOK\r\n")];
    const NO_SIM: &[(&str, &str)] = &[("ATE0", "\r\nOK\r\n"), ("AT+CPIN?", "\r\n+CME ERROR: 10\r\n")];
    const SEARCHING: &[(&str, &str)] =
        &[("ATE0", "\r\nOK\r\n"), ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n"), ("AT+CEREG?", "\r\n+CEREG: 0,2\r\n\r\nOK\r\n")];
    let cases = [
        (DENIED, "modem", Outcome::Ok),
        (DENIED, "sim", Outcome::Unexpected),
        (NO_SIM, "modem", Outcome::Ok),
        (NO_SIM, "sim", Outcome::Unexpected),
        (SEARCHING, "sim", Outcome::Ok),
        (SEARCHING, "radio", Outcome::Unexpected),
        (SEARCHING, "bearer", Outcome::Unexpected),
        (REGISTERED, "radio", Outcome::Ok),
    ];
    for (answers, require, outcome) in cases {
        let (port, _modem) = modem_at(answers);
        let measured = read(&format!("modem: {{ reader: at, device: {port}, require: {require} }}")).await;
        assert_eq!(measured.outcome, outcome, "{require}: {measured:?}");
    }
}

#[tokio::test]
async fn a_modem_that_is_gone_or_hangs_or_is_in_use() {
    let gone = read("modem: { reader: at, device: /dev/ttyNOSUCH0 }").await;
    assert_eq!((gone.outcome, gone.value(Metric::ModemPresent)), (Outcome::Unexpected, Some(0)));
    let (port, _modem) = modem_at(&[("ATE0", "\r\n")]);
    assert_eq!(read(&format!("modem: {{ reader: at, device: {port} }}")).await.outcome, Outcome::Timeout);
    let (port, _modem) = modem_at(REGISTERED);
    let held = fs::File::open(&port).unwrap();
    held.try_lock().unwrap();
    let busy = read(&format!("modem: {{ reader: at, device: {port} }}")).await;
    assert_eq!((busy.outcome, busy.value(Metric::ModemPresent)), (Outcome::NotRun, None));
    drop(held);
}

/// Puts a tool into the path that plays back what a real one said.
fn tool(name: &str, script: &str) -> ToolGuard {
    let path = Path::new("/usr/sbin").join(name);
    assert!(!path.exists(), "{name} is really installed here");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    ToolGuard(path)
}

struct ToolGuard(std::path::PathBuf);

impl Drop for ToolGuard {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn tools_are_run_with_their_arguments() {
    in_own_mounts(|| {
        let _uqmi = tool(
            "uqmi",
            r#"case "$*" in
            "-s -t 1000 -d /dev/cdc-wdm0 --get-signal-info") echo '{ "type": "lte", "rssi": -67, "rsrq": -10, "rsrp": -98, "snr": 12.4 }';;
            *--get-serving-system) echo '{ "registration": "registered", "plmn_mcc": 432, "plmn_mnc": 35, "roaming": false }';;
            *--get-data-status) echo '"disconnected"';;
            *) echo 'Failed to parse message data';; esac"#,
        );
        let _mmcli = tool("mmcli", r#"echo "error: couldn't find modem" >&2; exit 1"#);
        let _ubus = tool(
            "ubus",
            r#"test "$*" = "-t 2 call network.interface.wwan status" && echo '{"up":true,"ipv4-address":[{"address":"10.71.3.9","mask":32}]}'"#,
        );
        block_on(async {
            let uqmi = read("modem: { reader: uqmi, device: /dev/cdc-wdm0, require: radio }").await;
            assert_eq!(
                (uqmi.outcome, uqmi.value(Metric::RsrpDbm), uqmi.value(Metric::BearerUp)),
                (Outcome::Ok, Some(-98), Some(0)),
                "{uqmi:?}"
            );
            let mmcli = read("modem: { reader: mmcli }").await;
            assert_eq!((mmcli.outcome, mmcli.value(Metric::ModemPresent)), (Outcome::Unexpected, Some(0)));
            let ubus = read("modem: { reader: ubus, device: wwan, require: bearer }").await;
            assert_eq!((ubus.outcome, ubus.value(Metric::BearerUp)), (Outcome::Ok, Some(1)));
        });
    });
}

#[test]
fn modem_manager_is_made_to_ask_for_the_signal() {
    in_own_mounts(|| {
        // ModemManager 1.20: no signal and a rate of 0 until `--signal-setup`.
        let _mmcli = tool(
            "mmcli",
            r#"case "$*" in
            *--signal-setup=*) touch /usr/sbin/set-up; echo "Successfully setup extended signal information polling" ;;
            *--signal-get*) if test -e /usr/sbin/set-up
                then echo '{"modem":{"signal":{"lte":{"rsrp":"-98.00","rsrq":"-10.00","rssi":"-67.00","snr":"12.40"},"refresh":{"rate":"30"}}}}'
                else echo '{"modem":{"signal":{"lte":{"rsrp":"--","rsrq":"--","rssi":"--","snr":"--"},"refresh":{"rate":"0"}}}}'; fi ;;
            *--location-get*) echo '{}' ;;
            *) echo '{"modem":{"3gpp":{"registration-state":"home"},"generic":{"state":"connected"}}}' ;;
            esac"#,
        );
        block_on(async {
            let first = read("modem: { reader: mmcli, require: radio }").await;
            assert_eq!((first.outcome, first.value(Metric::RsrpDbm), first.value(Metric::SinrCb)), (Outcome::Ok, Some(-98), Some(124)));
        });
    });
}

#[tokio::test]
async fn a_tool_that_is_not_installed_proves_nothing() {
    let measured = read("modem: { reader: uqmi, device: /dev/cdc-wdm0 }").await;
    assert_eq!((measured.outcome, measured.values.len()), (Outcome::SystemError, 0));
}

#[tokio::test]
async fn a_hilink_stick_wants_its_own_token_back() {
    let nginx = Nginx::serving(
        &Papers::valid_days(1, 1),
        r#"underscores_in_headers on; location = /api/webserver/SesTokInfo { return 200 "<response><SesInfo>SessionID=abc</SesInfo><TokInfo>t0k</TokInfo></response>"; }
           location /api/ { if ($http___requestverificationtoken != "t0k") { return 200 "<error><code>125002</code></error>"; }
               if ($cookie_sessionid != "abc") { return 200 "<error><code>125002</code></error>"; }
               return 200 "<response><rsrp>-98dBm</rsrp><rsrq>-10dB</rsrq><sinr>12dB</sinr><ConnectionStatus>901</ConnectionStatus><SimStatus>1</SimStatus><ServiceStatus>2</ServiceStatus></response>"; }"#,
    );
    let measured = read(&format!("modem: {{ reader: hilink, address: '{}', require: bearer }}", nginx.plain)).await;
    assert_eq!(
        (measured.outcome, measured.value(Metric::RsrpDbm), measured.value(Metric::SinrCb)),
        (Outcome::Ok, Some(-98), Some(120)),
        "{measured:?}"
    );
    let nobody = read(&format!("modem: {{ reader: hilink, address: '{}' }}", free_port())).await;
    assert_eq!((nobody.outcome, nobody.value(Metric::ModemPresent)), (Outcome::Refused, Some(0)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert!(refusal("modem: { reader: uqmi }").contains("/dev/cdc-wdm0"));
    assert!(refusal("modem: { reader: mmcli, device: '--reset' }").contains("not a name"));
    assert!(refusal("modem: { reader: gammu }").contains("unknown variant"));
}
