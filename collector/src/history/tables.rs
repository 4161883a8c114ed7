//! History in the state database: what KPIs, reports and pages read, and how a built day is written.
//!
//! A day that is not here was never measured: all of it is unknown. Rows of the present day grow while it lasts.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use rusta_wire::{Metric, UnixMs};

use super::outage::{Bounds, Ended, Outage, Proofs};
use super::packed;
use super::reports::{DayReports, Late, Reports};
use super::slots::{self, Slots};
use super::span::{Counted, Span, StateSeconds, clipped, seconds_of};
use super::timeline::{LinkDay, SiteDay};
use super::values::{PlanUse, Rounds, Values};
use super::village::VillageDay;
use super::{DailySeconds, Histogram, Object, ObjectKind, stitch};
use crate::day::Day;
use crate::engine::told::cause_of;
use crate::engine::{VillagePolicy, VillageState};
use crate::store::StoreError;

/// A site's day as it was built: states of each link, the site, and its reach of the national network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltDay {
    /// The spans. Values and rounds are not in it; ask for them by themselves.
    pub day: SiteDay,
    /// As far as it is built; the day's end once it is over.
    pub built_until: UnixMs,
}

/// Reads the state seconds of every object of a kind, by day, then object.
///
/// # Errors
/// What the database says.
pub fn daily_seconds(db: &Connection, kind: ObjectKind, days: Range<Day>) -> Result<Vec<DailySeconds>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT o.code, o.link, d.up, d.degraded, d.down, d.unknown, d.maintenance, d.not_in_service, d.day
         FROM daily_seconds d JOIN objects o ON o.id = d.object
         WHERE d.kind = ?1 AND d.day >= ?2 AND d.day < ?3 ORDER BY d.day, d.object",
    )?;
    let rows = statement.query_map(params![kind.code(), days.start.0, days.end.0], |row| {
        Ok(DailySeconds { day: Day(row.get(8)?), object: object(kind, row, 0)?, seconds: seconds(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sums the state seconds of every object of a kind over days. Days without a row are not in the sum: whoever needs the
/// unknown seconds of a window adds what is missing to its length.
///
/// # Errors
/// What the database says.
pub fn sums(db: &Connection, kind: ObjectKind, days: Range<Day>) -> Result<Vec<(Object, StateSeconds)>, StoreError> {
    let sql = "SELECT object, up, degraded, down, unknown, maintenance, not_in_service FROM daily_seconds
               WHERE kind = ?1 AND day >= ?2 AND day < ?3";
    sum_by_object(db, kind, (sql, params![kind.code(), days.start.0, days.end.0]), |sum: &mut StateSeconds, row| {
        *sum += seconds(row, 1)?;
        Ok(())
    })
}

/// Sums rows, whose first column is the object's id, by object. The tables lie by day: to have SQLite group them by object
/// would have it sort a million rows.
fn sum_by_object<T: Default>(
    db: &Connection,
    kind: ObjectKind,
    (sql, params): (&str, &[&dyn rusqlite::ToSql]),
    mut add: impl FnMut(&mut T, &Row<'_>) -> rusqlite::Result<()>,
) -> Result<Vec<(Object, T)>, StoreError> {
    let mut sums: HashMap<i64, T> = HashMap::new();
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        add(sums.entry(row.get(0)?).or_default(), row)?;
    }
    let mut named = Vec::with_capacity(sums.len());
    let mut statement = db.prepare_cached("SELECT code, link, id FROM objects WHERE kind = ?1 ORDER BY id")?;
    let mut rows = statement.query([kind.code()])?;
    while let Some(row) = rows.next()? {
        if let Some(sum) = sums.remove(&row.get(2)?) {
            named.push((object(kind, row, 0)?, sum));
        }
    }
    Ok(named)
}

/// Sums the state seconds of every object inside a window that cuts a day, from the day's spans.
///
/// # Errors
/// What the database says.
pub fn sums_within(db: &Connection, day: Day, from: UnixMs, until: UnixMs) -> Result<Vec<(Object, StateSeconds)>, StoreError> {
    fn inside<S: Counted>(spans: &[Span<S>], from: UnixMs, until: UnixMs) -> StateSeconds {
        seconds_of(&clipped(spans, from, until))
    }
    let mut sums = Vec::new();
    for (code, bytes) in timelines_on(db, ObjectKind::Site, day)? {
        let Some(site) = packed::unpack_site(&bytes) else { continue };
        sums.push((Object::whole(ObjectKind::Site, &code), inside(&site.spans, from, until)));
        sums.push((Object::whole(ObjectKind::SiteShortNotice, &code), inside(&site.short_notice, from, until)));
        for link in &site.links {
            let of = Object::link(&code, &link.name);
            sums.push((Object { kind: ObjectKind::LinkShortNotice, ..of.clone() }, inside(&link.short_notice, from, until)));
            sums.push((of, inside(&link.spans, from, until)));
        }
    }
    for (code, bytes) in timelines_on(db, ObjectKind::Village, day)? {
        let Some(village) = packed::unpack_village(&bytes) else { continue };
        sums.push((Object::whole(ObjectKind::Village, &code), inside(&village.spans, from, until)));
        sums.extend(village.nin.map(|spans| (Object::whole(ObjectKind::VillageNin, &code), inside(&spans, from, until))));
        let of_policy = |(policy, spans): &(VillagePolicy, Vec<Span<VillageState>>)| {
            (Object::whole(ObjectKind::of_policy(*policy), &code), inside(spans, from, until))
        };
        sums.extend(village.by_policy.iter().map(of_policy));
    }
    Ok(sums)
}

/// Returns as far as the most built site of a day is built; `None` if none is.
///
/// # Errors
/// What the database says.
pub fn built_until(db: &Connection, day: Day) -> Result<Option<UnixMs>, StoreError> {
    let sql = "SELECT max(t.built_until) FROM objects o CROSS JOIN timelines t ON t.object = o.id AND t.day = ?2 WHERE o.kind = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let until: Option<i64> = statement.query_row(params![ObjectKind::Site.code(), day.0], |row| row.get(0))?;
    Ok(until.map(UnixMs))
}

/// Reads a site's day in slots of five minutes; `None` if it was never measured, or longer ago than [`super::SLOT_DAYS`].
///
/// # Errors
/// What the database says.
pub fn slots(db: &Connection, site: &str, day: Day) -> Result<Option<Slots>, StoreError> {
    let Some(id) = known_id(db, &Object::whole(ObjectKind::Site, site))? else { return Ok(None) };
    let mut statement = db.prepare_cached("SELECT bytes FROM slots WHERE day = ?1 AND object = ?2")?;
    let bytes: Option<Vec<u8>> = statement.query_row(params![day.0, id], |row| row.get(0)).optional()?;
    Ok(bytes.and_then(|bytes| slots::unpack(&bytes, |_| true)))
}

/// Reads the newest plan reading of each link over days.
///
/// # Errors
/// What the database says.
pub fn plans(db: &Connection, days: Range<Day>) -> Result<Vec<(Object, PlanUse)>, StoreError> {
    // Of a bare column beside max(), SQLite takes the row that has the greatest.
    let mut statement = db.prepare_cached(
        "SELECT o.code, o.link, max(p.at), p.used_kib, p.own_kib, p.limit_kib FROM daily_plans p JOIN objects o ON o.id = p.object
         WHERE p.day >= ?1 AND p.day < ?2 GROUP BY p.object ORDER BY p.object",
    )?;
    let rows = statement.query_map(params![days.start.0, days.end.0], |row| {
        let plan = PlanUse { at: UnixMs(row.get(2)?), used_kib: count(row, 3)?, own_kib: count(row, 4)?, limit_kib: count(row, 5)? };
        Ok((object(ObjectKind::Link, row, 0)?, plan))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the longest reporting interval the agents of each site showed over days, in seconds; sites that showed none are
/// left out.
///
/// # Errors
/// What the database says.
pub fn intervals(db: &Connection, days: Range<Day>) -> Result<Vec<(String, u32)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT o.code, max(r.interval_s) FROM daily_reports r JOIN objects o ON o.id = r.object
         WHERE r.day >= ?1 AND r.day < ?2 AND r.interval_s > 0 GROUP BY r.object",
    )?;
    let rows = statement.query_map(params![days.start.0, days.end.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sums what the agents of each site reported over days.
///
/// # Errors
/// What the database says.
pub fn reports(db: &Connection, days: Range<Day>) -> Result<Vec<(String, Reports)>, StoreError> {
    let sql = "SELECT object, covered_s, on_time_s, lag_s, skew_ms, late_known_s, late_down_s FROM daily_reports
               WHERE day >= ?1 AND day < ?2";
    let sums = sum_by_object(db, ObjectKind::Site, (sql, params![days.start.0, days.end.0]), |sum: &mut Reports, row| {
        let (lag_s, skew_ms) = (histogram(row, 3)?.unwrap_or_default(), histogram(row, 4)?.unwrap_or_default());
        let late = Late::of_day(count(row, 5)?, count(row, 6)?);
        sum.add(&Reports { covered_ms: count(row, 1)? * 1000, on_time_ms: count(row, 2)? * 1000, lag_s, skew_ms, late });
        Ok(())
    })?;
    Ok(sums.into_iter().map(|(site, sum)| (site.code, sum)).collect())
}

fn histogram(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Histogram>> {
    Ok(Histogram::decode(row.get_ref(column)?.as_blob()?))
}

/// Reads the packed spans of every object of a kind on a day: from the objects, which are few, to the one row of each.
fn timelines_on(db: &Connection, kind: ObjectKind, day: Day) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT o.code, t.spans FROM objects o CROSS JOIN timelines t ON t.object = o.id AND t.day = ?2 WHERE o.kind = ?1",
    )?;
    let rows = statement.query_map(params![kind.code(), day.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads one object's state seconds by day.
///
/// # Errors
/// What the database says.
pub fn seconds_of_object(db: &Connection, of: &Object, days: Range<Day>) -> Result<Vec<(Day, StateSeconds)>, StoreError> {
    let Some(id) = known_id(db, of)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached(
        "SELECT up, degraded, down, unknown, maintenance, not_in_service, day FROM daily_seconds
         WHERE kind = ?1 AND day >= ?2 AND day < ?3 AND object = ?4 ORDER BY day",
    )?;
    let rows =
        statement.query_map(params![of.kind.code(), days.start.0, days.end.0, id], |row| Ok((Day(row.get(6)?), seconds(row, 0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the outages of a kind of object that overlap `[from, until)`, by start.
///
/// # Errors
/// What the database says.
pub fn outages(db: &Connection, kind: ObjectKind, from: UnixMs, until: UnixMs) -> Result<Vec<Outage>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT o.code, o.link, x.started_at, x.ended_at, x.restored, x.rung, x.confidence, x.evidence, x.revision, x.work,
                x.by_work, x.seen_until, x.bounds
         FROM outages x JOIN objects o ON o.id = x.object
         WHERE o.kind = ?1 AND x.started_at < ?3 AND (x.ended_at IS NULL OR x.ended_at > ?2) ORDER BY x.started_at, x.object",
    )?;
    let rows = statement.query_map(params![kind.code(), from.0, until.0], |row| outage(kind, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads one object's outages that overlap `[from, until)`, by start.
///
/// # Errors
/// What the database says.
pub fn outages_of(db: &Connection, of: &Object, from: UnixMs, until: UnixMs) -> Result<Vec<Outage>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT o.code, o.link, x.started_at, x.ended_at, x.restored, x.rung, x.confidence, x.evidence, x.revision, x.work,
                x.by_work, x.seen_until, x.bounds
         FROM outages x JOIN objects o ON o.id = x.object
         WHERE o.kind = ?1 AND o.code = ?2 AND o.link = ?3 AND x.started_at < ?5 AND (x.ended_at IS NULL OR x.ended_at > ?4)
         ORDER BY x.started_at",
    )?;
    let rows = statement.query_map(params![of.kind.code(), of.code, of.link, from.0, until.0], |row| outage(of.kind, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a site's day; `None` if it was never measured.
///
/// # Errors
/// What the database says.
pub fn site_day(db: &Connection, site: &str, day: Day) -> Result<Option<BuiltDay>, StoreError> {
    let found = spans(db, &Object::whole(ObjectKind::Site, site), day)?;
    Ok(found.and_then(|(bytes, built_until)| Some(BuiltDay { day: packed::unpack_site(&bytes)?, built_until })))
}

/// Reads a village's day; `None` if it was never measured.
///
/// # Errors
/// What the database says.
pub fn village_day(db: &Connection, village: &str, day: Day) -> Result<Option<VillageDay>, StoreError> {
    let found = spans(db, &Object::whole(ObjectKind::Village, village), day)?;
    Ok(found.and_then(|(bytes, _)| packed::unpack_village(&bytes)))
}

/// Merges the values of one metric over days, for each link.
///
/// # Errors
/// What the database says.
pub fn values(db: &Connection, metric: Metric, days: Range<Day>) -> Result<Vec<(Object, Histogram)>, StoreError> {
    let sql = "SELECT object, buckets FROM daily_values WHERE day >= ?1 AND day < ?2 AND metric = ?3";
    let asked = params![days.start.0, days.end.0, metric.code()];
    sum_by_object(db, ObjectKind::Link, (sql, asked), |sum: &mut Histogram, row| {
        histogram(row, 1)?.iter().for_each(|one| sum.merge(one));
        Ok(())
    })
}

/// Merged values of links, by metric.
pub type ValuesByLink = Vec<(Object, BTreeMap<Metric, Histogram>)>;

/// Merges the values of every metric over days, for each link.
///
/// # Errors
/// What the database says.
pub fn all_values(db: &Connection, days: Range<Day>) -> Result<ValuesByLink, StoreError> {
    let sql = "SELECT object, metric, buckets FROM daily_values WHERE day >= ?1 AND day < ?2";
    sum_by_object(db, ObjectKind::Link, (sql, params![days.start.0, days.end.0]), |sum: &mut BTreeMap<Metric, Histogram>, row| {
        if let Some((metric, one)) = Metric::from_code(row.get(1)?).zip(histogram(row, 2)?) {
            sum.entry(metric).or_default().merge(&one);
        }
        Ok(())
    })
}

/// Reads one link's values by day, then metric. The tables lie by day, so each day is a look-up of its own.
///
/// # Errors
/// What the database says.
pub fn values_of(db: &Connection, of: &Object, days: Range<Day>) -> Result<Vec<(Day, Metric, Histogram)>, StoreError> {
    let Some(id) = known_id(db, of)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached("SELECT metric, buckets FROM daily_values WHERE day = ?1 AND object = ?2 ORDER BY metric")?;
    let mut values = Vec::new();
    for day in (days.start.0..days.end.0).map(Day) {
        let mut rows = statement.query(params![day.0, id])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let value = Metric::from_code(row.get(0)?).zip(Histogram::decode(bytes));
            values.extend(value.map(|(metric, histogram)| (day, metric, histogram)));
        }
    }
    Ok(values)
}

/// Packets sent, and received.
pub type Packets = (u64, u64);

/// Reads the packets one link's anchors sent and received while it was not down, by day.
///
/// # Errors
/// What the database says.
pub fn packets_of(db: &Connection, of: &Object, days: Range<Day>) -> Result<Vec<(Day, Packets)>, StoreError> {
    let Some(id) = known_id(db, of)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached("SELECT sent, received FROM daily_packets WHERE day = ?1 AND object = ?2")?;
    let mut packets = Vec::new();
    for day in (days.start.0..days.end.0).map(Day) {
        let found = statement.query_row(params![day.0, id], |row| Ok((count(row, 0)?, count(row, 1)?))).optional()?;
        packets.extend(found.map(|found| (day, found)));
    }
    Ok(packets)
}

/// Sums the packets, their round trips and the judged slots of each link over days.
///
/// # Errors
/// What the database says.
pub fn packets(db: &Connection, days: Range<Day>) -> Result<Vec<(Object, Values)>, StoreError> {
    let sql = "SELECT object, sent, received, slots, good_slots, rtt_us, pdv_us FROM daily_packets WHERE day >= ?1 AND day < ?2";
    sum_by_object(db, ObjectKind::Link, (sql, params![days.start.0, days.end.0]), |sum: &mut Values, row| {
        sum.packets = (sum.packets.0 + count(row, 1)?, sum.packets.1 + count(row, 2)?);
        sum.quality = (sum.quality.0 + count(row, 3)?, sum.quality.1 + count(row, 4)?);
        histogram(row, 5)?.iter().for_each(|one| sum.rtt_us.merge(one));
        histogram(row, 6)?.iter().for_each(|one| sum.pdv_us.merge(one));
        Ok(())
    })
}

/// Rounds of service targets, by site's code, then target.
pub type RoundsBySite = Vec<(String, BTreeMap<String, Rounds>)>;

/// Sums the rounds of service targets over days, by site, then target.
///
/// # Errors
/// What the database says.
pub fn rounds(db: &Connection, days: Range<Day>) -> Result<RoundsBySite, StoreError> {
    let sql = "SELECT object, target, attempts, successes, attempts_while_up, successes_while_up, latency FROM daily_rounds
               WHERE day >= ?1 AND day < ?2";
    let sums = sum_by_object(db, ObjectKind::Site, (sql, params![days.start.0, days.end.0]), |sum: &mut BTreeMap<String, Rounds>, row| {
        let one = Rounds {
            attempts: count(row, 2)?,
            successes: count(row, 3)?,
            attempts_while_up: count(row, 4)?,
            successes_while_up: count(row, 5)?,
            latency_us: histogram(row, 6)?.unwrap_or_default(),
        };
        let target = row.get_ref(1)?.as_str()?;
        match sum.get_mut(target) {
            Some(known) => known.add(&one),
            None => drop(sum.insert(target.to_owned(), one)),
        }
        Ok(())
    })?;
    Ok(sums.into_iter().map(|(site, sum)| (site.code, sum)).collect())
}

/// What the silent days around a day lean on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) head: i64,
    pub(super) tail: i64,
}

/// Lists the villages that have a day.
pub(super) fn villages_on(db: &Connection, day: Day) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT o.code FROM daily_seconds d JOIN objects o ON o.id = d.object WHERE d.kind = ?1 AND d.day = ?2";
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.query_map([ObjectKind::Village.code(), i64::from(day.0)], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Reads a built day's digests.
pub(super) fn digests(db: &Connection, site: &str, day: Day) -> Result<Option<Digests>, StoreError> {
    let Some(id) = known_id(db, &Object::whole(ObjectKind::Site, site))? else { return Ok(None) };
    let mut statement = db.prepare_cached("SELECT head, tail FROM timelines WHERE object = ?1 AND day = ?2")?;
    Ok(statement.query_row(params![id, day.0], |row| Ok(Digests { head: row.get(0)?, tail: row.get(1)? })).optional()?)
}

/// A site's day to be written.
#[derive(Clone, Copy)]
pub(super) struct Built<'a> {
    pub(super) day: &'a SiteDay,
    /// The same five minutes at a time, packed.
    pub(super) slots: &'a [u8],
    pub(super) until: UnixMs,
    pub(super) digests: Digests,
    pub(super) reports: &'a DayReports,
    /// What was learnt too late to be known in time.
    pub(super) late: Late,
}

/// Writes a site's day over what stood there before.
pub(super) fn write_site(tx: &Transaction<'_>, site: &str, day: Day, built: &Built<'_>) -> Result<(), StoreError> {
    let whole = object_id(tx, &Object::whole(ObjectKind::Site, site))?;
    clear_links(tx, site, day)?;
    for link in &built.day.links {
        write_link(tx, site, day, link)?;
    }
    write_rounds(tx, whole, day, &built.day.rounds())?;
    write_reports(tx, whole, day, built.reports, built.late)?;
    write_slots(tx, whole, day, built.slots)?;
    write_seconds(tx, &Object::whole(ObjectKind::Site, site), day, seconds_of(&built.day.spans))?;
    write_short_notice(tx, &Object::whole(ObjectKind::SiteShortNotice, site), day, &built.day.short_notice)?;
    write_spans(tx, whole, day, built.until, built.digests, &packed::pack_site(built.day))?;
    for link in &built.day.links {
        let id = object_id(tx, &Object::link(site, &link.name))?;
        stitch::outages(tx, id, day, |neighbour| stitch::link_spans(tx, whole, neighbour, &link.name))?;
    }
    stitch::outages(tx, whole, day, |neighbour| stitch::site_spans(tx, whole, neighbour))
}

fn write_link(tx: &Transaction<'_>, site: &str, day: Day, link: &LinkDay) -> Result<(), StoreError> {
    let of = Object::link(site, &link.name);
    write_seconds(tx, &of, day, seconds_of(&link.spans))?;
    write_short_notice(tx, &Object { kind: ObjectKind::LinkShortNotice, ..of.clone() }, day, &link.short_notice)?;
    let (id, values) = (object_id(tx, &of)?, link.values());
    let ((sent, received), (judged, good)) = (values.packets, values.quality);
    if sent > 0 || judged > 0 || values.rtt_us.count() > 0 {
        let counts = [sent, received, judged, good].map(u64::cast_signed);
        let (rtt_us, pdv_us) = (values.rtt_us.encode(), values.pdv_us.encode());
        let sql = "INSERT INTO daily_packets (day, object, sent, received, slots, good_slots, rtt_us, pdv_us)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let row = params![day.0, id, counts[0], counts[1], counts[2], counts[3], rtt_us, pdv_us];
        tx.prepare_cached(sql)?.execute(row)?;
    }
    let mut statement = tx.prepare_cached("INSERT INTO daily_values (day, object, metric, buckets) VALUES (?1, ?2, ?3, ?4)")?;
    for (metric, histogram) in &values.histograms {
        statement.execute(params![day.0, id, metric.code(), histogram.encode()])?;
    }
    if let Some(plan) = link.plan {
        let kib = [plan.used_kib, plan.own_kib, plan.limit_kib].map(u64::cast_signed);
        let sql = "INSERT INTO daily_plans (day, object, at, used_kib, own_kib, limit_kib) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        tx.prepare_cached(sql)?.execute(params![day.0, id, plan.at.0, kib[0], kib[1], kib[2]])?;
    }
    Ok(())
}

/// Counts that a day was written.
pub(crate) fn count_write(tx: &Transaction<'_>, day: Day) -> Result<(), StoreError> {
    let sql = "INSERT INTO built_days (day, revision) VALUES (?1, 1) ON CONFLICT DO UPDATE SET revision = revision + 1";
    tx.prepare_cached(sql)?.execute([day.0])?;
    Ok(())
}

/// What history of a window was read: equal as long as nothing of it was written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    days: i64,
    outages: (i64, i64),
}

/// Reads a window's stamp. Outages have a part of their own: a later day may end one, or name its cause.
///
/// # Errors
/// What the database says.
pub fn stamp(db: &Connection, from: UnixMs, until: UnixMs) -> Result<Stamp, StoreError> {
    let days = params![Day::of(from).0, Day::of(until).0];
    let sql = "SELECT coalesce(sum(revision), 0) FROM built_days WHERE day >= ?1 AND day <= ?2";
    let days = db.prepare_cached(sql)?.query_row(days, |row| row.get(0))?;
    let sql = "SELECT count(*), coalesce(sum(revision), 0) FROM outages WHERE started_at < ?2 AND (ended_at IS NULL OR ended_at > ?1)";
    let outages = db.prepare_cached(sql)?.query_row(params![from.0, until.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Stamp { days, outages })
}

/// Writes a village's day over what stood there before.
pub(super) fn write_village(tx: &Transaction<'_>, village: &str, day: Day, built: &VillageDay, until: UnixMs) -> Result<(), StoreError> {
    let of = Object::whole(ObjectKind::Village, village);
    let id = object_id(tx, &of)?;
    write_seconds(tx, &of, day, seconds_of(&built.spans))?;
    let nin = Object::whole(ObjectKind::VillageNin, village);
    match &built.nin {
        Some(spans) => write_seconds(tx, &nin, day, seconds_of(spans))?,
        None => clear_seconds(tx, &nin, day)?,
    }
    for policy in [VillagePolicy::MobilePublic, VillagePolicy::DehyariUplink] {
        let of = Object::whole(ObjectKind::of_policy(policy), village);
        match built.by_policy.iter().find(|(known, _)| *known == policy) {
            Some((_, spans)) => write_seconds(tx, &of, day, seconds_of(spans))?,
            None => clear_seconds(tx, &of, day)?,
        }
    }
    write_spans(tx, id, day, until, Digests { head: 0, tail: 0 }, &packed::pack_village(built))?;
    stitch::outages(tx, id, day, |neighbour| stitch::village_spans(tx, id, neighbour))
}

fn write_short_notice<S: Counted>(tx: &Transaction<'_>, of: &Object, day: Day, spans: &[Span<S>]) -> Result<(), StoreError> {
    if spans.is_empty() { clear_seconds(tx, of, day) } else { write_seconds(tx, of, day, seconds_of(spans)) }
}

fn clear_seconds(tx: &Transaction<'_>, of: &Object, day: Day) -> Result<(), StoreError> {
    if let Some(id) = known_id(tx, of)? {
        let sql = "DELETE FROM daily_seconds WHERE kind = ?1 AND day = ?2 AND object = ?3";
        tx.prepare_cached(sql)?.execute(params![of.kind.code(), day.0, id])?;
    }
    Ok(())
}

fn write_seconds(tx: &Transaction<'_>, of: &Object, day: Day, seconds: StateSeconds) -> Result<(), StoreError> {
    let id = object_id(tx, of)?;
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let StateSeconds { up, degraded, down, unknown, maintenance, not_in_service } = seconds;
    let counts = [up, degraded, down, unknown, maintenance, not_in_service].map(u64::cast_signed);
    statement.execute(params![of.kind.code(), day.0, id, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]])?;
    Ok(())
}

fn write_rounds(tx: &Transaction<'_>, site: i64, day: Day, rounds: &BTreeMap<String, Rounds>) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM daily_rounds WHERE day = ?1 AND object = ?2")?.execute(params![day.0, site])?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO daily_rounds (day, object, target, attempts, successes, attempts_while_up, successes_while_up, latency)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (target, one) in rounds {
        let counts = [one.attempts, one.successes, one.attempts_while_up, one.successes_while_up].map(u64::cast_signed);
        let latency = one.latency_us.encode();
        statement.execute(params![day.0, site, target, counts[0], counts[1], counts[2], counts[3], latency])?;
    }
    Ok(())
}

fn write_reports(tx: &Transaction<'_>, site: i64, day: Day, reports: &DayReports, late: Late) -> Result<(), StoreError> {
    let mut sum = Reports::default();
    reports.slots.values().for_each(|slot| sum.add(slot));
    let seconds = [sum.covered_ms, sum.on_time_ms].map(|ms| (ms / 1000).cast_signed());
    let late = [late.known_s, late.down_s].map(u64::cast_signed);
    let sql =
        "INSERT OR REPLACE INTO daily_reports (day, object, interval_s, covered_s, on_time_s, lag_s, skew_ms, late_known_s, late_down_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (lag_s, skew_ms) = (sum.lag_s.encode(), sum.skew_ms.encode());
    let row = params![day.0, site, reports.interval_s, seconds[0], seconds[1], lag_s, skew_ms, late[0], late[1]];
    tx.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn write_slots(tx: &Transaction<'_>, site: i64, day: Day, bytes: &[u8]) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR REPLACE INTO slots (day, object, bytes) VALUES (?1, ?2, ?3)")?.execute(params![day.0, site, bytes])?;
    Ok(())
}

/// Takes out the five-minute layer of days before `oldest`.
pub(super) fn forget_slots(tx: &Transaction<'_>, oldest: Day) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM slots WHERE day < ?1")?.execute([oldest.0])?;
    Ok(())
}

fn write_spans(tx: &Transaction<'_>, id: i64, day: Day, until: UnixMs, digests: Digests, bytes: &[u8]) -> Result<(), StoreError> {
    let mut statement = tx
        .prepare_cached("INSERT OR REPLACE INTO timelines (object, day, built_until, head, tail, spans) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    statement.execute(params![id, day.0, until.0, digests.head, digests.tail, bytes])?;
    Ok(())
}

/// Takes out what a day said of a site's links: the registry may list others by now.
fn clear_links(tx: &Transaction<'_>, site: &str, day: Day) -> Result<(), StoreError> {
    const OF_SITE: &str = "object IN (SELECT id FROM objects WHERE kind = ?2 AND code = ?3)";
    for kind in [ObjectKind::Link, ObjectKind::LinkShortNotice] {
        let sql = format!("DELETE FROM daily_seconds WHERE kind = ?2 AND day = ?1 AND {OF_SITE}");
        tx.prepare_cached(&sql)?.execute(params![day.0, kind.code(), site])?;
    }
    let kind = ObjectKind::Link.code();
    for table in ["daily_packets", "daily_values", "daily_plans"] {
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE day = ?1 AND {OF_SITE}"))?.execute(params![day.0, kind, site])?;
    }
    Ok(())
}

/// Reads the packed spans of a day, and as far as it is built.
pub(super) fn spans(db: &Connection, of: &Object, day: Day) -> Result<Option<(Vec<u8>, UnixMs)>, StoreError> {
    let Some(id) = known_id(db, of)? else { return Ok(None) };
    spans_of_id(db, id, day)
}

/// Reads the packed spans of a day of a site or village by its id.
pub(super) fn spans_of_id(db: &Connection, id: i64, day: Day) -> Result<Option<(Vec<u8>, UnixMs)>, StoreError> {
    let mut statement = db.prepare_cached("SELECT spans, built_until FROM timelines WHERE object = ?1 AND day = ?2")?;
    Ok(statement.query_row(params![id, day.0], |row| Ok((row.get(0)?, UnixMs(row.get(1)?)))).optional()?)
}

fn known_id(db: &Connection, of: &Object) -> Result<Option<i64>, StoreError> {
    let mut statement = db.prepare_cached("SELECT id FROM objects WHERE kind = ?1 AND code = ?2 AND link = ?3")?;
    Ok(statement.query_row(params![of.kind.code(), of.code, of.link], |row| row.get(0)).optional()?)
}

fn object_id(tx: &Transaction<'_>, of: &Object) -> Result<i64, StoreError> {
    if let Some(id) = known_id(tx, of)? {
        return Ok(id);
    }
    tx.execute("INSERT INTO objects (kind, code, link) VALUES (?1, ?2, ?3)", params![of.kind.code(), of.code, of.link])?;
    Ok(tx.last_insert_rowid())
}

fn object(kind: ObjectKind, row: &Row<'_>, column: usize) -> rusqlite::Result<Object> {
    Ok(Object { kind, code: row.get(column)?, link: row.get(column + 1)? })
}

fn seconds(row: &Row<'_>, column: usize) -> rusqlite::Result<StateSeconds> {
    Ok(StateSeconds {
        up: count(row, column)?,
        degraded: count(row, column + 1)?,
        down: count(row, column + 2)?,
        unknown: count(row, column + 3)?,
        maintenance: count(row, column + 4)?,
        not_in_service: count(row, column + 5)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0))
}

/// Reads stretches of announced work, as [`stitch`] writes them.
pub(super) fn work_of(json: &str) -> Vec<(UnixMs, UnixMs)> {
    let stretches: Vec<(i64, i64)> = serde_json::from_str(json).unwrap_or_default();
    stretches.into_iter().map(|(from, until)| (UnixMs(from), UnixMs(until))).collect()
}

/// Reads how an outage ended; what did not tell silence from work ended by silence.
pub(super) fn ended(restored: Option<bool>, by_work: Option<bool>) -> Option<Ended> {
    restored.map(|restored| match by_work {
        _ if restored => Ended::Restored,
        Some(true) => Ended::Work,
        _ => Ended::Silence,
    })
}

fn bounds_of(json: &str) -> Option<Bounds> {
    let [started, ended] = serde_json::from_str::<[(i64, i64); 2]>(json).ok()?.map(|(from, until)| (UnixMs(from), UnixMs(until)));
    Some(Bounds { started, ended })
}

fn outage(kind: ObjectKind, row: &Row<'_>) -> rusqlite::Result<Outage> {
    let evidence: String = row.get(7)?;
    Ok(Outage {
        object: object(kind, row, 0)?,
        started_at: UnixMs(row.get(2)?),
        ended_at: row.get::<_, Option<i64>>(3)?.map(UnixMs),
        seen_until: row.get::<_, Option<i64>>(11)?.map(UnixMs),
        ended: ended(row.get(4)?, row.get(10)?),
        cause: cause_of(row.get(5)?, row.get(6)?),
        evidence: Proofs {
            named: serde_json::from_str(&evidence).unwrap_or_default(),
            bounds: row.get::<_, Option<String>>(12)?.and_then(|json| bounds_of(&json)),
        },
        revision: row.get(8)?,
        work: work_of(&row.get::<_, String>(9)?),
    })
}
