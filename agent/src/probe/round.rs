//! One round in progress: its way, its deadline, and the bytes it moved.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{Measurement, Prober};
use crate::metered::Meter;
use crate::socket::{Fault, Way};

/// Says which meter counts what goes to an address; `None`: nothing may go there.
pub type Payer<'a> = dyn Fn(IpAddr) -> Option<Arc<Meter>> + 'a;

/// What a probe is handed for one round.
pub(super) struct Round<'a> {
    pub prober: &'a Prober,
    pub way: &'a Way,
    /// Nothing waits past this.
    pub deadline: Instant,
    meter: Arc<Meter>,
    payer: Option<&'a Payer<'a>>,
}

impl<'a> Round<'a> {
    pub fn new(prober: &'a Prober, way: &'a Way, timeout: Duration) -> Self {
        Round { prober, way, deadline: Instant::now() + timeout, meter: Arc::default(), payer: None }
    }

    /// Lets `payer` say for each address what counts its bytes, instead of the round itself.
    pub fn paid_by(self, payer: &'a Payer<'a>) -> Self {
        Round { payer: Some(payer), ..self }
    }

    /// Returns what counts the bytes to and from `peer`.
    pub fn meter_for(&self, peer: IpAddr) -> Result<Arc<Meter>, Outcome> {
        self.payer.map_or_else(|| Ok(self.meter.clone()), |payer| payer(peer).ok_or(Outcome::NotRun))
    }

    /// Waits for `work`, but not past the deadline.
    pub async fn by_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, Outcome> {
        timeout_at(self.deadline, work).await.map_err(|_| Outcome::Timeout)
    }

    /// Counts bytes on the IP layer.
    pub fn moved(&self, bytes: usize) {
        self.meter.add(bytes as u64);
    }

    /// Returns the bytes counted so far.
    pub fn bytes(&self) -> u64 {
        self.meter.bytes()
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
        let meter = self.meter_for(peer.ip())?;
        let socket = self.by_deadline(self.way.connect_udp(peer)).await?.map_err(|fault| self.outcome_of(fault))?;
        let header_bytes = if peer.is_ipv4() { 28 } else { 48 };
        Ok(Exchange { round: self, socket, header_bytes, meter })
    }
}

/// A UDP socket that talks to one peer and counts what it moves.
pub(super) struct Exchange<'a> {
    round: &'a Round<'a>,
    socket: UdpSocket,
    header_bytes: usize,
    meter: Arc<Meter>,
}

impl Exchange<'_> {
    pub async fn send(&self, datagram: &[u8]) -> Result<Instant, Outcome> {
        let sent_at = Instant::now();
        self.round.by_deadline(self.socket.send(datagram)).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        self.meter.add((self.header_bytes + datagram.len()) as u64);
        Ok(sent_at)
    }

    /// Receives one datagram of at most 4 KiB; a longer one is cut.
    pub async fn receive(&self) -> Result<(Vec<u8>, Instant), Outcome> {
        let mut datagram = vec![0; 4096];
        let length = self.round.by_deadline(self.socket.recv(&mut datagram)).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        let received_at = Instant::now();
        self.meter.add((self.header_bytes + length) as u64);
        datagram.truncate(length);
        Ok((datagram, received_at))
    }

    pub fn local_address(&self) -> Result<SocketAddr, Outcome> {
        self.socket.local_addr().map_err(|e| self.round.way.outcome_of(&e))
    }
}

/// Futures of one kind that run beside each other.
pub(super) struct Racing<'f, T>(Vec<Pin<Box<dyn Future<Output = T> + 'f>>>);

impl<'f, T> Racing<'f, T> {
    pub fn new() -> Self {
        Racing(Vec::new())
    }

    pub fn push(&mut self, future: impl Future<Output = T> + 'f) {
        self.0.push(Box::pin(future));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the next one to end; for ever when there is none. May be given up at any time.
    pub async fn next(&mut self) -> T {
        std::future::poll_fn(|context| {
            for place in 0..self.0.len() {
                if let Poll::Ready(value) = self.0[place].as_mut().poll(context) {
                    drop(self.0.remove(place));
                    return Poll::Ready(value);
                }
            }
            Poll::Pending
        })
        .await
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
