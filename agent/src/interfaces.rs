//! The machine's network interfaces.
//!
//! Every round looks its link's interface up, and listing them takes dozens of system calls. So the list is kept until the
//! kernel says on a socket (`rtnetlink(7)`) that an interface or an address has changed; where it grants no such socket,
//! every look lists afresh. The kernel speaks before the call that changed something returns, so a look never misses it.
//!
//! A kernel's name is not a thing to rely on: a modem that was plugged in again is `wwan1`. [`Device`] says by what a link's
//! interface is known, and [`find`] looks it up afresh each time.

pub mod netifd;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use pnet::datalink;
use pnet::ipnetwork::IpNetwork;

use crate::sim::{self, Iccid};

/// By what an interface is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// The kernel's name. One that was renamed, or came back at the same place of the bus under another name, is followed as
    /// long as the agent runs.
    Kernel(String),
    /// The name of netifd's logical interface, as in `/etc/config/network`; its `l3_device` carries the packets.
    Netifd(String),
    /// Where the device is: udev's `ID_PATH`, or a path below `/sys/devices` at or above it.
    Path(String),
    /// The SIM in the modem it belongs to.
    Sim(Iccid),
    /// The access point name its modem uses.
    Apn(String),
}

impl From<&str> for Device {
    fn from(name: &str) -> Self {
        Device::Kernel(name.to_owned())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Kernel(name) | Device::Netifd(name) | Device::Path(name) | Device::Apn(name) => f.write_str(name),
            Device::Sim(_) => f.write_str("the modem of its SIM"),
        }
    }
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number; another one after it went and came back.
    pub index: u32,
    /// Its addresses.
    pub ips: Vec<IpNetwork>,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether it can carry packets.
    pub is_running: bool,
    /// Whether it leads back to this machine.
    pub is_loopback: bool,
    /// What its line can carry, in Mbit/s; `None` where the driver does not say (radio, tunnels).
    pub speed_mbps: Option<u64>,
    /// Its device below `/sys/devices`; `None` for one that is only software.
    pub path: Option<String>,
    /// udev's `ID_PATH` of the device.
    pub id_path: Option<String>,
}

impl Interface {
    /// Tells whether it has an address of the same family.
    pub fn has_family(&self, family: IpAddr) -> bool {
        self.ips.iter().any(|net| net.is_ipv4() == family.is_ipv4())
    }

    /// Returns its only address of the family that other machines may reach; `None` if it has none or several.
    pub fn only_address(&self, family: IpAddr) -> Option<IpAddr> {
        let mut found = self.ips.iter().map(IpNetwork::ip).filter(|ip| ip.is_ipv4() == family.is_ipv4() && !is_link_local(*ip));
        found.next().filter(|_| found.next().is_none())
    }

    fn is_at(&self, place: &str) -> bool {
        let is_below =
            |path: &String| path.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.id_path.as_deref() == Some(place) || self.path.as_ref().is_some_and(is_below)
    }
}

/// Tells whether an address means something only on its own line.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The last list, and the socket that tells when it is out of date. Of one thread, so of one network namespace.
struct Known {
    changes: Option<OwnedFd>,
    list: Rc<[Interface]>,
}

/// What was last found by a name or an address: the interface's number and place on the bus.
type Seen = HashMap<String, (u32, Option<String>)>;

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// Finds the interface a device is at present.
pub fn find(device: &Device) -> Option<Interface> {
    let list = interfaces();
    match device {
        Device::Kernel(name) => followed(name, &list, |i| i.name == *name),
        Device::Netifd(name) => {
            let l3_device = netifd::l3_device(name, &list)?;
            list.iter().find(|i| i.name == l3_device).cloned()
        }
        Device::Path(place) => {
            // udev writes down what it knows of an interface after the kernel has told of it.
            let is_named_since = |i: &&Interface| i.id_path.is_none() && udev_property(i.index, "ID_PATH").as_ref() == Some(place);
            list.iter().find(|i| i.is_at(place)).or_else(|| list.iter().find(is_named_since)).cloned()
        }
        Device::Sim(iccid) => of_modem(&list, |modem| modem.card == Some(sim::card_of(iccid))),
        Device::Apn(apn) => of_modem(&list, |modem| modem.apn.as_ref() == Some(apn)),
    }
}

fn of_modem(list: &[Interface], wanted: impl Fn(&sim::Found) -> bool) -> Option<Interface> {
    let modem = sim::modem_with(wanted)?;
    let belongs = |i: &&Interface| modem.interfaces.contains(&i.name) || modem.place.as_ref().is_some_and(|place| i.is_at(place));
    list.iter().find(belongs).cloned()
}

/// Finds the interface that has `source`. The address of an interface that had no other is followed when it changes; where there
/// were several, nobody knows which of them took its place.
pub fn find_source(source: IpAddr) -> Option<(Interface, IpAddr)> {
    let list = interfaces();
    let owns = |i: &Interface| i.ips.iter().any(|net| net.ip() == source || i.is_loopback && net.contains(source));
    if let Some(owner) = list.iter().find(|i| owns(i)) {
        let is_followed = owner.only_address(source) == Some(source) && !owner.is_loopback;
        SEEN.with_borrow_mut(|seen| match is_followed {
            true => remember(seen, &source.to_string(), owner),
            false => drop(seen.remove(&source.to_string())),
        });
        return Some((owner.clone(), source));
    }
    let interface = followed(&source.to_string(), &list, |_| false)?;
    let address = interface.only_address(source)?;
    Some((interface, address))
}

fn remember(seen: &mut Seen, name: &str, interface: &Interface) {
    if seen.get(name).is_none_or(|(index, path)| *index != interface.index || *path != interface.path) {
        seen.insert(name.to_owned(), (interface.index, interface.path.clone()));
    }
}

/// Finds the interface that is it, or else the one that was: by its number, then by its place on the bus.
fn followed(name: &str, list: &[Interface], is_it: impl Fn(&Interface) -> bool) -> Option<Interface> {
    SEEN.with_borrow_mut(|seen| {
        if let Some(interface) = list.iter().find(|i| is_it(i)) {
            remember(seen, name, interface);
            return Some(interface.clone());
        }
        let (index, path) = seen.get(name)?;
        let same_place = |i: &&Interface| path.is_some() && i.path == *path;
        list.iter().find(|i| i.index == *index).or_else(|| list.iter().find(same_place)).cloned()
    })
}

/// Lists the interfaces as they are.
pub fn interfaces() -> Rc<[Interface]> {
    KNOWN.with_borrow_mut(|known| match known {
        Some(Known { changes: Some(changes), list }) => {
            if has_news(changes) {
                *list = list_afresh();
            }
            list.clone()
        }
        _ => {
            // The socket first: what changes while the list is read makes news.
            let changes = hear_changes().ok();
            known.insert(Known { changes, list: list_afresh() }).list.clone()
        }
    })
}

fn hear_changes() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let changes = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
    bind(changes.as_raw_fd(), &NetlinkAddr::new(0, groups as u32))?;
    Ok(changes)
}

/// Takes all news off the socket. Their text does not matter, and more than the socket could hold (ENOBUFS) is news too.
fn has_news(changes: &OwnedFd) -> bool {
    let mut found = false;
    loop {
        match recv(changes.as_raw_fd(), &mut [0], MsgFlags::empty()) {
            Ok(_) => found = true,
            Err(Errno::EAGAIN) => return found,
            Err(Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}

fn list_afresh() -> Rc<[Interface]> {
    let speed = |name: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok()?.trim().parse().ok();
    let listed = datalink::interfaces().into_iter().map(|i| Interface {
        index: i.index,
        is_up: i.is_up(),
        is_running: i.is_running(),
        is_loopback: i.is_loopback(),
        speed_mbps: speed(&i.name),
        path: std::fs::canonicalize(format!("/sys/class/net/{}/device", i.name)).ok().map(|path| path.to_string_lossy().into_owned()),
        id_path: udev_property(i.index, "ID_PATH"),
        name: i.name,
        ips: i.ips,
    });
    listed.collect()
}

/// Reads a property from udev's database (`/run/udev/data`, stable since systemd 165).
fn udev_property(index: u32, name: &str) -> Option<String> {
    let file = std::fs::read_to_string(format!("/run/udev/data/n{index}")).ok()?;
    file.lines().find_map(|line| line.strip_prefix("E:")?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests_support::{in_own_network, ip};

    #[test]
    fn every_change_is_seen_by_the_next_look() {
        in_own_network(|| {
            let seen = |name: &str| interfaces().iter().find(|i| i.name == name).cloned();
            assert_eq!(seen("v0"), None);
            let first = interfaces();
            assert!(Rc::ptr_eq(&first, &interfaces()), "nothing changed, so nothing is listed again");
            ip("link add v0 type veth peer name v1");
            assert!(!seen("v0").unwrap().is_up);
            ip("link set v1 up");
            ip("link set v0 up");
            ip("address add 10.97.1.1/24 dev v0");
            let v0 = seen("v0").unwrap();
            assert!(v0.is_up && v0.has_family("10.0.0.1".parse().unwrap()));
            ip("address del 10.97.1.1/24 dev v0");
            assert!(!seen("v0").unwrap().has_family("10.0.0.1".parse().unwrap()));
            ip("link set v0 down");
            assert!(!seen("v0").unwrap().is_up);
            ip("link del v0");
            assert_eq!(seen("v0"), None);
        });
    }
}
