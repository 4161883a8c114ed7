//! One site's day, as a function of what was observed.

use std::collections::{BTreeMap, HashMap};

use rusta_wire::{AgentId, BootId, Metric, Rung, Series, UnixMs, Verdict};

use super::histogram::Histogram;
use super::sighting::{Sighted, Sighting, boot_reason, in_order, last_words};
use super::span::{Span, append, at, edges};
use crate::config::Thresholds;
use crate::engine::machine::{Anchors, Boot, Fact, LinkKind, Machine, Slot, Target};
use crate::engine::roll_up::{Path, site_state};
use crate::engine::sight;
use crate::engine::{Cause, LinkState, SiteState};
use crate::inventory::{Inventory, LinkId, Role, SiteId};

/// What a timeline is made of.
#[derive(Debug, Clone, Copy)]
pub struct SiteInput<'a> {
    /// The registry of the day.
    pub inventory: &'a Inventory,
    /// The site.
    pub site: SiteId,
    /// The day's start.
    pub from: UnixMs,
    /// The day's end, or as far as it is to be built.
    pub until: UnixMs,
    /// What the site's own agents saw, and what vantages saw of it.
    pub sightings: &'a [Sighting],
    /// Samples from here on count: the lead-in, or the end of what a silent site said before it.
    pub seen_from: UnixMs,
    /// Samples before this count: the look-ahead, or the beginning of what a silent site said after it.
    pub seen_until: UnixMs,
    /// When a state is called what.
    pub thresholds: &'a Thresholds,
}

/// One link's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDay {
    /// The link's name.
    pub name: String,
    /// Its states, without gaps.
    pub spans: Vec<Span<LinkState>>,
    /// What proves each stretch of down, by its start.
    pub evidence: BTreeMap<UnixMs, Vec<String>>,
    /// Packets of its anchors sent and received while it was not down.
    pub packets: (u64, u64),
    /// Values of the day.
    pub histograms: BTreeMap<Metric, Histogram>,
}

/// Rounds of one service target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds that said anything.
    pub attempts: u64,
    /// Of those, successes.
    pub successes: u64,
    /// Rounds made while the target's link carried traffic.
    pub attempts_while_up: u64,
    /// Of those, successes.
    pub successes_while_up: u64,
    /// Microseconds all phases of a success took.
    pub latency_us: Histogram,
}

/// One site's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDay {
    /// Its links in the inventory's order.
    pub links: Vec<LinkDay>,
    /// The site's states, without gaps.
    pub spans: Vec<Span<SiteState>>,
    /// Whether the national network was reached; `None` if no target tells.
    pub nin: Option<Vec<Span<LinkState>>>,
    /// Rounds of service targets, by the target's name.
    pub rounds: BTreeMap<String, Rounds>,
}

/// Builds a site's day.
pub fn timeline(input: &SiteInput<'_>) -> SiteDay {
    let mut all = in_order(input.sightings);
    all.retain(|sighted| input.seen_from <= sighted.at && sighted.at < input.seen_until);
    let mut run = Run::new(input, all.first().map_or(input.from, |first| first.at.min(input.from)));
    run.play(&all, input);
    let links: Vec<LinkDay> = run.links.iter().map(|driver| link_day(driver, &all, input)).collect();
    let nin = run.nin.as_ref().map(|driver| clip(driver.machine.said(), input));
    SiteDay { spans: site_spans(&links, input), rounds: rounds(&all, &links, input), links, nin }
}

/// A machine with the places of its targets.
struct Driver {
    link: Option<LinkId>,
    machine: Machine,
    slots: HashMap<TargetKey, Slot>,
}

/// A target is the same while all of this is.
type TargetKey = (AgentId, String, Rung, u32, bool);

struct Run {
    links: Vec<Driver>,
    nin: Option<Driver>,
    boots: HashMap<AgentId, (BootId, UnixMs)>,
    start: UnixMs,
}

impl Driver {
    fn new(link: Option<LinkId>, kind: LinkKind, start: UnixMs) -> Self {
        Driver { link, machine: Machine::new(kind, start), slots: HashMap::new() }
    }

    fn observe(&mut self, sighted: &Sighted<'_>, thresholds: &Thresholds) {
        let series = sighted.series;
        let key = (sighted.source, series.target.clone(), series.rung, series.interval_s, sighted.vantage);
        let machine = &mut self.machine;
        let slot = *self.slots.entry(key).or_insert_with(|| {
            let target = Target { source: sighted.source, vantage: sighted.vantage, rung: series.rung, interval_s: series.interval_s };
            machine.slot(target, thresholds)
        });
        machine.progress_all(sighted.at, thresholds);
        machine.observe(&sight::round(series, sighted.sample, sighted.at, slot), thresholds);
    }
}

impl Run {
    fn new(input: &SiteInput<'_>, start: UnixMs) -> Self {
        let driver = |id: LinkId| {
            let link = input.inventory.link(id);
            Driver::new(Some(id), LinkKind { anchors: Anchors::Of(link.network), access: link.access }, start)
        };
        Run { links: input.inventory.links_of(input.site).map(driver).collect(), nin: None, boots: HashMap::new(), start }
    }

    fn play(&mut self, all: &[Sighted<'_>], input: &SiteInput<'_>) {
        let words = last_words(input.sightings);
        let mut words = words.iter().filter(|word| input.seen_from <= word.at).peekable();
        for sighted in all {
            while let Some(word) = words.next_if(|word| word.at <= sighted.at) {
                let fact = if word.power_loss { Fact::LastGasp } else { Fact::Stopped };
                self.links.iter_mut().for_each(|driver| driver.machine.learn(word.at, fact, input.thresholds));
            }
            self.boot(sighted, all, input.thresholds);
            self.observe(sighted, input);
        }
        let end = all.last().map_or(input.until, |last| last.at.max(input.until));
        for driver in self.links.iter_mut().chain(self.nin.as_mut()) {
            driver.machine.progress_all(end, input.thresholds);
        }
    }

    /// Notices the first sample of another life of the site's router.
    fn boot(&mut self, sighted: &Sighted<'_>, all: &[Sighted<'_>], thresholds: &Thresholds) {
        if sighted.vantage {
            return;
        }
        let (id, began_at) = sighted.boot;
        match self.boots.insert(sighted.source, sighted.boot) {
            None => return,
            Some((known, _)) if known == id => return,
            Some(earlier) if earlier.1 >= began_at => {
                self.boots.insert(sighted.source, earlier);
                return;
            }
            Some(_) => {}
        }
        let boot = Boot { id, began_at, reason: boot_reason(all, sighted.source, id) };
        for driver in self.links.iter_mut().chain(self.nin.as_mut()) {
            driver.machine.booted(sighted.source, &boot, sighted.at, thresholds);
        }
    }

    fn observe(&mut self, sighted: &Sighted<'_>, input: &SiteInput<'_>) {
        let Some(link) = link_of(sighted.series, sighted.vantage, input) else { return };
        let proves = sight::proves_reach(sighted.series);
        if let Some(driver) = self.links.iter_mut().find(|driver| driver.link == Some(link))
            && proves
        {
            driver.observe(sighted, input.thresholds);
        }
        if proves && !sighted.vantage && sighted.series.rung == Rung::Nin {
            let kind = LinkKind { anchors: Anchors::On(Rung::Nin), access: None };
            self.nin.get_or_insert_with(|| Driver::new(None, kind, self.start)).observe(sighted, input.thresholds);
        }
        for fact in sight::facts(sighted.series, sighted.sample).filter(|_| !sighted.vantage) {
            let concerned = |driver: &&mut Driver| sight::is_of_site(fact) || driver.link == Some(link);
            self.links.iter_mut().filter(concerned).for_each(|driver| driver.machine.learn(sighted.at, fact, input.thresholds));
        }
    }
}

/// Finds which of the site's links a series speaks of.
fn link_of(series: &Series, vantage: bool, input: &SiteInput<'_>) -> Option<LinkId> {
    let code = &input.inventory.site(input.site).code;
    match (vantage, series.towards == *code) {
        (true, true) => sight::seen_from_outside(input.inventory, input.site, series),
        (false, about_itself) if about_itself || series.towards.is_empty() => input.inventory.link_by_name(input.site, &series.link),
        _ => None,
    }
}

/// Cuts what a machine said to the window and to whole seconds.
fn clip(said: &[crate::engine::machine::Change], input: &SiteInput<'_>) -> Vec<Span<LinkState>> {
    let mut spans = Vec::new();
    let ends = said.iter().skip(1).map(|change| change.at).chain([input.until]);
    for (change, end) in said.iter().zip(ends) {
        let (from, until) = (change.at.max(input.from), end.min(input.until));
        let span = Span { from: whole_second(from), until: whole_second(until), state: change.state, cause: change.cause };
        append(&mut spans, span);
    }
    spans
}

fn whole_second(at: UnixMs) -> UnixMs {
    UnixMs::from_seconds(at.seconds())
}

fn link_day(driver: &Driver, all: &[Sighted<'_>], input: &SiteInput<'_>) -> LinkDay {
    let Some(link) = driver.link else { unreachable!("drivers of links have one") };
    let measured = clip(driver.machine.said(), input);
    let own = |sighted: &&Sighted<'_>| !sighted.vantage && link_of(sighted.series, false, input) == Some(link);
    let own: Vec<&Sighted<'_>> = all.iter().filter(own).collect();
    let anchors = Anchors::Of(input.inventory.link(link).network);
    let (packets, histograms) = values(&own, anchors, &measured, input);
    LinkDay {
        name: input.inventory.link(link).name.clone(),
        evidence: measured
            .iter()
            .filter(|span| span.state == LinkState::Down)
            .map(|span| (span.from, evidence(span, &own, anchors)))
            .collect(),
        spans: with_maintenance(measured, link, input),
        packets,
        histograms,
    }
}

/// Most anchors named as evidence of one outage: enough to see who says so.
const EVIDENCE: usize = 8;

/// Names each anchor's first failure in a stretch of down, and the boot that ended it, if one did.
fn evidence(span: &Span<LinkState>, own: &[&Sighted<'_>], anchors: Anchors) -> Vec<String> {
    let within = own.iter().filter(|sighted| span.from.0 <= sighted.at.0 && sighted.at < span.until);
    let mut named: BTreeMap<(AgentId, &str), UnixMs> = BTreeMap::new();
    for sighted in within.filter(|sighted| anchors.include(sighted.series.rung) && !sighted.sample.outcome.proves_path()) {
        named.entry((sighted.source, &sighted.series.target)).or_insert(sighted.at);
    }
    let failures = named.into_iter().map(|((agent, target), at)| format!("{agent}/{target}@{at}"));
    let booted = own.iter().find(|sighted| span.from < sighted.boot.1 && sighted.boot.1 <= span.until);
    let boot = booted.map(|sighted| format!("{}/boot {}@{}", sighted.source, sighted.boot.0, sighted.boot.1));
    boot.into_iter().chain(failures).take(EVIDENCE).collect()
}

/// Lays announced windows over what was measured.
fn with_maintenance(measured: Vec<Span<LinkState>>, link: LinkId, input: &SiteInput<'_>) -> Vec<Span<LinkState>> {
    let covering = input.inventory.maintenance.iter().filter(|window| input.inventory.is_covered(window, link));
    let windows: Vec<(UnixMs, UnixMs)> = covering
        .flat_map(|window| {
            let occurrences = window.spans(window.span.0, input.until).into_iter();
            occurrences.filter(|(from, until)| window.is_announced_for(*from) && *until > input.from)
        })
        .map(|(from, until)| (whole_second(from), whole_second(until)))
        .collect();
    if windows.is_empty() {
        return measured;
    }
    let cuts = windows.iter().flat_map(|(from, until)| [*from, *until]).filter(|cut| input.from < *cut && *cut < input.until);
    let mut bounds = edges([measured.as_slice()].into_iter(), whole_second(input.from), whole_second(input.until));
    bounds.extend(cuts);
    bounds.sort_unstable();
    bounds.dedup();
    let mut spans = Vec::new();
    for pair in bounds.windows(2) {
        let Some(held) = at(&measured, pair[0]) else { continue };
        let is_covered = windows.iter().any(|(from, until)| *from <= pair[0] && pair[0] < *until);
        let (state, cause) = if is_covered { (LinkState::Maintenance, None) } else { (held.state, held.cause) };
        append(&mut spans, Span { from: pair[0], until: pair[1], state, cause });
    }
    spans
}

fn site_spans(links: &[LinkDay], input: &SiteInput<'_>) -> Vec<Span<SiteState>> {
    let registered: Vec<_> = input.inventory.links_of(input.site).map(|id| input.inventory.link(id)).collect();
    let bounds = edges(links.iter().map(|link| link.spans.as_slice()), whole_second(input.from), whole_second(input.until));
    let mut spans = Vec::new();
    for pair in bounds.windows(2) {
        let held: Vec<(Role, Option<&Span<LinkState>>)> =
            registered.iter().zip(links).map(|(link, day)| (link.role, at(&day.spans, pair[0]))).collect();
        let paths: Vec<Path> = registered
            .iter()
            .zip(&held)
            .map(|(link, (role, span))| Path {
                role: *role,
                network: link.network,
                state: span.map_or(LinkState::Unknown, |span| span.state),
                flapping: false,
            })
            .collect();
        let state = site_state(&paths);
        append(&mut spans, Span { from: pair[0], until: pair[1], state, cause: first_cause(&held) });
    }
    spans
}

/// Returns the cause of the first primary link that has one, else of any.
fn first_cause(held: &[(Role, Option<&Span<LinkState>>)]) -> Option<Cause> {
    let of = |role| held.iter().filter(move |(of, _)| *of == role).find_map(|(_, span)| span.and_then(|span| span.cause));
    of(Role::Primary).or_else(|| of(Role::Backup))
}

/// Gauges counted from anchors' rounds.
const OF_ANCHORS: &[Metric] = &[Metric::RttUsP50, Metric::PdvUsP95, Metric::IpdvUsMean];

/// Gauges counted from devices and tests, with the range outside of which a reading is a fault of the reader (TS 36.133;
/// tenths of a decibel for RSRQ and SINR).
const OF_DEVICES: &[(Metric, i64, i64)] = &[
    (Metric::RsrpDbm, -140, -44),
    (Metric::RsrqCb, -340, 30),
    (Metric::SinrCb, -200, 300),
    (Metric::Rat, 0, 5),
    (Metric::DownloadBps, 0, i64::MAX),
    (Metric::UploadBps, 0, i64::MAX),
];

type Values = ((u64, u64), BTreeMap<Metric, Histogram>);

/// Sums packets and counts values of the window.
fn values(own: &[&Sighted<'_>], anchors: Anchors, spans: &[Span<LinkState>], input: &SiteInput<'_>) -> Values {
    let (mut packets, mut histograms) = ((0, 0), BTreeMap::<Metric, Histogram>::new());
    for sighted in own.iter().filter(|sighted| input.from <= sighted.at && sighted.at < input.until) {
        let value = |metric| sighted.series.value(sighted.sample, metric);
        if anchors.include(sighted.series.rung) && sight::proves_reach(sighted.series) {
            let down = at(spans, sighted.at).is_some_and(|span| span.state == LinkState::Down);
            if let (Some(sent), Some(received), false) = (value(Metric::Sent), value(Metric::Received), down) {
                packets.0 += u64::try_from(sent).unwrap_or(0);
                packets.1 += u64::try_from(received).unwrap_or(0);
            }
            OF_ANCHORS.iter().for_each(|metric| value(*metric).into_iter().for_each(|v| histograms.entry(*metric).or_default().add(v)));
        }
        for (metric, low, high) in OF_DEVICES {
            let valid = value(*metric).filter(|value| (low..=high).contains(&value));
            valid.into_iter().for_each(|v| histograms.entry(*metric).or_default().add(v));
        }
    }
    (packets, histograms)
}

/// Counts rounds of service targets.
fn rounds(all: &[Sighted<'_>], links: &[LinkDay], input: &SiteInput<'_>) -> BTreeMap<String, Rounds> {
    let mut out = BTreeMap::<String, Rounds>::new();
    let own = all.iter().filter(|sighted| !sighted.vantage && input.from <= sighted.at && sighted.at < input.until);
    for sighted in own.filter(|sighted| sighted.series.rung == Rung::Service) {
        let round = sight::round(sighted.series, sighted.sample, sighted.at, Slot(0));
        let (attempts, failures) = match (round.rounds, sighted.sample.outcome.verdict()) {
            ((rounds, failed), _) if rounds > 1 => (rounds, failed.min(rounds)),
            (_, Verdict::NoEvidence) => continue,
            (_, verdict) => (1, u32::from(verdict == Verdict::Failure)),
        };
        let (attempts, successes) = (u64::from(attempts), u64::from(attempts - failures));
        let link = links.iter().find(|link| link.name == sighted.series.link);
        let held = link.and_then(|link| at(&link.spans, sighted.at)).map(|span| span.state);
        let rounds = out.entry(sighted.series.target.clone()).or_default();
        (rounds.attempts, rounds.successes) = (rounds.attempts + attempts, rounds.successes + successes);
        if matches!(held, Some(LinkState::Up | LinkState::Degraded)) {
            rounds.attempts_while_up += attempts;
            rounds.successes_while_up += successes;
        }
        if successes > 0
            && let Some(total) = total_us(sighted)
        {
            rounds.latency_us.add(total);
        }
    }
    out
}

/// Sums the phases of a transaction; `None` if none was measured.
fn total_us(sighted: &Sighted<'_>) -> Option<i64> {
    const PHASES: &[Metric] =
        &[Metric::ResolveUs, Metric::ConnectUs, Metric::TlsUs, Metric::FirstByteUs, Metric::TransferUs, Metric::QueryUs, Metric::RttUsP50];
    let phases = PHASES.iter().filter_map(|metric| sighted.series.value(sighted.sample, *metric));
    phases.fold(None, |total, phase| Some(total.unwrap_or(0) + phase))
}
