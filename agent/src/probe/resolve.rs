//! Names to addresses, asked over the link's own way.
//!
//! The system's resolver library would send its queries by whatever route there is, so a link that is gone would look
//! alive through another one. The hosts file and literal addresses need no packet. Both families are asked at once, and every
//! resolver of the link: one that knows no such name may not be the one that serves it (split horizon).

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rusta_wire::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::resolvers::resolvers;
use super::round::{Racing, Round, random};
use super::text::Host;
use crate::interfaces::{interfaces, is_link_local};
use crate::packet::dns::{self, Answer, Record};
use crate::socket::Way;

/// Resolution Delay (RFC 8305 section 3): how long the addresses of one family wait for those of the other.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long a resolver may be silent before the next one is asked beside it: the round trip of a slow line, twice.
const PATIENCE: Duration = Duration::from_secs(1);

/// A name's address and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved {
    pub address: IpAddr,
}

/// What one family's question came to.
type Found = (Record, Result<Vec<IpAddr>, Outcome>);

/// A name being looked up. Addresses are handed out as they come, best first.
pub(super) struct Lookup<'r> {
    round: &'r Round<'r>,
    questions: Racing<'r, Found>,
    /// Not handed out yet; only what this way has a route to.
    known: Vec<IpAddr>,
    handed_out: Option<IpAddr>,
    started: Instant,
    /// When the last answer with addresses came; `None`: nothing was asked, or nothing was found.
    answered: Option<Instant>,
    /// Nothing is handed out before this, unless all answers are in.
    settles_at: Instant,
    asked: bool,
    failure: Outcome,
}

impl<'r> Lookup<'r> {
    /// Starts with what needs no packet, and asks for the rest.
    pub fn start(round: &'r Round<'r>, host: &Host) -> Self {
        let started = Instant::now();
        let mut lookup = Lookup {
            round,
            questions: Racing::new(),
            known: Vec::new(),
            handed_out: None,
            started,
            answered: None,
            settles_at: started,
            asked: false,
            failure: Outcome::ResolveFailed,
        };
        match host {
            // Not sorted out by its route: the attempt says best why it cannot be reached.
            Host::Address(address) => lookup.known.push(*address),
            Host::Name(name) => {
                let name = name.trim_end_matches('.');
                let written = in_hosts_file(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), name);
                if written.is_empty() { lookup.ask(name) } else { lookup.learn(written) }
            }
        }
        lookup
    }

    fn ask(&mut self, name: &str) {
        self.asked = true;
        let servers = resolvers(self.round.way, &self.round.prober.settings.resolvers);
        let round = self.round;
        for record in families(round.way) {
            let (name, servers) = (name.to_owned(), servers.clone());
            self.questions.push(async move { (record, round.ask_all(&servers, &name, record).await) });
        }
    }

    /// Waits for the next answer and takes it in; for ever when none is due. May be given up at any time.
    pub async fn more(&mut self) {
        match self.questions.next().await {
            (_, Ok(addresses)) if addresses.is_empty() => {}
            (record, Ok(addresses)) => {
                let now = Instant::now();
                self.answered = Some(now);
                let waits = record == Record::A && !self.questions.is_empty() && self.handed_out.is_none();
                self.settles_at = if waits { now + RESOLUTION_DELAY } else { now };
                self.learn(addresses);
            }
            (_, Err(Outcome::Timeout)) if self.failure == Outcome::ResolveFailed => self.failure = Outcome::Timeout,
            (_, Err(outcome @ (Outcome::LinkGone | Outcome::NotRun))) => self.failure = outcome,
            (_, Err(_)) => {}
        }
        if self.questions.is_empty() {
            self.settles_at = self.settles_at.min(Instant::now());
        }
    }

    fn learn(&mut self, addresses: Vec<IpAddr>) {
        let way = self.round.way;
        let known = self.known.drain(..).chain(addresses);
        let routed: Vec<_> = known.filter_map(|address| Some((address, way.route_to(address)?))).collect();
        if routed.is_empty() {
            self.failure = if way.is_there() { Outcome::Unreachable } else { Outcome::LinkGone };
        }
        self.known = in_order(routed, self.handed_out);
    }

    /// Hands out the best address that is known by now.
    pub fn take(&mut self) -> Option<IpAddr> {
        if self.known.is_empty() || Instant::now() < self.settles_at {
            return None;
        }
        let address = self.known.remove(0);
        self.handed_out = Some(address);
        Some(address)
    }

    /// Tells whether there is an address to hand out.
    pub fn has_some(&self) -> bool {
        !self.known.is_empty()
    }

    /// Returns when an address may be handed out.
    pub fn settles_at(&self) -> Instant {
        self.settles_at
    }

    /// Tells whether every address was handed out and no answer is due.
    pub fn is_over(&self) -> bool {
        self.known.is_empty() && self.questions.is_empty()
    }

    /// Says why there is no address: [`Outcome::Timeout`] when nobody answered.
    pub fn failure(&self) -> Outcome {
        self.failure
    }

    /// Returns what it took; `None` when nothing had to be asked.
    pub fn took(&self) -> Option<Duration> {
        self.asked.then(|| self.answered.unwrap_or_else(Instant::now) - self.started)
    }
}

impl Round<'_> {
    /// Finds the best address of `host` that this way has a route to.
    pub async fn resolve(&self, host: &Host) -> Result<Resolved, Outcome> {
        let mut lookup = Lookup::start(self, host);
        loop {
            if let Some(address) = lookup.take() {
                return Ok(Resolved { address });
            }
            if lookup.is_over() {
                return Err(unresolved(lookup.failure()));
            }
            let settles_at = lookup.settles_at();
            let has_some = lookup.has_some();
            tokio::select! {
                // What came in time counts, also where this program stood still until after the deadline.
                biased;
                () = lookup.more() => {}
                () = sleep_until(settles_at), if has_some => {}
                () = sleep_until(self.deadline) => {
                    self.lose_since(self.deadline);
                    return Err(Outcome::ResolveFailed);
                }
            }
        }
    }

    /// Asks the servers for one family, the next one beside those that are silent, until one knows an address. `Ok` without
    /// addresses: every one that answered knows of none.
    async fn ask_all(&self, servers: &[SocketAddr], name: &str, record: Record) -> Result<Vec<IpAddr>, Outcome> {
        let ask = async |server: SocketAddr| (server, self.ask(server, name, record, false).await.map(|asked| asked.answer));
        // A datagram is lost now and then, so who was silent is asked once more.
        let mut to_ask: Vec<SocketAddr> = servers.iter().chain(servers).copied().rev().collect();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let patience = (left / u32::try_from(to_ask.len() + 1).unwrap_or(u32::MAX)).min(PATIENCE);
        let mut asked = Racing::new();
        let mut result = Err(Outcome::ResolveFailed);
        loop {
            match to_ask.pop() {
                Some(server) => asked.push(ask(server)),
                None if asked.is_empty() => return result,
                None => {}
            }
            let until = Instant::now() + patience;
            tokio::select! {
                biased;
                (server, answer) = asked.next(), if !asked.is_empty() => match answer {
                    Ok(Answer { addresses, .. }) if !addresses.is_empty() => return Ok(addresses),
                    other => {
                        to_ask.retain(|again| *again != server);
                        result = result.or(outcome_of(other));
                    }
                },
                () = sleep_until(until), if !to_ask.is_empty() => self.lose_since(until),
                () = sleep_until(self.deadline) => return result.or(Err(Outcome::Timeout)),
            }
        }
    }

    /// Asks one question of one server: over UDP, and over TCP when the answer did not fit or `tcp` says so.
    pub async fn ask(&self, server: SocketAddr, name: &str, record: Record, tcp: bool) -> Result<Asked, Outcome> {
        let query = dns::query(random() as u16, name, record).map_err(|_| Outcome::ResolveFailed)?;
        let lap = self.lap();
        if !tcp {
            let asked = self.ask_udp(server, &query).await?;
            if !asked.answer.truncated {
                return Ok(asked);
            }
        }
        let answer = self.ask_tcp(server, &query).await?;
        Ok(Asked { answer, took: self.took(lap) })
    }

    async fn ask_udp(&self, server: SocketAddr, query: &[u8]) -> Result<Asked, Outcome> {
        let exchange = self.udp(server).await?;
        let sent_at = exchange.send(query).await?;
        loop {
            let (message, received_at) = exchange.receive().await?;
            match dns::answer(&message, query) {
                Ok(Some(answer)) => return Ok(Asked { answer, took: received_at - sent_at }),
                // Late or forged: the right one may still come.
                Ok(None) => {}
                Err(_) => return Err(Outcome::Malformed),
            }
        }
    }

    async fn ask_tcp(&self, server: SocketAddr, query: &[u8]) -> Result<Answer, Outcome> {
        let mut stream = self.connect(server).await?;
        let mut framed = u16::try_from(query.len()).map_err(|_| Outcome::SystemError)?.to_be_bytes().to_vec();
        framed.extend_from_slice(query);
        let exchange = async {
            stream.write_all(&framed).await?;
            let mut message = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut message).await?;
            std::io::Result::Ok(message)
        };
        let message = self.by_deadline(exchange).await?.map_err(|e| self.way.outcome_of(&e))?;
        dns::answer(&message, query).ok().flatten().ok_or(Outcome::Malformed)
    }
}

/// One question's answer.
pub(super) struct Asked {
    pub answer: Answer,
    pub took: Duration,
}

const NO_SUCH_NAME: u8 = 3;

/// Reads an answer without addresses: the server knows of none, or could not say.
fn outcome_of(answer: Result<Answer, Outcome>) -> Result<Vec<IpAddr>, Outcome> {
    match answer {
        Ok(Answer { rcode: 0 | NO_SUCH_NAME, .. }) => Ok(Vec::new()),
        Ok(_) => Err(Outcome::ResolveFailed),
        Err(outcome) => Err(outcome),
    }
}

/// Says what a probe reports when there is no address: silent resolvers are no proof about the target.
pub(super) fn unresolved(failure: Outcome) -> Outcome {
    if failure == Outcome::Timeout { Outcome::ResolveFailed } else { failure }
}

/// The families worth asking for on a way: those its interface has an address of that others may reach (RFC 3493,
/// `AI_ADDRCONFIG`), or both where it has none. AAAA goes first (RFC 8305 section 3).
fn families(way: &Way) -> Vec<Record> {
    let all = interfaces();
    let of_way = |family: IpAddr| match way.tie(family) {
        Ok(tie) => {
            let mine = |i: &&crate::interfaces::Interface| tie.interface.as_ref().map_or(!i.is_loopback, |own| own.index == i.index);
            all.iter().filter(mine).any(|i| i.ips.iter().any(|net| net.is_ipv4() == family.is_ipv4() && !is_link_local(net.ip())))
        }
        Err(_) => false,
    };
    let found = [(Record::Aaaa, IpAddr::from([0; 16])), (Record::A, IpAddr::from([0; 4]))].map(|(record, family)| (record, of_way(family)));
    let any = found.iter().any(|(_, has)| *has);
    found.into_iter().filter(|(_, has)| *has || !any).map(|(record, _)| record).collect()
}

/// Sorts addresses, each with the one it would be reached from, by RFC 6724 and lets the families take turns (RFC 8305 section 4),
/// beginning with the one that was not `last`.
fn in_order(mut routed: Vec<(IpAddr, IpAddr)>, last: Option<IpAddr>) -> Vec<IpAddr> {
    routed.sort_by_key(|(to, from)| {
        let ((precedence, label), scope) = (policy(*to), scope(*to));
        (scope != self::scope(*from), label != policy(*from).1, Reverse(precedence), scope)
    });
    let first_is_ipv4 = last.map_or_else(|| routed.first().is_some_and(|(to, _)| to.is_ipv4()), |last| !last.is_ipv4());
    let (one, other): (Vec<_>, Vec<_>) = routed.into_iter().map(|(to, _)| to).partition(|to| to.is_ipv4() == first_is_ipv4);
    let longest = one.len().max(other.len());
    (0..longest).flat_map(|place| [one.get(place), other.get(place)]).flatten().copied().collect()
}

/// Precedence and label of RFC 6724 section 2.1.
fn policy(address: IpAddr) -> (u8, u8) {
    let IpAddr::V6(address) = address else { return (35, 4) };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => (50, 0),
        [0, 0, 0, 0, 0, 0xffff, _, _] => (35, 4),
        [0x2002, ..] => (30, 2),
        [0x2001, 0, ..] => (5, 5),
        [0xfc00..=0xfdff, ..] => (3, 13),
        _ => (40, 1),
    }
}

/// 2 for what means something on one line only, 14 for the rest (RFC 6724 section 3.1).
fn scope(address: IpAddr) -> u8 {
    if is_link_local(address) || address.is_loopback() { 2 } else { 14 }
}

fn in_hosts_file(file: &str, name: &str) -> Vec<IpAddr> {
    let entries = file.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    entries.collect()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
