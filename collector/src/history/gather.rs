//! Gathers what bears on one site's day out of the log.

use std::collections::HashMap;
use std::sync::Arc;

use rusta_wire::{Samples, UnixMs};

use super::reports::{self, Arrived, DayReports};
use super::sighting::{Sighting, Watches};
use super::tables::Digests;
use super::undated::Undated;
use super::{LEAD_IN_MS, LOOK_AHEAD_MS, REACH_DAYS};
use crate::advance::boots;
use crate::dating::{Dating, Reach};
use crate::day::Day;
use crate::engine::BootTime;
use crate::inventory::{Inventory, SiteId};
use crate::log::{Log, LogError};
use crate::store::{Store, StoreError};

/// What a silent site said last, or first, this long, is enough to tell what held then and whether it was off since.
pub(super) const EDGE_MS: i64 = 15 * 60_000;

/// How much of what was said of one stretch is read: what is left out would be the same at each building, in the order received.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Frames, as received.
    frame_bytes: usize,
    /// Samples and values, in memory.
    decoded_bytes: usize,
}

/// A village's day is 61 kB of frames and 2 MB in memory; a county office with a switch of 48 ports is eight times that.
const ROOM_OF_SITE: Room = Room { frame_bytes: 8 << 20, decoded_bytes: 24 << 20 };

/// A vantage looks at a province.
const ROOM_OF_VANTAGE: Room = Room { frame_bytes: 256 << 20, decoded_bytes: 1 << 30 };

impl Room {
    fn of(is_vantage: bool) -> Room {
        if is_vantage { ROOM_OF_VANTAGE } else { ROOM_OF_SITE }
    }
}

/// What a sample takes in memory beside its values while a day is built.
const SAMPLE_BYTES: usize = 128;

/// One day in milliseconds, as a step of the search; no bound of a day.
const STEP_MS: i64 = 86_400_000;

/// What bears on a site's day: the samples of `[from, until)` in these sightings.
pub(super) struct Seen {
    pub(super) sightings: Vec<Sighting>,
    /// What lives nobody can date saw.
    pub(super) undated: Vec<Undated>,
    pub(super) from: UnixMs,
    pub(super) until: UnixMs,
}

/// What is kept of it beside the timeline.
pub(super) struct Gathered {
    pub(super) digests: Digests,
    /// What its agents reported of the day.
    pub(super) reports: DayReports,
    /// The day on which a site that was silent before the lead-in was heard last.
    pub(super) before: Option<Day>,
    /// The day on which a site that is silent after the look-ahead is heard again.
    pub(super) after: Option<Day>,
}

/// Why a day could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The log cannot be read.
    #[error("log")]
    Log(#[from] LogError),
    /// The state database cannot be read or written.
    #[error("state")]
    Store(#[from] StoreError),
}

/// The site whose day is gathered, in the registry of that day.
pub(super) struct Subject<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) site: SiteId,
}

/// What was read, and when each of it arrived.
#[derive(Default)]
struct Read {
    sightings: Vec<Sighting>,
    received: Vec<UnixMs>,
}

/// What one vantage saw in one window, by the site it looked at.
struct FromOutside {
    vantage: String,
    window: (UnixMs, UnixMs),
    by_site: HashMap<String, Vec<Sighting>>,
}

/// Reads the log; keeps what the last vantages saw, because many sites of a county share one. More may arrive, so it is
/// made anew for each look.
pub(super) struct Gatherer {
    log: Log,
    store: Store,
    from_outside: Vec<FromOutside>,
    room: Room,
}

/// Vantages kept: a site has one or two, and sites of one county are built one after the other.
const VANTAGES: usize = 3;

impl Gatherer {
    pub(super) fn new(log: Log, store: Store) -> Self {
        Gatherer { log, store, from_outside: Vec::new(), room: ROOM_OF_SITE }
    }

    /// Gathers a day `[from, until)` of a site, as known now.
    pub(super) fn gather(&mut self, of: &Subject<'_>, from: UnixMs, until: UnixMs, now: UnixMs) -> Result<(Seen, Gathered), BuildError> {
        let site = of.inventory.site(of.site).code.as_str();
        self.room = Room::of(!of.inventory.site(of.site).vantage_for.is_empty());
        let dating = self.dating(site)?;
        let window = (UnixMs(from.0 - LEAD_IN_MS), UnixMs(until.0 + LOOK_AHEAD_MS));
        let Read { mut sightings, received } = self.read(&dating, site, window)?;
        let arrived = sightings.iter().zip(&received);
        let arrived = arrived.map(|(one, at)| Arrived { boot: one.boot, batch: &one.batch, received_at: *at });
        let reports = reports::count(arrived, (from, until));
        let is_silent = |from, until| times(&sightings, (from, until)).next().is_none();
        let (was_silent, stays_silent) = (is_silent(window.0, from), is_silent(until, window.1));
        let digests = digests(&sightings, (from, until));
        let (mut seen_from, mut seen_until) = window;
        let (mut before, mut after) = (None, None);
        let earlier = if was_silent { self.search(&dating, site, |k| step_back(window.0, k), |times| times.max(), now)? } else { None };
        let later = if stays_silent { self.search(&dating, site, |k| step_on(window.1, k), |times| times.min(), now)? } else { None };
        let is_long = |last, first| !reaches(last, first) && is_silent(window.0, window.1);
        let (earlier, later) = match (earlier, later) {
            (Some((_, last)), Some((_, first))) if is_long(last, first) => (None, None),
            found => found,
        };
        if let Some((earlier, last)) = earlier {
            (seen_from, before) = (UnixMs(last.0 - EDGE_MS), Some(Day::of(last)));
            sightings.extend(earlier);
        }
        if let Some((later, first)) = later {
            (seen_until, after) = (UnixMs(first.0 + EDGE_MS), Some(Day::of(first)));
            sightings.extend(later);
        }
        sightings.extend(self.seen_from_outside(of, window)?);
        let undated = self.undated(&dating, site, (seen_from, seen_until))?;
        Ok((Seen { sightings, undated, from: seen_from, until: seen_until }, Gathered { digests, reports, before, after }))
    }

    /// Looks for the nearest samples of a silent site, a day at a time.
    fn search(
        &self,
        dating: &Dating,
        site: &str,
        step: impl Fn(i64) -> (UnixMs, UnixMs),
        nearest: impl Fn(&mut dyn Iterator<Item = UnixMs>) -> Option<UnixMs>,
        now: UnixMs,
    ) -> Result<Option<(Vec<Sighting>, UnixMs)>, BuildError> {
        for k in 0..i64::from(REACH_DAYS) {
            let window = step(k);
            if window.0 > now {
                break;
            }
            let found = self.read(dating, site, window)?.sightings;
            if let Some(at) = nearest(&mut times(&found, window)) {
                // What lies around it may reach over the step's bound.
                let edge = (UnixMs(at.0 - EDGE_MS), UnixMs(at.0 + EDGE_MS));
                return Ok(Some((self.read(dating, site, edge)?.sightings, at)));
            }
        }
        Ok(None)
    }

    fn dating(&self, site: &str) -> Result<Dating, BuildError> {
        Ok(Dating::load(self.store.read(|tx| boots::of_site(tx, site))?).reaching(Reach::of_days(self.log.retention_days())))
    }

    /// Reads what a site's own agents saw in a window; batches that reach over its bounds come whole.
    fn read(&self, dating: &Dating, site: &str, window: (UnixMs, UnixMs)) -> Result<Read, BuildError> {
        let ranges = dating.ranges(site, window.0, window.1);
        let mut found = Read::default();
        if ranges.is_empty() {
            return Ok(found);
        }
        let room = self.room;
        let mut decoded_bytes = 0;
        for stored in self.log.site_range(site, &ranges, room.frame_bytes)? {
            if decoded_bytes > room.decoded_bytes {
                tracing::warn!(site, "a site has said more of one day than is read of it");
                break;
            }
            let Some((offset_ms, error_ms)) = dating.offset(&stored.head, stored.received_at) else { continue };
            let boot = BootTime { at: UnixMs(offset_ms), error_ms };
            if boot.date(stored.head.until) < window.0 || boot.date(stored.head.from) >= window.1 {
                continue;
            }
            match stored.flat_batch() {
                Ok(batch) => {
                    let values: usize = batch.samples.iter().map(|sample| size_of_val(sample.values)).sum();
                    decoded_bytes += values + batch.samples.count() * SAMPLE_BYTES;
                    let (batch, table) = (Arc::new(batch), Arc::clone(&stored.table));
                    found.sightings.push(Sighting { boot, batch, table, vantage: false });
                    found.received.push(stored.received_at);
                }
                Err(error) => tracing::error!(position = stored.position.0, %error, "a batch in the log is damaged and left out"),
            }
        }
        Ok(found)
    }

    /// Reads what lives of a site's agents saw that nobody can date and that may lie in a window.
    fn undated(&self, dating: &Dating, site: &str, window: (UnixMs, UnixMs)) -> Result<Vec<Undated>, BuildError> {
        let mut found = Vec::new();
        for boot in dating.undated(site, window.0, window.1) {
            let mut found_batches = Vec::new();
            for stored in self.log.site_range(site, std::slice::from_ref(&boot.range), ROOM_OF_SITE.frame_bytes)? {
                let is_of_it = stored.agent() == boot.agent && dating.offset(&stored.head, stored.received_at).is_none();
                if let Some(batch) = stored.flat_batch().ok().filter(|_| is_of_it) {
                    found_batches.push((Arc::new(batch), Arc::clone(&stored.table)));
                }
            }
            let Some(last) = found_batches.iter().map(|(batch, _)| batch.until).max() else { continue };
            let over_by = boot.over_by.map(|over| over.0.saturating_sub(i64::try_from(last.0).unwrap_or(i64::MAX)));
            let most_offset_ms = over_by.unwrap_or(boot.most_offset_ms);
            let placed = BootTime { at: UnixMs(most_offset_ms), error_ms: 0 };
            let first = found_batches.iter().map(|(batch, _)| batch.from).min().unwrap_or(last);
            found.push(Undated {
                agent: boot.agent,
                latest: (placed.date(first), placed.date(last)),
                not_before: boot.least_offset_ms.map(|least| BootTime { at: UnixMs(least), error_ms: 0 }.date(first)),
                sightings: found_batches
                    .into_iter()
                    .map(|(batch, table)| Sighting { boot: placed, batch, table, vantage: false })
                    .collect(),
            });
        }
        Ok(found)
    }

    /// Reads what vantages saw of a site; whoever the registry of the day does not let speak about it is not heard.
    fn seen_from_outside(&mut self, of: &Subject<'_>, window: (UnixMs, UnixMs)) -> Result<Vec<Sighting>, BuildError> {
        let site = of.inventory.site(of.site).code.as_str();
        let vantages: Vec<String> = self.store.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT vantage_code FROM vantages WHERE site_code = ?1 ORDER BY vantage_code")?;
            let rows = statement.query_map([site], |row| row.get(0))?;
            Ok::<_, StoreError>(rows.collect::<Result<_, _>>()?)
        })?;
        let may_speak =
            |vantage: &String| of.inventory.site_by_code(vantage).is_some_and(|from| of.inventory.may_speak_about(from, of.site));
        self.room = ROOM_OF_VANTAGE;
        let mut out = Vec::new();
        for vantage in vantages.into_iter().filter(may_speak) {
            let known = self.from_outside.iter().position(|one| one.vantage == vantage && one.window == window);
            let place = match known {
                Some(place) => place,
                None => {
                    let seen = self.read(&self.dating(&vantage)?, &vantage, window)?.sightings;
                    self.from_outside.truncate(VANTAGES - 1);
                    self.from_outside.insert(0, FromOutside { vantage, window, by_site: by_site(&seen) });
                    0
                }
            };
            out.extend(self.from_outside[place].by_site.get(site).into_iter().flatten().cloned());
        }
        Ok(out)
    }
}

/// Tells whether one end of a silence, its last sample before or its first after, reaches the day of the other. The days of a
/// longer one are not built when it ends, so they must not depend on its ends.
fn reaches(last: UnixMs, first: UnixMs) -> bool {
    let reach = i64::from(REACH_DAYS) * STEP_MS;
    last.0 >= Day::of(first).start().0 - LEAD_IN_MS - reach || first.0 < Day::of(last).end().0 + LOOK_AHEAD_MS + reach
}

fn step_back(end: UnixMs, k: i64) -> (UnixMs, UnixMs) {
    (UnixMs(end.0 - (k + 1) * STEP_MS), UnixMs(end.0 - k * STEP_MS))
}

fn step_on(start: UnixMs, k: i64) -> (UnixMs, UnixMs) {
    (UnixMs(start.0 + k * STEP_MS), UnixMs(start.0 + (k + 1) * STEP_MS))
}

/// Lists when samples of a window were observed, as they come.
fn times(sightings: &[Sighting], window: (UnixMs, UnixMs)) -> impl Iterator<Item = UnixMs> {
    sightings
        .iter()
        .flat_map(|sighting| sighting.batch.samples.iter().map(|sample| sighting.boot.date(sample.at)))
        .filter(move |at| window.0 <= *at && *at < window.1)
}

/// Digests what the silent days around a day lean on: its first and its last quarter of an hour of samples.
fn digests(sightings: &[Sighting], day: (UnixMs, UnixMs)) -> Digests {
    let (Some(first), Some(last)) = (times(sightings, day).min(), times(sightings, day).max()) else {
        return Digests { head: 0, tail: 0 };
    };
    let (head_end, tail_start) = (UnixMs(first.0 + EDGE_MS), UnixMs(last.0 - EDGE_MS));
    let watches = Watches::of(sightings);
    let edges = watches.in_order(|at| day.0 <= at && at < day.1 && (at < head_end || at >= tail_start));
    let digest = |within: &dyn Fn(UnixMs) -> bool| {
        edges.iter().filter(|sighted| within(sighted.at)).fold(FNV_OFFSET, |hash, sighted| {
            let (watch, outcome) = (sighted.watch, sighted.sample.outcome);
            let parts = [sighted.at.0 as u64, watch.source.0, u64::from(outcome.code()), u64::from(watch.series.rung.code())];
            parts.iter().fold(hash, |hash, part| (hash ^ part).wrapping_mul(FNV_PRIME))
        })
    };
    let head = digest(&|at| at < head_end);
    let tail = digest(&|at| at >= tail_start);
    Digests { head: (head | 1).cast_signed(), tail: (tail | 1).cast_signed() }
}

/// FNV-1a, 64 bits: it tells a change, it defends against nothing.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Parts what a vantage saw by the site it looked at.
fn by_site(seen: &[Sighting]) -> HashMap<String, Vec<Sighting>> {
    let mut parts: HashMap<String, Vec<Sighting>> = HashMap::new();
    for sighting in seen {
        let mut of_batch: HashMap<&str, Samples> = HashMap::new();
        for sample in sighting.batch.samples.iter() {
            let series = sighting.table.series.get(usize::from(sample.series.0));
            if let Some(series) = series.filter(|series| !series.towards.is_empty()) {
                of_batch.entry(&series.towards).or_default().push(sample);
            }
        }
        for (site, samples) in of_batch {
            let batch = Arc::new(sighting.batch.with_samples(samples));
            parts.entry(site.to_owned()).or_default().push(Sighting { batch, vantage: true, ..sighting.clone() });
        }
    }
    parts
}
