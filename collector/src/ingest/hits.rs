//! Who wanted more than an identity may have: counted by agent and reason, shown on `/metrics` and on the agents page, and told
//! to the audit log once a day and reason. A flood is one row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rusqlite::OptionalExtension;
use rusta_wire::{AgentId, UnixMs};

use crate::clock;
use crate::day::Day;
use crate::inventory::word_enum;
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

word_enum! {
    /// What an identity had too much of.
    Limit {
        /// Requests under way at once.
        UnderWay = "under_way",
        /// Requests over time.
        Requests = "requests",
        /// Lives of its router a day.
        Boots = "boots",
        /// Series tables a day.
        Tables = "tables",
        /// Distinct series a day.
        Series = "series",
        /// Bytes a day.
        Bytes = "bytes",
        /// Samples and values a day.
        Values = "values",
        /// Renewed certificates a day.
        Renewals = "renewals",
        /// Series about sites the registry does not let it speak about.
        NotAVantage = "not_a_vantage",
        /// Batches in another agent's name.
        OtherAgent = "other_agent",
    }
}

impl Limit {
    /// Says it to the agent.
    pub fn reason(self) -> &'static str {
        match self {
            Limit::UnderWay => "this agent has too many requests under way",
            Limit::Requests => "this agent sends too many requests",
            Limit::Boots => "this agent has begun too many boots today",
            Limit::Tables => "this agent has brought too many series tables today",
            Limit::Series => "this agent has brought too many series today",
            Limit::Bytes => "this agent has sent too many bytes today",
            Limit::Values => "this agent has sent too many values today",
            Limit::Renewals => "this agent has renewed its certificate too often today",
            Limit::NotAVantage => "the registry does not let this agent speak about another site",
            Limit::OtherAgent => "the batch names another agent than the certificate",
        }
    }
}

/// Agents shown on `/metrics` by name: labels cost memory there too.
const SHOWN: usize = 100;

/// How often what was counted is kept.
const KEEP_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Who {
    agent: String,
    limit: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    day: Day,
    hits: u64,
    unkept: u64,
    last_at: UnixMs,
}

/// The counts; clones share them.
#[derive(Clone, Default)]
pub struct Hits {
    counts: Arc<Mutex<HashMap<(AgentId, Limit), Count>>>,
    shown: Family<Who, Gauge>,
}

impl Hits {
    /// Makes the counts known.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Times an agent wanted more than an identity may have, today";
        registry.register("rusta_agent_limited", help, self.shown.clone());
    }

    /// Counts.
    pub fn hit(&self, agent: AgentId, limit: Limit, hits: u64, at: UnixMs) {
        let day = Day::of(at);
        let mut counts = self.lock();
        let count = counts.entry((agent, limit)).or_insert(Count { day, hits: 0, unkept: 0, last_at: at });
        if count.day != day {
            *count = Count { day, hits: 0, unkept: 0, last_at: at };
        }
        (count.hits, count.unkept, count.last_at) = (count.hits + hits, count.unkept + hits, at);
        let who = Who { agent: agent.to_string(), limit: limit.as_str() };
        // Only so many agents are named; the page and the database name all.
        if counts.len() <= SHOWN {
            let hits = i64::try_from(counts[&(agent, limit)].hits).unwrap_or(i64::MAX);
            self.shown.get_or_create(&who).set(hits);
        }
    }

    /// Returns what an agent hit on a day.
    #[cfg(test)]
    pub(super) fn of_agent(&self, agent: AgentId, at: UnixMs) -> Vec<(Limit, u64)> {
        let counts = self.lock();
        let of_day = counts.iter().filter(|((who, _), count)| *who == agent && count.day == Day::of(at));
        let mut found: Vec<_> = of_day.map(|((_, limit), count)| (*limit, count.hits)).collect();
        found.sort_unstable();
        found
    }

    /// Keeps what was counted; the first of a day and reason is told to the audit log.
    ///
    /// # Errors
    /// What the database says; the counts are kept with the next attempt.
    pub fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let unkept: Vec<((AgentId, Limit), Count)> =
            self.lock().iter().filter(|(_, count)| count.unkept > 0).map(|(key, count)| (*key, *count)).collect();
        if unkept.is_empty() {
            return Ok(());
        }
        store.write(|tx| {
            for ((agent, limit), count) in &unkept {
                let key = (agent.to_string(), count.day.0, limit.as_str());
                let find = "SELECT hits FROM agent_limits WHERE agent = ?1 AND day = ?2 AND reason = ?3";
                let known: Option<i64> = tx.prepare_cached(find)?.query_row((&key.0, key.1, key.2), |row| row.get(0)).optional()?;
                let sql = "INSERT INTO agent_limits (agent, day, reason, hits, last_at) VALUES (?1, ?2, ?3, ?4, ?5)
                           ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, last_at = excluded.last_at";
                let hits = i64::try_from(count.unkept).unwrap_or(i64::MAX);
                tx.prepare_cached(sql)?.execute((&key.0, key.1, key.2, hits, count.last_at.0))?;
                if known.is_none() {
                    let actor = format!("agent:{agent}");
                    let deed = Deed { at: count.last_at, actor: &actor, action: "agent.limited", subject: &key.0, detail: limit.reason() };
                    audit::record(tx, &deed)?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
        let today = Day::of(clock::now());
        let mut counts = self.lock();
        for (key, kept) in unkept {
            if let Some(count) = counts.get_mut(&key).filter(|count| count.day == kept.day) {
                count.unkept = count.unkept.saturating_sub(kept.unkept);
            }
        }
        counts.retain(|(agent, limit), count| {
            let stays = count.day >= today || count.unkept > 0;
            if !stays {
                self.shown.remove(&Who { agent: agent.to_string(), limit: limit.as_str() });
            }
            stays
        });
        Ok(())
    }

    /// Keeps the counts until it is dropped.
    pub async fn keep_always(self, store: Store) {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            let (hits, store) = (self.clone(), store.clone());
            match tokio::task::spawn_blocking(move || hits.keep(&store)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "what agents had too much of is kept later"),
                Err(error) => tracing::error!(%error, "what agents had too much of was not kept"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(AgentId, Limit), Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
