//! Where a region comes from: its days, what moved since last week, and what was declared against what was measured.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use crate::day::Day;
use crate::engine::Snapshot;
use crate::history::{ObjectKind, tables};
use crate::inventory::{Inventory, RegionId, newest};
use crate::kpi::ENOUGH_KNOWN;
use crate::persian::{Window, percent};
use crate::store::StoreError;
use crate::view::{FigureView, Place, Sight, place, roots};
use crate::web::html::Html;
use crate::web::kept::Kept;
use crate::web::page::Page;
use crate::web::state::WebState;
use crate::web::svg::{Gauge, Line, Point, gauge_chart, spark};

/// Days of the small trend.
const TREND_DAYS: usize = 14;

/// Days of a region's chart.
const HISTORY_DAYS: usize = 90;

/// Days against which this moment is compared.
const USUAL_DAYS: i32 = 7;

/// Days by which a declaration is judged.
const JUDGED_DAYS: usize = 30;

/// A region with more villages is read day by day as a whole, which a page cannot wait for over a season.
const MOST_VILLAGES: usize = 600;

/// A village reached for this share of the known time is connected; known for less than half, it is not judged.
const REACHED: f64 = 0.9;
const KNOWN_HALF: f64 = 0.5;

/// Regions that moved, and villages that are named.
const MOVERS: usize = 5;
const NAMED: usize = 12;

/// A change below half a point is noise.
const LEAST_MOVE: f64 = 0.005;

/// A region that is worse connected than it usually is.
pub struct Mover {
    /// Which region.
    pub place: Place,
    /// Connected share at this moment.
    pub now: Option<f64>,
    /// Connected share of the week before.
    pub usual: Option<f64>,
    /// The difference, in points.
    pub change: f64,
}

/// Villages by what was declared and what was measured.
pub struct Declared {
    /// Declared connected: measured so, measured otherwise, not measured.
    pub yes: [usize; 3],
    /// Declared not connected.
    pub no: [usize; 3],
    /// Declared connected and measured otherwise.
    pub gap: Vec<Place>,
    /// How many more there are.
    pub more: usize,
}

/// Seconds of villages on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Seconds {
    connected: f64,
    down: f64,
    set_aside: f64,
}

/// What was read of days, for the minute.
#[derive(Default)]
pub struct Past {
    /// Seconds of a region's villages by day: by the region's code, empty for all, and the number of days.
    days: Kept<(String, usize), HashMap<Day, Seconds>>,
    /// Seconds of the week before, by region of an inventory version.
    usual: Kept<(u32, Day), HashMap<RegionId, Seconds>>,
    /// Seconds of the villages a declaration speaks of, by the region's code.
    judged: Kept<String, HashMap<String, Seconds>>,
}

/// Draws the connected share of each of the last days, from the state seconds of the region's villages.
pub fn trend(web: &WebState, snapshot: &Snapshot, region: Option<RegionId>, p: &Page) -> Option<Html> {
    let inventory = &snapshot.inventory;
    let is_whole = region.is_none_or(|id| inventory.region(id).parent.is_none() && roots(inventory, Sight::Everything).len() == 1);
    let codes = (!is_whole).then(|| villages(snapshot, region));
    let days = days_until(p, TREND_DAYS);
    let name = region.filter(|_| !is_whole).map_or_else(String::new, |id| inventory.region(id).code.clone());
    let read = || {
        web.store.read(|db| match &codes {
            None => days_of_all(db, days[0]),
            Some(codes) => days_of(db, ObjectKind::Village, codes, &days),
        })
    };
    let known = web.past.days.get(p.at, (name, TREND_DAYS), read).ok()?;
    let count = codes.map_or(snapshot.villages.len(), |codes| codes.len());
    let values: Vec<_> = days.iter().map(|day| known.get(day).and_then(|seconds| seconds.figure(whole(*day, count, p)))).collect();
    (values.iter().flatten().count() > 1).then(|| spark(&values, 0.02, p.w.trend))
}

/// Returns the seconds so many villages had on a day, up to the page's time.
fn whole(day: Day, villages: usize, p: &Page) -> f64 {
    let length = (day.end().min(p.at).0 - day.start().0).max(0) as f64 / 1000.0;
    length * villages as f64
}

/// Draws a season of a region: the connected share of each day between its bounds. `None` for a region too large for a page,
/// or without two days.
pub fn history(web: &WebState, snapshot: &Snapshot, region: RegionId, p: &Page) -> Option<Html> {
    let codes = villages(snapshot, Some(region));
    if codes.is_empty() || codes.len() > MOST_VILLAGES {
        return None;
    }
    let days = days_until(p, HISTORY_DAYS);
    let name = snapshot.inventory.region(region).code.clone();
    let read = || web.store.read(|db| days_of(db, ObjectKind::Village, &codes, &days));
    let found = web.past.days.get(p.at, (name, HISTORY_DAYS), read).ok()?;
    let point = |day: &Day| {
        let seconds = found.get(day)?;
        let all = (whole(*day, codes.len(), p) - seconds.set_aside).max(1.0);
        let (lo, hi) = (seconds.connected / all, 1.0 - seconds.down / all);
        Some(Point { at: day.start(), values: (lo * 100.0, seconds.share()?.clamp(lo, hi.max(lo)) * 100.0, hi.max(lo) * 100.0) })
    };
    let points: Vec<_> = days.iter().filter_map(point).collect();
    let lowest = points.iter().map(|point| point.values.0).fold(100.0, f64::min);
    let low = ((lowest / 10.0).floor() * 10.0 - 5.0).max(0.0);
    let ticks: &[f64] = if low < 50.0 { &[25.0, 50.0, 75.0, 100.0] } else { &[60.0, 70.0, 80.0, 90.0, 100.0] };
    let gauge = Gauge {
        window: Window { from: days[0].start(), until: p.at },
        scale: (low, 101.0),
        ticks: ticks.iter().copied().filter(|tick| *tick > low + 4.0).collect(),
        places: 0,
        bands: &[],
        marked: (Vec::new(), 0),
        lines: vec![Line { class: "one", points, slot_ms: 86_400_000 }],
        title: p.w.connected_by_day.to_owned(),
    };
    (gauge.lines[0].points.len() > 1).then(|| gauge_chart(&gauge, p.lang))
}

/// Lists the regions that are worse connected than in the week before, the worst first.
pub fn movers<'a>(
    web: &WebState,
    snapshot: &Snapshot,
    children: impl Iterator<Item = (&'a Place, Option<&'a FigureView>)>,
    p: &Page,
) -> Vec<Mover> {
    let today = Day::of(p.at);
    let inventory = &snapshot.inventory;
    let usual = web.past.usual.get(p.at, (inventory.version, today), || web.store.read(|db| usual(db, inventory, today)));
    let Ok(usual) = usual else { return Vec::new() };
    let mut villages: HashMap<RegionId, usize> = HashMap::new();
    for ancestor in snapshot.villages.iter().flat_map(|village| inventory.ancestors(village.region)) {
        *villages.entry(ancestor).or_default() += 1;
    }
    let mover = |(place, figure): (&Place, Option<&FigureView>)| {
        let id = inventory.region_by_code(&place.code)?;
        let whole = f64::from(USUAL_DAYS) * 86_400.0 * *villages.get(&id)? as f64;
        let (usual, now) = (usual.get(&id)?.figure(whole)?, figure?.value?);
        Some(Mover { place: place.clone(), now: Some(now), usual: Some(usual), change: now - usual })
    };
    let mut movers: Vec<_> = children.filter_map(mover).filter(|mover| mover.change < -LEAST_MOVE).collect();
    movers.sort_by(|a, b| a.change.total_cmp(&b.change));
    movers.truncate(MOVERS);
    movers
}

/// Sums the week before a day, by region.
fn usual(db: &Connection, inventory: &Inventory, today: Day) -> Result<HashMap<RegionId, Seconds>, StoreError> {
    let mut usual: HashMap<RegionId, Seconds> = HashMap::new();
    for (village, seconds) in tables::sums(db, ObjectKind::Village, Day(today.0 - USUAL_DAYS)..today)? {
        let Some(id) = inventory.region_by_code(&village.code) else { continue };
        for ancestor in inventory.ancestors(id) {
            let sum = usual.entry(ancestor).or_default();
            sum.connected += seconds.carried() as f64;
            sum.down += seconds.down as f64;
            sum.set_aside += (seconds.maintenance + seconds.not_in_service) as f64;
        }
    }
    Ok(usual)
}

/// Compares what was declared of the villages of a region with what was measured; `None` if nothing was declared, or the
/// region is too large for a page.
pub fn declared(web: &WebState, snapshot: &Snapshot, region: RegionId, p: &Page) -> Option<Declared> {
    let inventory = &snapshot.inventory;
    let of_village =
        |d: &&crate::inventory::Declared| d.kpi == "nin_connected" && d.holds_at(snapshot.at) && inventory.is_within(d.region, region);
    let mut by_village: BTreeMap<RegionId, Vec<&crate::inventory::Declared>> = BTreeMap::new();
    inventory.declared.iter().filter(of_village).for_each(|d| by_village.entry(d.region).or_default().push(d));
    // Of several the one of the latest day holds, wherever it stands in the file.
    let held = by_village.into_iter().filter_map(|(id, all)| Some((id, newest(all.into_iter())?.value > 0.0)));
    let said: Vec<(RegionId, bool)> = held.collect();
    if said.is_empty() || said.len() > MOST_VILLAGES {
        return None;
    }
    let days = days_until(p, JUDGED_DAYS);
    let codes: Vec<&str> = said.iter().map(|(id, _)| inventory.region(*id).code.as_str()).collect();
    let read = || web.store.read(|db| sums_of(db, ObjectKind::VillageNin, &codes, &days));
    let measured = web.past.judged.get(p.at, inventory.region(region).code.clone(), read).ok()?;
    let mut table = Declared { yes: [0; 3], no: [0; 3], gap: Vec::new(), more: 0 };
    for ((id, declared), code) in said.into_iter().zip(codes) {
        let column = match measured.get(code).and_then(Seconds::judged) {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        };
        let row = if declared { &mut table.yes } else { &mut table.no };
        row[column] += 1;
        if declared && column == 1 {
            if table.gap.len() < NAMED {
                table.gap.push(place(inventory, id));
            } else {
                table.more += 1;
            }
        }
    }
    Some(table)
}

impl Declared {
    /// Returns the declared share, and the measured one of what is measured.
    pub fn shares(&self, p: &Page) -> (String, String) {
        let sum = |row: [usize; 3]| row.iter().sum::<usize>() as f64;
        let share = |part: f64, whole: f64| if whole > 0.0 { percent(part / whole, p.lang) } else { "—".to_owned() };
        let reached = (self.yes[0] + self.no[0]) as f64;
        let judged = reached + (self.yes[1] + self.no[1]) as f64;
        (share(sum(self.yes), sum(self.yes) + sum(self.no)), share(reached, judged))
    }
}

impl Seconds {
    fn share(&self) -> Option<f64> {
        let known = self.connected + self.down;
        (known > 0.0).then(|| self.connected / known)
    }

    /// Returns the share if enough of `whole` seconds is known to give one number.
    fn figure(&self, whole: f64) -> Option<f64> {
        self.share().filter(|_| self.connected + self.down >= ENOUGH_KNOWN * (whole - self.set_aside))
    }

    /// Tells whether a village was reached over the days judged by; `None` if too little is known.
    fn judged(&self) -> Option<bool> {
        let whole = JUDGED_DAYS as f64 * 86_400.0 - self.set_aside;
        let known = self.connected + self.down;
        (known >= KNOWN_HALF * whole).then_some(self.connected >= REACHED * known)
    }
}

fn villages(snapshot: &Snapshot, region: Option<RegionId>) -> Vec<&str> {
    let inventory = &snapshot.inventory;
    let inside = snapshot.villages.iter().filter(|village| region.is_some_and(|id| inventory.is_within(village.region, id)));
    inside.map(|village| inventory.region(village.region).code.as_str()).collect()
}

/// The last days up to the page's own, oldest first.
fn days_until(p: &Page, count: usize) -> Vec<Day> {
    let today = Day::of(p.at);
    let mut days: Vec<_> = std::iter::successors(Some(today), |day| Some(day.previous())).take(count).collect();
    days.reverse();
    days
}

/// Sums the seconds of all villages, by day.
fn days_of_all(db: &Connection, since: Day) -> Result<HashMap<Day, Seconds>, StoreError> {
    let sql = format!("SELECT d.day, {SUMS} FROM daily_seconds d WHERE d.kind = ?1 AND d.day >= ?2 GROUP BY d.day");
    let mut query = db.prepare_cached(&sql)?;
    let rows = query.query_map((ObjectKind::Village.code(), since.0), |row| {
        Ok((Day(row.get(0)?), Seconds { connected: row.get(1)?, down: row.get(2)?, set_aside: row.get(3)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const SUMS: &str = "sum(d.up + d.degraded), sum(d.down), sum(d.maintenance + d.not_in_service)";

/// Sums the seconds of some objects, by day. The table lies by day, so each day is a look-up of its own.
fn days_of(db: &Connection, kind: ObjectKind, codes: &[&str], days: &[Day]) -> Result<HashMap<Day, Seconds>, StoreError> {
    let ids = ids_of(db, kind, codes)?;
    let sql =
        format!("SELECT {SUMS} FROM daily_seconds d WHERE d.kind = ?1 AND d.day = ?2 AND d.object IN (SELECT value FROM json_each(?3))");
    let mut query = db.prepare_cached(&sql)?;
    let mut found = HashMap::new();
    for day in days {
        let seconds = query.query_row((kind.code(), day.0, &ids), |row| {
            let sums: [Option<f64>; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok(sums[0].map(|connected| Seconds { connected, down: sums[1].unwrap_or(0.0), set_aside: sums[2].unwrap_or(0.0) }))
        })?;
        found.extend(seconds.map(|seconds| (*day, seconds)));
    }
    Ok(found)
}

/// Sums the seconds of some objects over days, by code.
fn sums_of(db: &Connection, kind: ObjectKind, codes: &[&str], days: &[Day]) -> Result<HashMap<String, Seconds>, StoreError> {
    let ids = ids_of(db, kind, codes)?;
    let sql = format!(
        "SELECT o.code, {SUMS} FROM daily_seconds d JOIN objects o ON o.id = d.object
         WHERE d.kind = ?1 AND d.day = ?2 AND d.object IN (SELECT value FROM json_each(?3)) GROUP BY d.object"
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut sums: HashMap<String, Seconds> = HashMap::new();
    for day in days {
        let rows = query.query_map((kind.code(), day.0, &ids), |row| {
            Ok((row.get::<_, String>(0)?, Seconds { connected: row.get(1)?, down: row.get(2)?, set_aside: row.get(3)? }))
        })?;
        for row in rows {
            let (code, seconds) = row?;
            let sum = sums.entry(code).or_default();
            sum.connected += seconds.connected;
            sum.down += seconds.down;
            sum.set_aside += seconds.set_aside;
        }
    }
    Ok(sums)
}

/// Returns the numbers of objects as a JSON list.
fn ids_of(db: &Connection, kind: ObjectKind, codes: &[&str]) -> Result<String, StoreError> {
    let sql = "SELECT json_group_array(id) FROM objects WHERE kind = ?1 AND link = '' AND code IN (SELECT value FROM json_each(?2))";
    let mut query = db.prepare_cached(sql)?;
    Ok(query.query_row((kind.code(), serde_json::Value::from(codes).to_string()), |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_village_is_judged_by_what_is_known_of_it() {
        let of = |connected: f64, down: f64| Seconds { connected: connected * 86_400.0, down: down * 86_400.0, set_aside: 0.0 };
        assert_eq!(of(30.0, 0.0).judged(), Some(true));
        assert_eq!(of(20.0, 10.0).judged(), Some(false));
        assert_eq!(of(10.0, 0.0).judged(), None, "ten days of thirty prove nothing");
        assert_eq!(of(0.0, 0.0).share(), None);
        assert_eq!(of(7.0, 0.0).figure(10.0 * 86_400.0), None, "less than four fifths is no number");
        assert_eq!(of(6.0, 2.0).figure(10.0 * 86_400.0), Some(0.75));
    }
}
