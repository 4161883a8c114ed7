//! How a socket is tied to a link: the only place that opens one.
//!
//! Invariant: what belongs to a link leaves by that link or not at all. A socket is bound to the link's interface
//! (`SO_BINDTODEVICE`) and source address before anything is sent; when the interface or the address is not there the
//! socket is never opened and the caller gets [`Fault::Gone`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::sys::socket::SockFlag;
use rusta_wire::Outcome;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::interfaces::{self, Device, Interface, interfaces};
use crate::metered::{Meter, Stream};

/// The way a link leaves this machine. Neither interface nor source: the routing table decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Way {
    /// The interface every packet must leave and enter by.
    pub interface: Option<Device>,
    /// The address every packet must come from.
    pub source: Option<IpAddr>,
    /// Whom to ask for names; empty: whom the system learnt of for this way.
    pub resolvers: Vec<SocketAddr>,
}

/// What the sockets of a way are tied to at present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tie {
    /// The interface; `None`: any.
    pub interface: Option<Interface>,
    /// The address; `None`: the kernel chooses one.
    pub source: Option<IpAddr>,
}

impl Tie {
    /// Names one life of the interface: one that went and came back, or has another address, makes earlier sockets useless.
    pub fn life(&self) -> (u32, Option<IpAddr>) {
        (self.interface.as_ref().map_or(0, |interface| interface.index), self.source)
    }
}

/// Why no socket or no exchange came about.
#[derive(Debug)]
pub enum Fault {
    /// The link's interface or source address is not there, or has no address of the target's family.
    Gone,
    /// The kernel lets this process open no such socket.
    NotPermitted,
    /// The operating system or the network said something else.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl Fault {
    /// Says what this means for the round.
    pub fn outcome(&self) -> Outcome {
        match self {
            Fault::Gone => Outcome::LinkGone,
            Fault::NotPermitted => Outcome::NotPermitted,
            Fault::Io(error) => outcome_of(error),
        }
    }
}

/// Translates an error of a socket call into what it proves.
pub fn outcome_of(error: &io::Error) -> Outcome {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::TimedOut => Outcome::Timeout,
        Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionAborted => Outcome::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable => Outcome::Unreachable,
        Kind::NetworkDown | Kind::AddrNotAvailable => Outcome::LinkGone,
        // A firewall on this machine or a `prohibit` route answers a send with EACCES or EPERM.
        Kind::PermissionDenied => Outcome::Unreachable,
        Kind::UnexpectedEof => Outcome::Malformed,
        _ => match error.raw_os_error() {
            // The interface went away under an open socket.
            Some(ENODEV | ENXIO) => Outcome::LinkGone,
            Some(EPROTO) => Outcome::Unreachable,
            _ => Outcome::SystemError,
        },
    }
}

const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
/// ICMP "protocol unreachable" and "parameter problem" surface as this.
const EPROTO: i32 = 71;

/// Reads a refusal to bind: `SO_BINDTODEVICE` on a name that is not there says ENODEV.
fn bind_fault(error: io::Error) -> Fault {
    match (error.raw_os_error(), error.kind()) {
        (Some(ENODEV | ENXIO), _) | (_, io::ErrorKind::AddrNotAvailable) => Fault::Gone,
        (_, io::ErrorKind::PermissionDenied) => Fault::NotPermitted,
        _ => Fault::Io(error),
    }
}

impl Way {
    /// Tells whether packets are held to one link at all.
    pub fn is_bound(&self) -> bool {
        self.interface.is_some() || self.source.is_some()
    }

    /// Connects to `peer`; `meter` counts what that and the connection cost. The caller bounds the waiting time.
    ///
    /// # Errors
    /// [`Fault::Gone`] without a packet sent when the link is not there; otherwise what the network said.
    pub async fn connect_tcp(&self, peer: SocketAddr, meter: Arc<Meter>) -> Result<Stream, Fault> {
        let socket = self.open(peer.ip(), Type::STREAM, Protocol::TCP)?;
        socket.set_tcp_nodelay(true)?;
        Ok(Stream::connect(socket, peer, meter).await?)
    }

    /// Opens a UDP socket that talks only to `peer`.
    ///
    /// # Errors
    /// [`Fault::Gone`] when the link is not there; otherwise what the kernel said.
    pub async fn connect_udp(&self, peer: SocketAddr) -> Result<UdpSocket, Fault> {
        let socket = self.open(peer.ip(), Type::DGRAM, Protocol::UDP)?;
        let socket = UdpSocket::from_std(socket.into())?;
        socket.connect(peer).await?;
        Ok(socket)
    }

    /// Opens an ICMP echo socket for `family`'s address family: an unprivileged datagram socket where
    /// `net.ipv4.ping_group_range` lets us, else a raw one. The type returned says which.
    ///
    /// # Errors
    /// [`Fault::NotPermitted`] when the kernel refuses both.
    pub fn open_icmp(&self, family: IpAddr) -> Result<(UdpSocket, Type), Fault> {
        let protocol = if family.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let (socket, kind) = match self.open(family, Type::DGRAM, protocol) {
            Err(Fault::NotPermitted) => (self.open(family, Type::RAW, protocol)?, Type::RAW),
            other => (other?, Type::DGRAM),
        };
        Ok((UdpSocket::from_std(socket.into())?, kind))
    }

    /// Opens a non-blocking socket bound to this way; nothing has been sent on it.
    ///
    /// # Errors
    /// [`Fault::Gone`], [`Fault::NotPermitted`], or what the kernel said.
    pub fn open(&self, family: IpAddr, kind: Type, protocol: Protocol) -> Result<Socket, Fault> {
        // Asked for at once: two system calls less than setting it afterwards.
        let nonblocking = Type::from(i32::from(kind) | SockFlag::SOCK_NONBLOCK.bits());
        let socket = Socket::new(Domain::for_address(SocketAddr::new(family, 0)), nonblocking, Some(protocol)).map_err(bind_fault)?;
        let tie = self.tie(family)?;
        if let Some(interface) = tie.interface {
            socket.bind_device(Some(interface.name.as_bytes())).map_err(bind_fault)?;
        }
        if let Some(source) = tie.source {
            socket.bind(&SocketAddr::new(source, 0).into()).map_err(bind_fault)?;
        }
        Ok(socket)
    }
}

impl Way {
    /// Says what an error on a socket of this way means. "No route" on a link that has just lost its carrier or its
    /// address is the link's own fault, not the network's.
    pub fn outcome_of(&self, error: &io::Error) -> Outcome {
        let outcome = outcome_of(error);
        if error.kind() == io::ErrorKind::NetworkUnreachable && !self.is_there() { Outcome::LinkGone } else { outcome }
    }

    /// Tells whether this way can carry a packet of either address family.
    pub fn is_there(&self) -> bool {
        [IpAddr::from([0; 4]), IpAddr::from([0; 16])].iter().any(|family| self.tie(*family).is_ok())
    }

    /// Tells whether a socket of this way may leave by `interface`.
    pub fn is_by(&self, interface: &Interface) -> bool {
        match (&self.interface, self.source) {
            (Some(device), _) => interfaces::find(device).is_some_and(|own| own.index == interface.index),
            (None, Some(source)) => interfaces::find_source(source).is_some_and(|(own, _)| own.index == interface.index),
            (None, None) => false,
        }
    }

    /// Returns the kernel's present name of the interface this way is held to.
    pub fn interface_name(&self) -> Option<String> {
        let interface = match (&self.interface, self.source) {
            (Some(device), _) => interfaces::find(device),
            (None, source) => interfaces::find_source(source?).map(|(interface, _)| interface).filter(|i| !i.is_loopback),
        };
        interface.map(|interface| interface.name)
    }

    /// Returns the address packets to `peer` leave from, by this way's routes; `None` where there is no route. Sends nothing.
    pub fn route_to(&self, peer: IpAddr) -> Option<IpAddr> {
        let socket = self.open(peer, Type::DGRAM, Protocol::UDP).ok()?;
        socket.connect(&SocketAddr::new(peer, 9).into()).ok()?;
        socket.local_addr().ok()?.as_socket().map(|local| local.ip())
    }

    /// Finds what to hold a socket to. A source address alone would not do: once its interface loses its route,
    /// Linux sends packets from that address by any other one. An address on the loopback interface (a router's own
    /// stable address) belongs to no link, so the routing table decides.
    ///
    /// The interface must be up, running and have an address of the family: where a bound socket finds no route, Linux
    /// takes the target for a neighbour and asks for it in vain, which would look like a silent target.
    ///
    /// # Errors
    /// [`Fault::Gone`] when the interface or the address is not there, or cannot carry a packet of this family. A link known by
    /// its IPv4 address says nothing about where IPv6 would leave, so nothing does.
    pub fn tie(&self, family: IpAddr) -> Result<Tie, Fault> {
        if self.source.is_some_and(|source| source.is_ipv4() != family.is_ipv4()) {
            return Err(Fault::Gone);
        }
        let tie = match (&self.interface, self.source) {
            (None, None) => return Ok(Tie::default()),
            (Some(device), source) => Tie { interface: Some(interfaces::find(device).ok_or(Fault::Gone)?), source },
            (None, Some(source)) => {
                let (interface, source) = interfaces::find_source(source).ok_or(Fault::Gone)?;
                Tie { interface: Some(interface), source: Some(source) }
            }
        };
        let can_carry = |i: &Interface| i.is_up && i.is_running && i.has_family(family);
        if !tie.interface.as_ref().is_some_and(can_carry) {
            return Err(Fault::Gone);
        }
        let is_for_all = |i: &Interface| self.interface.is_none() && i.is_loopback;
        Ok(Tie { interface: tie.interface.filter(|i| !is_for_all(i)), ..tie })
    }
}

/// Finds the interface that has an address.
pub fn owner_of(address: IpAddr) -> Option<Interface> {
    interfaces().iter().find(|i| i.ips.iter().any(|net| net.ip() == address)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn bound_to(interface: &str) -> Way {
        Way { interface: Some(interface.into()), ..Way::default() }
    }

    fn bound_from(source: &str) -> Way {
        Way { source: Some(source.parse().unwrap()), ..Way::default() }
    }

    #[tokio::test]
    async fn a_missing_interface_or_source_is_a_gone_link_and_nothing_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        for way in [bound_to("nosuch-if0"), bound_from("203.0.113.77")] {
            assert!(matches!(way.connect_tcp(peer, Arc::default()).await, Err(Fault::Gone)), "{way:?}");
            assert!(matches!(way.connect_udp(peer).await, Err(Fault::Gone)), "{way:?}");
            assert!(matches!(way.open_icmp(peer.ip()), Err(Fault::Gone)), "{way:?}");
        }
        let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "a connection came although the link is gone");
    }

    #[tokio::test]
    async fn a_source_of_the_other_family_never_leaks_by_the_default_route() {
        let way = bound_from("127.0.0.1");
        let peer: SocketAddr = "[::1]:9".parse().unwrap();
        assert!(matches!(way.connect_tcp(peer, Arc::default()).await, Err(Fault::Gone)));
    }

    #[tokio::test]
    async fn a_bound_source_is_what_the_peer_sees() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way { interface: Some("lo".into()), ..bound_from("127.0.0.9") };
        let (stream, seen) = tokio::join!(way.connect_tcp(listener.local_addr().unwrap(), Arc::default()), listener.accept());
        assert!(stream.is_ok());
        assert_eq!(seen.unwrap().1.ip(), way.source.unwrap());
    }

    #[test]
    fn a_source_address_alone_holds_packets_to_its_own_interface() {
        // Linux sends from one interface's address by another one when only the other has a route.
        use crate::probe::tests_support::{Neighbour, block_on, in_own_network, ip};
        in_own_network(|| {
            let a = Neighbour::cabled("a0", "10.96.1.2/24", "x0", "10.96.1.1/24");
            let b = Neighbour::cabled("b0", "10.96.2.2/24", "x0", "10.96.2.1/24");
            ip("route add default via 10.96.2.1");
            let datagrams =
                |neighbour: &Neighbour| neighbour.shell("awk '/^Ip:/ && $4 ~ /^[0-9]/ {print $4}' /proc/net/snmp").trim().to_owned();
            let elsewhere: SocketAddr = "10.96.9.9:9".parse().unwrap();
            let way = bound_from("10.96.1.2");
            let send = || {
                block_on(async {
                    match way.connect_udp(elsewhere).await {
                        Ok(socket) => socket.send(b"x").await.is_ok(),
                        Err(_) => false,
                    }
                })
            };
            send();
            ip("link set a0 down");
            assert!(!send(), "the link is gone");
            assert_eq!(datagrams(&b), "0", "a packet left by the other link");
            let unbound = Way::default();
            block_on(async { unbound.connect_udp(elsewhere).await.unwrap().send(b"x").await.unwrap() });
            assert_eq!(datagrams(&b), "1", "the count sees what leaves by the other link");
            drop(a);
        });
    }
}
