//! TLS against nginx, with a right and a wrong clock, and against peers that speak something else.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::tests_support::*;
use super::super::{Probe, WallTime};
use super::*;
use crate::socket::Way;

const DAY_S: i64 = 86_400;

fn to(address: SocketAddr, papers: &Papers) -> Probe {
    probe(&format!("tls: {{ address: '{address}', name: portal.example, ca: '{}' }}", papers.ca()))
}

async fn at(wall: WallTime, probe: &Probe) -> Measurement {
    prober_at(wall, Vec::new()).measure(probe, &Way::default(), Duration::from_secs(3)).await
}

fn untrusted(system_s: i64, floor_s: i64) -> WallTime {
    WallTime { system_s, floor_s, trusted: false }
}

#[tokio::test]
async fn a_good_certificate_tells_its_time_left() {
    let papers = Papers::valid_days(10, 30);
    let nginx = Nginx::serving(&papers, "");
    let measured = at(trusted_noon(), &to(nginx.tls, &papers)).await;
    assert_eq!(measured.outcome, Outcome::Ok);
    // Valid until midnight thirty days on, and it is noon.
    assert_eq!(measured.value(Metric::CertificateS), Some(30 * DAY_S - DAY_S / 2));
    assert!(measured.value(Metric::TlsUs).unwrap() > 0);
    assert!((1_500..6_000).contains(&measured.bytes), "{}", measured.bytes);
}

#[tokio::test]
async fn a_chain_fault_is_told_apart_from_a_clock_fault() {
    let expired = Papers::valid_days(60, -5);
    let nginx = Nginx::serving(&expired, "");
    let target = to(nginx.tls, &expired);
    let measured = at(trusted_noon(), &target).await;
    assert_eq!(measured.outcome, Outcome::TlsFailed, "the clock is right, so the certificate is wrong");
    assert_eq!(measured.value(Metric::CertificateS), Some(-5 * DAY_S - DAY_S / 2));
    let floor_after_expiry = untrusted(0, NOON_S);
    assert_eq!(at(floor_after_expiry, &target).await.outcome, Outcome::TlsFailed, "it expired before a moment that has passed");
    let fast_clock = untrusted(NOON_S, NOON_S - 30 * DAY_S);
    let measured = at(fast_clock, &target).await;
    assert_eq!((measured.outcome, measured.value(Metric::CertificateS)), (Outcome::ClockFault, None), "our clock may run ahead");
}

#[tokio::test]
async fn a_router_that_starts_in_1970_judges_by_its_floor() {
    let papers = Papers::valid_days(10, 30);
    let nginx = Nginx::serving(&papers, "");
    let target = to(nginx.tls, &papers);
    assert_eq!(at(untrusted(60, NOON_S), &target).await.outcome, Outcome::Ok);
    assert_eq!(at(untrusted(60, NOON_S - 90 * DAY_S), &target).await.outcome, Outcome::ClockFault, "issued after the last time we know");
    let trusted_but_early = WallTime { system_s: NOON_S - 20 * DAY_S, floor_s: 0, trusted: true };
    assert_eq!(at(trusted_but_early, &target).await.outcome, Outcome::TlsFailed);
}

#[tokio::test]
async fn another_authority_or_another_name_fails_whatever_the_clock() {
    let (papers, others) = (Papers::valid_days(10, 30), Papers::valid_days(10, 30));
    let nginx = Nginx::serving(&papers, "");
    for wall in [trusted_noon(), untrusted(0, 0)] {
        assert_eq!(at(wall, &to(nginx.tls, &others)).await.outcome, Outcome::TlsFailed);
    }
    let other_name = probe(&format!("tls: {{ address: '{}', name: bank.example, ca: '{}' }}", nginx.tls, papers.ca()));
    assert_eq!(at(trusted_noon(), &other_name).await.outcome, Outcome::TlsFailed);
    let public_roots = probe(&format!("tls: {{ address: '{}', name: portal.example }}", nginx.tls));
    assert_eq!(at(trusted_noon(), &public_roots).await.outcome, Outcome::TlsFailed);
}

#[tokio::test]
async fn peers_that_speak_something_else_fail_and_silent_ones_time_out() {
    let papers = Papers::valid_days(10, 30);
    for (greeting, outcome) in [(Some(&b"SSH-2.0-OpenSSH_9.2\r\n"[..]), Outcome::TlsFailed), (None, Outcome::Timeout)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = to(listener.local_addr().unwrap(), &papers);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Some(greeting) = greeting {
                stream.write_all(greeting).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        let measured = prober().measure(&target, &Way::default(), Duration::from_millis(400)).await;
        assert_eq!(measured.outcome, outcome);
        assert!(measured.value(Metric::ConnectUs).is_some(), "the phases before the failure stay");
        assert_eq!(measured.value(Metric::CertificateS), None);
    }
}

#[test]
fn an_authority_file_that_is_none_is_refused() {
    assert!(refusal("tls: { address: portal.example, ca: /nosuch/ca.pem }").contains("/nosuch/ca.pem"));
    assert!(refusal("tls: { address: portal.example, ca: /dev/null }").contains("no usable certificate"));
}
