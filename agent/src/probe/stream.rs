//! TCP connections of a round, with the time of each phase: all addresses of a name, as Happy Eyeballs wants (RFC 8305).
//!
//! ```text
//! AAAA -----answer-----+
//! A    --answer--(50 ms)+--> sorted, families in turn --> attempt, after 250 ms or a failure the next beside it --> the first
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::Prober;
use super::moment;
use super::resolve::{Lookup, unresolved};
use super::round::{Payer, Racing, Round, Values};
use super::text::Host;
use crate::metered::Stream;
use crate::socket::{Fault, Way};

/// Connection Attempt Delay (RFC 8305 section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

impl Prober {
    /// Connects to a port of `host` over `way`; `payer` says what counts the bytes to each address.
    ///
    /// # Errors
    /// Whether the name or the connection was at fault, and why.
    pub async fn connect(&self, host: &Host, port: u16, way: &Way, within: Duration, payer: &Payer<'_>) -> Result<Stream, DialFault> {
        let round = Round::new(self, way, within).paid_by(payer);
        round.race(&mut Lookup::start(&round, host), port).await.map(|(stream, _)| stream.inner)
    }
}

/// Why no connection came about. [`Outcome::NotRun`]: nothing may be sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFault {
    /// There was no address to try; [`Outcome::Timeout`]: every resolver was silent.
    Name(Outcome),
    /// No address could be connected to.
    Peer(Outcome),
}

/// Where the time of an exchange went. Redirects add up, so the sum is the whole exchange.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phases {
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub transfer: Option<Duration>,
}

impl Phases {
    pub fn into_values(self, values: &mut Values) {
        let phases = [
            (Metric::ResolveUs, self.resolve),
            (Metric::ConnectUs, self.connect),
            (Metric::TlsUs, self.tls),
            (Metric::FirstByteUs, self.first_byte),
            (Metric::TransferUs, self.transfer),
        ];
        for (metric, time) in phases {
            values.set_some(metric, time.map(|t| t.as_micros()));
        }
    }
}

/// Adds the time that something took to a phase.
pub(super) fn add(phase: &mut Option<Duration>, took: Duration) {
    *phase = Some(phase.unwrap_or_default() + took);
}

/// A connection of a round: what is read from it is dated, and nothing is written after the deadline.
pub(super) struct Dated<'a> {
    inner: Stream,
    round: &'a Round<'a>,
    /// Since when data is waited for.
    waiting: Option<Instant>,
}

impl Dated<'_> {
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_address()
    }
}

impl AsyncRead for Dated<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let now = Instant::now();
        if polled.is_pending() {
            self.waiting.get_or_insert(now);
        } else if let Some(since) = self.waiting.take() {
            self.round.heard(moment::data_at(&*self.inner.options(), since, now));
        }
        polled
    }
}

impl AsyncWrite for Dated<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.round.is_over() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Round<'_> {
    /// Connects to an address.
    pub async fn connect(&self, peer: SocketAddr) -> Result<Dated<'_>, Outcome> {
        self.may_begin()?;
        let meter = self.meter_for(peer.ip())?;
        let began = Instant::now();
        let connected = async {
            let inner = self.way.connect_tcp(peer, meter).await?;
            self.heard(moment::connected_at(&*inner.options(), began, Instant::now()));
            Result::<_, Fault>::Ok(Dated { inner, round: self, waiting: None })
        };
        self.by_deadline(connected).await?.map_err(|fault| self.outcome_of(fault))
    }

    /// Resolves and connects, and notes how long each took: of the addresses tried, that of the one that answered first.
    pub async fn dial(&self, host: &Host, port: u16, phases: &mut Phases) -> Result<Dated<'_>, Outcome> {
        let mut lookup = Lookup::start(self, host);
        let dialled = self.race(&mut lookup, port).await;
        if let Some(took) = lookup.took() {
            add(&mut phases.resolve, took);
        }
        let (stream, took) = dialled.map_err(|fault| match fault {
            DialFault::Name(outcome) => unresolved(outcome),
            DialFault::Peer(outcome) => outcome,
        })?;
        add(&mut phases.connect, took);
        Ok(stream)
    }

    async fn race(&self, lookup: &mut Lookup<'_>, port: u16) -> Result<(Dated<'_>, Duration), DialFault> {
        let attempt = async |peer: SocketAddr| {
            let lap = self.lap();
            self.connect(peer).await.map(|stream| (stream, self.took(lap)))
        };
        let mut attempts = Racing::new();
        let mut next_at = Instant::now();
        let mut failure = None;
        loop {
            if next_at <= Instant::now()
                && let Some(address) = lookup.take()
            {
                attempts.push(attempt(SocketAddr::new(address, port)));
                next_at = Instant::now() + ATTEMPT_DELAY;
            }
            if attempts.is_empty() && lookup.is_over() {
                return Err(failure.map_or(DialFault::Name(lookup.failure()), DialFault::Peer));
            }
            // The resolution delay holds the first attempt, the attempt delay each later one.
            let wake = next_at.max(lookup.settles_at());
            tokio::select! {
                // What came in time counts, also where this program stood still until after the deadline.
                biased;
                attempt = attempts.next(), if !attempts.is_empty() => match attempt {
                    Ok(connected) => return Ok(connected),
                    Err(outcome) => {
                        failure = Some(failure.map_or(outcome, |earlier| more_telling(earlier, outcome)));
                        next_at = Instant::now();
                    }
                },
                () = lookup.more() => {}
                () = sleep_until(wake), if lookup.has_some() => {}
                () = sleep_until(self.deadline) => {
                    self.lose_since(self.deadline);
                    let was_tried = failure.is_some() || !attempts.is_empty();
                    return Err(if was_tried { DialFault::Peer(Outcome::Timeout) } else { DialFault::Name(Outcome::Timeout) });
                }
            }
        }
    }
}

/// Of two failures, the one that says more about the target: a family this line does not carry says nothing.
fn more_telling(one: Outcome, other: Outcome) -> Outcome {
    let says = |outcome: Outcome| match outcome {
        Outcome::Refused => 4,
        Outcome::Timeout => 3,
        Outcome::Unreachable => 1,
        Outcome::LinkGone | Outcome::NotRun => 0,
        _ => 2,
    };
    if says(other) > says(one) { other } else { one }
}
