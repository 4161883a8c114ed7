//! One site's day, as a function of what was observed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusta_wire::{AgentId, BootId, Rung, UnixMs};

use super::outage::{Bounds, Proofs};
use super::overlay;
use super::sighting::{Sighted, Sighting, Watch, Watches, boot_reason, last_words};
use super::span::{Span, append, at, edges};
use super::undated::{Certain, Undated};
use super::values::{self, Place, PlanUse, Rounds, Values};
use crate::config::Thresholds;
use crate::engine::agent;
use crate::engine::machine::{Anchors, Boot, Change, Cut, Fact, LinkKind, Machine, Slot, Target};
use crate::engine::roll_up::{Path, site_state};
use crate::engine::sight;
use crate::engine::{Cause, LinkState, SiteState};
use crate::inventory::{Inventory, LinkId, Role, SiteId, assignment};

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
    /// The present, if the day is to be told as it stands now: agents are then believed to look on for a while after their
    /// last report. `None` once nothing more is to be heard of the day: then they said all they saw.
    pub now: Option<UnixMs>,
    /// What lives of the site's agents saw that nobody can date.
    pub undated: &'a [Undated],
    /// Whether links were degraded when the day before ended, by name, as far as that is known.
    pub degraded_before: &'a [(String, bool)],
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
    pub evidence: BTreeMap<UnixMs, Proofs>,
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
    /// Whether the national network was reached; `None` if no target tells, nor is one to.
    pub nin: Option<Vec<Span<LinkState>>>,
    /// What was measured while late-announced work left it with nothing else.
    pub short_notice: Vec<Span<SiteState>>,
    /// Rounds of service targets, by slot and the target's name.
    pub service_slots: BTreeMap<Place, BTreeMap<String, Rounds>>,
}

impl SiteDay {
    /// Sums the rounds of service targets over the day.
    pub fn rounds(&self) -> BTreeMap<String, Rounds> {
        let mut sums = BTreeMap::<&str, Rounds>::new();
        for (target, rounds) in self.service_slots.values().flatten() {
            sums.entry(target).or_default().add(rounds);
        }
        sums.into_iter().map(|(target, rounds)| (target.to_owned(), rounds)).collect()
    }

    /// Adds all slots up into the first: what the daily figures are made of.
    pub(super) fn fold(&mut self) {
        for link in &mut self.links {
            link.slots = BTreeMap::from([(0, link.values())]);
        }
        self.service_slots = BTreeMap::from([(0, self.rounds())]);
    }
}

/// Builds a site's day.
pub fn timeline(input: &SiteInput<'_>) -> SiteDay {
    let watches = Watches::of(input.sightings);
    let all = watches.in_order(|at| input.seen_from <= at && at < input.seen_until);
    let meanings: Vec<Meaning> = watches.list().iter().map(|watch| Meaning::of(watch, input)).collect();
    let mut run = Run::new(input, &meanings, all.first().map_or(input.from, |first| first.at.min(input.from)));
    run.play(&all);
    let certain: Vec<Certain> = input.undated.iter().filter_map(|life| Certain::of(life, input)).collect();
    let links: Vec<LinkDay> = run.links.iter().map(|driver| link_day(driver, &all, &watches, &run, &certain)).collect();
    let nin = run.nin.as_ref().map(|driver| clip(driver.machine.said(), input));
    let nin = nin.map(|spans| certain.iter().fold(spans, |spans, life| overlay::fill(spans, &life.nin)));
    // Whoever is to look and says nothing leaves it unknown; whoever is not does not tell, whether its day is built or not.
    let nin = nin.filter(|spans| spans.iter().any(|span| span.state != LinkState::Unknown));
    let nin = nin.or_else(|| assignment::asks_for(input.inventory, input.site, Rung::Nin).then(|| unknown(input.from, input.until)));
    let nin = nin.map(|spans| overlay::lay_work(spans, &overlay::announced_for_all(input), LinkState::Maintenance));
    let measured: Vec<&[Span<LinkState>]> = links.iter().map(|link| link.spans.as_slice()).collect();
    let spans = overlay::lay(site_spans(&measured, input), &overlay::closed(input), SiteState::NotInService);
    let held = |name: &str, time| {
        let link = links.iter().find(|link| link.name == name);
        link.and_then(|link| at(&link.spans, time)).map(|span| span.state)
    };
    let service_slots = values::of_services(&all, held, (input.from, input.until));
    SiteDay { short_notice: short_notice(&links, &spans, input), spans, service_slots, links, nin }
}

/// Returns a stretch of which nothing is known.
pub(super) fn unknown(from: UnixMs, until: UnixMs) -> Vec<Span<LinkState>> {
    let mut spans = Vec::new();
    append(&mut spans, Span { from: whole_second(from), until: whole_second(until), state: LinkState::Unknown, cause: None });
    spans
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

/// What a watch means to the site.
pub(super) struct Meaning {
    /// The link it speaks of; `None` if it speaks of none of the site's.
    link: Option<LinkId>,
    /// Whether its rounds prove reach.
    proves: bool,
    /// Whether its samples hold facts about the site.
    tells_facts: bool,
}

impl Meaning {
    pub(super) fn of(watch: &Watch<'_>, input: &SiteInput<'_>) -> Self {
        let (inventory, site, series) = (input.inventory, input.site, watch.series);
        let link = match (watch.vantage, series.towards == inventory.site(site).code) {
            (true, true) => sight::seen_from_outside(inventory, site, series),
            (false, about_itself) if about_itself || series.towards.is_empty() => inventory.link_by_name(site, &series.link),
            _ => None,
        };
        Meaning { link, proves: sight::proves_reach(series), tells_facts: !watch.vantage && sight::tells_facts(series) }
    }
}

/// A machine with the places of its targets.
pub(super) struct Driver {
    link: Option<LinkId>,
    pub(super) machine: Machine,
    slots: HashMap<TargetKey, Slot>,
    /// The slot of each watch that was heard, by its number.
    by_watch: Vec<Option<Slot>>,
}

/// A target is the same while all of this is.
type TargetKey = (AgentId, String, Rung, u32, bool);

/// A site's links while its sightings are played to them.
pub(super) struct Run<'a> {
    input: &'a SiteInput<'a>,
    /// By the number of the watch.
    meanings: &'a [Meaning],
    pub(super) links: Vec<Driver>,
    pub(super) nin: Option<Driver>,
    /// The newest life of each agent, and when it began.
    boots: Vec<(AgentId, BootId, UnixMs)>,
    /// How far each agent has looked.
    looked: HashMap<AgentId, UnixMs>,
    start: UnixMs,
}

impl Driver {
    fn new(link: Option<LinkId>, kind: LinkKind, start: UnixMs, watches: usize) -> Self {
        Driver { link, machine: Machine::new(kind, start), slots: HashMap::new(), by_watch: vec![None; watches] }
    }

    fn observe(&mut self, sighted: &Sighted<'_>, thresholds: &Thresholds) {
        let slot = self.by_watch[sighted.watch.number].unwrap_or_else(|| self.slot(sighted.watch, thresholds));
        self.machine.observe(&sight::round(sighted.watch.series, sighted.sample, sighted.at, slot), thresholds);
    }

    fn slot(&mut self, watch: &Watch<'_>, thresholds: &Thresholds) -> Slot {
        let Watch { source, vantage, series, .. } = *watch;
        let key = (source, series.target.clone(), series.rung, series.interval_s, vantage);
        let target = Target { source, vantage, rung: series.rung, interval_s: series.interval_s };
        let slot = *self.slots.entry(key).or_insert_with(|| self.machine.slot(target, thresholds));
        self.by_watch[watch.number] = Some(slot);
        slot
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(input: &'a SiteInput<'a>, meanings: &'a [Meaning], start: UnixMs) -> Self {
        let driver = |id: LinkId| Driver::new(Some(id), LinkKind::of(input.inventory, id), start, meanings.len());
        let links = input.inventory.links_of(input.site).map(driver).collect();
        Run { input, meanings, links, nin: None, boots: Vec::new(), looked: HashMap::new(), start }
    }

    pub(super) fn play(&mut self, all: &[Sighted<'_>]) {
        let Run { input, .. } = *self;
        let mut is_before = true;
        let words = last_words(input.sightings);
        let mut words = words.iter().filter(|word| input.seen_from <= word.at).peekable();
        let looks = looks(input.sightings, input.thresholds);
        let mut looks = looks.iter().filter(|look| input.seen_from <= look.until).peekable();
        for sighted in all {
            while let Some(look) = looks.next_if(|look| look.until <= sighted.at) {
                self.begin_day(&mut is_before, look.until);
                self.look(look);
            }
            self.begin_day(&mut is_before, sighted.at);
            while let Some(word) = words.next_if(|word| word.at <= sighted.at) {
                let fact = if word.power_loss { Fact::LastGasp } else { Fact::Stopped };
                self.links.iter_mut().for_each(|driver| driver.machine.learn(word.at, fact, input.thresholds));
            }
            self.boot(sighted, all);
            self.observe(sighted);
        }
        for look in looks.take_while(|look| look.until <= input.seen_until) {
            self.begin_day(&mut is_before, look.until);
            self.look(look);
        }
        self.begin_day(&mut is_before, input.until);
        let end = all.last().map_or(input.until, |last| last.at.max(input.until));
        for driver in self.links.iter_mut().chain(self.nin.as_mut()) {
            match input.now {
                Some(now) => driver.machine.pass(now, input.thresholds),
                None => driver.machine.end(end, input.thresholds),
            }
        }
    }

    /// Takes over what the day before left, once, before anything of this day is taken.
    fn begin_day(&mut self, is_before: &mut bool, at: UnixMs) {
        let Run { input, .. } = *self;
        if !*is_before || at < input.from {
            return;
        }
        *is_before = false;
        for driver in &mut self.links {
            let name = driver.link.map_or("", |link| input.inventory.link(link).name.as_str());
            let before = input.degraded_before.iter().find(|(known, _)| known == name);
            before.iter().for_each(|(_, degraded)| driver.machine.carry(*degraded, input.from, input.thresholds));
        }
    }

    /// Takes that an agent has looked so far. A report of another life is no sign of the one before: that is noticed by its
    /// first sample.
    fn look(&mut self, look: &Look) {
        if self.boots.iter().any(|known| known.0 == look.source && known.1 != look.boot.0 && known.2 < look.boot.1) {
            return;
        }
        self.looked.insert(look.source, look.until);
        for driver in self.links.iter_mut().chain(self.nin.as_mut()) {
            driver.machine.progress(look.source, look.until, look.patience, self.input.thresholds);
        }
    }

    /// Notices the first sample of another life of the site's router.
    fn boot(&mut self, sighted: &Sighted<'_>, all: &[Sighted<'_>]) {
        let source = sighted.watch.source;
        if sighted.watch.vantage {
            return;
        }
        let (id, began_at) = sighted.boot;
        let last_sign = self.looked.get(&source).copied();
        match self.boots.iter_mut().find(|known| known.0 == source) {
            None => {
                self.boots.push((source, id, began_at));
                return;
            }
            Some(known) if known.1 == id => {
                known.2 = began_at;
                return;
            }
            Some(known) if known.2 >= began_at => return,
            Some(known) => *known = (source, id, began_at),
        }
        let hidden = |life: &Undated| life.agent == source && last_sign.is_some_and(|last| life.fits_between(last, began_at));
        let after_undated = self.input.undated.iter().any(hidden);
        let boot = Boot { id, began_at, reason: boot_reason(all, source, id), after_undated };
        for driver in self.links.iter_mut().chain(self.nin.as_mut()) {
            driver.machine.booted(source, &boot, sighted.at, self.input.thresholds);
        }
    }

    fn observe(&mut self, sighted: &Sighted<'_>) {
        let (thresholds, watch) = (self.input.thresholds, sighted.watch);
        let Meaning { link: Some(link), proves, tells_facts } = self.meanings[watch.number] else { return };
        if proves && let Some(driver) = self.links.iter_mut().find(|driver| driver.link == Some(link)) {
            driver.observe(sighted, thresholds);
        }
        if proves && !watch.vantage && watch.series.rung == Rung::Nin {
            let kind = LinkKind { anchors: Anchors::On(Rung::Nin), access: None, class_a: false };
            let driver = || Driver::new(None, kind, self.start, self.meanings.len());
            self.nin.get_or_insert_with(driver).observe(sighted, thresholds);
        }
        if tells_facts {
            for fact in sight::facts(watch.series, sighted.sample) {
                let concerned = |driver: &&mut Driver| sight::is_of_site(fact) || driver.link == Some(link);
                self.links.iter_mut().filter(concerned).for_each(|driver| driver.machine.learn(sighted.at, fact, thresholds));
            }
        }
    }
}

/// That an agent has looked until a moment, and how long it is believed to look on.
pub(super) struct Look {
    pub(super) until: UnixMs,
    pub(super) source: AgentId,
    pub(super) boot: (BootId, UnixMs),
    patience: Duration,
}

/// Lists how far agents had looked when, oldest first.
pub(super) fn looks(sightings: &[Sighting], thresholds: &Thresholds) -> Vec<Look> {
    let end = |one: &Sighting| {
        let boot = (one.batch.id.boot, one.boot.at);
        (one.boot.date(one.batch.until), one.batch.id.agent, boot, agent::interval_ms(&one.batch))
    };
    let mut ends: Vec<_> = sightings.iter().map(end).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut intervals: HashMap<AgentId, i64> = HashMap::new();
    let look = |(until, source, boot, interval_ms): (UnixMs, AgentId, (BootId, UnixMs), Option<i64>)| {
        let known = intervals.entry(source).or_insert_with(|| i64::try_from(thresholds.cycle.as_millis()).unwrap_or(i64::MAX));
        *known = interval_ms.unwrap_or(*known);
        Look { until, source, boot, patience: agent::patience(*known, thresholds) }
    };
    ends.into_iter().map(look).collect()
}

/// Cuts what a machine said to the window.
pub(super) fn within<'a>(said: &'a [Change], input: &SiteInput<'_>) -> impl Iterator<Item = Span<LinkState>> + use<'a> {
    let (from, until) = (input.from, input.until);
    let ends = said.iter().skip(1).map(|change| change.at).chain([until]);
    let spans = said.iter().zip(ends);
    spans.map(move |(change, end)| Span { from: change.at.max(from), until: end.min(until), state: change.state, cause: change.cause })
}

/// Cuts what a machine said to the window and to whole seconds.
fn clip(said: &[Change], input: &SiteInput<'_>) -> Vec<Span<LinkState>> {
    let mut spans = Vec::new();
    within(said, input).map(whole).for_each(|span| append(&mut spans, span));
    spans
}

/// Cuts a span to whole seconds, once everything else was done to it.
pub(super) fn whole(span: Span<LinkState>) -> Span<LinkState> {
    Span { from: whole_second(span.from), until: whole_second(span.until), ..span }
}

fn whole_second(at: UnixMs) -> UnixMs {
    UnixMs::from_seconds(at.seconds())
}

fn link_day(driver: &Driver, all: &[Sighted<'_>], watches: &Watches<'_>, run: &Run<'_>, certain: &[Certain]) -> LinkDay {
    let Some(link) = driver.link else { unreachable!("drivers of links have one") };
    let input = run.input;
    let place = run.links.iter().position(|other| other.link == Some(link)).unwrap_or(usize::MAX);
    let of_undated = certain.iter().filter_map(|life| life.links.get(place));
    let measured = of_undated.fold(clip(driver.machine.said(), input), |spans, held| overlay::fill(spans, held));
    let own = |sighted: &&Sighted<'_>| !sighted.watch.vantage && run.meanings[sighted.watch.number].link == Some(link);
    let own: Vec<&Sighted<'_>> = all.iter().filter(own).collect();
    let anchors = Anchors::Of(input.inventory.link(link).network);
    let (slots, plan) = values::of_link(&own, watches.list(), anchors, &measured, (input.from, input.until));
    let proofs = |span: &Span<LinkState>| {
        let cuts = driver.machine.cuts().iter().filter(|cut| span.from <= whole_second(cut.since) && cut.since < span.until);
        let cuts: Vec<Cut> = cuts.copied().collect();
        Proofs { named: evidence(span, &own, anchors, &cuts), bounds: bounds(driver, span, &cuts, input) }
    };
    let evidence = measured.iter().filter(|span| span.state == LinkState::Down).map(|span| (span.from, proofs(span))).collect();
    let spans = overlay::lay_work(measured, &overlay::announced(link, input, true), LinkState::Maintenance);
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

/// Bounds the ends of a power cut, each by the error of the dates it is told by; `None` of a stretch that was seen to begin.
fn bounds(driver: &Driver, span: &Span<LinkState>, cuts: &[Cut], input: &SiteInput<'_>) -> Option<Bounds> {
    let (first, last) = (cuts.first().filter(|cut| whole_second(cut.since) == span.from)?, cuts.last()?);
    // The least error any batch of a boot is dated with: which came first plays no part.
    let of_boot = |boot: BootId| {
        let of_it = input.sightings.iter().filter(|sighting| sighting.batch.id.boot == boot);
        of_it.map(|sighting| i64::from(sighting.boot.error_ms)).min().unwrap_or(0)
    };
    let ends = |sighting: &Sighting| {
        let away = (sighting.boot.date(sighting.batch.until).0 - first.since.0).abs();
        (away, i64::from(sighting.boot.error_ms))
    };
    let of_others = input.sightings.iter().filter(|sighting| sighting.batch.id.boot != first.boot.0);
    let of_sign = of_others.map(ends).min().map_or(0, |(_, error)| error);
    // It may go on past this day.
    let over = driver.machine.said().iter().find(|change| change.at > last.since && change.state != LinkState::Down);
    let answered = over.map_or(span.until, |change| change.at);
    let (of_first, of_last) = (of_boot(first.boot.0), of_boot(last.boot.0));
    Some(Bounds {
        started: (UnixMs(first.since.0 - of_sign), UnixMs(first.boot.1.0 + of_first)),
        ended: (UnixMs(last.boot.1.0 - of_last), UnixMs(answered.0 + of_last)),
    })
}

/// Names each anchor's first failure in a stretch of down, the boot that ended it, if one did, and the last sign before a cut.
fn evidence(span: &Span<LinkState>, own: &[&Sighted<'_>], anchors: Anchors, cuts: &[Cut]) -> Vec<String> {
    let within = own.iter().filter(|sighted| span.from.0 <= sighted.at.0 && sighted.at < span.until);
    let mut named: BTreeMap<(AgentId, &str), UnixMs> = BTreeMap::new();
    for sighted in within.filter(|sighted| anchors.include(sighted.watch.series.rung) && !sighted.sample.outcome.proves_path()) {
        named.entry((sighted.watch.source, &sighted.watch.series.target)).or_insert(sighted.at);
    }
    let failures = named.into_iter().map(|((agent, target), at)| format!("{agent}/{target}@{at}"));
    let booted = own.iter().find(|sighted| span.from < sighted.boot.1 && sighted.boot.1 <= span.until);
    let boot = booted.map(|sighted| format!("{}/boot {}@{}", sighted.watch.source, sighted.boot.0, sighted.boot.1));
    let of_cut = |cut: &Cut| {
        let (id, began_at) = cut.boot;
        let source = own.iter().find(|sighted| sighted.boot.0 == id).map(|sighted| sighted.watch.source);
        source.map(|source| [format!("{source}/last sign@{}", cut.since), format!("{source}/boot {id}@{began_at}")])
    };
    let cuts: Vec<String> = cuts.iter().filter_map(of_cut).flatten().collect();
    let boot = boot.filter(|_| cuts.is_empty());
    cuts.into_iter().chain(boot).chain(failures).take(EVIDENCE).collect()
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
