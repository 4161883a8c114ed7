//! One round in progress: its way, its deadline, and the bytes it moved.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{Measurement, Prober};
use crate::socket::{Fault, Way};

/// What a probe is handed for one round.
pub(super) struct Round<'a> {
    pub prober: &'a Prober,
    pub way: &'a Way,
    /// Nothing waits past this.
    pub deadline: Instant,
    bytes: AtomicUsize,
}

impl<'a> Round<'a> {
    pub fn new(prober: &'a Prober, way: &'a Way, timeout: Duration) -> Self {
        Round { prober, way, deadline: Instant::now() + timeout, bytes: AtomicUsize::new(0) }
    }

    /// Waits for `work`, but not past the deadline.
    pub async fn by_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, Outcome> {
        timeout_at(self.deadline, work).await.map_err(|_| Outcome::Timeout)
    }

    /// Counts bytes on the IP layer.
    pub fn moved(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the bytes counted so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) as u64
    }

    /// Says what a fault on this round's way means.
    pub fn outcome_of(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Io(error) => self.way.outcome_of(&error),
            fault => fault.outcome(),
        }
    }

    /// Opens a UDP exchange with `peer`.
    pub async fn udp(&self, peer: SocketAddr) -> Result<Exchange<'_>, Outcome> {
        let socket = self.by_deadline(self.way.connect_udp(peer)).await?.map_err(|fault| self.outcome_of(fault))?;
        let header_bytes = if peer.is_ipv4() { 28 } else { 48 };
        Ok(Exchange { round: self, socket, header_bytes })
    }
}

/// A UDP socket that talks to one peer and counts what it moves.
pub(super) struct Exchange<'a> {
    round: &'a Round<'a>,
    socket: UdpSocket,
    header_bytes: usize,
}

impl Exchange<'_> {
    pub async fn send(&self, datagram: &[u8]) -> Result<Instant, Outcome> {
        let sent_at = Instant::now();
        self.round.by_deadline(self.socket.send(datagram)).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        self.round.moved(self.header_bytes + datagram.len());
        Ok(sent_at)
    }

    /// Receives one datagram of at most 4 KiB; a longer one is cut.
    pub async fn receive(&self) -> Result<(Vec<u8>, Instant), Outcome> {
        let mut datagram = vec![0; 4096];
        let length = self.round.by_deadline(self.socket.recv(&mut datagram)).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        let received_at = Instant::now();
        self.round.moved(self.header_bytes + length);
        datagram.truncate(length);
        Ok((datagram, received_at))
    }

    pub fn local_address(&self) -> Result<SocketAddr, Outcome> {
        self.socket.local_addr().map_err(|e| self.round.way.outcome_of(&e))
    }
}

/// Collects what a round measured, also when it fails half way.
#[derive(Default)]
pub(super) struct Values(pub Vec<(Metric, i64)>);

impl Values {
    pub fn set(&mut self, metric: Metric, value: impl TryInto<i64>) {
        if let Ok(value) = value.try_into() {
            self.0.push((metric, value));
        }
    }

    pub fn set_some(&mut self, metric: Metric, value: Option<impl TryInto<i64>>) {
        if let Some(value) = value {
            self.set(metric, value);
        }
    }

    pub fn set_time(&mut self, metric: Metric, time: Duration) {
        self.set(metric, time.as_micros());
    }

    pub fn into_measurement(self, outcome: Outcome) -> Measurement {
        Measurement { values: self.0, ..Measurement::failed(outcome) }
    }

    /// Ends a round whose steps were fallible.
    pub fn end(self, result: Result<(), Outcome>) -> Measurement {
        self.into_measurement(result.err().unwrap_or(Outcome::Ok))
    }
}

/// Draws 64 bits nobody off the path can guess: the standard library keys each hasher from the system's randomness.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
