//! The loop of one sink: owe a minute's states, deliver what is owed, deliver the log from the cursor on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rusta_wire::UnixMs;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::delivery::{Delivered, Endpoint, Postponed, deliver};
use super::points::{Fields, write_kpis, write_probes, write_states};
use super::queue::Queue;
use crate::engine::{Record, Snapshot};
use crate::kpi::Figure;
use crate::log::Position;

/// Points a request carries at most: larger bodies gained nothing when measured, smaller ones cost requests.
const LINES_A_REQUEST: usize = 5_000;

/// Log records read at a time.
const RECORDS_A_READ: usize = 512;

/// First and longest pause after a failure; each pause doubles the one before.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a sink is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, in metrics and in its file's name.
    pub name: String,
    /// Where to write.
    pub endpoint: Endpoint,
    /// Its own durable memory.
    pub queue: PathBuf,
    /// How often every state is written.
    pub states_every: Duration,
}

/// What a sink did since the start; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Points the database took.
    pub written: Counter,
    /// Points set aside because the database will never take them.
    pub set_aside: Counter,
    /// Deliveries that had to wait.
    pub postponed: Counter,
    /// How far in the log everything was delivered.
    pub position: Gauge,
    /// Bodies of state points that wait on disk.
    pub owed: Gauge,
    /// State points that fell off the end of what may wait, ever.
    pub dropped: Gauge,
}

impl Counters {
    /// Shows the counters of the sink called `name` on `/metrics`.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        let registry = registry.sub_registry_with_label(("sink".into(), name.to_owned().into()));
        registry.register("rusta_sink_points_written", "Points a time-series database took", self.written.clone());
        registry.register("rusta_sink_points_set_aside", "Points a database will never take", self.set_aside.clone());
        registry.register("rusta_sink_deliveries_postponed", "Deliveries that had to wait for the database", self.postponed.clone());
        registry.register("rusta_sink_position", "Record of the log up to which everything was delivered", self.position.clone());
        registry.register("rusta_sink_bodies_owed", "Bodies of state points that wait on disk", self.owed.clone());
        registry.register("rusta_sink_points_dropped", "State points that fell off the end of what may wait", self.dropped.clone());
    }
}

/// What a sink reads: dated records after a position, the newest snapshot, and the figures of now.
pub struct Source<R, F> {
    /// Reads up to so many records after a position, oldest first, and says how far it looked; `None` at the end.
    pub records: R,
    /// Computes the KPIs to write with a snapshot's states.
    pub figures: F,
    /// Follows the log's newest position.
    pub head: watch::Receiver<Position>,
    /// Follows the engine.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// A sink at work.
pub struct Tail<R, F> {
    settings: Settings,
    records: R,
    figures: Arc<F>,
    head: watch::Receiver<Position>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    queue: Queue,
    client: reqwest::Client,
    fields: Fields,
    counters: Counters,
    pause: Duration,
}

impl<R, F> Tail<R, F>
where
    F: Fn(&Snapshot) -> Vec<Figure> + Send + Sync + 'static,
    R: FnMut(Position, usize) -> anyhow::Result<Option<(Position, Vec<Record>)>>,
{
    /// Opens the sink's memory.
    ///
    /// # Errors
    /// A memory that cannot be opened, or an HTTP client that cannot be made.
    pub fn new(settings: Settings, source: Source<R, F>, counters: Counters) -> anyhow::Result<Self> {
        let queue = Queue::open(&settings.queue)?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let Source { records, figures, head, snapshots } = source;
        let figures = Arc::new(figures);
        Ok(Tail { settings, records, figures, head, snapshots, queue, client, fields: Fields::new(), counters, pause: PAUSE.0 })
    }

    /// Works until `stop` says so. What is owed stays on disk.
    ///
    /// # Errors
    /// The sink's own memory failed; a database that fails is waited for.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut states = interval(self.settings.states_every);
        states.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut resume_at = Instant::now();
        loop {
            let are_states_due = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                _ = states.tick() => true,
                changed = self.head.changed() => { changed?; false }
                () = sleep_until(resume_at), if resume_at > Instant::now() => false,
            };
            if are_states_due {
                self.owe_states().await?;
            }
            if Instant::now() >= resume_at {
                match self.deliver_all().await? {
                    None => self.pause = PAUSE.0,
                    Some(postponed) => resume_at = Instant::now() + self.next_pause(&postponed),
                }
            }
            self.show_queue()?;
        }
    }

    fn show_queue(&self) -> anyhow::Result<()> {
        self.counters.position.set(i64::try_from(self.queue.cursor()?.unwrap_or_default().0).unwrap_or(i64::MAX));
        self.counters.owed.set(self.queue.owed()?);
        self.counters.dropped.set(self.queue.dropped()?);
        Ok(())
    }

    fn next_pause(&mut self, postponed: &Postponed) -> Duration {
        self.counters.postponed.inc();
        tracing::warn!(sink = self.settings.name, reason = postponed.reason, "the database does not take points; nothing is lost");
        let pause = postponed.retry_after.unwrap_or(self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
        pause
    }

    /// Dates the states of now to the start of their interval, so that a restart within it writes the same points again.
    async fn owe_states(&mut self) -> anyhow::Result<()> {
        let snapshot = self.snapshots.borrow().clone();
        let (figures, of) = (Arc::clone(&self.figures), Arc::clone(&snapshot));
        // A month's figures take a second of a large province; the requests of others go on meanwhile.
        let figures = tokio::task::spawn_blocking(move || figures(&of)).await?;
        let every = i64::try_from(self.settings.states_every.as_millis()).unwrap_or(i64::MAX).max(1);
        let at = UnixMs(snapshot.at.0 - snapshot.at.0.rem_euclid(every));
        let mut lines = String::new();
        write_states(&mut lines, &snapshot, at);
        write_kpis(&mut lines, &snapshot.inventory, &figures, at);
        for body in bodies(&lines) {
            self.queue.owe(body)?;
        }
        Ok(())
    }

    async fn deliver_all(&mut self) -> anyhow::Result<Option<Postponed>> {
        while let Some(owed) = self.queue.oldest_owed()? {
            match deliver(&self.client, &self.settings.endpoint, &owed.body).await {
                Ok(delivered) => self.keep(&delivered)?,
                Err(postponed) => return Ok(Some(postponed)),
            }
            self.queue.delivered(owed.id)?;
        }
        self.deliver_log().await
    }

    async fn deliver_log(&mut self) -> anyhow::Result<Option<Postponed>> {
        loop {
            // Read anew each time: an operator may have moved it to replay.
            let cursor = self.queue.cursor()?.unwrap_or_default();
            let Some((last, records)) = (self.records)(cursor, RECORDS_A_READ)? else { return Ok(None) };
            let inventory = self.snapshots.borrow().inventory.clone();
            let mut lines = String::new();
            for record in &records {
                write_probes(&mut lines, &self.fields, &inventory, record);
            }
            for body in bodies(&lines) {
                match deliver(&self.client, &self.settings.endpoint, body).await {
                    Ok(delivered) => self.keep(&delivered)?,
                    Err(postponed) => return Ok(Some(postponed)),
                }
            }
            self.queue.set_cursor(last)?;
        }
    }

    fn keep(&mut self, delivered: &Delivered) -> anyhow::Result<()> {
        self.counters.written.inc_by(delivered.lines as u64);
        if delivered.poison.is_empty() {
            return Ok(());
        }
        self.counters.set_aside.inc_by(delivered.poison.len() as u64);
        let at = self.snapshots.borrow().at;
        Ok(self.queue.set_aside(at, &delivered.poison)?)
    }
}

/// Cuts line protocol at line ends into bodies of at most [`LINES_A_REQUEST`].
fn bodies(lines: &str) -> impl Iterator<Item = &str> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.match_indices('\n').nth(LINES_A_REQUEST - 1).map_or(rest.len(), |(at, _)| at + 1);
        let (body, more) = rest.split_at(end);
        rest = more;
        Some(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_at_line_ends_and_lose_nothing() {
        let lines: String = (0..LINES_A_REQUEST * 2 + 7).map(|n| format!("m v={n} 1\n")).collect();
        let parts: Vec<&str> = bodies(&lines).collect();
        assert_eq!(parts.iter().map(|p| p.lines().count()).collect::<Vec<_>>(), [LINES_A_REQUEST, LINES_A_REQUEST, 7]);
        assert_eq!(parts.concat(), lines);
    }
}
