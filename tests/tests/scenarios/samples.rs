//! A story told by agents: each site's agent measures every fifteen seconds, and the real engine judges its batches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusta_collector::config::Thresholds;
use rusta_collector::engine::{BootTime, Engine, Record, Snapshot};
use rusta_collector::inventory::{Inventory, SiteId};
use rusta_collector::log::Position;
use rusta_tests::fleet::{round, village_table};
use rusta_wire::{AgentId, Batch, BatchId, BootId, Clock, ClockSource, MonoMs, Network, Reason, Sequence, SeriesTable, UnixMs};

/// Between two rounds, each reported at once.
const ROUND: Duration = Duration::from_secs(15);

/// How long agents report before a story begins, so that it begins with everything known.
const BEFORE: Duration = Duration::from_secs(120);

/// Agents of every site, and the engine that hears them.
pub struct Samples {
    engine: Engine,
    table: Arc<SeriesTable>,
    booted: UnixMs,
    next_round: UnixMs,
    rounds: u64,
    records: u64,
    failing: BTreeSet<SiteId>,
    silent: BTreeSet<SiteId>,
}

impl Samples {
    pub fn new(inventory: &Arc<Inventory>, begins: UnixMs) -> Samples {
        let booted = UnixMs(begins.0 - i64::try_from(BEFORE.as_millis()).unwrap());
        let mut engine = Engine::new(inventory.clone(), Thresholds::default(), booted);
        let agents: Vec<_> = (0..inventory.sites.len()).map(|n| (AgentId(n as u64 + 1), site(n))).collect();
        engine.set_agents(&agents);
        let table = Arc::new(village_table("up", Network::Gov));
        let (failing, silent) = Default::default();
        Samples { engine, table, booted, next_round: booted + ROUND, rounds: 0, records: 0, failing, silent }
    }

    /// Cuts, silences or mends sites.
    pub fn set(&mut self, sites: &[SiteId], failing: bool, silent: bool) {
        for site in sites {
            for (set, wanted) in [(&mut self.failing, failing), (&mut self.silent, silent)] {
                if wanted {
                    set.insert(*site)
                } else {
                    set.remove(site)
                };
            }
        }
    }

    /// Lets every agent measure until `now`, and returns what the engine says then.
    pub fn pass(&mut self, now: UnixMs) -> Arc<Snapshot> {
        while self.next_round <= now {
            self.report();
            self.next_round = self.next_round + ROUND;
        }
        self.engine.advance_to(now);
        self.engine.snapshot()
    }

    fn report(&mut self) {
        self.rounds += 1;
        let at = self.next_round;
        let mono = MonoMs(u64::try_from(at.0 - self.booted.0).unwrap());
        for place in 0..self.engine.inventory().sites.len() {
            let site = site(place);
            if self.silent.contains(&site) {
                continue;
            }
            self.records += 1;
            let batch = Batch {
                id: BatchId { agent: AgentId(place as u64 + 1), boot: BootId(1), sequence: Sequence(self.rounds) },
                covers: 1,
                from: mono,
                until: mono,
                clock: Clock { unix: at, source: ClockSource::Synchronised, uncertainty_ms: 20 },
                reason: Reason::Interval,
                summary_s: 0,
                thinned: 0,
                dropped: 0,
                lost: 0,
                table: self.table.id(),
                samples: round(mono, !self.failing.contains(&site)).to_vec(),
            };
            let boot = Some(BootTime { at: self.booted, error_ms: 20 });
            let record = Record { position: Position(self.records), received_at: at, site, boot, batch, table: self.table.clone() };
            self.engine.apply(&record);
        }
    }
}

fn site(place: usize) -> SiteId {
    SiteId(u32::try_from(place).unwrap())
}
