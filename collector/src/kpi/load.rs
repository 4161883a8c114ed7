//! Reads the facts of a window from the state database.
//!
//! A day belongs to the version in force when it began. Read `as_was`, each version's days make a section of their own;
//! read `as_is`, all days are laid on today's map. What has no row was never measured and stays unknown, up to now.
//!
//! Whole days are read from their sums; a day the window cuts is read from its timeline, second by second.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rusqlite::Connection;
use rusta_wire::{Metric, UnixMs};

use super::alerts;
use super::dated::dated;
use super::definitions::Definitions;
use super::expected;
use super::facts::{Affected, Facts, LinkFacts, OutageFact, Reports, Rounds, Section, ServiceFact, VillageSeconds};
use super::figure::Status;
use super::renamed::Renamed;
use crate::day::Day;
use crate::history::{self, Histogram, Object, ObjectKind, Place, SLOT_MS, StateSeconds, Values, tables};
use crate::inventory::assignment::SERVICE_PREFIX;
use crate::inventory::{Inventory, LinkId, RegionId, RegionKind, SiteId, Versions};
use crate::persian::{Period, Window};
use crate::store::StoreError;

/// Which map history is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum View {
    /// Each day on the map of its time: what was published.
    #[default]
    AsWas,
    /// All days on today's map: trends.
    AsIs,
}

/// Late data may come until this long after a window's end.
const SETTLES_AFTER_MS: i64 = 72 * 3_600_000;
/// A county is new for this long.
const YOUNG_MS: i64 = 36 * 30 * 86_400_000;

/// Reads the facts of a period.
///
/// # Errors
/// What the database says.
pub fn facts(db: &Connection, versions: &Versions, period: Period, view: View, now: UnixMs) -> Result<Facts, StoreError> {
    let window = period.window(now);
    // Before the first version held, nothing was in service.
    let first = versions.first_from().map_or(window.from, |first| UnixMs::from_seconds(first.seconds()));
    let served = Window { from: first.max(window.from).min(window.until), until: window.until };
    let parts = parts(versions, served);
    let last = UnixMs(window.until.0 - 1).min(now);
    let today = dated(versions, versions.at(now), last);
    let mut sections: Vec<Section> = match view {
        _ if parts.is_empty() => vec![Section::outside(versions.at(window.from), window.until)],
        View::AsWas => {
            parts.iter().map(|part| start(dated(versions, Arc::clone(&part.inventory), last), part.window, served, now)).collect()
        }
        View::AsIs => vec![start(Arc::clone(&today), served, served, now)],
    };
    let before = u64::try_from(served.from.seconds() - window.from.seconds()).unwrap_or(0);
    sections.first_mut().into_iter().filter(|_| before > 0).for_each(|section| section.add_before(before));
    let renamed = Renamed::of(versions);
    for (at, part) in parts.iter().enumerate() {
        let (section, lineage) = match view {
            View::AsWas => (&mut sections[at], None),
            View::AsIs => (&mut sections[0], Some(versions.lineage(&part.inventory, &today))),
        };
        let (mut days, mut cut) = whole_and_cut(part.days.clone(), part.window);
        // Of a day that has not got further than the window there is nothing to cut off.
        if let Some((day, inside)) = cut.last().copied().filter(|(day, inside)| *day == days.end && inside.from == day.start())
            && tables::built_until(db, day)?.is_none_or(|until| until <= inside.until)
        {
            cut.pop();
            days.end = day.next();
        }
        let (from, window) = (&*part.inventory, part.window);
        Reader { db, from, lineage, renamed: &renamed, section, days, cut, window, reported: HashMap::new() }.read()?;
    }
    for at in 1..sections.len() {
        sections[at - 1].next = versions.lineage(&sections[at - 1].inventory, &sections[at].inventory);
    }
    sections.iter_mut().for_each(|section| section.young_counties = young_counties(versions, section));
    let status = match published(db, period)? {
        _ if now <= window.until => Status::Live,
        Some(revision) => Status::Revision(revision),
        None => Status::Provisional,
    };
    Ok(Facts {
        period,
        window,
        read_at: now,
        status,
        sections,
        alerts: alerts::load(db, window)?,
        definitions: Definitions::load(db)?,
        whole: Default::default(),
    })
}

/// Returns the newest revision a period's report was published in; `None` before it was, and while the registry has changed what
/// was published and the next revision waits for a person.
///
/// # Errors
/// What the database says.
pub(super) fn published(db: &Connection, period: Period) -> Result<Option<u32>, StoreError> {
    let sql = "SELECT max(revision) FROM reports r WHERE period = ?1
               AND NOT EXISTS (SELECT 1 FROM reports_held h WHERE h.period = r.period)";
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.query_row([period.to_string()], |row| row.get(0))?)
}

/// Tells whether late data for a window may still come.
pub fn is_settled(window: Window, now: UnixMs) -> bool {
    now.0 >= window.until.0 + SETTLES_AFTER_MS
}

struct Part {
    inventory: Arc<Inventory>,
    days: Range<Day>,
    window: Window,
}

/// Splits days into those a window holds whole and those it cuts, each with what of it is inside.
fn whole_and_cut(days: Range<Day>, window: Window) -> (Range<Day>, Vec<(Day, Window)>) {
    let inside = |day: Day| Window { from: day.start().max(window.from), until: day.end().min(window.until) };
    let is_cut = |day: Day| inside(day) != Window { from: day.start(), until: day.end() };
    let mut whole = days;
    let mut cut = Vec::new();
    if !whole.is_empty() && is_cut(whole.start) {
        cut.push((whole.start, inside(whole.start)));
        whole.start = whole.start.next();
    }
    if !whole.is_empty() && is_cut(whole.end.previous()) {
        whole.end = whole.end.previous();
        cut.push((whole.end, inside(whole.end)));
    }
    (whole, cut)
}

/// Cuts a window into runs of days with one version each.
fn parts(versions: &Versions, window: Window) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    if window.from >= window.until {
        return parts;
    }
    let (mut day, end) = (Day::of(window.from), Day::of(UnixMs(window.until.0 - 1)).next());
    while day < end {
        let inventory = versions.at(day.start());
        let (from, until) = (day.start().max(window.from), day.end().min(window.until));
        match parts.last_mut().filter(|part| part.inventory.version == inventory.version) {
            Some(part) => (part.days.end, part.window.until) = (day.next(), until),
            None => parts.push(Part { inventory, days: day..day.next(), window: Window { from, until } }),
        }
        day = day.next();
    }
    parts
}

/// Starts a section with everything unknown up to now.
fn start(inventory: Arc<Inventory>, part: Window, whole: Window, now: UnixMs) -> Section {
    let until = UnixMs(part.until.0.min(now.0.max(part.from.0)));
    let mut section = Section::unknown(inventory, Window { from: part.from, until });
    let length = |window: Window| (window.until.0.min(now.0.max(window.from.0)) - window.from.0).max(1) as f64;
    section.share = length(part) / length(whole);
    section
}

fn young_counties(versions: &Versions, section: &Section) -> Vec<RegionId> {
    let (inventory, end) = (&section.inventory, section.window.until);
    let before = versions.at(UnixMs(end.0 - YOUNG_MS));
    // Where the registry does not reach back that far, the first version's counties are not new.
    let is_new = |code: &str| before.version != inventory.version && before.region_by_code(code).is_none();
    let counties = (0..).map(RegionId).zip(&inventory.regions).filter(|(_, r)| r.kind == RegionKind::County);
    counties.filter(|(_, r)| is_new(&r.code)).map(|(id, _)| id).collect()
}

/// Where a metric's values are kept.
type PlaceOf = fn(&mut Rounds) -> &mut Histogram;

/// Which metrics' values are read, and where they go.
const KEPT: &[(Metric, PlaceOf)] = &[
    (Metric::RttUsP50, |r| &mut r.rtt_us),
    (Metric::PdvUsP95, |r| &mut r.pdv_us),
    (Metric::IpdvUsMean, |r| &mut r.ipdv_us),
    (Metric::Rat, |r| &mut r.generation),
    (Metric::RsrpDbm, |r| &mut r.rsrp_dbm),
    (Metric::SinrCb, |r| &mut r.sinr_cb),
    (Metric::DownloadBps, |r| &mut r.download_bps),
    (Metric::UploadBps, |r| &mut r.upload_bps),
];

fn learn_values(rounds: &mut Rounds, values: &Values) {
    let (sent, received) = values.packets;
    rounds.sent += sent;
    rounds.lost += sent.saturating_sub(received);
    rounds.slots += values.quality.0;
    rounds.good_slots += values.quality.1;
    rounds.packet_rtt_us.merge(&values.rtt_us);
    rounds.packet_pdv_us.merge(&values.pdv_us);
}

fn learn_histograms(rounds: &mut Rounds, histograms: &BTreeMap<Metric, Histogram>) {
    for (metric, place) in KEPT {
        histograms.get(metric).into_iter().for_each(|histogram| place(rounds).merge(histogram));
    }
}

struct Reader<'a> {
    db: &'a Connection,
    /// The map the rows speak of.
    from: &'a Inventory,
    /// Where its regions are on the section's map, if that is another.
    lineage: Option<Vec<Option<RegionId>>>,
    renamed: &'a Renamed,
    section: &'a mut Section,
    /// Whole days.
    days: Range<Day>,
    /// Days the window cuts, with what of each is inside.
    cut: Vec<(Day, Window)>,
    window: Window,
    /// By site: the reporting interval, in seconds, and what was reported.
    reported: HashMap<String, (u32, history::Reports)>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<(), StoreError> {
        for kind in ObjectKind::ALL {
            for (object, seconds) in tables::sums(self.db, *kind, self.days.clone())? {
                self.learn(&object, seconds);
            }
        }
        for (day, inside) in self.cut.clone() {
            for (object, seconds) in tables::sums_within(self.db, day, inside.from, inside.until)? {
                self.learn(&object, seconds);
            }
        }
        self.rounds()?;
        self.services()?;
        self.slots()?;
        self.reports()?;
        self.outages()
    }

    /// Adds what was counted of an object and takes it off what was unknown.
    fn learn(&mut self, object: &Object, counted: StateSeconds) {
        let place = match object.kind {
            ObjectKind::Link => self.link_facts(object).map(|facts| &mut facts.state),
            ObjectKind::Site => self.site(&object.code).and_then(|id| self.section.sites[id.index()].as_mut()),
            ObjectKind::Village => self.village_seconds(&object.code).map(|village| &mut village.state),
            ObjectKind::VillageNin => self.village_seconds(&object.code).map(|village| &mut village.nin),
            ObjectKind::VillageMobile => self.village_seconds(&object.code).map(|village| &mut village.mobile_public),
            ObjectKind::VillageDehyari => self.village_seconds(&object.code).map(|village| &mut village.dehyari_uplink),
            // A part of what was counted already: nothing unknown becomes known by it.
            ObjectKind::LinkShortNotice => {
                return self.link_facts(object).into_iter().for_each(|facts| facts.short_notice += counted);
            }
            ObjectKind::SiteShortNotice => {
                return self.site(&object.code).into_iter().for_each(|id| self.section.short_notice[id.index()] += counted);
            }
        };
        if let Some(known) = place {
            let unknown = known.unknown.saturating_sub(counted.total()) + counted.unknown;
            *known += StateSeconds { unknown: 0, ..counted };
            known.unknown = unknown;
        }
    }

    fn rounds(&mut self) -> Result<(), StoreError> {
        for (object, values) in tables::packets(self.db, self.days.clone())? {
            self.rounds_of(&object).into_iter().for_each(|rounds| learn_values(rounds, &values));
        }
        for (object, values) in tables::all_values(self.db, self.days.clone())? {
            if let Some(rounds) = self.rounds_of(&object) {
                learn_histograms(rounds, &values);
            }
        }
        let days = self.all_days();
        for (object, plan) in tables::plans(self.db, days)? {
            let is_inside = self.window.from <= plan.at && plan.at < self.window.until;
            if let Some(rounds) = self.rounds_of(&object).filter(|_| is_inside) {
                rounds.plan = Some(plan);
            }
        }
        Ok(())
    }

    fn services(&mut self) -> Result<(), StoreError> {
        for (site, targets) in tables::rounds(self.db, self.days.clone())? {
            targets.into_iter().for_each(|(target, rounds)| self.learn_service(&site, &target, rounds));
        }
        Ok(())
    }

    fn learn_service(&mut self, site: &str, target: &str, rounds: history::Rounds) {
        let (Some(site), Some(service)) = (self.site(site), target.strip_prefix(SERVICE_PREFIX)) else { return };
        self.section.services.get_or_insert_with(Vec::new).push(ServiceFact {
            service: service.to_owned(),
            site,
            attempts: rounds.attempts,
            ok: rounds.successes,
            attempts_up: rounds.attempts_while_up,
            ok_up: rounds.successes_while_up,
            latency_us: rounds.latency_us,
        });
    }

    /// Reads what was measured inside the cut days from their slots: a slot belongs to the window its start lies in.
    fn slots(&mut self) -> Result<(), StoreError> {
        let db = self.db;
        for (day, inside) in self.cut.clone() {
            let is_inside = |place: Place| {
                let at = day.start().0 + i64::from(place) * SLOT_MS;
                inside.from.0 <= at && at < inside.until.0
            };
            history::slot_sums_on(db, day, is_inside, |site, sums| {
                for (name, values) in &sums.links {
                    if let Some(rounds) = self.rounds_of(&Object::link(site, name)) {
                        learn_values(rounds, values);
                        learn_histograms(rounds, &values.histograms);
                    }
                }
                sums.services.into_iter().for_each(|(target, rounds)| self.learn_service(site, &target, rounds));
                self.reported.entry(site.to_owned()).or_default().1.add(&sums.reports);
            })?;
        }
        Ok(())
    }

    /// Compares what agents reported with what the schedule of each asks for in this part of the window.
    fn reports(&mut self) -> Result<(), StoreError> {
        for (site, interval_s) in tables::intervals(self.db, self.all_days())? {
            self.reported.entry(site).or_default().0 = interval_s;
        }
        for (site, reports) in tables::reports(self.db, self.days.clone())? {
            self.reported.entry(site).or_default().1.add(&reports);
        }
        let inside = Window { from: self.window.from, until: self.window.until.min(self.section.window.until) };
        let asked_s = expected::seconds_in_service(&expected::enrolments(self.db)?, inside);
        let sites: Vec<String> = asked_s.keys().chain(self.reported.keys()).cloned().collect::<HashSet<_>>().into_iter().collect();
        for code in sites {
            let Some(id) = self.site(&code) else { continue };
            let (interval_s, reported) = self.reported.remove(&code).unwrap_or_default();
            let interval_s = match interval_s {
                0 => expected::interval_s(self.db, &self.section.inventory, id, self.all_days().start)?,
                shown => shown,
            };
            let interval_s = u64::from(interval_s);
            let received = reported.covered_ms / 1000 / interval_s;
            let known = Reports {
                // A report that arrived was expected, whatever the registry of agents says of its time.
                expected: (asked_s.get(&code).copied().unwrap_or(0) / interval_s).max(received),
                received,
                on_time: reported.on_time_ms / 1000 / interval_s,
                lag_s: reported.lag_s,
                skew_ms: reported.skew_ms,
                late: reported.late,
            };
            let count = self.section.inventory.sites.len();
            let all = self.section.reports.get_or_insert_with(|| vec![None; count]);
            all[id.index()].get_or_insert_default().add(&known);
        }
        Ok(())
    }

    /// Returns every day that touches the window, whole or cut.
    fn all_days(&self) -> Range<Day> {
        let first = self.cut.iter().map(|(day, _)| *day).chain([self.days.start]).min().unwrap_or(self.days.start);
        let last = self.cut.iter().map(|(day, _)| day.next()).chain([self.days.end]).max().unwrap_or(self.days.end);
        first..last
    }

    fn outages(&mut self) -> Result<(), StoreError> {
        let held = alerts::held_links(self.db, self.window)?;
        for kind in [ObjectKind::Link, ObjectKind::Site, ObjectKind::Village] {
            for mut outage in tables::outages(self.db, kind, self.window.from, self.window.until)? {
                if kind == ObjectKind::Village {
                    self.renamed.join(&mut outage, self.db)?;
                }
                let of = match kind {
                    ObjectKind::Link => self.link(&outage.object).map(Affected::Link),
                    ObjectKind::Site => self.site(&outage.object.code).map(Affected::Site),
                    _ => self.village(&outage.object.code).map(Affected::Village),
                };
                // On one map an outage that crosses a change of versions is found twice.
                let known = |fact: &OutageFact| Some(fact.of) == of && fact.started_at == outage.started_at;
                let held = held.get(&(outage.object.code, outage.object.link)).into_iter().flatten();
                let held = held.copied().find(|held| kind == ObjectKind::Link && held.is_about(outage.started_at, outage.ended_at));
                if let Some(of) = of.filter(|_| !self.section.outages.iter().rev().take(64).any(known)) {
                    self.section.outages.push(OutageFact {
                        of,
                        started_at: outage.started_at,
                        ended_at: outage.ended_at,
                        ended: outage.ended,
                        seen_until: outage.ended_at.or(outage.seen_until).unwrap_or(self.section.window.until),
                        bounds: outage.evidence.bounds,
                        cause: outage.cause.map(|cause| cause.rung),
                        detected_at: held.map(|held| held.detected_at),
                        acknowledged_at: held.and_then(|held| held.acknowledged_at),
                        work: outage.work,
                    });
                }
            }
        }
        Ok(())
    }

    fn village(&self, code: &str) -> Option<RegionId> {
        let id = self.from.region_by_code(code)?;
        match &self.lineage {
            Some(lineage) => lineage[id.index()],
            None => Some(id),
        }
    }

    fn village_seconds(&mut self, code: &str) -> Option<&mut VillageSeconds> {
        let id = self.village(code)?;
        self.section.villages[id.index()].as_mut()
    }

    fn site(&self, code: &str) -> Option<SiteId> {
        self.section.inventory.site_by_code(code)
    }

    fn link(&self, object: &Object) -> Option<LinkId> {
        self.section.inventory.link_by_name(self.site(&object.code)?, &object.link)
    }

    fn link_facts(&mut self, object: &Object) -> Option<&mut LinkFacts> {
        let id = self.link(object)?;
        self.section.links[id.index()].as_mut()
    }

    fn rounds_of(&mut self, object: &Object) -> Option<&mut Rounds> {
        Some(self.link_facts(object)?.rounds.get_or_insert_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Draft;
    use crate::kpi::{Ask, Weight, by_id, compute};
    use crate::store::Store;

    fn map(version: u32, from: &str, split: bool) -> Arc<Inventory> {
        let mut draft = Draft::default();
        draft.region("p", RegionKind::Province, "");
        draft.region("a", RegionKind::County, "p");
        draft.region("v1", RegionKind::Village, "a").households = Some(10);
        if split {
            draft.region("b", RegionKind::County, "p");
            let moved = draft.region("w2", RegionKind::Village, "b");
            (moved.households, moved.previous_code) = (Some(30), Some("v2".to_owned()));
        } else {
            draft.region("v2", RegionKind::Village, "a").households = Some(30);
        }
        Arc::new(draft.build(version, crate::inventory::dates::moment(from).unwrap()).unwrap().inventory)
    }

    fn row(db: &rusqlite::Transaction<'_>, code: &str, date: &str, up: u32, down: u32) {
        let day = Day::of(crate::inventory::dates::moment(date).unwrap());
        db.execute("INSERT OR IGNORE INTO objects (kind, code, link) VALUES (3, ?1, '')", [code]).unwrap();
        let sql = "INSERT INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
                   SELECT 3, ?1, id, ?2, 0, ?3, 0, 0, 0 FROM objects WHERE kind = 3 AND code = ?4";
        db.execute(sql, (day.0, up, down, code)).unwrap();
    }

    #[test]
    fn days_are_read_on_the_map_of_their_time_or_on_todays_and_missing_days_are_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .write(|tx| {
                row(tx, "v1", "1405-07-14", 86_400, 0);
                row(tx, "v2", "1405-07-14", 86_400, 0);
                row(tx, "w2", "1405-07-15", 0, 86_400);
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let versions = Versions::new(vec![map(1, "1405-01-01", false), map(2, "1405-07-15", true)]);
        let now = crate::inventory::dates::moment("1405-09-01").unwrap();
        let read = |view| store.read(|tx| facts(tx, &versions, "1405-07".parse().unwrap(), view, now)).unwrap();
        let kpi = by_id("connected_share_period").unwrap();
        let share = |facts: &Facts, region: &str| {
            let figure = compute(kpi, facts, Ask { region: Some(region), ..Ask::default() }).remove(0);
            (figure.numerator, figure.denominator, figure.unknown)
        };
        let was = read(View::AsWas);
        assert_eq!(was.sections.len(), 2);
        assert_eq!(share(&was, "a"), (172_800.0, 172_800.0, f64::from(86_400 * (28 + 16 - 2))));
        assert_eq!(share(&was, "b"), (0.0, 86_400.0, f64::from(86_400 * 15)));
        let is = read(View::AsIs);
        assert_eq!(share(&is, "a"), (86_400.0, 86_400.0, f64::from(86_400 * 29)));
        assert_eq!(share(&is, "b"), (86_400.0, 172_800.0, f64::from(86_400 * 28)), "all days of the village on today's map");
        assert_eq!(share(&was, "p").0, share(&is, "p").0);
        assert_eq!(share(&was, "p").2, share(&is, "p").2);
    }

    #[test]
    fn an_outage_that_goes_on_under_a_new_code_interrupts_its_households_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let moment = |text: &str| crate::inventory::dates::moment(text).unwrap().0;
        let (began, split, ended) = (moment("1405-07-14 23:58"), moment("1405-07-15"), moment("1405-07-15 01:00"));
        let outage = |tx: &rusqlite::Transaction<'_>, code: &str, from: i64, until: Option<i64>| {
            tx.execute("INSERT INTO objects (kind, code, link) VALUES (3, ?1, '')", [code]).unwrap();
            let sql = "INSERT INTO outages (object, started_at, ended_at, restored, confidence, evidence, revision)
                       SELECT id, ?1, ?2, ?2 IS NOT NULL, 0, '[]', 1 FROM objects WHERE code = ?3";
            tx.execute(sql, (from, until, code)).unwrap();
        };
        store
            .write(|tx| {
                outage(tx, "v2", began, None);
                outage(tx, "w2", split, Some(ended));
                outage(tx, "v1", split, Some(ended));
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let versions = Versions::new(vec![map(1, "1405-01-01", false), map(2, "1405-07-15", true)]);
        let now = UnixMs(moment("1405-09-01"));
        let figure = |id: &str, period: &str, view, region: &str| {
            let facts = store.read(|tx| facts(tx, &versions, period.parse().unwrap(), view, now)).unwrap();
            let ask = Ask { region: Some(region), weight: Weight::Household, ..Ask::default() };
            compute(by_id(id).unwrap(), &facts, ask).remove(0).numerator
        };
        let month = |id: &str, view, region: &str| figure(id, "1405-07", view, region);
        // Two minutes of it lie before the split: it counts there, with its whole length.
        assert_eq!([month("saifi", View::AsWas, "a"), month("saifi", View::AsWas, "b")], [10.0 + 30.0, 0.0]);
        assert_eq!([month("saidi", View::AsWas, "a"), month("saidi", View::AsWas, "b")], [10.0 * 60.0 + 30.0 * 2.0, 30.0 * 60.0]);
        assert_eq!([month("saifi", View::AsIs, "a"), month("saifi", View::AsIs, "b")], [10.0, 30.0]);
        assert_eq!([month("saidi", View::AsIs, "a"), month("saidi", View::AsIs, "b")], [10.0 * 60.0, 30.0 * 62.0]);
        assert_eq!(figure("saifi", "1405-07-15", View::AsWas, "p"), 10.0, "it did not begin on the day of the split");
    }

    #[test]
    fn an_outage_that_lasts_is_counted_as_far_as_history_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let moment = |text: &str| crate::inventory::dates::moment(text).unwrap();
        store
            .write(|tx| {
                tx.execute("INSERT INTO objects (kind, code, link) VALUES (3, 'v1', '')", [])?;
                let sql = "INSERT INTO outages (object, started_at, confidence, evidence, revision, seen_until)
                           SELECT id, ?1, 0, '[]', 1, ?2 FROM objects";
                tx.execute(sql, (moment("1405-07-14 10:00").0, moment("1405-07-14 11:00").0))?;
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let versions = Versions::new(vec![map(1, "1405-01-01", false)]);
        let now = moment("1405-07-14 15:00");
        let facts = store.read(|tx| facts(tx, &versions, "1405-07-14".parse().unwrap(), View::AsWas, now)).unwrap();
        let of = |id: &str| compute(by_id(id).unwrap(), &facts, Ask { region: Some("p"), ..Ask::default() }).remove(0).numerator;
        assert_eq!(of("outage_minutes_by_cause"), 60.0, "four hours of which nothing is known were counted as down");
        let saidi = Ask { region: Some("p"), weight: Weight::Household, ..Ask::default() };
        assert_eq!(compute(by_id("saidi").unwrap(), &facts, saidi).remove(0).numerator, 600.0);
    }

    #[test]
    fn the_rest_of_a_running_month_is_not_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let versions = Versions::new(vec![map(1, "1405-01-01", false)]);
        let now = crate::inventory::dates::moment("1405-07-03 12:00").unwrap();
        let facts = store.read(|tx| facts(tx, &versions, "1405-07".parse().unwrap(), View::AsWas, now)).unwrap();
        assert_eq!(facts.status, Status::Live);
        let figure = compute(by_id("connected_share_period").unwrap(), &facts, Ask { region: Some("p"), ..Ask::default() }).remove(0);
        assert_eq!(figure.unknown, f64::from(2 * (2 * 86_400 + 43_200)));
    }

    #[test]
    fn days_before_the_first_version_are_not_in_service() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .write(|tx| {
                // Data of before the registry, and of after it.
                row(tx, "v1", "1405-07-10", 0, 86_400);
                row(tx, "v1", "1405-07-21", 86_400, 0);
                row(tx, "v2", "1405-07-21", 86_400, 0);
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let versions = Versions::new(vec![map(1, "1405-07-21", false)]);
        let now = crate::inventory::dates::moment("1405-09-01").unwrap();
        let read = |period: &str, view| store.read(|tx| facts(tx, &versions, period.parse().unwrap(), view, now)).unwrap();
        let figure = |facts: &Facts, id: &str| compute(by_id(id).unwrap(), facts, Ask { region: Some("p"), ..Ask::default() }).remove(0);
        for view in [View::AsWas, View::AsIs] {
            // Ten days of two villages, of which two days are known: the twenty days before are nobody's.
            let month = read("1405-07", view);
            let share = figure(&month, "connected_share_period");
            assert_eq!((share.numerator, share.denominator, share.unknown), (172_800.0, 172_800.0, f64::from(86_400 * 18)));
            assert_eq!(month.sections[0].villages.iter().flatten().map(|v| v.state.not_in_service).sum::<u64>(), 2 * 20 * 86_400);
            assert_eq!(month.seconds_in_service(), 864_000.0);
            let before = read("1405-06", view);
            let share = figure(&before, "connected_share_period");
            assert_eq!((share.unknown, share.standing), (0.0, crate::kpi::Standing::Empty));
            assert_eq!(figure(&before, "villages_connected_month").standing, crate::kpi::Standing::Empty, "nor are they unmeasured");
        }
    }

    #[test]
    fn a_household_count_holds_from_its_day() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let counted = |version: u32, from: &str, households: u32, as_of: &str| {
            let mut draft = Draft::default();
            draft.region("p", RegionKind::Province, "");
            draft.region("c", RegionKind::County, "p");
            let village = draft.region("v", RegionKind::Village, "c");
            (village.households, village.households_as_of) = (Some(households), Some(as_of.to_owned()));
            Arc::new(draft.build(version, crate::inventory::dates::moment(from).unwrap()).unwrap().inventory)
        };
        let now = crate::inventory::dates::moment("1405-09-01").unwrap();
        let banded = |versions: Vec<Arc<Inventory>>, id: &str, view| {
            let versions = Versions::new(versions);
            let facts = store.read(|tx| facts(tx, &versions, "1405-08".parse().unwrap(), view, now)).unwrap();
            compute(by_id(id).unwrap(), &facts, Ask { region: Some("p"), ..Ask::default() }).remove(0).unknown
        };
        for view in [View::AsWas, View::AsIs] {
            let census = || counted(1, "1405-01-01", 12, "2016-10-22");
            let early = || vec![census(), counted(2, "1405-02-01", 25, "2030-01-01")];
            assert_eq!(banded(early(), "nin_share_10_19", view), 1.0, "the last count whose day has come");
            assert_eq!(banded(early(), "nin_share_20plus", view), 0.0);
            let held = vec![census(), counted(2, "1405-02-01", 25, "2026-03-21")];
            assert_eq!(banded(held, "nin_share_20plus", view), 1.0);
            let alone = vec![counted(1, "1405-01-01", 25, "2030-01-01")];
            assert_eq!(banded(alone, "nin_share_20plus", view), 0.0, "nobody counted yet");
        }
    }

    #[test]
    fn a_silent_site_is_expected_at_the_pace_it_showed_last() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let moment = |text: &str| crate::inventory::dates::moment(text).unwrap();
        let mut draft = Draft::default();
        draft.region("p", RegionKind::Province, "");
        draft.region("c", RegionKind::County, "p");
        draft.region("v", RegionKind::Village, "c").households = Some(10);
        draft.site("s", crate::inventory::SiteKind::Village, "v");
        let versions = Versions::new(vec![Arc::new(draft.build(1, moment("1405-01-01")).unwrap().inventory)]);
        store
            .write(|tx| {
                tx.execute("INSERT INTO objects (kind, code, link) VALUES (2, 's', '')", [])?;
                let sql = "INSERT INTO daily_reports (day, object, interval_s, covered_s, on_time_s, lag_s, skew_ms)
                           SELECT ?1, id, 300, 86400, 86400, x'', x'' FROM objects";
                tx.execute(sql, [Day::of(moment("1405-08-10")).0])?;
                let enrol = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, 's', ?1, ?2, 0)";
                tx.execute(enrol, ("0000000000000001", moment("1405-08-01").0))?;
                // The same router replaced at noon of the day before; nobody revoked the old one.
                tx.execute(enrol, ("0000000000000002", moment("1405-08-11 12:00").0))?;
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let facts =
            |period: &str| store.read(|tx| facts(tx, &versions, period.parse().unwrap(), View::AsWas, moment("1405-09-01"))).unwrap();
        let expected = |period: &str| facts(period).sections[0].reports.as_ref().unwrap()[0].as_ref().unwrap().expected;
        assert_eq!(expected("1405-08-12"), 288, "a silent reporter of every five minutes, one device in service");
        assert_eq!(expected("1405-08-11"), 288, "half a day of each");
        assert_eq!(expected("1405-08-05"), 1_440, "before it showed a pace: every minute");
    }
}
