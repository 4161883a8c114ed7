//! Time-series databases as copies: each sink tails the log with its own cursor, so a dead database delays only itself and
//! loses nothing the log still has.
//!
//! ```text
//! log --cursor--> points --line protocol--> delivery --> InfluxDB 1, 2, 3, VictoriaMetrics
//! snapshot, once a minute --> owed (on disk) ----^
//! ```

pub mod delivery;
pub mod line;
pub mod points;
pub mod queue;
pub mod reader;
pub mod schema;
pub mod tail;

mod command;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config;
use crate::engine::Snapshot;
use crate::kpi::{Ask, Book, CATALOGUE, Figure, View, Weight, answer, connected_share_now};
use crate::log::Log;
use crate::persian::Period;
use crate::store::Store;
use crate::telemetry::Telemetry;

pub use command::Command;
use delivery::Endpoint;
use reader::Reader;
use tail::{Counters, Settings, Source, Tail};

/// What every sink stands on.
pub struct Parts<'a> {
    /// The configuration: the sinks, the data directory, how old evidence of now may be.
    pub config: &'a config::Config,
    /// Where records come from.
    pub log: &'a Log,
    /// Where boots are known.
    pub store: &'a Store,
    /// Follows the engine.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where what sinks do is counted.
    pub telemetry: &'a Telemetry,
}

/// Starts every configured sink; each ends when told to stop.
///
/// # Errors
/// A token that cannot be read, or a sink's own file that cannot be opened.
pub fn start(parts: &Parts<'_>, stop: &watch::Receiver<bool>) -> anyhow::Result<Vec<JoinHandle<()>>> {
    parts.config.sinks.iter().map(|sink| start_one(parts, sink, stop.clone())).collect()
}

fn start_one(parts: &Parts<'_>, sink: &config::Sink, stop: watch::Receiver<bool>) -> anyhow::Result<JoinHandle<()>> {
    let counters = Counters::default();
    parts.telemetry.register(|registry| counters.register(&sink.name, registry));
    let settings = Settings {
        name: sink.name.clone(),
        endpoint: Endpoint { url: sink.url.clone(), authorization: sink.token_file.as_deref().map(token).transpose()? },
        queue: memory_of(&parts.config.data_dir, &sink.name),
        states_every: sink.states_every,
    };
    let mut reader = Reader::open(parts.log.clone(), parts.store, parts.snapshots.clone())?;
    let figures = Figures { book: Book::new(parts.store.clone()), month_at: Mutex::new(None) };
    let source = Source {
        records: move |after, max| reader.read(after, max),
        figures: move |snapshot: &Snapshot| figures.of(snapshot),
        head: parts.log.head(),
        snapshots: parts.snapshots.clone(),
    };
    let tail = Tail::new(settings, source, counters).with_context(|| format!("sink {}", sink.name))?;
    let name = sink.name.clone();
    Ok(tokio::spawn(async move {
        if let Err(error) = tail.run(stop).await {
            tracing::error!(sink = name, error = &*error as &dyn std::error::Error, "the sink stopped; the log keeps what it owes");
        }
    }))
}

/// How often the running month's figures are written: they move slowly, and all of them take a second of a province.
const MONTH_EVERY_MS: i64 = 300_000;

/// Computes the figures a sink writes.
struct Figures {
    book: Book,
    /// The five minutes the month was last written in.
    month_at: Mutex<Option<i64>>,
}

impl Figures {
    /// Returns the figures of now, and once in [`MONTH_EVERY_MS`] those of the running month.
    fn of(&self, snapshot: &Snapshot) -> Vec<Figure> {
        let mut figures: Vec<_> = Weight::ALL.iter().flat_map(|weight| connected_share_now::figures(snapshot, *weight)).collect();
        let slot = Some(snapshot.at.0.div_euclid(MONTH_EVERY_MS));
        let mut written = self.month_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == slot {
            return figures;
        }
        match self.book.facts(Period::month_at(snapshot.at), View::AsWas, snapshot.at) {
            Ok(facts) => {
                figures.extend(CATALOGUE.iter().flat_map(|kpi| answer(kpi, &facts, Ask::default())));
                *written = slot;
            }
            Err(error) => tracing::warn!(%error, "the month's facts cannot be read; its figures come with the next minute"),
        }
        figures
    }
}

fn token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Returns the file of a sink's own memory.
fn memory_of(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join(format!("sink-{name}.sqlite"))
}
