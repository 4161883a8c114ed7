//! TCP connections that know what they cost.
//!
//! A data plan pays for headers, bare acknowledgements, repeated packets and handshakes that fail, so payload is not enough:
//! the kernel counts a connection's segments (`struct tcp_info`, RFC 4898 names), and it is asked at the end or on demand.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use nix::libc;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Headers of IP and TCP with time stamps.
const HEADER_BYTES: [u64; 2] = [52, 72];

/// Both ends say goodbye after the kernel was last asked, and each is acknowledged.
const CLOSING_PACKETS: u64 = 4;

/// What a connection costs where the kernel tells nothing: a handshake of TLS and a small exchange, rounded up.
const UNKNOWN_BYTES: u64 = 6_000;

/// Length of `struct tcp_info` up to and with `tcpi_segs_in`, which Linux 4.2 brought.
const INFO_BYTES: usize = 144;

/// Counts bytes on the IP layer, both ways together.
#[derive(Debug, Default)]
pub struct Meter(AtomicUsize);

impl Meter {
    /// Counts bytes.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(usize::try_from(bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Returns what was counted.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) as u64
    }

    /// Returns what was counted, and counts from nothing.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed) as u64
    }
}

/// A TCP connection, from its first packet on.
#[derive(Debug)]
pub struct Stream {
    inner: TcpStream,
    meter: Arc<Meter>,
    told: u64,
    header_bytes: u64,
}

impl Stream {
    /// Connects a socket that is bound as it should be; whatever comes of it is counted by `meter`.
    ///
    /// # Errors
    /// What the network or the kernel said.
    pub async fn connect(socket: Socket, peer: SocketAddr, meter: Arc<Meter>) -> io::Result<Stream> {
        match socket.connect(&peer.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let header_bytes = HEADER_BYTES[usize::from(peer.is_ipv6())];
        let stream = Stream { inner: TcpStream::from_std(socket.into())?, meter, told: 0, header_bytes };
        stream.inner.writable().await?;
        match stream.inner.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    /// Returns the address packets leave from.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Gives access to the socket's options.
    pub fn options(&self) -> socket2::SockRef<'_> {
        socket2::SockRef::from(&self.inner)
    }

    /// Tells the meter what has moved since the last time.
    pub fn tell(&mut self) {
        if let Some((moved, _)) = moved(&self.inner, self.header_bytes) {
            self.meter.add(moved.saturating_sub(self.told));
            self.told = self.told.max(moved);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        match moved(&self.inner, self.header_bytes) {
            Some((moved, is_established)) => {
                let closing = if is_established { CLOSING_PACKETS * self.header_bytes } else { 0 };
                self.meter.add(moved.saturating_sub(self.told) + closing);
            }
            None => self.meter.add(UNKNOWN_BYTES),
        }
    }
}

/// Returns what a connection has moved, and whether it ever came about. Payload that was not acknowledged may have left once
/// or several times: it counts as whole segments.
fn moved(stream: &TcpStream, header_bytes: u64) -> Option<(u64, bool)> {
    let info = tcp_info(stream)?;
    let word = |at: usize| info[at..at + 4].try_into().map_or(0, |word| u64::from(u32::from_ne_bytes(word)));
    let long = |at: usize| info[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
    let (segment_bytes, unacknowledged, repeated) = (word(16), word(24), word(100));
    let (acknowledged, received, sent_segments, received_segments) = (long(120), long(128), word(136), word(140));
    let is_established = acknowledged > 0;
    let payload = if is_established { acknowledged + received + segment_bytes * (unacknowledged + repeated) } else { 0 };
    Some((payload + header_bytes * (sent_segments + received_segments), is_established))
}

/// Reads the beginning of `struct tcp_info` (`linux/tcp.h`); `None` from a kernel that does not know all of it.
#[allow(unsafe_code)]
fn tcp_info(stream: &TcpStream) -> Option<[u8; INFO_BYTES]> {
    let mut info = [0; INFO_BYTES];
    let mut length = libc::socklen_t::try_from(INFO_BYTES).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `info`, which is as long; both outlive the call, and any bytes are a value.
    let result =
        unsafe { libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    (result == 0 && usize::try_from(length) == Ok(INFO_BYTES)).then_some(info)
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests_support::{Neighbour, block_on, in_own_network, ip};
    use crate::socket::Way;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Bytes of IP that passed the cable, both ways, less the frames' own headers.
    fn passed(near: &Neighbour) -> u64 {
        let text = near.shell("iptables -L INPUT -v -x -n | sed -n 3p; iptables -L OUTPUT -v -x -n | sed -n 3p");
        text.lines().map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
    }

    #[test]
    fn a_meter_counts_what_passed_the_cable() {
        in_own_network(|| {
            let near = Neighbour::cabled("m0", "10.96.21.2/24", "m1", "10.96.21.1/24");
            // Segments that the kernel bundles would pass the counters as one packet.
            ip("link set m0 gso_max_segs 1");
            near.ip("link set m1 gso_max_segs 1");
            near.shell("iptables -A INPUT -i m1; iptables -A OUTPUT -o m1; iptables -A INPUT -p tcp --dport 7002 -j DROP");
            near.says_back("10.96.21.1:7001".parse().unwrap());
            let meter = Arc::new(Meter::default());
            block_on(async {
                let way = Way::default();
                let mut stream = way.connect_tcp("10.96.21.1:7001".parse().unwrap(), meter.clone()).await.unwrap();
                for size in [1usize, 300, 5_000, 40_000] {
                    stream.write_all(&vec![7; size]).await.unwrap();
                    stream.read_exact(&mut vec![0; size]).await.unwrap();
                }
                stream.tell();
                assert!(meter.bytes() > 90_602, "both ways, and headers");
                drop(stream);
                tokio::time::sleep(Duration::from_millis(300)).await;
                let (counted, true_bytes) = (meter.take(), passed(&near));
                println!("{counted} counted of {true_bytes} bytes that passed");
                assert!(counted.abs_diff(true_bytes) <= true_bytes / 50 + 200, "{counted} of {true_bytes}");
                let refused = way.connect_tcp("10.96.21.1:7003".parse().unwrap(), meter.clone()).await;
                assert!(refused.is_err() && meter.take() >= 92, "a packet each way");
                let lost =
                    tokio::time::timeout(Duration::from_millis(1_500), way.connect_tcp("10.96.21.1:7002".parse().unwrap(), meter.clone()));
                assert!(lost.await.is_err() && meter.take() >= 104, "the first packet and its repetition");
            });
        });
    }
}
