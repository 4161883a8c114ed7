//! DNS against dnsmasq, and against a server that lies.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::net::UdpSocket;

use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

/// Starts dnsmasq in this network with a name, a name without IPv4, and a name with more addresses than fit in 512 bytes.
fn dnsmasq() -> (Daemon, SocketAddr) {
    let address: SocketAddr = "127.0.0.1:53".parse().unwrap();
    let mut args: Vec<String> =
        "-k -C /dev/null --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces --user=root --pid-file= \
        --host-record=portal.example,10.1.0.80 --host-record=six.example,fd00::6 --cname=www.portal.example,portal.example \
        --auth-ttl=60 --local=/example/ --dhcp-leasefile=/dev/null"
            .split_whitespace()
            .map(Into::into)
            .collect();
    args.extend((0..100).map(|n| format!("--host-record=many.example,10.3.0.{n}")));
    args.push("--edns-packet-max=512".into());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    (Daemon::start("dnsmasq", &args).listening(address), address)
}

fn ask(server: SocketAddr, rest: &str) -> Measurement {
    block_on(measure(&probe(&format!("dns: {{ server: '{server}', {rest} }}"))))
}

#[test]
fn dnsmasq_is_asked_for_all_it_knows() {
    in_own_network(|| {
        let (_daemon, server) = dnsmasq();
        let found = ask(server, "name: portal.example, expect: [10.1.0.80]");
        assert_eq!(found.outcome, Outcome::Ok);
        assert_eq!((found.value(Metric::DnsRcode), found.value(Metric::Answers)), (Some(0), Some(1)));
        assert!(found.value(Metric::QueryUs).unwrap() > 0);
        // 28 + 32 bytes of question, 28 + 48 of answer.
        assert_eq!(found.bytes, 136);

        assert_eq!(ask(server, "name: www.portal.example, expect: [10.1.0.80]").outcome, Outcome::Ok, "an alias");
        assert_eq!(ask(server, "name: portal.example, expect: [10.1.0.81]").outcome, Outcome::Unexpected);
        assert_eq!(ask(server, "name: six.example, type: AAAA, expect: ['fd00::6']").outcome, Outcome::Ok);
        let without = ask(server, "name: six.example");
        assert_eq!((without.outcome, without.value(Metric::Answers)), (Outcome::ResolveFailed, Some(0)));
        let unknown = ask(server, "name: nosuch.example");
        assert_eq!((unknown.outcome, unknown.value(Metric::DnsRcode)), (Outcome::ResolveFailed, Some(3)));
        let tcp = ask(server, "name: portal.example, tcp: true");
        assert_eq!(tcp.outcome, Outcome::Ok);
        assert!(tcp.bytes > 400, "a connection costs more than a datagram: {}", tcp.bytes);
    });
}

#[test]
fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    in_own_network(|| {
        let (_daemon, server) = dnsmasq();
        let found = ask(server, "name: many.example, expect: [10.3.0.77]");
        assert_eq!((found.outcome, found.value(Metric::Answers)), (Outcome::Ok, Some(100)));
    });
}

#[test]
fn nobody_there_is_refused() {
    in_own_network(|| {
        assert_eq!(ask("127.0.0.1:53".parse().unwrap(), "name: portal.example").outcome, Outcome::Refused);
    });
}

async fn lie(forge: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in forge(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

async fn ask_liar(server: SocketAddr) -> Measurement {
    let asked = probe(&format!("dns: {{ server: '{server}', name: portal.example }}"));
    prober().measure(&asked, &Way::default(), Duration::from_millis(300)).await
}

fn answered(question: &[u8], flags: [u8; 2], records: u8, tail: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&flags);
    message[7] = records;
    message.extend_from_slice(tail);
    message
}

const RECORD: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x01\x00\x50";

#[tokio::test]
async fn late_and_forged_answers_are_passed_over_for_the_right_one() {
    let server = lie(|question| {
        let mut forged = answered(question, [0x81, 0x80], 1, RECORD);
        forged[0] ^= 1;
        vec![forged, b"\x00".to_vec(), Vec::new(), answered(question, [0x81, 0x80], 1, RECORD)]
    })
    .await;
    assert_eq!(ask_liar(server).await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_malformed_and_silence_is_a_timeout() {
    let loops = lie(|question| vec![answered(question, [0x81, 0x80], 1, b"\xc0\x1e\x00\x01")]).await;
    assert_eq!(ask_liar(loops).await.outcome, Outcome::Malformed);
    let silent = lie(|_| Vec::new()).await;
    assert_eq!(ask_liar(silent).await.outcome, Outcome::Timeout);
    let failing = lie(|question| vec![answered(question, [0x81, 0x82], 0, b"")]).await;
    let measured = ask_liar(failing).await;
    assert_eq!((measured.outcome, measured.value(Metric::DnsRcode)), (Outcome::ResolveFailed, Some(2)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert!(refusal("dns: { server: 10.1.0.53, name: 'a..b' }").contains("not a domain name"));
    assert!(refusal("dns: { server: 10.1.0.53, name: a.ir, type: MX, expect: [10.0.0.1] }").contains("only the types A and AAAA"));
    assert!(refusal("dns: { server: 10.1.0.53, name: a.ir, expect: ['fd00::1'] }").contains("address family"));
    assert!(refusal("dns: { server: 10.1.0.53, name: a.ir, type: ANY }").contains("unknown variant"));
}
