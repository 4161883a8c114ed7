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
use super::definitions::Definitions;
use super::facts::{Affected, Facts, LinkFacts, OutageFact, Reports, Rounds, Section, ServiceFact, VillageSeconds};
use super::figure::Status;
use super::renamed::Renamed;
use crate::day::Day;
use crate::history::{self, Ended, Histogram, Object, ObjectKind, Place, SLOT_MS, StateSeconds, Values, tables};
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
    let parts = parts(versions, window);
    let today = versions.at(now);
    let mut sections: Vec<Section> = match view {
        View::AsWas => parts.iter().map(|part| start(Arc::clone(&part.inventory), part.window, window, now)).collect(),
        View::AsIs => vec![start(Arc::clone(&today), window, window, now)],
    };
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
    let status = if now <= window.until { Status::Live } else { Status::Provisional };
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

/// The agent's reporting interval if nothing else is configured.
const USUAL_INTERVAL_S: u32 = 60;

fn learn_values(rounds: &mut Rounds, values: &Values) {
    let (sent, received) = values.packets;
    rounds.sent += sent;
    rounds.lost += sent.saturating_sub(received);
    rounds.slots += values.quality.0;
    rounds.good_slots += values.quality.1;
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
        let mut statement = self.db.prepare_cached("SELECT site_code, enrolled_at, revoked_at FROM agents")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, UnixMs(row.get(1)?), row.get::<_, Option<i64>>(2)?.map(UnixMs))))?;
        let until = self.window.until.min(self.section.window.until);
        let mut asked_s: HashMap<String, u64> = HashMap::new();
        for row in rows {
            let (site, enrolled, revoked) = row?;
            let to = revoked.map_or(until, |at| at.min(until));
            let seconds = u64::try_from((to.0 - enrolled.max(self.window.from).0) / 1000).unwrap_or(0);
            *asked_s.entry(site).or_default() += seconds;
        }
        let sites: Vec<String> = asked_s.keys().chain(self.reported.keys()).cloned().collect::<HashSet<_>>().into_iter().collect();
        for code in sites {
            let Some(id) = self.site(&code) else { continue };
            let (interval_s, reported) = self.reported.remove(&code).unwrap_or_default();
            let interval_s = u64::from(if interval_s > 0 { interval_s } else { USUAL_INTERVAL_S });
            let received = reported.covered_ms / 1000 / interval_s;
            let known = Reports {
                // A report that arrived was expected, whatever the registry of agents says of its time.
                expected: (asked_s.get(&code).copied().unwrap_or(0) / interval_s).max(received),
                received,
                on_time: reported.on_time_ms / 1000 / interval_s,
                lag_s: reported.lag_s,
                skew_ms: reported.skew_ms,
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
                        restored: outage.ended == Some(Ended::Restored),
                        cause: outage.cause.map(|cause| cause.rung),
                        detected_at: held.map(|held| held.detected_at),
                        acknowledged_at: held.and_then(|held| held.acknowledged_at),
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
}
