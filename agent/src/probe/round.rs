//! One round in progress: its way, its deadline, the bytes it moved, and the time this program lost.
//!
//! A round is judged by when things happened, not by when this program noticed. What happened in time counts although it was
//! noticed after the deadline; nothing is begun after it. A silence that this program may have caused by standing still for
//! more than a [`SHARE`] of the round proves nothing about the network.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::moment::{self, LATE};
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
    timeout: Duration,
    times: Mutex<Times>,
}

/// A round that lost more than this part of its time waits in vain through no fault of the network.
const SHARE: u32 = 4;

/// How this program kept up.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// When the newest thing that was waited for happened, and how many there were.
    heard: Instant,
    news: u32,
    /// How long news and timers lay unnoticed.
    lost: Duration,
}

/// The beginning of a phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lap {
    began: Instant,
    lost: Duration,
}

impl<'a> Round<'a> {
    pub fn new(prober: &'a Prober, way: &'a Way, timeout: Duration) -> Self {
        let now = Instant::now();
        let times = Mutex::new(Times { heard: now, news: 0, lost: Duration::ZERO });
        Round { prober, way, deadline: now + timeout, timeout, meter: Arc::default(), payer: None, times }
    }

    /// Lets `payer` say for each address what counts its bytes, instead of the round itself.
    pub fn paid_by(self, payer: &'a Payer<'a>) -> Self {
        Round { payer: Some(payer), ..self }
    }

    /// Returns what counts the bytes to and from `peer`.
    pub fn meter_for(&self, peer: IpAddr) -> Result<Arc<Meter>, Outcome> {
        self.payer.map_or_else(|| Ok(self.meter.clone()), |payer| payer(peer).ok_or(Outcome::NotRun))
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `work`, but not past the deadline. What ends after it counts only if the kernel says that it happened before.
    pub async fn by_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, Outcome> {
        let news = self.times().news;
        let done = self.until(self.deadline, work).await?;
        let times = *self.times();
        match Instant::now() <= self.deadline {
            true => Ok(done),
            false if times.news == news => Err(Outcome::NotRun),
            false if times.heard <= self.deadline => Ok(done),
            false => Err(Outcome::Timeout),
        }
    }

    /// Waits for `work` until a moment; notes how late this program found out that it was in vain.
    pub async fn until<T>(&self, moment: Instant, work: impl Future<Output = T>) -> Result<T, Outcome> {
        timeout_at(moment, work).await.map_err(|_| {
            self.lose_since(moment);
            Outcome::Timeout
        })
    }

    /// Tells whether nothing more may begin.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Refuses to begin anything after the deadline.
    pub fn may_begin(&self) -> Result<(), Outcome> {
        if self.is_over() { Err(Outcome::Timeout) } else { Ok(()) }
    }

    /// Notes that something that was waited for happened at a moment.
    pub fn heard(&self, at: Instant) {
        self.lose_since(at);
        let mut times = self.times();
        (times.heard, times.news) = (at, times.news.wrapping_add(1));
    }

    /// Notes that this program should have gone on at a moment.
    pub fn lose_since(&self, moment: Instant) {
        let late = Instant::now().saturating_duration_since(moment);
        if late > LATE {
            self.times().lost += late;
        }
    }

    /// Tells whether this program stood still for so long that a silence proves nothing.
    pub fn has_lost_its_time(&self) -> bool {
        self.times().lost > self.timeout / SHARE
    }

    /// Begins a phase.
    pub fn lap(&self) -> Lap {
        Lap { began: Instant::now(), lost: self.times().lost }
    }

    /// Returns how long a phase took until now, without what this program lost.
    pub fn took(&self, lap: Lap) -> Duration {
        let lost = self.times().lost.saturating_sub(lap.lost);
        lap.began.elapsed().saturating_sub(lost)
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
        self.may_begin()?;
        let meter = self.meter_for(peer.ip())?;
        let socket = self.by_deadline(self.way.connect_udp(peer)).await?.map_err(|fault| self.outcome_of(fault))?;
        moment::stamp(&socket);
        let header_bytes = if peer.is_ipv4() { 28 } else { 48 };
        Ok(Exchange { round: self, socket, header_bytes, meter, opened: Instant::now() })
    }
}

/// A UDP socket that talks to one peer and counts what it moves.
pub(super) struct Exchange<'a> {
    round: &'a Round<'a>,
    socket: UdpSocket,
    header_bytes: usize,
    meter: Arc<Meter>,
    opened: Instant,
}

impl Exchange<'_> {
    pub async fn send(&self, datagram: &[u8]) -> Result<Instant, Outcome> {
        self.round.may_begin()?;
        let sent_at = Instant::now();
        self.round.by_deadline(self.socket.send(datagram)).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        self.meter.add((self.header_bytes + datagram.len()) as u64);
        Ok(sent_at)
    }

    /// Receives one datagram of at most 4 KiB and tells when it came; a longer one is cut.
    pub async fn receive(&self) -> Result<(Vec<u8>, Instant), Outcome> {
        let mut datagram = vec![0; 4096];
        let wall = &*self.round.prober.settings.system_us;
        let received = async {
            let read = || moment::receive(self.socket.as_raw_fd(), &mut datagram, wall);
            // A peer that refuses raises the error flag only.
            let (length, at) = self.socket.async_io(Interest::READABLE | Interest::ERROR, read).await?;
            // A stamp from before the question: the system clock was set meanwhile.
            let at = at.filter(|at| *at > self.opened).unwrap_or_else(Instant::now);
            self.round.heard(at);
            io::Result::Ok((length, at))
        };
        let (length, at) = self.round.by_deadline(received).await?.map_err(|e| self.round.way.outcome_of(&e))?;
        self.meter.add((self.header_bytes + length) as u64);
        datagram.truncate(length);
        Ok((datagram, at))
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
