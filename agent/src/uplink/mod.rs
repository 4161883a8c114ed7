//! The uplink: gets what is spooled to a collector, freshest first, and brings back time, pace and assignments.
//!
//! ```text
//! spool --freshest, then oldest at the collector's pace--> POST /v1/batches --verdict--> stored: acknowledge
//!            tables: send them   later: wait   a fault for good: refuse that batch   doubt: lay aside   no answer: another way
//! ```
//!
//! One request is in flight at a time, on one kept connection. A way that does not work is left for the next: every
//! allowed link with every URL, cheapest first ([`route`]), and full-jitter backoff only after all of them failed. Nothing is
//! freed but by an answer of a collector (`verdict.rs`), and a batch that is turned away again and again waits aside (`aside.rs`).

mod account;
mod answer;
mod aside;
pub mod connection;
mod errands;
pub mod pace;
pub mod route;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{AgentId, Batch, Frame, FrameKind, MonoMs, SeriesTable, TableId, limits, upload_mark};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Collector;
use crate::crypto::random_u64;
use crate::data_plan::REPORT_COST;
use crate::identity::Identity;
use crate::packet::http2::{Fault, Response};
use crate::probe::{Host, Prober};
use crate::shared::Shared;
use crate::socket::Way;
use crate::spool::Ticket;
use crate::tls;
use account::Accounts;
use aside::Aside;
use connection::{Connection, LinkError};
use pace::{Backoff, Pace};
use route::{Candidate, Chooser, Id, Room};

/// Batches that ended within this time are fresh, however many they are: a cut line may take 20 s to be left, the next one as
/// long to fail, and meanwhile each change of state makes a batch. The collector confirms an outage by the last 90 s.
pub const FRESH_MS: u64 = 180_000;

/// Most bytes of batches in one request: on a 2G link at 5 KB/s this takes 13 s, under half of what an answer may take.
pub const REQUEST_BYTES: u64 = 64 * 1024;

/// Most batches in one request: their tables come along.
const MOST_BATCHES: usize = limits::FRAMES_PER_UPLOAD / 2;

/// After a link came back, reports are spread over this.
const LINK_BACK_SPREAD_MS: u64 = 2_000;

/// How soon plans without room are looked at again.
const NO_ROOM: Duration = Duration::from_secs(60);

/// What a report on an open connection costs beside its body.
const ANSWER_COST: u64 = 800;

/// Addresses of nobody (RFC 5737, RFC 3849): the way to them is the default route.
const ANYWHERE: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What the uplink tells the program.
#[derive(Debug)]
pub enum Event {
    /// A batch was acknowledged.
    Acknowledged {
        /// When the connection it went by was opened.
        connected: MonoMs,
    },
    /// Every way to every collector failed.
    Unreachable,
    /// The collector has another assignment for this agent.
    Assigned {
        /// Its version.
        version: u64,
        /// Its links and targets, as YAML.
        yaml: String,
    },
}

/// What a turn of the loop came to.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// There is more to do at once.
    Again,
    /// Nothing to do before this time, unless something new is spooled.
    Idle(MonoMs),
    /// Nothing may be done before this time.
    Closed(MonoMs),
}

/// The uplink's state.
pub struct Uplink {
    shared: Rc<Shared>,
    collector: Collector,
    identity: Identity,
    tls: Arc<ClientConfig>,
    prober: Rc<Prober>,
    events: mpsc::UnboundedSender<Event>,
    connection: Option<Connection>,
    connected: MonoMs,
    /// Whether the collector has stored something over this connection, and with it when our boot began.
    introduced: bool,
    /// The way in use, or tried last.
    route: Option<Candidate>,
    chooser: Chooser,
    /// The attempt by a better way beside the one in use.
    trying: JoinSet<(Candidate, MonoMs, Result<Connection, LinkError>)>,
    accounts: Rc<Accounts>,
    /// Where each URL's collector was last.
    peers: Vec<(usize, IpAddr)>,
    pace: Pace,
    backoff: Backoff,
    /// Whether the collector reads the dense coding; it says so on each connection.
    dense: bool,
    /// What was said of assignments over this connection.
    told: String,
    /// Tables to send in front of the next request.
    tables_owed: BTreeSet<TableId>,
    /// Most batches in the next request: halved while requests are turned away, to find the one that is in the way.
    most: usize,
    aside: Aside,
    renewal_checked: Option<MonoMs>,
}

impl Uplink {
    /// Makes an uplink; nothing is sent before [`Uplink::run`].
    ///
    /// # Errors
    /// The identity cannot be used for TLS.
    pub fn new(
        shared: Rc<Shared>,
        collector: Collector,
        identity: Identity,
        prober: Rc<Prober>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Uplink, rustls::Error> {
        let tls = Arc::new(tls::uplink_config(&identity, shared.clock.clone())?);
        let pace = Pace::start(shared.clock.now());
        Ok(Uplink {
            shared,
            collector,
            identity,
            tls,
            prober,
            events,
            connection: None,
            connected: MonoMs(0),
            introduced: false,
            route: None,
            chooser: Chooser::default(),
            trying: JoinSet::new(),
            accounts: Rc::default(),
            peers: Vec::new(),
            pace,
            backoff: Backoff::default(),
            dense: false,
            told: String::new(),
            tables_owed: BTreeSet::new(),
            most: MOST_BATCHES,
            aside: Aside::default(),
            renewal_checked: None,
        })
    }

    /// Sends for ever.
    pub async fn run(mut self) {
        loop {
            let shared = self.shared.clone();
            match self.turn().await {
                Turn::Again => tokio::task::yield_now().await,
                Turn::Idle(until) => {
                    let rest = until.since(shared.clock.now());
                    tokio::select! {
                        _ = shared.wake.notified() => {}
                        _ = tokio::time::sleep(rest) => {}
                        () = ended(&mut self.connection) => self.connection = None,
                        () = shared.link_back.notified() => self.chooser.may_be_back(shared.clock.now() + link_back_spread()),
                        Some(tried) = self.trying.join_next() => self.tried(tried.ok()),
                    }
                }
                Turn::Closed(until) => self.closed(until).await,
            }
        }
    }

    /// Waits until sending may go on. A link that came back ends a wait of our own making, not one the collector asked for; the
    /// program's last call ends both.
    async fn closed(&mut self, until: MonoMs) {
        let shared = self.shared.clone();
        let ours = self.backoff.failures() > 0;
        tokio::select! {
            () = shared.last_call.notified() => self.pace.not_before = shared.clock.now(),
            () = shared.link_back.notified(), if ours => {
                self.pace.not_before = shared.clock.now() + link_back_spread();
            }
            () = tokio::time::sleep(until.since(shared.clock.now())) => {}
        }
    }

    async fn turn(&mut self) -> Turn {
        let now = self.shared.clock.now();
        if now < self.pace.not_before {
            return Turn::Closed(self.pace.not_before);
        }
        while let Some(tried) = self.trying.try_join_next() {
            self.tried(tried.ok());
        }
        self.try_better(now);
        let Some((tickets, backlog)) = self.choose(now) else {
            return Turn::Idle(self.idle_until(now));
        };
        let sent = self.send(&tickets, backlog).await;
        self.settle();
        match sent {
            Ok(()) => Turn::Again,
            Err(error) => self.leave_route(&error),
        }
    }

    /// Picks what to send: fresh batches alone, so that nothing is in front of them; then the backlog.
    fn choose(&mut self, now: MonoMs) -> Option<(Vec<Ticket>, bool)> {
        let others = self.choose_without(self.aside.waiting(now), now);
        others.or_else(|| self.choose_without(self.aside.to_blame(now), now))
    }

    fn choose_without(&mut self, aside: Vec<Ticket>, now: MonoMs) -> Option<(Vec<Ticket>, bool)> {
        let most = self.most;
        let allowed = self.pace.backlog_allowed(now).min(REQUEST_BYTES);
        let mut spool = self.shared.spool.borrow_mut();
        spool.lay_aside(aside);
        let since = MonoMs(now.0.saturating_sub(FRESH_MS));
        let fresh = spool.freshest(since, REQUEST_BYTES, most);
        if !fresh.is_empty() {
            return Some((fresh, false));
        }
        let old = if allowed > 0 { spool.oldest(allowed, most) } else { Vec::new() };
        (!old.is_empty()).then_some((old, true))
    }

    fn idle_until(&self, now: MonoMs) -> MonoMs {
        let next = if self.shared.spool.borrow().is_empty() { now + Duration::from_secs(3600) } else { self.pace.next_window() };
        let better = self.route.filter(|_| self.trying.is_empty()).and_then(|route| self.chooser.better_at(&self.ways(0), route.id));
        better.map_or(next, |better| better.min(next)).max(now + Duration::from_secs(1))
    }

    async fn send(&mut self, tickets: &[Ticket], backlog: bool) -> Result<(), LinkError> {
        let (dense, mut body) = (self.dense, self.body(tickets));
        if body.is_empty() {
            return Ok(());
        }
        if !self.connect(u64::try_from(body.len()).unwrap_or(u64::MAX), backlog).await? {
            // Every plan is nearly used up: what is spooled waits for the hourly sign of life, or for the next cycle.
            self.pace.wait(self.shared.clock.now(), NO_ROOM);
            return Ok(());
        }
        if dense && !self.dense {
            // Another connection, maybe to a collector that does not read it.
            body = self.body(tickets);
        }
        self.shared.spool.borrow_mut().offer(tickets, self.shared.clock.now());
        // No batch leaves before the disk has its mark, and no byte before it is reserved there.
        self.shared.save_plans(false);
        self.shared.flash.settled().await;
        let sent = self.shared.clock.now();
        self.introduce(sent);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let mark = upload_mark(&body);
        let response = self.request("/v1/batches", Some(("application/octet-stream", body))).await?;
        if backlog {
            self.pace.sent_backlog(length);
        }
        if self.take_answer(tickets, &response, mark, sent)? {
            self.fetch_assignment(&response).await?;
            self.renew_if_due().await?;
        }
        Ok(())
    }

    /// Says which boot this is and how long it has lasted: a router without a clock is dated from its first contact. Says too
    /// which assignments there are, when that changed.
    fn introduce(&mut self, now: MonoMs) {
        if let (Some(connection), false) = (&mut self.connection, self.introduced) {
            connection.say_once("rusta-boot", self.shared.clock.boot().to_string());
            connection.say_once("rusta-uptime-ms", now.0.to_string());
            self.told.clear();
        }
        let told = self.shared.assignments.borrow().told();
        if let Some(connection) = self.connection.as_mut().filter(|_| told != self.told) {
            connection.say_once("rusta-assignment", told.clone());
            self.told = told;
        }
    }

    /// Puts the owed tables and the batches behind each other. A batch the disk lost is left out; one that was measured under
    /// another identity is let go, because no collector may take it from this one.
    fn body(&self, tickets: &[Ticket]) -> Vec<u8> {
        let mut spool = self.shared.spool.borrow_mut();
        let mut tables = BTreeSet::new();
        let mut batches = Vec::new();
        for ticket in tickets {
            let Some((bytes, table)) = spool.read(*ticket) else { continue };
            let bytes =
                if agent_of(&bytes) == Some(AgentId(0)) { self.signed(&bytes, spool.read_table(table)).unwrap_or(bytes) } else { bytes };
            if agent_of(&bytes) == Some(self.identity.agent) {
                let dense = if self.dense { spool.read_table(table).and_then(|table| densely(&bytes, &table)) } else { None };
                batches.extend(dense.unwrap_or(bytes));
                tables.insert(table);
            } else {
                tracing::error!(sequence = %ticket.sequence, "a batch of another identity cannot be reported and is lost");
                spool.refuse(&[*ticket]);
            }
        }
        let mut body = Vec::with_capacity(batches.len());
        if !batches.is_empty() {
            for table in tables.intersection(&self.tables_owed) {
                body.extend(spool.read_table(*table).unwrap_or_default());
            }
        }
        body.extend_from_slice(&batches);
        body
    }

    /// Puts this identity on a batch that was measured before there was any.
    fn signed(&self, frame: &[u8], table: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let payload_of = |bytes| Some(Frame::read(bytes).ok()?.0.payload);
        let table = table?;
        let table = SeriesTable::decode(&payload_of(&table)?).ok()?;
        let mut batch = Batch::decode(&payload_of(frame)?, &table).ok()?;
        batch.id.agent = self.identity.agent;
        Some(Frame::new(FrameKind::Batch, batch.encode(&table).ok()?).ok()?.to_bytes())
    }

    async fn request(&mut self, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Response, LinkError> {
        let Some(connection) = &mut self.connection else { return Err(Fault::UsedUp.into()) };
        let result = connection.request(path, body).await;
        connection.tell();
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    /// Sees to it that a connection is open by a way whose plan has room for `body` bytes. `false`: there is no room at present.
    /// A sign of life carries no `backlog`.
    async fn connect(&mut self, body: u64, backlog: bool) -> Result<bool, LinkError> {
        if self.shared.reconnect.take() {
            (self.connection, self.route, self.chooser, self.trying) = (None, None, Chooser::default(), JoinSet::new());
        }
        let mut ways = self.ways(body);
        for way in ways.iter_mut().filter(|way| backlog && way.room == Room::Heartbeat) {
            way.room = Room::Nothing;
        }
        let in_use = self.route.and_then(|route| ways.iter().find(|way| way.id == route.id).copied());
        if let (Some(way), Some(connection)) = (in_use, &mut self.connection) {
            let elsewhere = self.chooser.first(&ways).filter(|other| other.room < way.room);
            match (way.room, elsewhere) {
                // Its plan is spent, and another way's is not.
                (_, Some(_)) => self.chooser.left(way),
                (Room::Nothing, None) => return Ok(false),
                (room, None) if connection.is_open().await => {
                    self.accounts.reserve(&self.shared, way.line, room, body + body / 10 + ANSWER_COST);
                    self.beat(way, room);
                    return Ok(true);
                }
                _ => {}
            }
        }
        self.connection = None;
        let Some(way) = self.chooser.first(&ways) else {
            self.chooser.all_failed();
            return Ok(false);
        };
        self.route = Some(way);
        self.accounts.reserve(&self.shared, way.line, way.room, body + body / 10 + REPORT_COST);
        self.beat(way, way.room);
        self.shared.reserved().await;
        let began = self.shared.clock.now();
        let opened = self.opening(way).await;
        self.settle();
        let (url, link) = self.names(way);
        {
            let mut contact = self.shared.contact.borrow_mut();
            (contact.url, contact.link) = (Some(url), link);
        }
        self.take_over(way, began, opened?);
        Ok(true)
    }

    fn beat(&self, way: Candidate, room: Room) {
        if room == Room::Heartbeat {
            self.accounts.beat(&self.shared, way.line);
        }
    }

    /// Opens a connection by a way; it borrows nothing, so that it may run beside the one in use.
    fn opening(&self, way: Candidate) -> impl Future<Output = Result<Connection, LinkError>> + 'static {
        let url = self.collector.urls[way.id.url].clone();
        let bound = self.way_of(way.id);
        let (tls, prober) = (self.tls.clone(), self.prober.clone());
        let payer = self.accounts.payer(&self.shared, way.id.link);
        async move { Connection::open(&url, &bound, tls, &prober, &payer).await }
    }

    /// Goes on by a connection that has just been opened.
    fn take_over(&mut self, way: Candidate, began: MonoMs, connection: Connection) {
        self.chooser.opened(way, self.shared.clock.now());
        if let Some(peer) = connection.peer() {
            self.peers.retain(|(url, _)| *url != way.id.url);
            self.peers.push((way.id.url, peer));
        }
        (self.connection, self.route) = (Some(connection), Some(way));
        (self.connected, self.introduced, self.dense) = (began, false, false);
        let (url, link) = self.names(way);
        tracing::info!(url, link = link.as_deref().unwrap_or("any"), "connected to collector");
        let mut contact = self.shared.contact.borrow_mut();
        (contact.url, contact.link, contact.connected) = (Some(url), link, true);
    }

    /// Tries a better way than the one in use, once it has rested. Reports go on meanwhile.
    fn try_better(&mut self, now: MonoMs) {
        let (Some(route), Some(_)) = (self.route, &self.connection) else { return };
        if self.trying.is_empty()
            && !self.shared.reconnect.get()
            && let Some(way) = self.chooser.better(&self.ways(0), route.id, now)
        {
            let opening = self.opening(way);
            self.trying.spawn_local(async move { (way, now, opening.await) });
        }
    }

    /// Takes in how the attempt by a better way ended: its handshake proves that it works.
    fn tried(&mut self, tried: Option<(Candidate, MonoMs, Result<Connection, LinkError>)>) {
        let Some((way, began, opened)) = tried else { return };
        let is_better = self.connection.is_none() || self.route.is_none_or(|route| way.beats(&route));
        match opened {
            _ if self.shared.reconnect.get() => {}
            // Meanwhile reports went on by one as good.
            Ok(_) if !is_better => {}
            Ok(connection) => {
                if let Some(route) = self.route {
                    self.chooser.left(route);
                }
                self.take_over(way, began, connection);
            }
            Err(error) => {
                let (now, is_silent) = (self.shared.clock.now(), matches!(error, LinkError::Silent));
                self.chooser.failed(way, is_silent, false, now, random_u64());
            }
        }
        self.settle();
    }

    /// Lists the ways there are: each allowed link with each URL; the routing table last, unless links are prescribed. `body` is
    /// what is to go.
    fn ways(&self, body: u64) -> Vec<Candidate> {
        let watch = self.shared.watch.borrow().clone();
        let prescribed = self.shared.report_links.borrow();
        let mut links: Vec<Option<usize>> =
            (0..watch.links.len()).filter(|l| prescribed.is_empty() || prescribed.contains(&watch.links[*l].name)).map(Some).collect();
        if prescribed.is_empty() || links.is_empty() {
            links.push(None);
        }
        let mut seen: Vec<Way> = Vec::new();
        links.retain(|link| {
            let way = self.way_of(Id { link: *link, url: 0 });
            let is_news = !seen.contains(&way);
            seen.push(way);
            is_news
        });
        let connected = self.route.filter(|_| self.connection.is_some()).map(|route| route.id);
        let candidate = |id: Id| {
            let line = self.peers_of(id.url).into_iter().find_map(|peer| account::line_to(&self.shared, id.link, peer));
            let bytes = body + body / 10 + if connected == Some(id) { ANSWER_COST } else { REPORT_COST };
            Candidate { id, line, cost: account::cost_of(&self.shared, line), room: self.accounts.room(&self.shared, line, bytes) }
        };
        let urls = self.collector.urls.len();
        links.into_iter().flat_map(|link| (0..urls).map(move |url| Id { link, url })).map(candidate).collect()
    }

    /// Returns where a URL's collector is, or was, or may be.
    fn peers_of(&self, url: usize) -> Vec<IpAddr> {
        match (&self.collector.urls[url].place.host, self.peers.iter().find(|(known, _)| *known == url)) {
            (Host::Address(address), _) | (_, Some((_, address))) => vec![*address],
            _ => ANYWHERE.to_vec(),
        }
    }

    fn way_of(&self, id: Id) -> Way {
        id.link.and_then(|link| self.shared.watch.borrow().links.get(link).map(|link| link.way.clone())).unwrap_or_default()
    }

    /// Returns the URL and the link of a way, for people.
    fn names(&self, way: Candidate) -> (String, Option<String>) {
        let watch = self.shared.watch.borrow();
        let link = way.id.link.and_then(|link| watch.links.get(link)).map(|link| link.name.clone());
        (self.collector.urls[way.id.url].to_string(), link)
    }

    fn leave_route(&mut self, error: &LinkError) -> Turn {
        self.connection = None;
        self.settle();
        self.note(Some(error.to_string()));
        let now = self.shared.clock.now();
        if let Some(way) = self.route.take() {
            self.chooser.failed(way, matches!(error, LinkError::Silent), true, now, random_u64());
        }
        if self.chooser.first(&self.ways(0)).is_some() {
            return Turn::Again;
        }
        self.chooser.all_failed();
        let wait = self.backoff.failed(random_u64()).max(Duration::from_millis(500));
        if self.backoff.failures() == 1 {
            tracing::warn!(%error, "no collector can be reached; samples wait in the spool");
        }
        self.pace.wait(now, wait);
        self.tell(Event::Unreachable);
        Turn::Closed(self.pace.not_before)
    }

    fn settle(&self) {
        self.accounts.settle(&self.shared);
    }

    fn note(&self, error: Option<String>) {
        let mut contact = self.shared.contact.borrow_mut();
        contact.connected = self.connection.is_some();
        contact.last_error = error;
    }

    fn tell(&self, event: Event) {
        // The receiver goes only when the program does.
        let _ = self.events.send(event);
    }
}

/// Everybody behind a mast that came back would call at once.
fn link_back_spread() -> Duration {
    Duration::from_millis(random_u64() % LINK_BACK_SPREAD_MS)
}

fn agent_of(frame: &[u8]) -> Option<AgentId> {
    let (frame, _) = Frame::read(frame).ok()?;
    Batch::head(&frame.payload).ok().map(|head| head.id.agent)
}

/// Waits until the collector ends the connection; for ever if there is none.
async fn ended(connection: &mut Option<Connection>) {
    match connection {
        Some(connection) => connection.ended().await,
        None => std::future::pending().await,
    }
}

/// Says a batch's frame again in the dense coding; `None` for what cannot be read, which then goes as it is.
fn densely(frame: &[u8], table: &[u8]) -> Option<Vec<u8>> {
    let payload_of = |bytes| Some(Frame::read(bytes).ok()?.0.payload);
    let (payload, encoded) = (payload_of(frame)?, payload_of(table)?);
    let table = SeriesTable::decode(&encoded).ok()?;
    let (batch, _) = Batch::decode_named(&payload, &table, TableId::of(&encoded)).ok()?;
    Some(Frame::new(FrameKind::Batch, batch.dense_again(&payload, &table).ok()?).ok()?.to_bytes())
}
