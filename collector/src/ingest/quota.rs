//! What one identity may cost. A stolen key is valid, so what it sends is bounded like a stranger's: each limit has its reason,
//! is counted by agent, and is told to the agent as "come back later", so that an honest one that hits it loses nothing.
//!
//! ```text
//! request --enter--> body --charge(boots, bytes, values)--> log
//!    table --introduce--> names in memory, series in databases
//! ```
//! Counts begin anew each day and with the process: they bound cost, they are no accounts.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusta_wire::{AgentId, BootId, SeriesTable, UnixMs};

use super::hits::{Hits, Limit};

/// Requests an agent may save up, and how many a second it gets: a backlog of a week sent in pieces, at the wildest.
const REQUESTS_SAVED: f64 = 1_200.0;
const REQUESTS_A_SECOND: f64 = 10.0;

/// Requests of one agent under way: it sends one after the other, and a new line may overlap with one that died.
const UNDER_WAY: usize = 4;

/// Lives of a router a day: one every quarter of an hour is a power supply to be replaced, and each is remembered.
const BOOTS_A_DAY: usize = 96;

/// Tables a day: each new configuration brings one, and each step of thinning another.
const TABLES_A_DAY: u32 = 64;

/// Renewals a day: once a day is tried when a certificate is due.
const RENEWALS_A_DAY: u32 = 10;

/// Series of one table that speak of one link: a switch of 48 ports with its modem and anchors.
const SERIES_OF_A_LINK: usize = 256;

/// What differs between a village and a vantage, which measures hundreds of them.
struct Size {
    /// Series of one table.
    series: usize,
    /// Distinct series a day: each is a time series in somebody's database.
    names: usize,
    /// Bytes of frames a day. A village says 0.6 MB, and a week of backlog in one day.
    bytes: u64,
    /// Samples and their values a day: a village says 70,000.
    values: u64,
}

const VILLAGE: Size = Size { series: 512, names: 1_024, bytes: 16 << 20, values: 2_000_000 };
const VANTAGE: Size = Size { series: 8_192, names: 16_384, bytes: 1 << 30, values: 100_000_000 };

impl Size {
    fn of(is_vantage: bool) -> &'static Size {
        if is_vantage { &VANTAGE } else { &VILLAGE }
    }
}

/// What one upload wants to add.
#[derive(Debug, Clone, Default)]
pub(super) struct Charge {
    pub(super) boots: HashSet<BootId>,
    pub(super) bytes: u64,
    pub(super) values: u64,
}

/// One agent's day so far.
#[derive(Default)]
struct Usage {
    day: i64,
    boots: HashSet<BootId>,
    names: HashSet<u64>,
    tables: u32,
    renewals: u32,
    bytes: u64,
    values: u64,
    /// Requests spent, draining over time.
    spent: f64,
    drained_at: i64,
    under_way: usize,
}

/// What every agent used today.
#[derive(Default)]
pub(super) struct Quotas {
    agents: Mutex<HashMap<AgentId, Usage>>,
    hash: RandomState,
    pub(super) hits: Hits,
}

/// A request under way, until it is dropped.
pub(super) struct Request<'a> {
    quotas: &'a Quotas,
    agent: AgentId,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if let Some(usage) = self.quotas.lock().get_mut(&self.agent) {
            usage.under_way = usage.under_way.saturating_sub(1);
        }
    }
}

const DAY_MS: i64 = 86_400_000;

impl Quotas {
    pub(super) fn new(hits: Hits) -> Self {
        Quotas { hits, ..Quotas::default() }
    }

    /// Lets a request of an agent in.
    pub(super) fn enter(&self, agent: AgentId, now: UnixMs) -> Result<Request<'_>, Limit> {
        let limit = self.with(agent, now, |usage| {
            let passed_s = (now.0 - usage.drained_at).max(0) as f64 / 1000.0;
            usage.spent = (usage.spent - passed_s * REQUESTS_A_SECOND).max(0.0);
            usage.drained_at = now.0;
            if usage.under_way >= UNDER_WAY {
                return Err(Limit::UnderWay);
            }
            if usage.spent >= REQUESTS_SAVED {
                return Err(Limit::Requests);
            }
            usage.spent += 1.0;
            usage.under_way += 1;
            Ok(())
        });
        limit.map(|()| Request { quotas: self, agent })
    }

    /// Takes a table an agent was not known to use.
    pub(super) fn introduce(&self, agent: AgentId, is_vantage: bool, table: &SeriesTable, now: UnixMs) -> Result<(), Limit> {
        let size = Size::of(is_vantage);
        let names: HashSet<u64> =
            table.series.iter().map(|series| self.hash.hash_one((&series.link, &series.target, &series.towards))).collect();
        self.with(agent, now, |usage| {
            if usage.tables >= TABLES_A_DAY {
                return Err(Limit::Tables);
            }
            if names.iter().filter(|name| !usage.names.contains(name)).count() + usage.names.len() > size.names {
                return Err(Limit::Series);
            }
            usage.tables += 1;
            usage.names.extend(names);
            Ok(())
        })
    }

    /// Takes what an upload adds, all of it or none.
    pub(super) fn charge(&self, agent: AgentId, is_vantage: bool, charge: &Charge, now: UnixMs) -> Result<(), Limit> {
        let size = Size::of(is_vantage);
        self.with(agent, now, |usage| {
            if charge.boots.difference(&usage.boots).count() + usage.boots.len() > BOOTS_A_DAY {
                return Err(Limit::Boots);
            }
            if usage.bytes + charge.bytes > size.bytes {
                return Err(Limit::Bytes);
            }
            if usage.values + charge.values > size.values {
                return Err(Limit::Values);
            }
            usage.boots.extend(&charge.boots);
            usage.bytes += charge.bytes;
            usage.values += charge.values;
            Ok(())
        })
    }

    /// Takes a renewal.
    pub(super) fn renew(&self, agent: AgentId, now: UnixMs) -> Result<(), Limit> {
        self.with(agent, now, |usage| {
            if usage.renewals >= RENEWALS_A_DAY {
                return Err(Limit::Renewals);
            }
            usage.renewals += 1;
            Ok(())
        })
    }

    fn with(&self, agent: AgentId, now: UnixMs, work: impl FnOnce(&mut Usage) -> Result<(), Limit>) -> Result<(), Limit> {
        let day = now.0.div_euclid(DAY_MS);
        let done = {
            let mut agents = self.lock();
            let usage = agents.entry(agent).or_default();
            if usage.day != day {
                *usage = Usage { day, spent: usage.spent, drained_at: usage.drained_at, under_way: usage.under_way, ..Usage::default() };
            }
            work(usage)
        };
        if let Err(limit) = done {
            self.hits.hit(agent, limit, 1, now);
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Usage>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what is wrong with the shape of a table: no later moment makes it right.
pub(super) fn misshapen(table: &SeriesTable, is_vantage: bool) -> Option<String> {
    let size = Size::of(is_vantage);
    if table.series.len() > size.series {
        return Some(format!("a table of this site may have {} series", size.series));
    }
    let mut of_link: HashMap<(&str, &str), usize> = HashMap::new();
    for series in &table.series {
        *of_link.entry((&series.towards, &series.link)).or_default() += 1;
    }
    let crowded = of_link.into_values().any(|count| count > SERIES_OF_A_LINK);
    crowded.then(|| format!("a table may have {SERIES_OF_A_LINK} series of one link"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_795_251_600_000);
    const AGENT: AgentId = AgentId(7);

    fn boots(range: std::ops::Range<u64>) -> Charge {
        Charge { boots: range.map(BootId).collect(), ..Charge::default() }
    }

    #[test]
    fn one_identity_has_so_many_boots_a_day_and_the_next_day_as_many_again() {
        let quotas = Quotas::default();
        assert_eq!(quotas.charge(AGENT, false, &boots(0..96), NOW), Ok(()));
        assert_eq!(quotas.charge(AGENT, false, &boots(0..96), NOW), Ok(()), "a boot that goes on is no other one");
        assert_eq!(quotas.charge(AGENT, false, &boots(96..97), NOW), Err(Limit::Boots));
        assert_eq!(quotas.charge(AgentId(8), false, &boots(96..97), NOW), Ok(()), "another agent is not concerned");
        assert_eq!(quotas.charge(AGENT, false, &boots(96..97), UnixMs(NOW.0 + DAY_MS)), Ok(()));
        let hit = quotas.hits.of_agent(AGENT, NOW);
        assert_eq!(hit, [(Limit::Boots, 1)], "who hit it is known");
    }

    #[test]
    fn an_upload_that_is_too_much_is_not_counted() {
        let quotas = Quotas::default();
        let bytes = |bytes| Charge { bytes, ..Charge::default() };
        assert_eq!(quotas.charge(AGENT, false, &bytes(VILLAGE.bytes + 1), NOW), Err(Limit::Bytes));
        assert_eq!(quotas.charge(AGENT, false, &bytes(VILLAGE.bytes), NOW), Ok(()));
        assert_eq!(quotas.charge(AGENT, false, &bytes(1), NOW), Err(Limit::Bytes));
        assert_eq!(quotas.charge(AGENT, true, &bytes(1), NOW), Ok(()), "a vantage may say more");
    }

    #[test]
    fn requests_are_limited_at_once_and_over_time() {
        let quotas = Quotas::default();
        let held: Vec<_> = (0..UNDER_WAY).map(|_| quotas.enter(AGENT, NOW).ok().unwrap()).collect();
        assert_eq!(quotas.enter(AGENT, NOW).err(), Some(Limit::UnderWay));
        drop(held);
        let got = (0..2_000).filter(|_| quotas.enter(AGENT, NOW).is_ok()).count();
        assert_eq!(got, 1_200 - UNDER_WAY);
        assert!(quotas.enter(AGENT, UnixMs(NOW.0 + 1_000)).is_ok());
    }
}
