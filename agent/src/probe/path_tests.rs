//! Paths through routers of our making: with small tunnels, with black holes, with silent hops.

use std::net::Ipv4Addr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};

use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

/// us v0 -- r0 router r1 -- t0 target; the far cable has the given MTU.
struct Course {
    router: Neighbour,
    _target: Neighbour,
}

fn course(mtu: u32) -> Course {
    let router = Neighbour::cabled("v0", "10.93.1.2/24", "r0", "10.93.1.1/24");
    let target = router.extended("r1", "10.93.2.1/24", "t0", "10.93.2.2/24");
    ip("route add default via 10.93.1.1");
    target.ip("route add default via 10.93.2.1");
    router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    router.ip(&format!("link set r1 mtu {mtu}"));
    target.ip(&format!("link set t0 mtu {mtu}"));
    for side in [&router, &target] {
        side.shell("echo 0 > /proc/sys/net/ipv4/icmp_ratelimit");
    }
    Course { router, _target: target }
}

fn measure_path(settings: &str) -> Measurement {
    let target = probe(&format!("path: {{ address: 10.93.2.2 {settings} }}"));
    block_on(prober().measure(&target, &Way::default(), Duration::from_secs(8)))
}

/// The same course over IPv6, whose routers never fragment: a packet that is too large comes back or is gone.
fn course_six(mtu: u32) -> Course {
    // `nodad`: an address is tentative for a second otherwise.
    let router = Neighbour::cabled("v0", "fd93:1::2/64 nodad", "r0", "fd93:1::1/64 nodad");
    router.shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit");
    let target = router.extended("r1", "fd93:2::1/64 nodad", "t0", "fd93:2::2/64 nodad");
    target.shell("echo 0 > /proc/sys/net/ipv6/icmp/ratelimit");
    ip("-6 route add default via fd93:1::1");
    target.ip("-6 route add default via fd93:2::1");
    router.ip(&format!("link set r1 mtu {mtu}"));
    target.ip(&format!("link set t0 mtu {mtu}"));
    // The router's own link-local address is tentative for a second, and until then it finds no neighbour.
    let ping = probe("icmp: { address: 'fd93:2::2', count: 1 }");
    let arrived = block_on(prober().measure(&ping, &Way::default(), Duration::from_secs(10)));
    assert_eq!(arrived.outcome, Outcome::Ok);
    Course { router, _target: target }
}

fn measure_path_six() -> Measurement {
    let target = probe("path: { address: 'fd93:2::2' }");
    block_on(prober().measure(&target, &Way::default(), Duration::from_secs(8)))
}

#[test]
fn hops_and_mtu_are_found_over_ipv6() {
    in_own_network(|| {
        let _course = course_six(1_400);
        for range in ["1 0", "0 2147483647"] {
            sysctl("ipv4/ping_group_range", range);
            let measured = measure_path_six();
            assert_eq!((measured.outcome, measured.value(Metric::Hops), measured.parts.len()), (Outcome::Ok, Some(2), 2), "{measured:?}");
            assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(0)), "{measured:?}");
        }
    });
}

#[test]
fn a_router_that_may_not_say_packet_too_big_is_a_black_hole() {
    in_own_network(|| {
        let course = course_six(1_400);
        course.router.shell("ip6tables -A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP");
        let measured = measure_path_six();
        assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(1)), "{measured:?}");
    });
}

fn number(address: &str) -> Option<i64> {
    Some(u32::from(address.parse::<Ipv4Addr>().unwrap()).into())
}

#[test]
fn hops_and_mtu_are_found_on_either_kind_of_echo_socket() {
    in_own_network(|| {
        let _course = course(1_400);
        for range in ["1 0", "0 2147483647"] {
            sysctl("ipv4/ping_group_range", range);
            let measured = measure_path("");
            assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
            assert_eq!((measured.value(Metric::Hops), measured.value(Metric::LastHop)), (Some(2), number("10.93.2.2")));
            assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(0)));
            let hops: Vec<_> = measured.parts.iter().map(|p| (p.name.as_str(), p.values[0].1)).collect();
            assert_eq!(hops, [("hop01", number("10.93.1.1").unwrap()), ("hop02", number("10.93.2.2").unwrap())]);
        }
    });
}

#[test]
fn an_unusual_mtu_is_found_to_the_byte() {
    in_own_network(|| {
        let _course = course(1_337);
        let measured = measure_path("");
        assert_eq!(measured.value(Metric::PathMtu), Some(1_337));
    });
}

#[test]
fn large_packets_that_vanish_are_a_black_hole() {
    in_own_network(|| {
        let course = course(1_500);
        course.router.shell("iptables -A FORWARD -m length --length 1401:65535 -j DROP");
        let measured = measure_path("");
        assert_eq!(measured.outcome, Outcome::Ok);
        assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(1)), "{measured:?}");
    });
}

#[test]
fn a_tunnel_whose_router_may_not_speak_is_a_black_hole_too() {
    // The commonest fault of APN tunnels: somebody drops all ICMP, "fragmentation needed" included.
    in_own_network(|| {
        let course = course(1_400);
        course.router.shell("iptables -A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP");
        let measured = measure_path("");
        assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(1)), "{measured:?}");
    });
}

#[test]
fn a_silent_router_is_skipped_and_a_silent_target_is_a_timeout() {
    in_own_network(|| {
        let course = course(1_500);
        course.router.shell("iptables -A OUTPUT -p icmp --icmp-type time-exceeded -j DROP");
        let measured = measure_path(", mtu: false");
        assert_eq!((measured.outcome, measured.value(Metric::Hops), measured.parts.len()), (Outcome::Ok, Some(2), 1), "{measured:?}");
        course.router.shell("iptables -F OUTPUT; iptables -A FORWARD -j DROP");
        let cut = measure_path("");
        assert_eq!((cut.outcome, cut.value(Metric::Hops), cut.value(Metric::PathMtu)), (Outcome::Timeout, Some(1), None));
        assert_eq!(cut.value(Metric::LastHop), number("10.93.1.1"), "the last router that answered shows where it breaks");
        course.router.shell("iptables -F FORWARD; iptables -A FORWARD -j REJECT --reject-with icmp-net-prohibited");
        assert_eq!(measure_path("").outcome, Outcome::Unreachable);
    });
}

#[test]
fn udp_serves_where_echo_is_not_permitted() {
    if std::env::var_os("PROBES_AS_NOBODY").is_some() {
        let measured = measure_path("");
        assert_eq!((measured.outcome, measured.value(Metric::Hops)), (Outcome::Ok, Some(2)), "{measured:?}");
        assert_eq!((measured.value(Metric::PathMtu), measured.value(Metric::MtuBlackHole)), (Some(1_400), Some(0)));
        return;
    }
    in_own_network(|| {
        let _course = course(1_400);
        sysctl("ipv4/ping_group_range", "1 0");
        as_nobody("probe::path::tests::udp_serves_where_echo_is_not_permitted");
    });
}

#[test]
fn settings_out_of_range_are_refused() {
    assert!(refusal("path: { address: 10.0.0.1, max_hops: 0 }").contains("between 1 and 64"));
}
