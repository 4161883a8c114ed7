//! One flow of packets whose fate the kernel tells: who let it pass, who sent it back, and how large it may be.
//!
//! No raw socket is needed. An unprivileged ICMP echo socket is used where the kernel grants one, because targets answer
//! echo without limit; otherwise UDP to a port where nobody listens. ICMP messages about our packets come out of the
//! socket's error queue (`IP_RECVERR`), already matched to the flow by the kernel. pnet builds only the ICMP checksum here:
//! its transport channels need a raw socket and a thread for each trace.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::{libc, setsockopt_impl, sockopt_impl};
use rusta_wire::Outcome;
use socket2::{SockRef, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::moment;
use super::round::{Round, random};
use crate::packet::echo::{HEADER_BYTES, balanced_request, reply_sequence};
use crate::socket::Fault;

sockopt_impl!(
    /// What the kernel does about packets that are too large for the path (`ip(7)`).
    MtuDiscover, SetOnly, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int
);
sockopt_impl!(
    /// The same for IPv6.
    MtuDiscoverV6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::c_int
);

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It reached the target, which answered.
    Arrived { took: Duration },
    /// A router at this address ended it because its hops were used up.
    Expired { router: IpAddr, took: Duration },
    /// It was too large for somebody on the way, who named the size that fits.
    TooLarge { fits: Option<u32> },
    /// Somebody refused to carry it.
    Refused { router: IpAddr },
    /// Nothing was heard of it.
    Silence,
}

enum Carrier {
    /// Echo requests; a raw socket's replies carry their IPv4 header.
    Echo {
        identifier: u16,
        is_raw: bool,
    },
    Udp,
}

/// An open flow to one target.
pub(super) struct Flow<'a> {
    round: &'a Round<'a>,
    socket: UdpSocket,
    carrier: Carrier,
    target: IpAddr,
    sequence: u16,
}

impl<'a> Flow<'a> {
    /// Opens a flow; `port` is where UDP packets go if echo is not permitted.
    pub async fn open(round: &'a Round<'a>, target: IpAddr, port: u16) -> Result<Self, Outcome> {
        let fault = |fault| round.outcome_of(fault);
        let io_fault = |e: io::Error| round.way.outcome_of(&e);
        let (socket, carrier) = match round.way.open_icmp(target) {
            Ok((socket, kind)) => {
                socket.connect(SocketAddr::new(target, 0)).await.map_err(io_fault)?;
                (socket, Carrier::Echo { identifier: random() as u16, is_raw: kind == Type::RAW })
            }
            Err(Fault::NotPermitted) => (round.way.connect_udp(SocketAddr::new(target, port)).await.map_err(fault)?, Carrier::Udp),
            Err(other) => return Err(fault(other)),
        };
        // PROBE: never fragment, and let us send what we like whatever the kernel has learnt about this path.
        let set = if target.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true).and_then(|()| setsockopt(&socket, MtuDiscover, &libc::IP_PMTUDISC_PROBE))
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true).and_then(|()| setsockopt(&socket, MtuDiscoverV6, &libc::IPV6_PMTUDISC_PROBE))
        };
        set.map_err(|e| round.way.outcome_of(&e.into()))?;
        moment::stamp(&socket);
        Ok(Flow { round, socket, carrier, target, sequence: 0 })
    }

    fn ip_header_bytes(&self) -> usize {
        if self.target.is_ipv4() { 20 } else { 40 }
    }

    /// Sends one packet of `size` bytes, IP header included, that may take `hops` hops, and waits for its fate.
    pub async fn send(&mut self, size: usize, hops: u8, until: Instant) -> Result<Fate, Outcome> {
        let io_fault = |e: io::Error| self.round.way.outcome_of(&e);
        let socket = SockRef::from(&self.socket);
        let set = if self.target.is_ipv4() { socket.set_ttl_v4(hops.into()) } else { socket.set_unicast_hops_v6(hops.into()) };
        set.map_err(io_fault)?;
        // What came too late for an earlier packet must not be taken for this one's.
        while self.hear(u16::MAX, Instant::now()).is_some() {}
        self.sequence = self.sequence.wrapping_add(1) & 0x7fff;
        let packet = self.packet(size.saturating_sub(self.ip_header_bytes()));
        let sent_at = Instant::now();
        match self.socket.send(&packet).await {
            Ok(_) => self.round.moved(size),
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => return Ok(Fate::TooLarge { fits: None }),
            // A pending error of an earlier packet is told once instead of sending.
            Err(_) => drop(self.socket.send(&packet).await.map_err(io_fault)?),
        }
        Ok(self.wait(sent_at, until.min(self.round.deadline)).await)
    }

    fn packet(&self, length: usize) -> Vec<u8> {
        match self.carrier {
            Carrier::Echo { identifier, .. } => balanced_request(self.target.is_ipv4(), identifier, self.sequence, length),
            Carrier::Udp => vec![0; length.saturating_sub(HEADER_BYTES)],
        }
    }

    async fn wait(&self, sent_at: Instant, until: Instant) -> Fate {
        loop {
            if let Some(fate) = self.hear(self.sequence, sent_at) {
                return fate;
            }
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR);
            if !matches!(timeout_at(until, ready).await, Ok(Ok(_))) {
                return Fate::Silence;
            }
        }
    }

    /// Takes one piece of news about packet `sequence`, skipping news of others.
    fn hear(&self, sequence: u16, sent_at: Instant) -> Option<Fate> {
        loop {
            match self.socket.try_io(Interest::ERROR, || self.read_error(sent_at)) {
                Ok((about, fate)) if about.is_none_or(|about| about == sequence || sequence == u16::MAX) => return Some(fate),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let mut packet = vec![0; 2_048];
        loop {
            let wall = &*self.round.prober.settings.system_us;
            match self.socket.try_io(Interest::READABLE, || moment::receive(self.socket.as_raw_fd(), &mut packet, wall)) {
                Ok((length, at)) => {
                    self.round.moved(length + self.ip_header_bytes());
                    if self.is_reply(&packet[..length], sequence) {
                        return Some(Fate::Arrived { took: self.took(sent_at, at) });
                    }
                }
                // The pending error belongs to what the error queue just told.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// How long something took that happened at a moment, if the kernel knows it.
    fn took(&self, sent_at: Instant, at: Option<Instant>) -> Duration {
        let at = at.filter(|at| *at > sent_at).unwrap_or_else(Instant::now);
        self.round.heard(at);
        at - sent_at
    }

    fn is_reply(&self, packet: &[u8], sequence: u16) -> bool {
        match self.carrier {
            Carrier::Udp => true,
            Carrier::Echo { identifier, is_raw } => {
                let icmp = if is_raw && self.target.is_ipv4() { packet.get(20..).unwrap_or_default() } else { packet };
                let is_ours = !is_raw || icmp.get(4..6) == Some(&identifier.to_be_bytes());
                is_ours && reply_sequence(icmp).is_some_and(|s| s == sequence || sequence == u16::MAX)
            }
        }
    }

    /// Reads one entry of the error queue: which packet of an echo flow it is about, and what it says.
    fn read_error(&self, sent_at: Instant) -> io::Result<(Option<u16>, Fate)> {
        let mut packet = [0; 128];
        let mut space = nix::cmsg_space!([u8; 256], TimeSpec);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let length = message.bytes;
        let (now, wall) = (Instant::now(), &*self.round.prober.settings.system_us);
        let at = message.cmsgs()?.find_map(|said| moment::arrival_of(&said, wall, now));
        let took = self.took(sent_at, at);
        let mut fate = Fate::Silence;
        for control in message.cmsgs()? {
            fate = match control {
                ControlMessageOwned::Ipv4RecvErr(error, router) => {
                    let router = router.map(|r| IpAddr::V4(Ipv4Addr::from(u32::from_be(r.sin_addr.s_addr))));
                    self.judge(V4, error, router, took)
                }
                ControlMessageOwned::Ipv6RecvErr(error, router) => {
                    let router = router.map(|r| IpAddr::V6(Ipv6Addr::from(r.sin6_addr.s6_addr)));
                    self.judge(V6, error, router, took)
                }
                _ => continue,
            };
        }
        self.round.moved(length + self.ip_header_bytes() + 36);
        let about = match self.carrier {
            Carrier::Echo { .. } if length >= HEADER_BYTES => Some(u16::from_be_bytes([packet[6], packet[7]])),
            _ => None,
        };
        Ok((about, fate))
    }

    fn judge(&self, codes: Codes, error: libc::sock_extended_err, router: Option<IpAddr>, took: Duration) -> Fate {
        let router = router.unwrap_or(self.target);
        let is_icmp = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
        if error.ee_errno == libc::EMSGSIZE as u32 {
            Fate::TooLarge { fits: Some(error.ee_info).filter(|mtu| (68..65_536).contains(mtu)) }
        } else if !is_icmp {
            Fate::Silence
        } else if error.ee_type == codes.time_exceeded {
            Fate::Expired { router, took }
        } else if router == self.target && (error.ee_type, error.ee_code) == codes.port_unreachable {
            Fate::Arrived { took }
        } else {
            Fate::Refused { router }
        }
    }
}

/// The ICMP numbers of one IP version.
#[derive(Clone, Copy)]
struct Codes {
    time_exceeded: u8,
    port_unreachable: (u8, u8),
}

const V4: Codes = Codes { time_exceeded: 11, port_unreachable: (3, 3) };
const V6: Codes = Codes { time_exceeded: 3, port_unreachable: (1, 4) };
