//! Takes out what an agent said since it was in other hands: `agents revoke --since`.
//!
//! ```text
//! agents.disowned_since --> log shows it to nobody --> boots learnt again from what is left --> days built again
//!                                                  --> engine restored as after a restart, without what was told of its sites
//! ```
//! That it was taken out is kept last: a kill in between has it done again, and doing it again changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusta_wire::{AgentId, UnixMs};

use super::{Advance, AdvanceError, READ, Unkept, boots, memory, restored};
use crate::dating::Contact;
use crate::day::Day;
use crate::log::Position;

impl Advance {
    /// Takes out whatever was disowned since the last look; `true` if there was anything.
    pub(super) fn disown(&mut self, now: UnixMs) -> Result<bool, AdvanceError> {
        let (disowned, before) = self.store.read(|tx| Ok::<_, AdvanceError>((memory::disowned(tx)?, memory::taken_out(tx)?)))?;
        let fresh: Vec<AgentId> =
            disowned.iter().filter(|(agent, since)| before.get(agent) != Some(since)).map(|(agent, _)| *agent).collect();
        self.log.disown(disowned.clone());
        if fresh.is_empty() {
            return Ok(false);
        }
        // Just opened, nothing is unkept, and the cursor stands where it was read from last.
        if self.is_open {
            self.keep(now)?;
        }
        let mut sites = BTreeSet::new();
        for agent in &fresh {
            sites.extend(self.store.read(|tx| memory::sites_of(tx, *agent))?);
            self.learn_boots_again(*agent)?;
        }
        let today = Day::of(now);
        let kept_days = i32::try_from(self.log.retention_days()).unwrap_or(i32::MAX);
        let days = (today.0.saturating_sub(kept_days)..=today.0).map(Day);
        let touched: BTreeSet<(Day, String)> = days.flat_map(|day| sites.iter().map(move |site| (day, site.clone()))).collect();
        let changed = self.dating.take_changed();
        self.store.write(|tx| {
            for agent in &fresh {
                boots::forget(tx, *agent)?;
            }
            boots::keep(tx, &changed)?;
            memory::keep_days(tx, touched.iter().map(|(day, site)| (*day, site.as_str())))
        })?;
        self.restore(&sites, now)?;
        // What people are told of it is on disk before it counts as done.
        self.keep(now)?;
        self.store.write(|tx| memory::keep_taken_out(tx, &disowned))?;
        tracing::warn!(agents = fresh.len(), sites = sites.len(), "what revoked agents said is taken out");
        Ok(true)
    }

    /// Learns an agent's boots from what it may have said.
    fn learn_boots_again(&mut self, agent: AgentId) -> Result<(), AdvanceError> {
        for boot in self.dating.forget(agent) {
            let mut after = Position(0);
            loop {
                let records = self.log.of_boot(agent, boot, after, READ)?;
                let Some(last) = records.last() else { break };
                after = last.position;
                for stored in &records {
                    self.dating.observe(&Contact {
                        head: &stored.head,
                        site_code: &stored.site_code,
                        received_at: stored.received_at,
                        live_offset_ms: stored.live_offset_ms,
                    });
                }
            }
        }
        Ok(())
    }

    /// Restores the engine as after a restart. Of the sites concerned nothing is known but what the log still says; people are
    /// told the difference to what they were told.
    pub(super) fn restore(&mut self, sites: &BTreeSet<String>, now: UnixMs) -> Result<(), AdvanceError> {
        let kept = self.store.read(|tx| memory::load(tx, super::REPLAY_MS, now))?;
        let versions = Arc::clone(&self.inventories.borrow());
        let first = kept.replay_from.map_or(now, |(at, _)| at);
        self.cursor = kept.replay_from.map_or(self.cursor, |(_, position)| position);
        self.engine =
            restored(&self.store, versions.at(now), &self.thresholds, first, kept.told.iter().filter(|told| !sites.contains(&told.code)))?;
        self.unkept = Unkept::default();
        self.replay(&kept)?;
        while self.read()? > 0 {}
        let mut events = self.engine.listen_from(now);
        events.extend(self.engine.tell_differences());
        self.take(&events);
        self.publish(now);
        Ok(())
    }
}
