//! One site's day, as a function of what was observed.

use std::collections::{BTreeMap, HashMap};

use rusta_wire::{AgentId, BootId, Rung, Series, UnixMs};

use super::overlay;
use super::sighting::{Sighted, Sighting, boot_reason, in_order, last_words};
use super::span::{Span, append, at, edges};
use super::values::{self, Place, PlanUse, Rounds, Values};
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
    /// What was measured inside work that was announced too late for the contract.
    pub short_notice: Vec<Span<LinkState>>,
    /// What its rounds measured, by slot.
    pub slots: BTreeMap<Place, Values>,
    /// Its data plan at the last reading.
    pub plan: Option<PlanUse>,
}

impl LinkDay {
    /// Sums what its rounds measured over the day.
    pub fn values(&self) -> Values {
        let mut sum = Values::default();
        self.slots.values().for_each(|slot| sum.add(slot));
        sum
    }
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
    /// What was measured while late-announced work left it with nothing else.
    pub short_notice: Vec<Span<SiteState>>,
    /// Rounds of service targets, by slot and the target's name.
    pub service_slots: BTreeMap<Place, BTreeMap<String, Rounds>>,
}

impl SiteDay {
    /// Sums the rounds of service targets over the day.
    pub fn rounds(&self) -> BTreeMap<String, Rounds> {
        let mut sums = BTreeMap::<String, Rounds>::new();
        for (target, rounds) in self.service_slots.values().flatten() {
            sums.entry(target.clone()).or_default().add(rounds);
        }
        sums
    }
}

/// Builds a site's day.
pub fn timeline(input: &SiteInput<'_>) -> SiteDay {
    let all = in_order(input.sightings, |at| input.seen_from <= at && at < input.seen_until);
    let mut run = Run::new(input, all.first().map_or(input.from, |first| first.at.min(input.from)));
    run.play(&all, input);
    let links: Vec<LinkDay> = run.links.iter().map(|driver| link_day(driver, &all, input)).collect();
    // A site that knows nothing of it all day does not tell, whether its day was built for another reason or not at all.
    let nin = run.nin.as_ref().map(|driver| clip(driver.machine.said(), input));
    let nin = nin.filter(|spans| spans.iter().any(|span| span.state != LinkState::Unknown));
    let measured: Vec<&[Span<LinkState>]> = links.iter().map(|link| link.spans.as_slice()).collect();
    let spans = overlay::lay(site_spans(&measured, input), &overlay::closed(input), SiteState::NotInService);
    let held = |name: &str, time| {
        let link = links.iter().find(|link| link.name == name);
        link.and_then(|link| at(&link.spans, time)).map(|span| span.state)
    };
    let service_slots = values::of_services(&all, held, (input.from, input.until));
    SiteDay { short_notice: short_notice(&links, &spans, input), spans, service_slots, links, nin }
}

/// Finds what was measured of the site while all that was left of it was under work announced too late.
fn short_notice(links: &[LinkDay], spans: &[Span<SiteState>], input: &SiteInput<'_>) -> Vec<Span<SiteState>> {
    if links.iter().all(|link| link.short_notice.is_empty()) {
        return Vec::new();
    }
    let stretches = |link: &LinkDay| link.short_notice.iter().map(|span| (span.from, span.until)).collect::<Vec<_>>();
    let lay = |link: &LinkDay| overlay::lay(link.spans.clone(), &stretches(link), LinkState::Maintenance);
    let planned: Vec<Vec<Span<LinkState>>> = links.iter().map(lay).collect();
    let planned = site_spans(&planned.iter().map(Vec::as_slice).collect::<Vec<_>>(), input);
    let under: Vec<_> = planned.iter().filter(|span| span.state == SiteState::Maintenance).map(|span| (span.from, span.until)).collect();
    overlay::measured_under(spans, &under)
}

/// A machine with the places of its targets.
struct Driver {
    link: Option<LinkId>,
    machine: Machine,
    slots: HashMap<TargetKey, Slot>,
    /// The slot of a series of a table in memory, so that a target's key is made once and not for each round.
    by_series: HashMap<(AgentId, *const Series, bool), Slot>,
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
        Driver { link, machine: Machine::new(kind, start), slots: HashMap::new(), by_series: HashMap::new() }
    }

    fn observe(&mut self, sighted: &Sighted<'_>, thresholds: &Thresholds) {
        let (series, machine) = (sighted.series, &mut self.machine);
        let place = (sighted.source, std::ptr::from_ref(series), sighted.vantage);
        let slot = *self.by_series.entry(place).or_insert_with(|| {
            let key = (sighted.source, series.target.clone(), series.rung, series.interval_s, sighted.vantage);
            *self.slots.entry(key).or_insert_with(|| {
                let target = Target { source: sighted.source, vantage: sighted.vantage, rung: series.rung, interval_s: series.interval_s };
                machine.slot(target, thresholds)
            })
        });
        machine.progress_all(sighted.at, thresholds);
        machine.observe(&sight::round(series, sighted.sample, sighted.at, slot), thresholds);
    }
}

impl Run {
    fn new(input: &SiteInput<'_>, start: UnixMs) -> Self {
        let driver = |id: LinkId| Driver::new(Some(id), LinkKind::of(input.inventory, id), start);
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
            let kind = LinkKind { anchors: Anchors::On(Rung::Nin), access: None, class_a: false };
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
    let (slots, plan) = values::of_link(&own, anchors, &measured, (input.from, input.until));
    let evidence =
        measured.iter().filter(|span| span.state == LinkState::Down).map(|span| (span.from, evidence(span, &own, anchors))).collect();
    let spans = overlay::lay(measured, &overlay::announced(link, input, true), LinkState::Maintenance);
    LinkDay {
        name: input.inventory.link(link).name.clone(),
        short_notice: overlay::measured_under(&spans, &overlay::announced(link, input, false)),
        evidence,
        spans,
        slots,
        plan,
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

fn site_spans(links: &[&[Span<LinkState>]], input: &SiteInput<'_>) -> Vec<Span<SiteState>> {
    let registered: Vec<_> = input.inventory.links_of(input.site).map(|id| input.inventory.link(id)).collect();
    let bounds = edges(links.iter().copied(), whole_second(input.from), whole_second(input.until));
    let mut spans = Vec::new();
    for pair in bounds.windows(2) {
        let held: Vec<(Role, Option<&Span<LinkState>>)> =
            registered.iter().zip(links).map(|(link, spans)| (link.role, at(spans, pair[0]))).collect();
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
