//! How a socket is tied to a link: the only place that opens one.
//!
//! Invariant: what belongs to a link leaves by that link or not at all. A socket is bound to the link's interface
//! (`SO_BINDTODEVICE`) and source address before anything is sent; when the interface or the address is not there the
//! socket is never opened and the caller gets [`Fault::Gone`].

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::SockFlag;
use rusta_wire::Outcome;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::interfaces::{Interface, interfaces};

/// The way a link leaves this machine. Both `None`: the routing table decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Way {
    /// The interface every packet must leave and enter by.
    pub interface: Option<String>,
    /// The address every packet must come from.
    pub source: Option<IpAddr>,
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

    /// Connects to `peer`. The caller bounds the waiting time.
    ///
    /// # Errors
    /// [`Fault::Gone`] without a packet sent when the link is not there; otherwise what the network said.
    pub async fn connect_tcp(&self, peer: SocketAddr) -> Result<TcpStream, Fault> {
        let socket = self.open(peer.ip(), Type::STREAM, Protocol::TCP)?;
        let stream = TcpSocket::from_std_stream(socket.into()).connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
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
        if let Some(interface) = self.held_to(family)? {
            socket.bind_device(Some(interface.name.as_bytes())).map_err(bind_fault)?;
        }
        match self.source {
            // A link known by its IPv4 address says nothing about where IPv6 would leave, so nothing does.
            Some(source) if source.is_ipv4() != family.is_ipv4() => return Err(Fault::Gone),
            Some(source) => socket.bind(&SocketAddr::new(source, 0).into()).map_err(bind_fault)?,
            None => {}
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
        [IpAddr::from([0; 4]), IpAddr::from([0; 16])].iter().any(|family| self.held_to(*family).is_ok())
    }

    /// Returns the index of the interface this way is held to, 0 when it is held to none. An interface that went and came
    /// back has another index, and sockets of its earlier life are dead.
    ///
    /// # Errors
    /// [`Fault::Gone`] when the interface cannot carry a packet of this family.
    pub fn index(&self, family: IpAddr) -> Result<u32, Fault> {
        Ok(self.held_to(family)?.map_or(0, |interface| interface.index))
    }

    /// Finds the interface to hold a socket to. A source address alone would not do: once its interface loses its route,
    /// Linux sends packets from that address by any other one. An address on the loopback interface (a router's own
    /// stable address) belongs to no link, so the routing table decides.
    ///
    /// The interface must be up, running and have an address of the family: where a bound socket finds no route, Linux
    /// takes the target for a neighbour and asks for it in vain, which would look like a silent target.
    fn held_to(&self, family: IpAddr) -> Result<Option<Interface>, Fault> {
        if !self.is_bound() {
            return Ok(None);
        }
        let owns = |i: &Interface, source| i.ips.iter().any(|net| net.ip() == source || i.is_loopback && net.contains(source));
        let is_it = |i: &&Interface| match (&self.interface, self.source) {
            (Some(name), _) => i.name == *name,
            (None, source) => source.is_some_and(|source| owns(i, source)),
        };
        let all = interfaces();
        let interface = all.iter().find(is_it).ok_or(Fault::Gone)?;
        if !interface.is_up || !interface.is_running || !interface.has_family(family) {
            return Err(Fault::Gone);
        }
        let is_for_all = self.interface.is_none() && interface.is_loopback;
        Ok((!is_for_all).then(|| interface.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn bound_to(interface: &str) -> Way {
        Way { interface: Some(interface.into()), source: None }
    }

    #[tokio::test]
    async fn a_missing_interface_or_source_is_a_gone_link_and_nothing_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        for way in [bound_to("nosuch-if0"), Way { interface: None, source: Some("203.0.113.77".parse().unwrap()) }] {
            assert!(matches!(way.connect_tcp(peer).await, Err(Fault::Gone)), "{way:?}");
            assert!(matches!(way.connect_udp(peer).await, Err(Fault::Gone)), "{way:?}");
            assert!(matches!(way.open_icmp(peer.ip()), Err(Fault::Gone)), "{way:?}");
        }
        let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "a connection came although the link is gone");
    }

    #[tokio::test]
    async fn a_source_of_the_other_family_never_leaks_by_the_default_route() {
        let way = Way { interface: None, source: Some("127.0.0.1".parse().unwrap()) };
        let peer: SocketAddr = "[::1]:9".parse().unwrap();
        assert!(matches!(way.connect_tcp(peer).await, Err(Fault::Gone)));
    }

    #[tokio::test]
    async fn a_bound_source_is_what_the_peer_sees() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way { interface: Some("lo".into()), source: Some("127.0.0.9".parse().unwrap()) };
        let (stream, seen) = tokio::join!(way.connect_tcp(listener.local_addr().unwrap()), listener.accept());
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
            let way = Way { interface: None, source: Some("10.96.1.2".parse().unwrap()) };
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
