//! Whom a link asks for names: its own resolvers, never those of another link.
//!
//! In the order of trust: the link's own in the file, the file's for all links, what netifd or systemd learnt for the link's
//! interface, and where nothing is kept by interface the system's list. A resolver on the loopback interface (dnsmasq,
//! systemd-resolved) forwards by whatever route *it* likes, so a bound way skips it and asks the servers behind it.

use std::net::{IpAddr, SocketAddr};

use crate::interfaces::{Device, Interface, find, find_source, interfaces, netifd};
use crate::socket::Way;

/// Where systems keep the servers they really ask: what the administrator wrote, then what OpenWrt and systemd-resolved learnt.
const SYSTEM_FILES: [&str; 4] = ["/etc/resolv.conf", NETIFD_FILES[0], NETIFD_FILES[1], "/run/systemd/resolve/resolv.conf"];

/// What netifd learnt, in sections headed `# Interface name`.
const NETIFD_FILES: [&str; 2] = ["/tmp/resolv.conf.d/resolv.conf.auto", "/tmp/resolv.conf.auto"];

/// Most servers asked for one name: two of each family, and two spare.
const SERVERS: usize = 6;

/// Lists the servers to ask over `way`; `for_all` is the file's own list.
pub(super) fn resolvers(way: &Way, for_all: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut servers = [&way.resolvers, for_all].into_iter().find(|list| !list.is_empty()).map_or_else(|| learnt(way), <[_]>::to_vec);
    let mut seen = Vec::new();
    servers.retain(|server| {
        !seen.contains(server) && {
            seen.push(*server);
            true
        }
    });
    servers.truncate(SERVERS);
    servers
}

fn learnt(way: &Way) -> Vec<SocketAddr> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let interface = match (&way.interface, way.source) {
        (Some(device), _) => find(device),
        (None, source) => source.and_then(find_source).map(|(interface, _)| interface).filter(|i| !i.is_loopback),
    };
    let own = interface.map(|interface| own_of(&interface, way.interface.as_ref(), &read)).unwrap_or_default();
    if !own.is_empty() {
        return own;
    }
    SYSTEM_FILES.iter().map(|file| in_resolv_conf(&read(file), way.is_bound())).find(|servers| !servers.is_empty()).unwrap_or_default()
}

/// Lists what was learnt for one interface.
fn own_of(interface: &Interface, device: Option<&Device>, read: &impl Fn(&str) -> String) -> Vec<SocketAddr> {
    let networkd = || in_state(&read(&format!("/run/systemd/netif/links/{}", interface.index)), "DNS");
    let resolved = || in_state(&read(&format!("/run/systemd/resolve/netif/{}", interface.index)), "SERVERS");
    let by_ubus = || {
        let said = netifd::logical(&interfaces(), false);
        let mine = said.iter().filter(|l| l.l3_device.as_deref() == Some(&interface.name)).flat_map(|l| &l.resolvers);
        mine.filter(|address| !address.is_loopback()).map(|address| SocketAddr::new(*address, 53)).collect()
    };
    let by_file = || match device {
        Some(Device::Netifd(name)) => NETIFD_FILES.iter().flat_map(|file| in_section(&read(file), name)).collect(),
        _ => Vec::new(),
    };
    let sources: [&dyn Fn() -> Vec<SocketAddr>; 4] = [&by_file, &by_ubus, &networkd, &resolved];
    sources.into_iter().map(|source| source()).find(|servers| !servers.is_empty()).unwrap_or_default()
}

/// Reads the `nameserver` lines of a file in the form of `resolv.conf(5)`.
fn in_resolv_conf(file: &str, without_loopback: bool) -> Vec<SocketAddr> {
    let address = |line: &str| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    file.lines().filter_map(address).filter(|a| !(without_loopback && a.is_loopback())).map(|a| SocketAddr::new(a, 53)).collect()
}

/// Reads the lines that netifd wrote below the heading of one logical interface.
fn in_section(file: &str, name: &str) -> Vec<SocketAddr> {
    let heading = |line: &&str| line.strip_prefix("# Interface ").is_some_and(|of| of.trim() == name);
    let section = file.lines().skip_while(|line| !heading(line)).skip(1).take_while(|line| !line.starts_with("# Interface "));
    section.flat_map(|line| in_resolv_conf(line, true)).collect()
}

/// Reads a list of servers from a state file of systemd: `10.1.0.53`, `10.1.0.53:5353`, `[fd00::53]:53#name`, with an interface
/// behind `%`.
fn in_state(file: &str, key: &str) -> Vec<SocketAddr> {
    let list = file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let server = |word: &str| {
        let word = word.split(['#', '%']).next()?;
        word.parse::<SocketAddr>().ok().or_else(|| Some(SocketAddr::new(word.parse().ok()?, 53)))
    };
    list.split_whitespace().filter_map(server).filter(|server| !server.ip().is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|server| server.parse().unwrap()).collect()
    }

    #[test]
    fn a_bound_way_never_asks_a_forwarder_on_loopback() {
        let file = "search lan\nnameserver 127.0.0.53\nnameserver 10.1.0.53\n#nameserver 9.9.9.9\n";
        assert_eq!(in_resolv_conf(file, true), servers(&["10.1.0.53:53"]));
        assert_eq!(in_resolv_conf(file, false).len(), 2);
    }

    #[test]
    fn netifds_list_is_read_by_interface() {
        let file = "# Interface wan\nnameserver 10.1.0.53\nnameserver 10.1.0.54\nsearch lan\n# Interface wwan\nnameserver 10.74.2.1\n\
                    nameserver 2001:db8::53\n# Interface wwan_6\nnameserver 2001:db8::54\n";
        assert_eq!(in_section(file, "wan"), servers(&["10.1.0.53:53", "10.1.0.54:53"]));
        assert_eq!(in_section(file, "wwan"), servers(&["10.74.2.1:53", "[2001:db8::53]:53"]));
        assert_eq!(in_section(file, "lan"), []);
    }

    #[test]
    fn systemds_lists_are_read_by_key() {
        let networkd =
            "# This is private data. Do not parse.\nADMIN_STATE=configured\nDNS=10.1.0.53 fd00::53 10.1.0.54:5353#dns.example\nNTP=\n";
        assert_eq!(in_state(networkd, "DNS"), servers(&["10.1.0.53:53", "[fd00::53]:53", "10.1.0.54:5353"]));
        let resolved = "LLMNR=yes\nSERVERS=10.74.2.1 fe80::1%3 127.0.0.1\n";
        assert_eq!(in_state(resolved, "SERVERS"), servers(&["10.74.2.1:53", "[fe80::1]:53"]));
        assert_eq!(in_state("", "DNS"), []);
    }
}
