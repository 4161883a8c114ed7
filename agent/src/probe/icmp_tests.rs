//! ICMP against the kernel's own echo in networks of our making, and against a responder that lies.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_wire::{Metric, Outcome};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

fn ping(address: &str, count: u16) -> super::super::Probe {
    probe(&format!("icmp: {{ address: '{address}', count: {count} }}"))
}

fn allow_datagram_sockets() {
    sysctl("ipv4/ping_group_range", "0 2147483647");
}

#[test]
fn delays_are_those_of_the_standards() {
    let mut values = Values::default();
    delays(&[Some(100), Some(300), None, Some(200), Some(1_000)], &mut values);
    let expected = [
        (Metric::RttUsMin, 100),
        (Metric::RttUsP50, 200),
        (Metric::RttUsP90, 1_000),
        (Metric::RttUsMax, 1_000),
        (Metric::PdvUsP95, 900),
        // The lost packet breaks two of four pairs: (200 + 800) / 2.
        (Metric::IpdvUsMean, 500),
    ];
    assert_eq!(values.0, expected);
    let mut nothing = Values::default();
    delays(&[None, None], &mut nothing);
    assert!(nothing.0.is_empty(), "no reply has no round-trip time");
}

#[test]
fn settings_out_of_range_are_refused() {
    assert!(refusal("icmp: { address: 10.0.0.1, count: 0 }").contains("between 1 and 100"));
    assert!(refusal("icmp: { address: 10.0.0.1, size: 1401 }").contains("at most 1400"));
    assert!(refusal("icmp: { address: 10.0.0.1, cuont: 3 }").contains("unknown field `cuont`"));
    assert!(refusal("icmp: { address: 10.0.0.256 }").contains("neither an address nor a host name"));
}

#[test]
fn loopback_answers_on_both_kinds_of_socket_and_both_families() {
    in_own_network(|| {
        for is_datagram in [false, true] {
            if is_datagram {
                allow_datagram_sockets();
            }
            for (address, header_bytes) in [("127.0.0.1", 28), ("::1", 48)] {
                let measured = block_on(measure(&ping(address, 3)));
                assert_eq!(measured.outcome, Outcome::Ok, "{address}, datagram {is_datagram}");
                assert_eq!((measured.value(Metric::Sent), measured.value(Metric::Received)), (Some(3), Some(3)));
                assert_eq!(measured.value(Metric::Duplicates), Some(0));
                assert!((1..50_000).contains(&measured.value(Metric::RttUsMin).unwrap()));
                assert_eq!(measured.bytes, 6 * (header_bytes + 56));
            }
        }
    });
}

#[test]
fn payloads_from_nothing_to_the_largest_come_back() {
    in_own_network(|| {
        for size in [0, 8, 1_400] {
            let measured = block_on(measure(&probe(&format!("icmp: {{ address: 127.0.0.1, count: 1, size: {size} }}"))));
            assert_eq!((measured.outcome, measured.bytes), (Outcome::Ok, 2 * (28 + size)));
            let names: Vec<Metric> = measured.values.iter().map(|(m, _)| *m).collect();
            assert_eq!(names, ping("127.0.0.1", 1).metrics(), "one packet has no spread");
        }
    });
}

#[test]
fn a_metered_link_sends_no_payload_unless_asked() {
    let mut light = ping("127.0.0.1", 2);
    light.lighten();
    assert_eq!(light.estimated_bytes(), 2 * 2 * 28);
    let mut asked = probe("icmp: { address: 127.0.0.1, count: 2, size: 100 }");
    asked.lighten();
    assert_eq!(asked.estimated_bytes(), 2 * 2 * 128);
    in_own_network(move || assert_eq!(block_on(measure(&light)).bytes, light.estimated_bytes()));
}

#[test]
fn a_router_that_refuses_is_unreachable_and_one_that_swallows_is_a_timeout() {
    // A raw socket hands ICMP errors to its reader, and counting those as replies is the oldest fault of such probes.
    in_own_network(|| {
        let router = Neighbour::cabled("v0", "10.90.1.2/24", "r0", "10.90.1.1/24");
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
        // Otherwise a Linux router sends one host few errors, and the second half of this test would hear none.
        router.shell("echo 0 > /proc/sys/net/ipv4/icmp_ratelimit");
        router.ip("route add unreachable 10.90.9.0/24");
        router.ip("route add blackhole 10.90.8.0/24");
        ip("route add default via 10.90.1.1");
        for is_datagram in [false, true] {
            if is_datagram {
                allow_datagram_sockets();
            }
            let refused = block_on(measure(&ping("10.90.9.1", 2)));
            assert_eq!(refused.outcome, Outcome::Unreachable, "datagram {is_datagram}");
            assert_eq!((refused.value(Metric::Received), refused.value(Metric::RttUsMin)), (Some(0), None));
            let prober = prober();
            let swallowed = block_on(prober.measure(&ping("10.90.8.1", 2), &Way::default(), Duration::from_millis(300)));
            assert_eq!((swallowed.outcome, swallowed.value(Metric::Sent)), (Outcome::Timeout, Some(2)));
        }
    });
}

#[test]
fn a_reply_that_is_read_late_was_not_long_on_its_way() {
    const BUSY: Duration = Duration::from_millis(100);
    in_own_network(|| {
        let (prober, target, way) = (prober(), ping("127.0.0.1", 1), Way::default());
        // The request has left and its reply is there when this thread begins to do something else. The kernel begins to stamp
        // what arrives some time after it was asked to.
        let is_prompt = |m: &Measurement| m.value(Metric::RttUsMin).unwrap() < i64::try_from(BUSY.as_micros()).unwrap();
        let was_prompt = block_on(async {
            for _ in 0..20 {
                let busy = async { std::thread::sleep(BUSY) };
                let (measured, ()) = tokio::join!(prober.measure(&target, &way, Duration::from_secs(2)), busy);
                if is_prompt(&measured) {
                    return true;
                }
            }
            false
        });
        assert!(was_prompt);
    });
}

#[test]
fn a_round_ends_by_its_deadline() {
    in_own_network(|| {
        let _neighbour = Neighbour::cabled("v0", "10.90.1.2/24", "r0", "10.90.1.1/24");
        let started = Instant::now();
        let measured = block_on(prober().measure(&ping("10.90.1.9", 5), &Way::default(), Duration::from_millis(250)));
        assert_eq!(measured.outcome, Outcome::Timeout);
        assert!(started.elapsed() < Duration::from_millis(350), "{:?}", started.elapsed());
    });
}

#[test]
fn a_link_that_goes_and_comes_back_is_gone_and_then_measured_again() {
    // A socket is bound to an interface's index; after a modem reset the same name has another one.
    in_own_network(|| {
        block_on(async {
            let prober = prober();
            let way = by_interface("v0");
            let target = ping("10.90.1.1", 1);
            let round = || prober.measure(&target, &way, Duration::from_secs(1));
            assert_eq!(round().await.outcome, Outcome::LinkGone);
            for _ in 0..2 {
                let neighbour = Neighbour::cabled("v0", "10.90.1.2/24", "r0", "10.90.1.1/24");
                assert_eq!(round().await.outcome, Outcome::Ok);
                ip("link set v0 down");
                assert_eq!(round().await.outcome, Outcome::LinkGone);
                ip("link set v0 up");
                carries("v0");
                assert_eq!(round().await.outcome, Outcome::Ok);
                ip("link del v0");
                drop(neighbour);
                assert_eq!(round().await.outcome, Outcome::LinkGone);
            }
        });
    });
}

/// Answers echo requests in its own way. The kernel's own answers are switched off.
fn answer_with(forge: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
    sysctl("ipv4/icmp_echo_ignore_all", "1");
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    std::thread::spawn(move || {
        let socket = std::net::UdpSocket::from(socket);
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let packet = &buffer[..length];
            if packet.get(20) == Some(&8) {
                for answer in forge(&packet[20..]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        }
    });
}

fn reply_to(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[0] = 0;
    sealed(reply)
}

fn sealed(mut icmp: Vec<u8>) -> Vec<u8> {
    icmp[2..4].copy_from_slice(&[0, 0]);
    let sum = pnet::util::checksum(&icmp, 1);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    icmp
}

#[test]
fn a_second_reply_is_a_duplicate_and_not_a_reply() {
    in_own_network(|| {
        answer_with(|request| vec![reply_to(request), reply_to(request)]);
        let measured = block_on(measure(&ping("127.0.0.1", 3)));
        assert_eq!((measured.outcome, measured.value(Metric::Received)), (Outcome::Ok, Some(3)));
        assert!(measured.value(Metric::Duplicates).unwrap() >= 2, "{measured:?}");
    });
}

#[test]
fn replies_that_lie_are_not_believed() {
    in_own_network(|| {
        answer_with(|request| {
            let mut other_identifier = reply_to(request);
            other_identifier[4] ^= 0xff;
            let mut other_sequence = reply_to(request);
            other_sequence[6] ^= 0xff;
            let short_error = vec![3, 1, 0, 0, 0, 0, 0, 0, 0x45];
            vec![sealed(other_identifier), sealed(other_sequence), sealed(short_error), vec![0; 7]]
        });
        let measured = block_on(prober().measure(&ping("127.0.0.1", 1), &Way::default(), Duration::from_millis(400)));
        assert_eq!((measured.outcome, measured.value(Metric::Received)), (Outcome::Timeout, Some(0)), "{measured:?}");
    });
}

#[test]
fn ten_thousand_targets_in_ten_seconds_lose_nothing() {
    in_own_network(|| {
        allow_datagram_sockets();
        let started = Instant::now();
        let lost = block_on(async {
            let prober = Arc::new(prober());
            let mut rounds = tokio::task::JoinSet::new();
            for index in 0..10_000_u32 {
                let target = IpAddr::from([127, 1, (index >> 8) as u8, (index & 0xff) as u8]);
                let prober = prober.clone();
                rounds.spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(index.into()) * 9 / 10).await;
                    let target = probe(&format!("icmp: {{ address: {target}, count: 1, size: 0 }}"));
                    prober.measure(&target, &Way::default(), Duration::from_secs(2)).await.outcome
                });
            }
            rounds.join_all().await.into_iter().filter(|outcome| *outcome != Outcome::Ok).count()
        });
        let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD).unwrap();
        println!("10,000 targets in {:?}, user {} system {}", started.elapsed(), used.user_time(), used.system_time());
        assert_eq!(lost, 0);
        assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    });
}

#[test]
fn a_burst_of_five_hundred_targets_loses_nothing() {
    // Unpaced, the replies overrun the default receive buffer at about 256 in flight.
    in_own_network(|| {
        let lost = block_on(async {
            let prober = Arc::new(prober());
            let mut rounds = tokio::task::JoinSet::new();
            for index in 0..500_u32 {
                let prober = prober.clone();
                let target = ping(&format!("127.2.{}.{}", index >> 8, index & 0xff), 1);
                rounds.spawn_local(async move { prober.measure(&target, &Way::default(), Duration::from_secs(3)).await.outcome });
            }
            rounds.join_all().await.into_iter().filter(|outcome| *outcome != Outcome::Ok).count()
        });
        assert_eq!(lost, 0);
    });
}

#[test]
fn without_any_permission_the_outcome_says_so() {
    if std::env::var_os("PROBES_AS_NOBODY").is_some() {
        let measured = block_on(measure(&ping("127.0.0.1", 1)));
        assert_eq!((measured.outcome, measured.values.len()), (Outcome::NotPermitted, 0));
        return;
    }
    in_own_network(|| {
        sysctl("ipv4/ping_group_range", "1 0");
        as_nobody("probe::icmp::tests::without_any_permission_the_outcome_says_so");
    });
}
