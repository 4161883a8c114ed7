//! The machine's network interfaces.
//!
//! Every round looks its link's interface up, and listing them takes dozens of system calls. So the list is kept until the
//! kernel says on a socket (`rtnetlink(7)`) that an interface or an address has changed; where it grants no such socket,
//! every look lists afresh. The kernel speaks before the call that changed something returns, so a look never misses it.

use std::cell::RefCell;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use pnet::datalink;
use pnet::ipnetwork::IpNetwork;

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
}

impl Interface {
    /// Tells whether it has an address of the same family.
    pub fn has_family(&self, family: IpAddr) -> bool {
        self.ips.iter().any(|net| net.is_ipv4() == family.is_ipv4())
    }
}

/// The last list, and the socket that tells when it is out of date. Of one thread, so of one network namespace.
struct Known {
    changes: Option<OwnedFd>,
    list: Rc<[Interface]>,
}

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
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
        name: i.name,
        ips: i.ips,
    });
    listed.collect()
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
