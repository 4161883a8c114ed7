//! HTTP and HTTPS against nginx, and against servers that break the protocol.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::Probe;
use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

const LOCATIONS: &str = r#"
    location = /health { return 200 "service: ok\n"; }
    location = /moved { return 302 /health; }
    location = /away { return 301 http://$host:$server_port/health; }
    location = /circle { return 302 /circle; }
    location = /broken { return 503 "maintenance"; }
    location = /old/page { return 302 ../health; }
"#;

fn get(url: &str, rest: &str) -> Probe {
    probe(&format!("http: {{ url: '{url}' {rest} }}"))
}

#[tokio::test]
async fn https_measures_every_phase() {
    let papers = Papers::valid_days(10, 30);
    let nginx = Nginx::serving(&papers, LOCATIONS);
    let target =
        get("https://portal.example/health", &format!(", keyword: 'service: ok', ca: '{}', connect_to: '{}'", papers.ca(), nginx.tls));
    let measured = measure(&target).await;
    assert_eq!(measured.outcome, Outcome::Ok);
    for metric in [Metric::ConnectUs, Metric::TlsUs, Metric::FirstByteUs, Metric::TransferUs] {
        assert!(measured.value(metric).is_some_and(|us| us < 2_000_000), "{metric:?}");
    }
    assert_eq!(measured.value(Metric::HttpStatus), Some(200));
    assert_eq!(measured.value(Metric::BodyBytes), Some(12));
    assert_eq!(measured.value(Metric::CertificateS), Some(30 * 86_400 - 43_200));
    assert_eq!(measured.value(Metric::ResolveUs), None, "nothing had to be resolved");
    let listed = target.metrics();
    assert!(measured.values.iter().all(|(m, _)| listed.contains(m)), "a series must list all that a round measures");
}

#[tokio::test]
async fn status_keyword_and_redirects_are_judged() {
    let nginx = Nginx::serving(&Papers::valid_days(10, 30), LOCATIONS);
    let at = |path: &str, rest: &str| get(&format!("http://{}{path}", nginx.plain), rest);
    let broken = measure(&at("/broken", "")).await;
    assert_eq!((broken.outcome, broken.value(Metric::HttpStatus)), (Outcome::Unexpected, Some(503)));
    assert_eq!(measure(&at("/broken", ", status: [200, 503]")).await.outcome, Outcome::Ok);
    assert_eq!(measure(&at("/health", ", keyword: absent")).await.outcome, Outcome::Unexpected);
    assert_eq!(measure(&at("/health", ", keyword: 'service: ok', body_limit: 5")).await.outcome, Outcome::Unexpected);
    assert_eq!(measure(&at("/moved", ", keyword: ok")).await.outcome, Outcome::Ok);
    assert_eq!(measure(&at("/away", ", keyword: ok")).await.outcome, Outcome::Ok);
    let unfollowed = measure(&at("/moved", ", redirects: 0, status: [302]")).await;
    assert_eq!((unfollowed.outcome, unfollowed.value(Metric::HttpStatus)), (Outcome::Ok, Some(302)));
    let circle = measure(&at("/circle", ", redirects: 2")).await;
    assert_eq!((circle.outcome, circle.value(Metric::HttpStatus)), (Outcome::Unexpected, Some(302)));
    let head = measure(&at("/health", ", method: HEAD")).await;
    assert_eq!((head.outcome, head.value(Metric::BodyBytes)), (Outcome::Ok, Some(0)));
}

#[test]
fn a_name_is_resolved_over_the_links_own_way() {
    in_own_network(|| {
        let (_a, _b) =
            (Neighbour::cabled("a0", "10.91.1.2/24", "x0", "10.91.1.1/24"), Neighbour::cabled("b0", "10.91.2.2/24", "x0", "10.91.2.1/24"));
        ip("route add default via 10.91.2.1");
        let _dns =
            _a.daemon("dnsmasq", "-k -C /dev/null --no-resolv --no-hosts --user=root --pid-file= --host-record=portal.example,10.91.1.1");
        let _web = _a.daemon("python3", "-m http.server 8080 --bind 10.91.1.1 --directory /var/empty");
        block_on(async {
            let prober = prober_at(trusted_noon(), vec!["10.91.1.1:53".parse().unwrap()]);
            let target = get("http://portal.example:8080/", ", status: [200, 404]");
            let before = _b.received("x0");
            let until = std::time::Instant::now() + Duration::from_secs(10);
            let measured = loop {
                let measured = prober.measure(&target, &by_interface("a0"), Duration::from_secs(2)).await;
                if measured.outcome == Outcome::Ok || std::time::Instant::now() > until {
                    break measured;
                }
            };
            assert_eq!(measured.outcome, Outcome::Ok);
            assert!(measured.value(Metric::ResolveUs).unwrap() > 0);
            ip("link set a0 down");
            let gone = prober.measure(&target, &by_interface("a0"), Duration::from_secs(1)).await;
            assert_eq!(gone.outcome, Outcome::LinkGone);
            ip("link set a0 up");
            carries("a0");
            ip("addr flush dev a0");
            let without_address = prober.measure(&target, &by_interface("a0"), Duration::from_secs(1)).await;
            assert_eq!(without_address.outcome, Outcome::LinkGone);
            // Neighbour discovery of IPv6 may cross the other cable at any time, a query or a connection may not.
            let leaked = _b.shell("cat /proc/net/snmp | awk '/^Ip:/ && $4 ~ /[0-9]/ {print $4}'");
            assert_eq!(leaked.trim(), "0", "IPv4 packets came by the other link ({before} frames before)");
        });
    });
}

/// Serves one connection with fixed bytes, in pieces, and then closes or stays silent.
async fn serve(pieces: &[&'static [u8]], then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pieces = pieces.to_vec();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).await;
        for piece in pieces {
            let _ = stream.write_all(piece).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !then_close {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    });
    address
}

async fn outcome_of(pieces: &[&'static [u8]], then_close: bool) -> Outcome {
    let target = get(&format!("http://{}/", serve(pieces, then_close).await), "");
    prober().measure(&target, &Way::default(), Duration::from_millis(400)).await.outcome
}

#[tokio::test]
async fn servers_that_break_the_protocol_are_malformed_and_slow_ones_time_out() {
    assert_eq!(outcome_of(&[b"HTTP/1.1 200 OK\r\n", b"Content-Le", b"ngth: 2\r\n\r\no", b"k"], false).await, Outcome::Ok);
    assert_eq!(outcome_of(&[b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], false).await, Outcome::Ok);
    assert_eq!(outcome_of(&[b"HTTP/1.0 200 OK\r\n\r\nall of it"], true).await, Outcome::Ok);
    assert_eq!(outcome_of(&[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"], true).await, Outcome::Malformed);
    assert_eq!(outcome_of(&[b"220 mail.example ESMTP\r\n"], false).await, Outcome::Malformed);
    assert_eq!(outcome_of(&[], true).await, Outcome::Malformed);
    assert_eq!(outcome_of(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], false).await, Outcome::Malformed);
    assert_eq!(outcome_of(&[b"HTTP/1.1 302 Found\r\nLocation: gopher://x/\r\nContent-Length: 0\r\n\r\n"], false).await, Outcome::Malformed);
    assert_eq!(outcome_of(&[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"], false).await, Outcome::Timeout);
}

#[test]
fn urls_join_as_browsers_do() {
    let base = Url::parse("https://portal.example:8443/a/b?x=/y").unwrap();
    let joined = |location: &str| base.join(location).map(|u| (u.is_tls, u.authority, u.path));
    let here = |path: &str| Some((true, "portal.example:8443".to_owned(), path.to_owned()));
    assert_eq!(joined("/c?d=1#e"), here("/c?d=1"));
    assert_eq!(joined("c"), here("/a/c"));
    assert_eq!(joined("//other.example/z"), Some((true, "other.example".into(), "/z".into())));
    assert_eq!(joined("http://other.example"), Some((false, "other.example".into(), "/".into())));
    assert_eq!(joined("ftp://other.example/"), None);
    assert_eq!(joined("HTTP://other.example?x=1#y"), Some((false, "other.example".into(), "/?x=1".into())));
    assert_eq!(joined("/a b"), None);
    assert_eq!(Url::parse("https://[2001:db8::1]:444/").map(|u| (u.host.to_string(), u.port)), Ok(("2001:db8::1".into(), 444)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert!(refusal("http: { url: portal.example }").contains("http://"));
    assert!(refusal("http: { url: 'https://u:p@portal.example/' }").contains("password"));
    assert!(refusal("http: { url: 'https:///health' }").contains("neither an address nor a host name"));
    assert!(refusal("http: { url: 'https://portal.example:x/' }").contains("not a port"));
    assert!(refusal(r#"http: { url: "https://portal.example/a\r\nHost: b" }"#).contains("control character"));
    assert!(refusal("http: { url: 'http://a.ir/', redirects: 11 }").contains("at most 10"));
    assert!(refusal("http: { url: 'http://a.ir/', method: HEAD, keyword: x }").contains("needs a body"));
    assert!(refusal("http: { url: 'http://a.ir/', status: [] }").contains("no answer could be right"));
    assert!(refusal("http: { url: 'http://a.ir/', body_limit: 0 }").contains("between 1 and"));
}
