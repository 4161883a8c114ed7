//! When the network did something, as the kernel noted it, however late this program looks.
//!
//! A thread that stood still (a busy processor, a stopped process) finds its sockets ready and cannot tell for how long they
//! were. The kernel can: it stamps datagrams as they come in, and TCP remembers when it last heard from its peer.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::{getsockopt_impl, libc, sockopt_impl};
use tokio::time::Instant;

sockopt_impl!(
    /// What TCP knows of a connection: `struct tcp_info` up to `tcpi_total_retrans`, which every kernel since 2.6 fills.
    TcpInfo, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, [u32; 26]
);

/// Places in [`TcpInfo`], in words of 32 bits.
const LAST_DATA_RECEIVED_MS: usize = 13;
const LAST_ACK_RECEIVED_MS: usize = 14;
const RTT_US: usize = 17;
const RETRANSMITTED: usize = 25;

/// News that waited longer than this waited for this program. A slow router looks within it; TCP's own memory is as coarse as
/// ten milliseconds.
pub const LATE: Duration = Duration::from_millis(20);

/// Tells when a connection that was begun at `began` and found open at `now` was open.
pub fn connected_at(stream: &impl AsFd, began: Instant, now: Instant) -> Instant {
    use nix::sys::socket::getsockopt;
    let Ok(info) = getsockopt(stream, TcpInfo) else { return now };
    let at = match info[RETRANSMITTED] {
        // The first round trip is exactly that of the opening packets, if none of them was sent twice.
        0 if info[RTT_US] > 0 => began.checked_add(Duration::from_micros(info[RTT_US].into())),
        _ => now.checked_sub(Duration::from_millis(info[LAST_ACK_RECEIVED_MS].into())),
    };
    on_time(at, began, now)
}

/// Tells when the newest data of a connection that was waited for since `since` and is read at `now` came in.
pub fn data_at(stream: &impl AsFd, since: Instant, now: Instant) -> Instant {
    use nix::sys::socket::getsockopt;
    let age = getsockopt(stream, TcpInfo).ok().map(|info| Duration::from_millis(info[LAST_DATA_RECEIVED_MS].into()));
    on_time(age.and_then(|age| now.checked_sub(age)), since, now)
}

/// What is found without delay happened when it was found; a coarse memory is not asked about it.
fn on_time(at: Option<Instant>, since: Instant, now: Instant) -> Instant {
    at.filter(|at| now.saturating_duration_since(*at) > LATE).map_or(now, |at| at.max(since))
}

/// Asks the kernel to stamp what a socket receives. One that does not stamp leaves the time of reading.
pub fn stamp(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
}

/// Receives a datagram and tells when it came in, if it is stamped; `wall` reads the system clock in microseconds.
pub fn receive(
    socket: std::os::fd::RawFd,
    packet: &mut [u8],
    wall: &(dyn Fn() -> i64 + Send + Sync),
) -> io::Result<(usize, Option<Instant>)> {
    let mut said = nix::cmsg_space!(TimeSpec);
    let mut parts = [io::IoSliceMut::new(packet)];
    let message = recvmsg::<SockaddrStorage>(socket, &mut parts, Some(&mut said), MsgFlags::MSG_DONTWAIT)?;
    let now = Instant::now();
    let at = message.cmsgs().into_iter().flatten().find_map(|said| arrival_of(&said, wall, now));
    Ok((message.bytes, at))
}

/// Tells when a packet arrived, if this is the stamp of it.
pub fn arrival_of(said: &ControlMessageOwned, wall: &(dyn Fn() -> i64 + Send + Sync), now: Instant) -> Option<Instant> {
    match said {
        ControlMessageOwned::ScmTimestampns(stamp) => arrival(*stamp, wall(), now),
        _ => None,
    }
}

/// Says when a packet arrived that the kernel stamped by the system clock, which says `wall_us` at `now`. `None`: it would be
/// in the future, so the clock was set meanwhile.
pub fn arrival(stamp: TimeSpec, wall_us: i64, now: Instant) -> Option<Instant> {
    let stamp_us = Duration::from(stamp).as_micros();
    let age = u128::try_from(wall_us).ok()?.checked_sub(stamp_us)?;
    now.checked_sub(Duration::from_micros(u64::try_from(age).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;

    fn wall_us() -> i64 {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).unwrap();
        now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000
    }

    const STALL: Duration = Duration::from_millis(300);

    #[test]
    fn a_stamp_from_the_future_is_no_arrival() {
        let (now, stamp) = (Instant::now(), TimeSpec::from(Duration::from_micros(5_000_250)));
        assert_eq!(arrival(stamp, 5_000_750, now), Some(now - Duration::from_micros(500)));
        assert_eq!(arrival(stamp, 5_000_000, now), None);
        assert_eq!(arrival(stamp, -1, now), None);
    }

    #[test]
    fn tcp_remembers_when_it_opened_and_when_data_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let began = Instant::now();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let opened = Instant::now();
        std::thread::sleep(STALL);
        let at = connected_at(&stream, began, Instant::now());
        assert!(at >= began && at <= opened + LATE, "{:?}", at - began);
        let (mut peer, _) = listener.accept().unwrap();
        let since = Instant::now();
        peer.write_all(b"x").unwrap();
        stream.flush().unwrap();
        std::thread::sleep(STALL);
        let now = Instant::now();
        assert!(now - data_at(&stream, since, now) > STALL - LATE);
        peer.write_all(b"y").unwrap();
        let now = Instant::now();
        assert_eq!(data_at(&stream, since, now), now, "what is found at once happened when it was found");
    }

    #[test]
    fn a_datagram_is_as_old_as_its_stamp() {
        let (socket, peer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        stamp(&socket);
        // The kernel begins to stamp some moments after it was asked to for the first time.
        let is_stamped = |_: &i32| {
            peer.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
            let sent = Instant::now();
            std::thread::sleep(STALL);
            let (length, at) = receive(socket.as_raw_fd(), &mut [0; 16], &wall_us).unwrap();
            assert_eq!(length, 5);
            at.is_some_and(|at| at <= sent + LATE)
        };
        assert!((0..20).any(|turn| is_stamped(&turn)));
    }
}
