//! The ICMP echo sockets that all rounds share: one per link and address family, kept open.
//!
//! `surge-ping` reads the replies; the socket, the waiting list and the pace are ours, because its own client (0.9.1)
//! hides what we measure and drops what we count: it returns ICMP errors as replies on a raw socket, leaves sending out of
//! the round-trip time, forgets duplicates, and spins on a socket that stays broken. Each of those is answered here:
//!
//! - only an echo reply is a reply; errors come from the kernel's error queue (datagram socket) or as packets (raw socket);
//! - time starts before the send, and ends when the kernel took the reply in, however late this program reads it;
//! - a place in the waiting list lives as long as its round, so a second reply is counted;
//! - a socket that fails to send is forgotten and opened again by the next round;
//! - sends of all rounds keep a pace, and after a few of them the sender itself takes in what has arrived, so replies never
//!   overrun the receive buffer (212,992 bytes hold about 256 of them), however long this thread had to wait for its turn;
//! - whoever waits to send waits for the same ticks, so that one awakening serves a burst of packets.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rusta_wire::Outcome;
use socket2::Type;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::moment;
use super::round::random;
use crate::packet::echo::{Echoed, HEADER_BYTES};
use crate::socket::{Fault, Way};

/// Between two sends of one socket, on average: 2,000 packets a second, which a 10,000-target county node needs half of.
const PACE: Duration = Duration::from_micros(500);

/// Packets that may leave at once after a rest: one awakening for many, and an eighth of the replies the socket holds.
const BURST: u32 = 32;

/// Between two awakenings of those that wait to send: each may take a whole burst.
const TICK: Duration = PACE.saturating_mul(BURST);

/// Longest packet read; longer replies are cut, which loses only payload.
const PACKET_BYTES: usize = 2_048;

/// Between two looks at a socket that only ever reports its own fault; the next failed send replaces it.
const PAUSE: Duration = Duration::from_millis(100);

const ECHO_REQUEST_V4: u8 = 8;
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

/// Reads the system clock in microseconds since 1970, right or wrong.
type Wall = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The open sockets, by way and family.
#[derive(Default)]
pub(super) struct Echoes {
    sockets: Mutex<HashMap<(Way, bool), Arc<Echo>>>,
}

impl Echoes {
    /// Returns the socket for this way, opening it at the first use. The kernel's stamps are compared with `wall`.
    pub fn socket(&self, way: &Way, family: IpAddr, wall: &Wall) -> Result<Arc<Echo>, Fault> {
        let life = way.tie(family)?.life();
        let mut sockets = locked(&self.sockets);
        let key = (way.clone(), family.is_ipv4());
        match sockets.get(&key) {
            Some(echo) if echo.shared.life == life => Ok(echo.clone()),
            _ => {
                let echo = Arc::new(Echo::open(way, family, life, wall)?);
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
pub(super) struct Echo {
    shared: Arc<Shared>,
    reading: JoinHandle<()>,
}

struct Shared {
    socket: UdpSocket,
    kind: Type,
    /// Names our packets on a raw socket, which hears everyone's. A datagram socket has its own from the kernel.
    identifier: u16,
    /// Of the interface it is bound to.
    life: (u32, Option<IpAddr>),
    sequence: AtomicU16,
    /// Ticks are counted from here.
    opened: Instant,
    next_send: Mutex<Instant>,
    /// Packets sent since the socket was last read.
    unread: AtomicU32,
    waiting: Mutex<HashMap<(IpAddr, u16), Place>>,
    ear: Mutex<Ear>,
    wall: Wall,
}

/// Who waits for news of a packet.
#[derive(Debug)]
struct Place {
    sender: Sender<Letter>,
    sent_at: Instant,
}

/// What packets are read into, and what the kernel says beside them.
struct Ear {
    packet: [u8; PACKET_BYTES],
    said: Vec<u8>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Echo {
    fn open(way: &Way, family: IpAddr, life: (u32, Option<IpAddr>), wall: &Wall) -> Result<Self, Fault> {
        let (socket, kind) = way.open_icmp(family)?;
        // Without the error queue an unreachable target is only a lost packet; a kernel without it is no reason to stop.
        let _ = if family.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
        };
        moment::stamp(&socket);
        let shared = Arc::new(Shared {
            socket,
            kind,
            identifier: random() as u16,
            life,
            sequence: AtomicU16::new(random() as u16),
            opened: Instant::now(),
            next_send: Mutex::new(Instant::now()),
            unread: AtomicU32::new(0),
            waiting: Mutex::default(),
            ear: Mutex::new(Ear { packet: [0; PACKET_BYTES], said: nix::cmsg_space!(TimeSpec) }),
            wall: wall.clone(),
        });
        Ok(Echo { reading: tokio::spawn(shared.clone().read()), shared })
    }

    /// Makes a place for the packets of one round to `target`, `count` of them with a payload of `size` bytes.
    pub fn round(self: &Arc<Self>, target: IpAddr, count: u16, size: usize) -> EchoRound {
        // Room for a reply and a duplicate of each packet; a peer that sends more is cut off, not stored.
        let (sender, news) = channel(usize::from(count) * 2 + 1);
        let mut packet = vec![0; HEADER_BYTES + size];
        packet[0] = if target.is_ipv4() { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
        packet[4..6].copy_from_slice(&self.shared.identifier.to_be_bytes());
        EchoRound { echo: self.clone(), target, packet, sender, sequences: Vec::with_capacity(count.into()), news }
    }
}

/// The packets of one round; its places in the waiting list go with it.
pub(super) struct EchoRound {
    echo: Arc<Echo>,
    target: IpAddr,
    packet: Vec<u8>,
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
    /// Waits for the tick after `moment` and returns when that was. News of packets on their way is kept.
    pub async fn rest_until(&self, moment: Instant) -> Instant {
        let tick = self.echo.shared.tick(moment);
        sleep_until(tick).await;
        tick
    }

    /// Takes in what has arrived but was not read yet.
    pub fn hear(&self) {
        self.echo.shared.hear_what_arrived();
    }

    /// Sends the next packet, when it is this socket's turn, and returns when that was.
    pub async fn send(&mut self) -> io::Result<Instant> {
        let shared = &self.echo.shared;
        if let Some(turn) = shared.turn() {
            sleep_until(turn).await;
        }
        if shared.unread.fetch_add(1, Ordering::Relaxed) >= BURST {
            shared.hear_what_arrived();
        }
        let sent_at = Instant::now();
        let sequence = shared.take_place(self.target, Place { sender: self.sender.clone(), sent_at });
        self.sequences.push(sequence);
        number(&mut self.packet, sequence);
        let address = shared.address_of(self.target);
        if shared.socket.send_to(&self.packet, address).await.is_err() {
            // The first failure may be a pending error about another round's packet, which asking has cleared.
            shared.socket.send_to(&self.packet, address).await?;
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
        (turn > now).then(|| self.tick(turn))
    }

    /// Returns the first tick that is not before `moment`.
    fn tick(&self, moment: Instant) -> Instant {
        tick(self.opened, moment)
    }

    /// Reserves a sequence number that no open round to this target uses.
    fn take_place(&self, target: IpAddr, place: Place) -> u16 {
        let mut waiting = locked(&self.waiting);
        loop {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            // A configuration allows far fewer packets to one target than there are numbers, so this ends.
            if let std::collections::hash_map::Entry::Vacant(free) = waiting.entry((target, sequence)) {
                free.insert(place);
                return sequence;
            }
        }
    }

    /// A link-local address means something only together with its interface.
    fn address_of(&self, target: IpAddr) -> SocketAddr {
        match target {
            IpAddr::V6(address) if address.is_unicast_link_local() => SocketAddrV6::new(address, 0, 0, self.life.0).into(),
            _ => SocketAddr::new(target, 0),
        }
    }

    async fn read(self: Arc<Self>) {
        // News of undeliverable packets raises the error flag only, never "readable".
        while let Ok(ready) = self.socket.ready(Interest::READABLE | Interest::ERROR).await {
            let mut heard = false;
            if ready.is_error() {
                heard |= self.read_errors();
            }
            while self.socket.try_io(Interest::READABLE, || self.hear_one(&mut locked(&self.ear))).is_ok() {
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
        let mut ear = locked(&self.ear);
        while self.hear_one(&mut ear).is_ok() {}
    }

    fn hear_one(&self, ear: &mut Ear) -> io::Result<()> {
        let mut parts = [IoSliceMut::new(&mut ear.packet)];
        let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut ear.said), MsgFlags::MSG_DONTWAIT)?;
        let now = Instant::now();
        let arrived_at = message.cmsgs().into_iter().flatten().find_map(|said| moment::arrival_of(&said, &*self.wall, now));
        let (length, from) = (message.bytes, message.address.as_ref().and_then(ip_of));
        if let Some(from) = from {
            self.hear(&ear.packet[..length], from, arrived_at, now);
        }
        Ok(())
    }

    fn hear(&self, packet: &[u8], from: IpAddr, arrived_at: Option<Instant>, now: Instant) {
        let Some(Echoed { target, identifier, sequence, is_reply }) = decode(packet, self.kind, from) else { return };
        if self.kind == Type::RAW && identifier != self.identifier {
            return;
        }
        if let Some(place) = locked(&self.waiting).get(&(target, sequence)) {
            // A reply from before its request: the system clock was set in between.
            let at = arrived_at.filter(|at| *at > place.sent_at).unwrap_or(now);
            let _ = place.sender.try_send((sequence, if is_reply { News::Reply(at) } else { News::Undeliverable }));
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
            let sequence = u16::from_be_bytes(sequence);
            if let Some(place) = locked(&self.waiting).get(&(target, sequence)) {
                let _ = place.sender.try_send((sequence, News::Undeliverable));
            }
        }
        Ok(())
    }
}

/// Returns the first tick since `opened` that is not before `moment`.
fn tick(opened: Instant, moment: Instant) -> Instant {
    let over = moment.saturating_duration_since(opened).as_micros() % TICK.as_micros();
    let rest = (TICK.as_micros() - over) % TICK.as_micros();
    moment.max(opened) + Duration::from_micros(u64::try_from(rest).unwrap_or(0))
}

/// Gives a packet its number and the checksum that goes with it. The kernel fills in that of ICMPv6 (RFC 3542 section 3.1).
fn number(packet: &mut [u8], sequence: u16) {
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    if packet[0] == ECHO_REQUEST_V4 {
        // The word with the checksum itself is left out of the sum.
        let sum = pnet::util::checksum(packet, 1);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

/// Reads a packet from the wire.
#[cfg(target_has_atomic = "64")]
fn decode(packet: &[u8], kind: Type, from: IpAddr) -> Option<Echoed> {
    use surge_ping::{Icmpv4Packet, Icmpv6Packet, PingIdentifier, PingSequence};
    let echoed = |target: IpAddr, identifier: PingIdentifier, sequence: PingSequence, is_reply: bool| {
        Some(Echoed { target, identifier: identifier.into_u16(), sequence: sequence.into_u16(), is_reply })
    };
    match from {
        IpAddr::V4(source) => {
            let read = Icmpv4Packet::decode(packet, kind, source, source).ok()?;
            let is_reply = read.get_icmp_type() == pnet::packet::icmp::IcmpTypes::EchoReply;
            echoed(read.get_real_dest().into(), read.get_identifier(), read.get_sequence(), is_reply)
        }
        IpAddr::V6(source) => {
            const ECHO_REPLY: u8 = 129;
            const LAST_ERROR: u8 = 127;
            // Neighbour discovery and the like are neither.
            packet.first().filter(|t| **t == ECHO_REPLY || **t <= LAST_ERROR)?;
            let read = Icmpv6Packet::decode(packet, source).ok()?;
            let is_reply = read.get_icmpv6_type().0 == ECHO_REPLY;
            echoed(read.get_real_dest().into(), read.get_identifier(), read.get_sequence(), is_reply)
        }
    }
}

/// Reads a packet from the wire: `surge-ping` (0.9.1) does not compile for a processor without atomic words of 64 bits.
#[cfg(not(target_has_atomic = "64"))]
fn decode(packet: &[u8], kind: Type, from: IpAddr) -> Option<Echoed> {
    crate::packet::echo::echoed(packet, kind == Type::RAW, from)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_say_the_same_of_every_packet_however_it_is_cut() {
        let v4: IpAddr = "10.9.0.1".parse().unwrap();
        let v6: IpAddr = "fd00::9".parse().unwrap();
        let echo = |kind: u8| [kind, 0, 0x12, 0x34, 0xab, 0xcd, 0x00, 0x07, 1, 2, 3, 4];
        let mut header_v4 = [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 1, 0, 0, 10, 9, 0, 1, 10, 9, 0, 7];
        let mut header_v6 = [0; 40];
        (header_v6[0], header_v6[6], header_v6[39]) = (0x60, 58, 7);
        let error_v4 = [&[3, 1, 0, 0, 0, 0, 0, 0], &header_v4[..], &echo(8)].concat();
        let error_v6 = [&[1, 3, 0, 0, 0, 0, 0, 0], &header_v6[..], &echo(128)].concat();
        header_v4[3] = 20 + 12;
        let raw_reply = [&header_v4[..], &echo(0)].concat();
        header_v4[3] = 20 + 8 + 20 + 12;
        let raw_error = [&header_v4[..], &error_v4].concat();
        header_v6[6] = 17;
        let error_of_udp = [&[1, 3, 0, 0, 0, 0, 0, 0], &header_v6[..], &echo(128)].concat();
        let packets = [
            (v4, Type::DGRAM, echo(0).to_vec(), Some(v4)),
            (v4, Type::DGRAM, echo(8).to_vec(), None),
            (v4, Type::DGRAM, error_v4, Some("10.9.0.7".parse().unwrap())),
            (v4, Type::RAW, raw_reply, Some(v4)),
            (v4, Type::RAW, raw_error, Some("10.9.0.7".parse().unwrap())),
            (v6, Type::DGRAM, echo(129).to_vec(), Some(v6)),
            (v6, Type::DGRAM, echo(135).to_vec(), None),
            (v6, Type::DGRAM, error_v6, Some("::7".parse().unwrap())),
            (v6, Type::DGRAM, error_of_udp, None),
        ];
        for (from, kind, packet, target) in packets {
            let read = decode(&packet, kind, from);
            assert_eq!(read.as_ref().map(|read| (read.target, read.identifier, read.sequence)), target.map(|target| (target, 0xabcd, 7)));
            for cut in 0..=packet.len() {
                let ours = crate::packet::echo::echoed(&packet[..cut], kind == Type::RAW, from);
                assert_eq!(ours, decode(&packet[..cut], kind, from), "{from} {kind:?} {cut} of {packet:?}");
            }
        }
    }

    #[test]
    fn ticks_never_end_however_long_a_socket_is_open() {
        let opened = Instant::now();
        for days in [0u64, 1, 795, 796, 5_000] {
            let moment = opened + Duration::from_secs(days * 86_400) + Duration::from_millis(3);
            let tick = tick(opened, moment);
            assert!(tick >= moment && tick - moment < TICK, "{days} days");
            assert_eq!((tick - opened).as_micros() % TICK.as_micros(), 0);
        }
        assert_eq!(tick(opened, opened), opened);
    }
}
