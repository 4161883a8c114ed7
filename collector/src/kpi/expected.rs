//! What agents were to report: how long each was in service, and how often.
//!
//! ```text
//! device a  |enrolled ------------- last heard      (nobody revoked it)
//! device b                                    |enrolled ------------->
//! expected  |----------------- a -------------|---------- b --------->
//! ```
//!
//! A device is superseded by the next enrolment at its site once it is not heard any more: whoever replaces a router seldom
//! revokes the old one. Two devices that are both heard are both expected. How often a device reports is what the site showed
//! last; before it showed anything, how often its assignment asks for a round.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use rusta_wire::{AgentId, UnixMs};

use crate::config::parse_duration;
use crate::day::Day;
use crate::inventory::assignment;
use crate::inventory::{Inventory, SiteId};
use crate::persian::Window;
use crate::store::StoreError;

/// One device's enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Enrolled {
    /// Its site's code.
    pub(super) site: String,
    /// When it was enrolled.
    pub(super) at: UnixMs,
    /// When it was revoked.
    pub(super) revoked: Option<UnixMs>,
    /// The end of what was heard of it; `None` if nothing was.
    pub(super) heard_until: Option<UnixMs>,
}

/// Reads every enrolment there was.
///
/// # Errors
/// What the database says.
pub(super) fn enrolments(db: &Connection) -> Result<Vec<Enrolled>, StoreError> {
    let mut heard: HashMap<AgentId, UnixMs> = HashMap::new();
    let mut statement = db.prepare_cached("SELECT agent, max(last_ms + most_offset_ms) FROM boots GROUP BY agent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        heard.insert(AgentId(row.get::<_, i64>(0)?.cast_unsigned()), UnixMs(row.get(1)?));
    }
    let mut statement = db.prepare_cached("SELECT id, site_code, enrolled_at, revoked_at FROM agents ORDER BY enrolled_at, id")?;
    let rows = statement.query_map([], |row| {
        let agent = row.get::<_, String>(0)?.parse::<AgentId>().ok();
        Ok(Enrolled {
            site: row.get(1)?,
            at: UnixMs(row.get(2)?),
            revoked: row.get::<_, Option<i64>>(3)?.map(UnixMs),
            heard_until: agent.and_then(|agent| heard.get(&agent).copied()),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sums the seconds each site's devices were in service inside a window; enrolments stand in order of time.
pub(super) fn seconds_in_service(enrolments: &[Enrolled], window: Window) -> HashMap<String, u64> {
    let mut by_site: BTreeMap<&str, Vec<&Enrolled>> = BTreeMap::new();
    enrolments.iter().for_each(|one| by_site.entry(&one.site).or_default().push(one));
    let mut seconds = HashMap::new();
    for (site, devices) in by_site {
        let of_device = |(number, device): (usize, &&Enrolled)| {
            let next = devices[number + 1..].iter().map(|next| next.at).find(|next| *next > device.at);
            let superseded = next.filter(|next| device.heard_until.is_none_or(|heard| heard <= *next));
            let ends = [device.revoked, superseded, Some(window.until)].into_iter().flatten();
            let until = ends.min().unwrap_or(window.until);
            u64::try_from((until.0 - device.at.max(window.from).0) / 1000).unwrap_or(0)
        };
        seconds.insert(site.to_owned(), devices.iter().enumerate().map(of_device).sum());
    }
    seconds
}

/// Days an interval is looked back for: a report that shows it is in the log at most so long.
const LOOK_BACK_DAYS: i32 = 62;

/// The agent's reporting interval if nothing else is known, seconds (`report.every` of `agent.yaml`).
const USUAL_INTERVAL_S: u32 = 60;

/// Returns the reporting interval of a site that showed none in the window: the last one it showed before, else the
/// shortest interval of its assigned targets, never under a minute; seconds.
///
/// # Errors
/// What the database says.
pub(super) fn interval_s(db: &Connection, inventory: &Inventory, site: SiteId, before: Day) -> Result<u32, StoreError> {
    let code = &inventory.site(site).code;
    let mut statement = db.prepare_cached(
        "SELECT r.interval_s FROM objects o JOIN daily_reports r ON r.object = o.id AND r.day = ?2
         WHERE o.kind = 2 AND o.code = ?1 AND o.link = '' AND r.interval_s > 0",
    )?;
    for back in 1..=LOOK_BACK_DAYS {
        if let Some(shown) = statement.query_row(params![code, before.0 - back], |row| row.get(0)).optional()? {
            return Ok(shown);
        }
    }
    let assigned = assignment::intervals(inventory, site).into_iter().filter_map(|text| parse_duration(&text).ok());
    let shortest = assigned.filter_map(|every| u32::try_from(every.as_secs()).ok()).min();
    Ok(shortest.map_or(USUAL_INTERVAL_S, |shortest| shortest.max(USUAL_INTERVAL_S)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(site: &str, at: i64, revoked: Option<i64>, heard: Option<i64>) -> Enrolled {
        let second = |at: i64| UnixMs(at * 1000);
        Enrolled { site: site.to_owned(), at: second(at), revoked: revoked.map(second), heard_until: heard.map(second) }
    }

    fn expected(devices: &[Enrolled]) -> u64 {
        seconds_in_service(devices, Window { from: UnixMs(0), until: UnixMs(86_400_000) })["s"]
    }

    #[test]
    fn a_replaced_device_that_nobody_revoked_is_expected_until_the_next_enrolment() {
        let old = device("s", 0, None, Some(40_000));
        assert_eq!(expected(std::slice::from_ref(&old)), 86_400, "silent, but nobody took its place");
        let new = device("s", 43_200, None, Some(86_400));
        assert_eq!(expected(&[old.clone(), new.clone()]), 86_400);
        assert_eq!(expected(&[device("s", 0, None, None), new.clone()]), 86_400, "one that was never heard, too");
        assert_eq!(expected(&[device("s", 0, Some(10_000), Some(9_000)), new.clone()]), 10_000 + 43_200);
        assert_eq!(expected(&[device("s", 0, None, Some(80_000)), new]), 86_400 + 43_200, "two that are heard are two");
        assert_eq!(expected(&[old, device("t", 43_200, None, None)]), 86_400, "another site's device replaces nothing");
    }
}
