//! The log played once more for a question about the past. Nothing is kept and nobody is told.

use std::path::Path;
use std::time::Duration;

use rusta_wire::UnixMs;

use super::{AdvanceError, READ, REPLAY_MS, memory, place_agents, record_of};
use crate::advance::boots;
use crate::config::Thresholds;
use crate::dating::Dating;
use crate::engine::{Engine, Snapshot};
use crate::inventory::Versions;
use crate::log::{self, Past};
use crate::persian::Window;
use crate::store::Store;

/// What a replay reads.
pub struct Replay<'a> {
    /// The data directory, which a collector may be using.
    pub data_dir: &'a Path,
    /// Its state database.
    pub store: &'a Store,
    /// Every version of the registry.
    pub versions: &'a Versions,
    /// When a state is called what.
    pub thresholds: &'a Thresholds,
}

impl Replay<'_> {
    /// Shows the engine as it stood every `step` of a window to `look`, by what had been received until then. Agents are
    /// those enrolled today. Returns how many batches were read.
    ///
    /// # Errors
    /// A log or database that cannot be read, or what `look` says.
    pub fn run<E: From<AdvanceError>>(
        &self,
        window: Window,
        step: Duration,
        mut look: impl FnMut(&Snapshot) -> Result<(), E>,
    ) -> Result<usize, E> {
        let from = UnixMs(window.from.0 - REPLAY_MS);
        let read = |error: AdvanceError| E::from(error);
        let begin = self.store.read(|tx| Ok::<_, AdvanceError>((memory::agents(tx)?, boots::load(tx)?, memory::disowned(tx)?)));
        let (agents, boots, disowned) = begin.map_err(read)?;
        let dir = log::dir_in(self.data_dir);
        let after = log::position_before(&dir, from).map_err(|error| read(error.into()))?;
        let mut past = Past::open(&dir, after, disowned).map_err(|error| read(error.into()))?;
        let mut dating = Dating::load(boots);
        let mut engine = Engine::new(self.versions.at(from), self.thresholds.clone(), from);
        place_agents(&agents, &mut engine);
        let (mut next, mut count) = (window.from, 0);
        let mut show = |engine: &mut Engine, until: UnixMs| {
            while next < until {
                let in_force = self.versions.at(next);
                if in_force.version != engine.inventory().version {
                    engine.replace_inventory(in_force);
                    place_agents(&agents, engine);
                }
                engine.advance_to(next);
                look(&engine.snapshot())?;
                next = next + step;
            }
            Ok::<_, E>(())
        };
        loop {
            let records = past.read(READ).map_err(|error| read(error.into()))?;
            if records.is_empty() {
                break;
            }
            for stored in records.iter().take_while(|stored| stored.received_at < window.until) {
                show(&mut engine, stored.received_at)?;
                if let Some(record) = record_of(&engine, &mut dating, stored).1 {
                    engine.apply(&record);
                }
                count += 1;
            }
            if records.last().is_some_and(|last| last.received_at >= window.until) {
                break;
            }
        }
        show(&mut engine, window.until)?;
        Ok(count)
    }
}
