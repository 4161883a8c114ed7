use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_wire::{Metric, Outcome};

use super::*;
use crate::probe::stream::ATTEMPT_DELAY;
use crate::probe::tests_support::{Daemon, Neighbour, block_on, by_interface, in_own_network, ip, probe, prober_at, trusted_noon};
use crate::probe::{Measurement, Prober};

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn the_hosts_file_gives_every_address_and_ignores_comments() {
    let file = "::1 localhost\n127.0.0.1\tlocalhost me # portal\n10.0.0.1 Portal.example\n";
    assert_eq!(in_hosts_file(file, "localhost"), addresses(&["::1", "127.0.0.1"]));
    assert_eq!(in_hosts_file(file, "portal.example"), addresses(&["10.0.0.1"]));
    assert_eq!(in_hosts_file(file, "portal"), addresses(&[]));
}

#[test]
fn addresses_are_sorted_by_rfc_6724_and_the_families_take_turns() {
    let routed = |list: &[(&str, &str)]| list.iter().map(|(to, from)| (to.parse().unwrap(), from.parse().unwrap())).collect::<Vec<_>>();
    let both = routed(&[("10.1.0.1", "10.9.0.2"), ("10.1.0.2", "10.9.0.2"), ("2a01::1", "2a01::9"), ("2a01::2", "2a01::9")]);
    assert_eq!(in_order(both.clone(), None), addresses(&["2a01::1", "10.1.0.1", "2a01::2", "10.1.0.2"]));
    assert_eq!(in_order(both, Some("2a01::7".parse().unwrap())), addresses(&["10.1.0.1", "2a01::1", "10.1.0.2", "2a01::2"]));
    // A private network's IPv6 does not reach the world, and IPv4 does.
    let private = routed(&[("2a01::1", "fd00::9"), ("10.1.0.1", "10.9.0.2")]);
    assert_eq!(in_order(private, None), addresses(&["10.1.0.1", "2a01::1"]));
}

/// A village with one line to a core that answers names on 10.98.0.1 and fd98::1.
struct Village {
    core: Neighbour,
    _names: Vec<Daemon>,
}

impl Village {
    /// `names`: a dnsmasq for each element, with its options.
    fn new(names: &[&str]) -> Village {
        let core = Neighbour::cabled("n0", "10.98.0.2/24", "c0", "10.98.0.1/24");
        core.shell("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.c0.accept_dad=0");
        core.ip("address add fd98::1/64 dev c0 nodad");
        core.ip("address add 10.98.0.3/24 dev c0");
        ip("address add fd98::2/64 dev n0 nodad");
        let names: Vec<Daemon> = names
            .iter()
            .map(|options| {
                core.daemon(
                    "dnsmasq",
                    &format!("--keep-in-foreground --no-resolv --no-hosts --bind-interfaces --pid-file= --user=root {options}"),
                )
            })
            .collect();
        let village = Village { core, _names: names };
        // It listens once its socket is in the table.
        for _ in 0..250 {
            if village.core.shell("cat /proc/net/udp /proc/net/udp6 | grep -c ':0035 ' || true").trim().parse::<usize>().unwrap()
                >= village._names.len()
            {
                return village;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("dnsmasq does not listen");
    }
}

fn asking(servers: &[&str]) -> Prober {
    prober_at(trusted_noon(), servers.iter().map(|server| server.parse::<SocketAddr>().unwrap()).collect())
}

fn tcp(servers: &[&str], name: &str) -> (Measurement, Duration) {
    let began = Instant::now();
    let probe = probe(&format!("tcp: {{ address: '{name}:7001' }}"));
    let measured = block_on(async { asking(servers).measure(&probe, &by_interface("n0"), Duration::from_secs(3)).await });
    (measured, began.elapsed())
}

const BOTH: &str = "--listen-address=10.98.0.1 --listen-address=fd98::1 --address=/two.example/10.98.0.1 --address=/two.example/fd98::1";

/// The first NXDOMAIN ended the search.
#[test]
fn a_resolver_that_knows_no_such_name_does_not_speak_for_the_other() {
    in_own_network(|| {
        let village = Village::new(&[
            "--listen-address=10.98.0.1 --address=/other.example/10.98.0.1 --local=/example/",
            "--listen-address=10.98.0.3 --address=/inside.example/10.98.0.1",
        ]);
        village.core.says_back("10.98.0.1:7001".parse().unwrap());
        let (measured, _) = tcp(&["10.98.0.1:53", "10.98.0.3:53"], "inside.example");
        assert_eq!(measured.outcome, Outcome::Ok);
        let (unknown, _) = tcp(&["10.98.0.1:53", "10.98.0.1:53"], "nobody.example");
        assert_eq!(unknown.outcome, Outcome::ResolveFailed);
    });
}

#[test]
fn a_name_of_both_families_works_on_a_line_of_either() {
    in_own_network(|| {
        let village = Village::new(&[BOTH]);
        for peer in ["10.98.0.1:7001", "[fd98::1]:7001"] {
            village.core.says_back(peer.parse().unwrap());
        }
        let servers = ["10.98.0.1:53", "[fd98::1]:53"];
        assert_eq!(tcp(&servers, "two.example").0.outcome, Outcome::Ok);
        let ping = probe("icmp: { address: two.example, count: 1 }");
        let pings = || block_on(async { asking(&servers).measure(&ping, &by_interface("n0"), Duration::from_secs(3)).await.outcome });
        ip("address del fd98::2/64 dev n0");
        assert_eq!((tcp(&servers, "two.example").0.outcome, pings()), (Outcome::Ok, Outcome::Ok), "IPv4 only");
        ip("address add fd98::2/64 dev n0 nodad");
        ip("address del 10.98.0.2/24 dev n0");
        assert_eq!((tcp(&servers, "two.example").0.outcome, pings()), (Outcome::Ok, Outcome::Ok), "IPv6 only");
    });
}

/// A path that loses one family looks to its users like a slow line, not like a dead one.
#[test]
fn a_family_that_is_lost_on_the_way_costs_the_attempt_delay() {
    in_own_network(|| {
        let village = Village::new(&[BOTH]);
        for peer in ["10.98.0.1:7001", "[fd98::1]:7001"] {
            village.core.says_back(peer.parse().unwrap());
        }
        village.core.shell("ip6tables -A INPUT -p tcp --dport 7001 -j DROP");
        let (measured, took) = tcp(&["10.98.0.1:53"], "two.example");
        assert_eq!(measured.outcome, Outcome::Ok);
        assert!(took >= ATTEMPT_DELAY && took < Duration::from_secs(2), "{took:?}");
        assert!(measured.value(Metric::ConnectUs).unwrap() < 250_000, "of the address that answered");
        assert!(measured.bytes > 300, "both attempts are paid for");
    });
}

/// Resolvers that never answer AAAA kept the A record waiting for half of the round.
#[test]
fn a_question_for_aaaa_that_nobody_answers_does_not_delay_a() {
    in_own_network(|| {
        let village = Village::new(&["--listen-address=10.98.0.1 --address=/four.example/10.98.0.1"]);
        village.core.says_back("10.98.0.1:7001".parse().unwrap());
        // A question of AAAA is the one whose last bytes are 00 1c 00 01.
        village.core.shell("iptables -A INPUT -p udp --dport 53 -m string --algo bm --hex-string '|00001c0001|' -j DROP");
        let (measured, took) = tcp(&["10.98.0.1:53"], "four.example");
        assert_eq!(measured.outcome, Outcome::Ok);
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn one_answer_lost_of_the_only_resolver_is_no_failure() {
    in_own_network(|| {
        let village = Village::new(&["--listen-address=10.98.0.1 --address=/four.example/10.98.0.1"]);
        village.core.says_back("10.98.0.1:7001".parse().unwrap());
        village.core.shell("iptables -A INPUT -p udp --dport 53 -m limit --limit 1/hour --limit-burst 2 -j DROP");
        assert_eq!(tcp(&["10.98.0.1:53"], "four.example").0.outcome, Outcome::Ok);
    });
}

#[test]
fn a_name_on_a_link_that_is_gone_is_a_gone_link() {
    in_own_network(|| {
        let probe = probe("tcp: { address: 'two.example:7001' }");
        let measured = block_on(async { asking(&["10.98.0.1:53"]).measure(&probe, &by_interface("none0"), Duration::from_secs(1)).await });
        assert_eq!(measured.outcome, Outcome::LinkGone);
    });
}

/// What a payer refuses is never sent, neither the question nor the connection.
#[test]
fn nothing_goes_where_nobody_pays() {
    in_own_network(|| {
        let village = Village::new(&[BOTH]);
        let before = village.core.received("c0");
        let host: Host = "two.example".parse().unwrap();
        let nobody = |_: IpAddr| None;
        let way = by_interface("n0");
        let refused = block_on(async { asking(&["10.98.0.1:53"]).connect(&host, 7001, &way, Duration::from_secs(1), &nobody).await });
        assert_eq!(refused.err(), Some(crate::probe::DialFault::Name(Outcome::NotRun)));
        let somebody = |_: IpAddr| Some(Arc::default());
        let direct: Host = "10.98.0.1".parse().unwrap();
        let refused = block_on(async { asking(&[]).connect(&direct, 7001, &way, Duration::from_secs(1), &somebody).await });
        assert_eq!(refused.err(), Some(crate::probe::DialFault::Peer(Outcome::Refused)));
        assert!(village.core.received("c0") > before, "the count sees what is sent");
    });
}
