//! The ICMP echo sockets that all rounds share: one per link and address family, kept open.
//!
//! `surge-ping` reads the replies; the socket, the waiting list and the pace are ours, because its own client (0.9.1)
//! hides what we measure and drops what we count: it returns ICMP errors as replies on a raw socket, leaves sending out of
//! the round-trip time, forgets duplicates, and spins on a socket that stays broken. Each of those is answered here:
//!
//! - only an echo reply is a reply; errors come from the kernel's error queue (datagram socket) or as packets (raw socket);
//! - time starts before the send;
//! - a place in the waiting list lives as long as its round, so a second reply is counted;
//! - a socket that fails to send is forgotten and opened again by the next round;
//! - sends of all rounds keep a pace, and after a few of them the sender itself takes in what has arrived, so replies never
//!   overrun the receive buffer (212,992 bytes hold about 256 of them), however long this thread had to wait for its turn.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvfrom, recvmsg, setsockopt, sockopt};
use pnet::packet::Packet;
use pnet::packet::icmp::{IcmpPacket, IcmpTypes, MutableIcmpPacket, checksum};
use rusta_wire::Outcome;
use socket2::Type;
use surge_ping::{Icmpv4Packet, Icmpv6Packet, PingIdentifier, PingSequence};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::round::random;
use crate::socket::{Fault, Way};

/// Between two sends of one socket, on average: 2,000 packets a second, which a 10,000-target county node needs half of.
const PACE: Duration = Duration::from_micros(500);

/// Packets that may leave at once after a rest: one awakening for many, and an eighth of the replies the socket holds.
const BURST: u32 = 32;

/// Longest packet read; longer replies are cut, which loses only payload.
const PACKET_BYTES: usize = 2_048;

/// Between two looks at a socket that only ever reports its own fault; the next failed send replaces it.
const PAUSE: Duration = Duration::from_millis(100);

const ECHO_REQUEST_V6: u8 = 128;

/// What the network said about one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The target replied at this moment.
    Reply(Instant),
    /// A router, or our own kernel, said that the packet cannot arrive.
    Undeliverable,
}

/// News with the sequence number of the packet it is about.
type Letter = (u16, News);

/// The open sockets, by way and family.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    sockets: Mutex<HashMap<(Way, bool), Arc<Echo>>>,
}

impl Echoes {
    /// Returns the socket for this way, opening it at the first use.
    pub fn socket(&self, way: &Way, family: IpAddr) -> Result<Arc<Echo>, Fault> {
        let index = way.index(family)?;
        let mut sockets = locked(&self.sockets);
        let key = (way.clone(), family.is_ipv4());
        match sockets.get(&key) {
            Some(echo) if echo.shared.index == index => Ok(echo.clone()),
            _ => {
                let echo = Arc::new(Echo::open(way, family, index)?);
                sockets.insert(key, echo.clone());
                Ok(echo)
            }
        }
    }

    /// Closes the socket of this way, so that the next round opens it afresh.
    pub fn forget(&self, way: &Way, family: IpAddr) {
        locked(&self.sockets).remove(&(way.clone(), family.is_ipv4()));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One echo socket and the task that reads it.
#[derive(Debug)]
pub(super) struct Echo {
    shared: Arc<Shared>,
    reading: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    kind: Type,
    /// Names our packets on a raw socket, which hears everyone's. A datagram socket has its own from the kernel.
    identifier: u16,
    index: u32,
    sequence: AtomicU16,
    next_send: Mutex<Instant>,
    /// Packets sent since the socket was last read.
    unread: AtomicU32,
    waiting: Mutex<HashMap<(IpAddr, u16), Sender<Letter>>>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Echo {
    fn open(way: &Way, family: IpAddr, index: u32) -> Result<Self, Fault> {
        let (socket, kind) = way.open_icmp(family)?;
        // Without the error queue an unreachable target is only a lost packet; a kernel without it is no reason to stop.
        let _ = if family.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
        };
        let shared = Arc::new(Shared {
            socket,
            kind,
            identifier: random() as u16,
            index,
            sequence: AtomicU16::new(random() as u16),
            next_send: Mutex::new(Instant::now()),
            unread: AtomicU32::new(0),
            waiting: Mutex::default(),
        });
        Ok(Echo { reading: tokio::spawn(shared.clone().read()), shared })
    }

    /// Makes a place for the packets of one round to `target`.
    pub fn round(self: &Arc<Self>, target: IpAddr, count: u16) -> EchoRound {
        // Room for a reply and a duplicate of each packet; a peer that sends more is cut off, not stored.
        let (sender, news) = channel(usize::from(count) * 2 + 1);
        EchoRound { echo: self.clone(), target, sender, sequences: Vec::with_capacity(count.into()), news }
    }
}

/// The packets of one round; its places in the waiting list go with it.
#[derive(Debug)]
pub(super) struct EchoRound {
    echo: Arc<Echo>,
    target: IpAddr,
    sender: Sender<Letter>,
    sequences: Vec<u16>,
    news: Receiver<Letter>,
}

impl Drop for EchoRound {
    fn drop(&mut self) {
        let mut waiting = locked(&self.echo.shared.waiting);
        for sequence in &self.sequences {
            waiting.remove(&(self.target, *sequence));
        }
    }
}

impl EchoRound {
    /// Sends the next packet, when it is this socket's turn, and returns when that was.
    pub async fn send(&mut self, payload: &[u8]) -> io::Result<Instant> {
        let shared = &self.echo.shared;
        if let Some(turn) = shared.turn() {
            sleep_until(turn).await;
        }
        let sequence = shared.take_place(self.target, &self.sender);
        self.sequences.push(sequence);
        let packet = shared.request(self.target, sequence, payload);
        let address = shared.address_of(self.target);
        if shared.unread.fetch_add(1, Ordering::Relaxed) >= BURST {
            shared.hear_what_arrived();
        }
        let sent_at = Instant::now();
        if shared.socket.send_to(&packet, address).await.is_err() {
            // The first failure may be a pending error about another round's packet, which asking has cleared.
            shared.socket.send_to(&packet, address).await?;
        }
        Ok(sent_at)
    }

    /// Waits for news about one of the packets: its place in the round, and what happened.
    pub async fn news(&mut self) -> (usize, News) {
        loop {
            // The round holds a sender itself, so the channel never ends.
            if let Some((sequence, news)) = self.news.recv().await
                && let Some(place) = self.sequences.iter().position(|s| *s == sequence)
            {
                return (place, news);
            }
        }
    }

    /// Returns news that is there already.
    pub fn news_at_hand(&mut self) -> Option<(usize, News)> {
        let (sequence, news) = self.news.try_recv().ok()?;
        Some((self.sequences.iter().position(|s| *s == sequence)?, news))
    }
}

impl Shared {
    /// Takes the next place in the pace and returns when it is; `None`: now. A timer for now would fire a millisecond late.
    fn turn(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut next = locked(&self.next_send);
        let turn = (*next).max(now.checked_sub(PACE * BURST).unwrap_or(now));
        *next = turn + PACE;
        (turn > now).then_some(turn)
    }

    /// Reserves a sequence number that no open round to this target uses.
    fn take_place(&self, target: IpAddr, sender: &Sender<Letter>) -> u16 {
        let mut waiting = locked(&self.waiting);
        loop {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            // A configuration allows far fewer packets to one target than there are numbers, so this ends.
            if let std::collections::hash_map::Entry::Vacant(place) = waiting.entry((target, sequence)) {
                place.insert(sender.clone());
                return sequence;
            }
        }
    }

    fn request(&self, target: IpAddr, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8 + payload.len()];
        bytes[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        bytes[6..8].copy_from_slice(&sequence.to_be_bytes());
        bytes[8..].copy_from_slice(payload);
        match target {
            // The kernel fills in the ICMPv6 checksum (RFC 3542 section 3.1).
            IpAddr::V6(_) => bytes[0] = ECHO_REQUEST_V6,
            IpAddr::V4(_) => {
                if let Some(mut packet) = MutableIcmpPacket::new(&mut bytes) {
                    packet.set_icmp_type(IcmpTypes::EchoRequest);
                    let sum = IcmpPacket::new(packet.packet()).map(|p| checksum(&p)).unwrap_or_default();
                    packet.set_checksum(sum);
                }
            }
        }
        bytes
    }

    /// A link-local address means something only together with its interface.
    fn address_of(&self, target: IpAddr) -> SocketAddr {
        match target {
            IpAddr::V6(address) if address.is_unicast_link_local() => SocketAddrV6::new(address, 0, 0, self.index).into(),
            _ => SocketAddr::new(target, 0),
        }
    }

    async fn read(self: Arc<Self>) {
        let mut packet = [0; PACKET_BYTES];
        // News of undeliverable packets raises the error flag only, never "readable".
        while let Ok(ready) = self.socket.ready(Interest::READABLE | Interest::ERROR).await {
            let mut heard = false;
            if ready.is_error() {
                heard |= self.read_errors();
            }
            while let Ok((length, from)) = self.socket.try_recv_from(&mut packet) {
                self.hear(&packet[..length], from.ip(), Instant::now());
                heard = true;
            }
            self.unread.store(0, Ordering::Relaxed);
            if !heard {
                // A socket that is broken for good is always ready: without a pause that is a spinning core.
                sleep(PAUSE).await;
            }
        }
    }

    /// Reads the socket without asking the runtime, which learns of new packets only between tasks.
    fn hear_what_arrived(&self) {
        self.unread.store(0, Ordering::Relaxed);
        let mut packet = [0; PACKET_BYTES];
        while let Ok((length, Some(from))) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut packet) {
            if let Some(from) = ip_of(&from) {
                self.hear(&packet[..length], from, Instant::now());
            }
        }
    }

    fn hear(&self, packet: &[u8], from: IpAddr, at: Instant) {
        let Some((target, identifier, sequence, is_reply)) = decode(packet, self.kind, from) else { return };
        if self.kind == Type::RAW && identifier.into_u16() != self.identifier {
            return;
        }
        self.tell(target, sequence.into_u16(), if is_reply { News::Reply(at) } else { News::Undeliverable });
    }

    fn tell(&self, target: IpAddr, sequence: u16, news: News) {
        if let Some(sender) = locked(&self.waiting).get(&(target, sequence)) {
            let _ = sender.try_send((sequence, news));
        }
    }

    /// Empties the error queue; tells whether there was anything in it.
    fn read_errors(&self) -> bool {
        let mut found = false;
        while self.socket.try_io(Interest::ERROR, || self.read_error()).is_ok() {
            found = true;
        }
        found
    }

    fn read_error(&self) -> io::Result<()> {
        let mut packet = [0; 128];
        let mut space = nix::cmsg_space!([u8; 128]);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let is_about_loss = message
            .cmsgs()
            .is_ok_and(|mut all| all.any(|c| matches!(c, ControlMessageOwned::Ipv4RecvErr(..) | ControlMessageOwned::Ipv6RecvErr(..))));
        // The address is where our packet went, and the data is our packet.
        let target = message.address.as_ref().and_then(ip_of);
        if let (true, Some(target), Some(Ok(sequence))) = (is_about_loss, target, packet.get(6..8).map(<[u8; 2]>::try_from)) {
            self.tell(target, u16::from_be_bytes(sequence), News::Undeliverable);
        }
        Ok(())
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

/// Reads a packet: whose target, which identifier and sequence, and whether it is a reply.
fn decode(packet: &[u8], kind: Type, from: IpAddr) -> Option<(IpAddr, PingIdentifier, PingSequence, bool)> {
    match from {
        IpAddr::V4(source) => {
            let read = Icmpv4Packet::decode(packet, kind, source, source).ok()?;
            let is_reply = read.get_icmp_type() == IcmpTypes::EchoReply;
            Some((read.get_real_dest().into(), read.get_identifier(), read.get_sequence(), is_reply))
        }
        IpAddr::V6(source) => {
            const ECHO_REPLY: u8 = 129;
            const LAST_ERROR: u8 = 127;
            // Neighbour discovery and the like are neither.
            packet.first().filter(|t| **t == ECHO_REPLY || **t <= LAST_ERROR)?;
            let read = Icmpv6Packet::decode(packet, source).ok()?;
            let is_reply = read.get_icmpv6_type().0 == ECHO_REPLY;
            Some((read.get_real_dest().into(), read.get_identifier(), read.get_sequence(), is_reply))
        }
    }
}

/// Says what a failed send means and whether the socket is worth keeping.
pub(super) fn send_fault(way: &Way, error: &io::Error) -> Outcome {
    match way.outcome_of(error) {
        // A local firewall's EPERM and a full device queue's ENOBUFS say nothing about the target.
        Outcome::SystemError if error.raw_os_error() == Some(ENOBUFS) => Outcome::NotRun,
        outcome => outcome,
    }
}

const ENOBUFS: i32 = 105;
