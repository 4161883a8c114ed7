//! The journal: what people did, in the one order in which it takes effect.
//!
//! ```text
//! page --append--> journal --read--> notifier --applies--> incidents, alert groups
//!   ^                                   |--- one transaction: effects, story, audit, position
//!   '-------- waits for `applied` ------'
//! ```
//! An act is durable once [`Journal::append`] returns; whether it succeeds is decided when it is applied, so that it is
//! judged by what holds then. Position and effects are committed together: a stop between the two repeats nothing and
//! loses nothing.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use rusta_wire::{Rung, UnixMs};
use tokio::sync::{Notify, watch};

use crate::engine::incident::IncidentId;
use crate::store::{Store, StoreError};

/// A note longer than this is a document.
const LONGEST_TEXT: usize = 4_000;

/// Acts applied at once: a look must not last longer because many people work.
pub const AT_ONCE: u32 = 256;

/// One thing a person does about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Takes care of it: escalation ends for what lies in the actor's region.
    Acknowledge,
    /// Gives it to somebody.
    Assign(String),
    /// Writes something down.
    Note(String),
    /// Says what the cause was, by code such as `PWR`.
    Cause(String),
    /// Was on site, with what was found.
    Visited(String),
    /// Ends it by hand; it opens again if the trouble is still measured.
    Resolve(String),
}

/// Why an act was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such incident.
    #[error("there is no incident {0}")]
    Unknown(IncidentId),
    /// It is over.
    #[error("incident {0} is over")]
    Over(IncidentId),
    /// What was typed makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state database.
    #[error("state database")]
    Sqlite(#[from] rusqlite::Error),
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Name of the user.
    pub user: String,
    /// Code of the region they are bound to; `None` for everything.
    pub region: Option<String>,
}

/// An act in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order; later acts have larger ones.
    pub position: i64,
    /// When it was done.
    pub at: UnixMs,
    /// By whom.
    pub actor: Actor,
    /// About which incident.
    pub incident: IncidentId,
    /// What.
    pub act: Act,
}

impl Actor {
    /// Returns how the story and the audit name them. A token is known by its number; no person's name holds a colon.
    pub fn named(&self) -> String {
        if self.user.starts_with("token:") { self.user.clone() } else { format!("user:{}", self.user) }
    }
}

impl Act {
    /// Returns the word it is stored and told by.
    pub fn kind(&self) -> &'static str {
        match self {
            Act::Acknowledge => "acknowledged",
            Act::Assign(_) => "assigned",
            Act::Note(_) => "note",
            Act::Cause(_) => "cause",
            Act::Visited(_) => "visited",
            Act::Resolve(_) => "resolved_by_hand",
        }
    }

    /// Returns what was typed.
    pub fn text(&self) -> &str {
        match self {
            Act::Acknowledge => "",
            Act::Assign(text) | Act::Note(text) | Act::Cause(text) | Act::Visited(text) | Act::Resolve(text) => text,
        }
    }

    /// Tells whether it makes sense only while the incident is open.
    pub fn needs_open(&self) -> bool {
        matches!(self, Act::Acknowledge | Act::Assign(_) | Act::Resolve(_))
    }

    fn read(kind: &str, body: String) -> Option<Act> {
        Some(match kind {
            "acknowledged" => Act::Acknowledge,
            "assigned" => Act::Assign(body),
            "note" => Act::Note(body),
            "cause" => Act::Cause(body),
            "visited" => Act::Visited(body),
            "resolved_by_hand" => Act::Resolve(body),
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ActError> {
        let text = self.text();
        if text.chars().count() > LONGEST_TEXT {
            return Err(ActError::Wrong(format!("longer than {LONGEST_TEXT} characters")));
        }
        match self {
            Act::Acknowledge | Act::Visited(_) => Ok(()),
            Act::Assign(_) | Act::Note(_) | Act::Resolve(_) if text.trim().is_empty() => Err(ActError::Wrong("write something".to_owned())),
            Act::Cause(code) if !Rung::ALL.iter().any(|rung| rung.cause_code() == code) => {
                let known = Rung::ALL.iter().map(|rung| rung.cause_code()).collect::<Vec<_>>().join(", ");
                Err(ActError::Wrong(format!("`{code}` is none of {known}")))
            }
            _ => Ok(()),
        }
    }
}

/// A handle on the journal of a state database; clones share it.
#[derive(Clone)]
pub struct Journal {
    store: Store,
    appended: Arc<Notify>,
    /// The last position applied by the running reader; `None` while nobody reads.
    applied: Arc<watch::Sender<Option<i64>>>,
}

impl Journal {
    /// Opens the journal of a state database.
    pub fn new(store: Store) -> Self {
        Journal { store, appended: Arc::default(), applied: Arc::new(watch::Sender::new(None)) }
    }

    /// Adds an act; durable when this returns.
    ///
    /// # Errors
    /// An unknown or ended incident, a text that is empty or too long, an unknown cause code, or what SQLite says.
    pub fn append(&self, incident: IncidentId, act: &Act, actor: &Actor, at: UnixMs) -> Result<i64, ActError> {
        act.check()?;
        let number = i64::try_from(incident.0).map_err(|_| ActError::Unknown(incident))?;
        let position = self.store.write(|tx| {
            let found = "SELECT resolved_at FROM incidents WHERE id = ?1";
            let found = tx.query_row(found, [number], |row| row.get::<_, Option<i64>>(0)).optional()?;
            let over = found.ok_or(ActError::Unknown(incident))?.is_some();
            if over && act.needs_open() {
                return Err(ActError::Over(incident));
            }
            let sql = "INSERT INTO journal (at, actor, region, subject, kind, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            tx.execute(sql, params![at.0, actor.named(), actor.region, format!("incident/{incident}"), act.kind(), act.text().trim()])?;
            Ok(tx.last_insert_rowid())
        })?;
        self.appended.notify_one();
        Ok(position)
    }

    /// Waits until somebody appends.
    pub async fn wait(&self) {
        self.appended.notified().await;
    }

    /// Says that everything up to `position` is in force.
    pub fn set_applied(&self, position: i64) {
        self.applied.send_replace(Some(position));
    }

    /// Waits until the act at `position` is in force; gives up after `most` and returns `false`. Where nobody applies acts
    /// there is nothing to wait for.
    pub async fn applied(&self, position: i64, most: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let there = applied.wait_for(|applied| applied.is_none_or(|applied| applied >= position));
        tokio::time::timeout(most, there).await.is_ok()
    }
}

/// Reads the acts after a position, in order.
///
/// # Errors
/// What SQLite says.
pub fn read(db: &Connection, after: i64, most: u32) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT position, at, actor, region, subject, kind, body FROM journal WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(params![after, most], entry)?.collect::<Result<Vec<_>, _>>()?;
    // A kind of a newer program is not ours to apply; a newer schema keeps us from starting at all.
    Ok(rows.into_iter().flatten().collect())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let (actor, subject, kind): (String, String, String) = (row.get(2)?, row.get(4)?, row.get(5)?);
    let incident = subject.strip_prefix("incident/").and_then(|id| id.parse().ok()).map(IncidentId);
    let act = Act::read(&kind, row.get(6)?);
    let user = actor.strip_prefix("user:").unwrap_or(&actor).to_owned();
    let (position, at, region) = (row.get(0)?, UnixMs(row.get(1)?), row.get(3)?);
    Ok(incident.zip(act).map(|(incident, act)| Entry { position, at, actor: Actor { user, region }, incident, act }))
}
