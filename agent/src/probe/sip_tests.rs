//! SIP against sipp answering OPTIONS, and against responders that lie.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::net::UdpSocket;

use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

const SCENARIO: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="options">
  <recv request="OPTIONS" crlf="true"></recv>
  <send><![CDATA[
SIP/2.0 100 Trying
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
  <send><![CDATA[
SIP/2.0 STATUS
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>"#;

/// Starts sipp as a server that answers OPTIONS with this status line.
fn sipp(status: &str, transport: &str) -> (Daemon, SocketAddr, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("options.xml");
    std::fs::write(&scenario, SCENARIO.replace("STATUS", status)).unwrap();
    let address = free_port();
    let port = address.port().to_string();
    let args = ["-sf", &scenario.display().to_string(), "-i", "127.0.0.1", "-p", &port, "-t", transport, "-nostdin", "-nd"];
    (Daemon::start("sipp", &args), address, dir)
}

async fn until_answered(target: &super::super::Probe) -> Measurement {
    for _ in 0..50 {
        let measured = prober().measure(target, &Way::default(), Duration::from_millis(500)).await;
        if measured.value(Metric::SipStatus).is_some() {
            return measured;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("sipp never answered");
}

#[tokio::test]
async fn sipp_answers_over_udp_and_tcp() {
    for (transport, flag) in [("udp", "u1"), ("tcp", "t1")] {
        let (_sipp, address, _dir) = sipp("200 OK", flag);
        let target = probe(&format!("sip: {{ address: '{address}', transport: {transport} }}"));
        let measured = until_answered(&target).await;
        assert_eq!((measured.outcome, measured.value(Metric::SipStatus)), (Outcome::Ok, Some(200)), "{transport}");
        assert!(measured.value(Metric::RttUsMin).unwrap() > 0);
        assert!(measured.bytes > 600);
    }
}

#[tokio::test]
async fn an_overloaded_exchange_is_unexpected() {
    let (_sipp, address, _dir) = sipp("503 Service Unavailable", "u1");
    let measured = until_answered(&probe(&format!("sip: {{ address: '{address}' }}"))).await;
    assert_eq!((measured.outcome, measured.value(Metric::SipStatus)), (Outcome::Unexpected, Some(503)));
}

#[tokio::test]
async fn garbage_is_malformed_silence_a_timeout_and_nobody_refused() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let target = probe(&format!("sip: {{ address: '{address}' }}"));
    let prober = prober();
    let way = Way::default();
    let round = || prober.measure(&target, &way, Duration::from_millis(200));
    let silent = round().await;
    assert_eq!((silent.outcome, silent.values.len()), (Outcome::Timeout, 0));
    let answering = async {
        let mut buffer = [0; 2_048];
        loop {
            let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(b"\x00\x01 not sip", from).await.unwrap();
        }
    };
    tokio::select! {
        measured = round() => assert_eq!(measured.outcome, Outcome::Malformed),
        () = answering => unreachable!(),
    }
    drop(socket);
    assert_eq!(round().await.outcome, Outcome::Refused);
}
