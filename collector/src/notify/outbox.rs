//! The outbox: calls kept in the state database until somebody got them.
//!
//! ```text
//! waiting --begin--> sending --delivered--> delivered
//!    ^                  |-- later: same channel again, then the next
//!    '------------------|-- refused: the next channel
//!                       '-- nobody knows: again where repeats are recognised, else the next channel; this one once more
//!                           when no other is left
//! ```
//! A call is never lost for fear of a repetition: to hear twice of an outage is better than not to hear of it.
//! A row found in `sending` after a restart is one of which nobody knows.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use rusta_wire::UnixMs;

use super::channel::Sent;
use super::desk::Call;
use super::message::Letter;
use crate::store::StoreError;

/// Attempts on one channel before the next has its turn: about half a minute with the back-off below.
const ATTEMPTS: u32 = 3;
/// First pause between two attempts; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Attempts of unknown outcome on a channel that does not recognise repeats.
const UNKNOWN_OUTCOMES: usize = 2;
/// Pause once every channel was tried: from then on nothing is in a hurry.
const ROUND_PAUSE: Duration = Duration::from_secs(120);
/// A call that found no way for this long is given up and shown as failed.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// A call in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// Its place in the order of writing.
    pub number: i64,
    /// The same call has the same id.
    pub id: String,
    /// The case it is about.
    pub case_key: String,
    /// For whom.
    pub recipient: String,
    /// Channels in the order to try.
    pub channels: Vec<String>,
    /// The channel whose turn it is.
    pub place: usize,
    /// Channels that may have delivered it unheard, one entry for each such attempt.
    pub barred: Vec<String>,
    /// What it says.
    pub letter: Letter,
    /// When it was written.
    pub created_at: UnixMs,
    /// Its state.
    pub state: String,
    /// Attempts on this channel.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: UnixMs,
    /// When it was settled.
    pub settled_at: Option<UnixMs>,
    /// What the last attempt came to.
    pub note: String,
}

impl Queued {
    /// Returns the channel whose turn it is.
    pub fn channel(&self) -> Option<&str> {
        self.channels.get(self.place).map(String::as_str)
    }
}

/// The outbox's queries.
pub struct Outbox;

const COLUMNS: &str =
    "number, id, case_key, recipient, channels, place, barred, letter, created_at, state, attempts, next_at, settled_at, note";

impl Outbox {
    /// Writes a call; the same call again is one row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn write(tx: &Transaction<'_>, call: &Call, now: UnixMs) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO outbox (id, case_key, recipient, channels, letter, created_at, next_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
        let row = params![call.id, call.letter.key, call.to, json(&call.channels), json(&call.letter), now.0];
        tx.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Lists calls that are due, in order; a call waits for earlier ones of the same case to the same recipient, so that
    /// nobody hears of an end before the beginning. At most `most`, and only those whose channel has room.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due(db: &Connection, now: UnixMs, most: usize, room: &mut dyn FnMut(&str) -> bool) -> Result<Vec<Queued>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox AS call WHERE state = 'waiting' AND next_at <= ?1
             AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.case_key = call.case_key AND earlier.recipient = call.recipient
                             AND earlier.number < call.number AND earlier.state IN ('waiting', 'sending'))
             ORDER BY number"
        );
        let mut query = db.prepare_cached(&sql)?;
        let mut rows = query.query([now.0])?;
        let mut due = Vec::new();
        while due.len() < most
            && let Some(row) = rows.next()?
        {
            // Asked before the letter is read: thousands may wait for a gateway that hangs.
            let channels = list(row.get(4)?);
            let channel = usize::try_from(row.get::<_, i64>(5)?).ok().and_then(|place| channels.get(place));
            if room(channel.map_or("", String::as_str)) {
                due.push(read(row)?);
            }
        }
        Ok(due)
    }

    /// Lists what was sent or is to be sent about a case.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn about(db: &Connection, case_key: &str) -> Result<Vec<Queued>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE case_key = ?1 ORDER BY number");
        let mut query = db.prepare_cached(&sql)?;
        Ok(query.query_map([case_key], read)?.collect::<Result<_, _>>()?)
    }

    /// Marks a call as being sent, before the first byte leaves.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn begin(tx: &Transaction<'_>, number: i64) -> Result<bool, StoreError> {
        Ok(tx.execute("UPDATE outbox SET state = 'sending' WHERE number = ?1 AND state = 'waiting'", [number])? == 1)
    }

    /// Lists calls that a stopped collector was sending.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn interrupted(db: &Connection) -> Result<Vec<Queued>, StoreError> {
        let mut query = db.prepare(&format!("SELECT {COLUMNS} FROM outbox WHERE state = 'sending' ORDER BY number"))?;
        Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// Lists the letters a channel delivered about cases that are not over: what Alertmanager must hear again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn standing(db: &Connection, channel: &str) -> Result<Vec<Letter>, StoreError> {
        let sql = "SELECT call.letter FROM outbox AS call JOIN cases ON cases.key = call.case_key
                   WHERE call.recipient = ?1 AND call.state = 'delivered'
                   AND call.number = (SELECT MAX(number) FROM outbox WHERE case_key = call.case_key AND recipient = ?1)
                   AND json_extract(call.letter, '$.kind') IN ('fire', 'escalate') ORDER BY call.number";
        let mut query = db.prepare_cached(sql)?;
        let letters = query.query_map([channel], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(letters.iter().filter_map(|letter| serde_json::from_str(letter).ok()).collect())
    }

    /// Settles an attempt. Returns what became of the call, for its timeline.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn settle(tx: &Transaction<'_>, call: &Queued, sent: &Sent, repeats: bool, now: UnixMs) -> Result<Settled, StoreError> {
        let next = Settled::of(call, sent, repeats, now);
        let sql = "UPDATE outbox SET state = ?2, place = ?3, barred = ?4, attempts = ?5, next_at = ?6, settled_at = ?7, note = ?8 WHERE number = ?1";
        let settled_at = (next.state != "waiting").then_some(now.0);
        let place = i64::try_from(next.place).unwrap_or(0);
        tx.execute(sql, params![call.number, next.state, place, json(&next.barred), next.attempts, next.next_at.0, settled_at, next.note])?;
        Ok(next)
    }

    /// Counts calls by state.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn count(db: &Connection, state: &str) -> Result<usize, StoreError> {
        let count: Option<i64> = db.query_row("SELECT COUNT(*) FROM outbox WHERE state = ?1", [state], |row| row.get(0)).optional()?;
        Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
    }
}

/// Where a call stands after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// `waiting`, `delivered`, `uncertain` or `failed`.
    pub state: &'static str,
    place: usize,
    barred: Vec<String>,
    attempts: u32,
    next_at: UnixMs,
    /// What people read.
    pub note: String,
}

impl Settled {
    fn of(call: &Queued, sent: &Sent, repeats: bool, now: UnixMs) -> Settled {
        let channel = call.channel().unwrap_or("no channel").to_owned();
        let again = |attempts: u32, wait: Duration, note: &str| Settled {
            state: "waiting",
            place: call.place,
            barred: call.barred.clone(),
            attempts,
            next_at: now + wait,
            note: format!("{channel}: {note}"),
        };
        let pause = FIRST_PAUSE * 2u32.saturating_pow(call.attempts.min(6));
        match sent {
            Sent::Delivered => Settled { state: "delivered", ..again(call.attempts, Duration::ZERO, "delivered") },
            Sent::Later(why, wait) if call.attempts + 1 < ATTEMPTS => again(call.attempts + 1, wait.unwrap_or(pause), why),
            Sent::Uncertain(why) if repeats && call.attempts + 1 < ATTEMPTS => again(call.attempts + 1, pause, why),
            Sent::Uncertain(why) if !repeats => Settled::next_channel(call, &channel, why, true, now),
            Sent::Later(why, _) | Sent::Refused(why) | Sent::Uncertain(why) => Settled::next_channel(call, &channel, why, false, now),
        }
    }

    /// Hands over to the next channel that certainly did not deliver; after the last one a new round begins. When every
    /// channel may have delivered, each is asked once more.
    fn next_channel(call: &Queued, channel: &str, why: &str, bar: bool, now: UnixMs) -> Settled {
        let mut barred = call.barred.clone();
        if bar {
            barred.push(channel.to_owned());
        }
        let note = format!("{channel}: {why}");
        let unknown = |place: usize| barred.iter().filter(|barred| call.channels.get(place) == Some(*barred)).count();
        let first = |mut places: std::ops::Range<usize>, outcomes| places.find(|place| unknown(*place) == outcomes);
        let later = first(call.place + 1..call.channels.len(), 0);
        let again = || (0..UNKNOWN_OUTCOMES).find_map(|outcomes| first(0..call.channels.len(), outcomes));
        let (place, wait) = match later.or_else(again) {
            Some(place) => (place, if later.is_some() { Duration::ZERO } else { ROUND_PAUSE }),
            None => {
                let state = if barred.is_empty() { "failed" } else { "uncertain" };
                return Settled { state, place: call.place, barred, attempts: call.attempts, next_at: now, note };
            }
        };
        let state = if now.since(call.created_at) > GIVE_UP { "failed" } else { "waiting" };
        Settled { state, place, barred, attempts: 0, next_at: now + wait, note }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let letter: String = row.get(7)?;
    let letter = serde_json::from_str(&letter)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Queued {
        number: row.get(0)?,
        id: row.get(1)?,
        case_key: row.get(2)?,
        recipient: row.get(3)?,
        channels: list(row.get(4)?),
        place: usize::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        barred: list(row.get(6)?),
        letter,
        created_at: UnixMs(row.get(8)?),
        state: row.get(9)?,
        attempts: row.get(10)?,
        next_at: UnixMs(row.get(11)?),
        settled_at: row.get::<_, Option<i64>>(12)?.map(UnixMs),
        note: row.get(13)?,
    })
}

fn list(text: String) -> Vec<String> {
    serde_json::from_str(&text).unwrap_or_default()
}

/// Writes a value as JSON text; our own types always can be.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
