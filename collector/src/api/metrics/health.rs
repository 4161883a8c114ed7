//! The collector about itself, beyond what its parts count: how far the engine is behind, and how long the queues are.

use rusqlite::Connection;

use crate::day::Day;
use crate::engine::Snapshot;
use crate::store::StoreError;
use crate::telemetry::{Exposition, Kind};
use crate::web::WebState;

/// Counts in the state database, most of them queues: name, help, and the question.
const QUEUES: [(&str, &str, &str); 7] = [
    // A day that is not over waits by nature: it is built again as it grows.
    ("rusta_history_days_waiting", "Past days of sites whose timeline is to be built", "SELECT count(*) FROM dirty_days WHERE day < ?1"),
    (
        "rusta_reports_held",
        "Revisions of monthly reports that wait for a person, because the registry changed what was published",
        "SELECT count(*) FROM reports_held",
    ),
    (
        "rusta_calls_waiting",
        "Calls to people and machines not yet delivered",
        "SELECT count(*) FROM outbox WHERE state IN ('waiting', 'sending')",
    ),
    (
        "rusta_agents_assignment_refused",
        "Agents that refused their newest assignment and watch an earlier one",
        "SELECT count(*) FROM agents WHERE revoked_at IS NULL AND assignment LIKE '%refused=%'",
    ),
    (
        "rusta_agents_assignment_on_trial",
        "Agents that try an assignment out",
        "SELECT count(*) FROM agents WHERE revoked_at IS NULL AND instr(assignment, 'trial=') BETWEEN 1 AND 23",
    ),
    ("rusta_calls_failed", "Calls that no channel delivered", "SELECT count(*) FROM outbox WHERE state = 'failed'"),
    (
        "rusta_incidents_open",
        "Incidents that are not over",
        "SELECT count(*) FROM incidents WHERE resolved_at IS NULL AND merged_into IS NULL",
    ),
];

/// Writes version, engine and queues.
///
/// # Errors
/// A failing database.
pub fn write(out: &mut Exposition, web: &WebState, snapshot: &Snapshot) -> Result<(), StoreError> {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    out.family("rusta_build", Kind::Info, "The running collector").add(&version, 1.0);
    let mut one = |name: &str, help: &str, value: f64| out.family(name, Kind::Gauge, help).add(&[], value);
    let lag = (web.now().0 - snapshot.at.0).max(0) as f64 / 1e3;
    one("rusta_engine_lag_seconds", "How far the engine's time is behind the clock; a few seconds are meant", lag);
    one("rusta_inventory_version", "The registry's version in force", f64::from(snapshot.inventory.version));
    let quiet = if snapshot.fleet_quiet_since.is_some() { 1.0 } else { 0.0 };
    one("rusta_fleet_quiet", "Whether so many agents are silent at once that the fault is the collector's", quiet);
    if let Some(log) = &web.log {
        one("rusta_log_position", "Newest record of the log", log.head().borrow().0 as f64);
        one("rusta_log_files", "Days the log holds", log.files().len() as f64);
    }
    let today = Day::of(web.now());
    let counted = web.store.read(|db| QUEUES.map(|(_, _, sql)| count(db, sql, today)).into_iter().collect::<Result<Vec<_>, _>>())?;
    for ((name, help, _), number) in QUEUES.into_iter().zip(counted) {
        one(name, help, number as f64);
    }
    Ok(())
}

fn count(db: &Connection, sql: &str, today: Day) -> Result<i64, StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let (parameters, count) = ([today.0], query.parameter_count());
    Ok(query.query_row(rusqlite::params_from_iter(parameters.iter().take(count)), |row| row.get(0))?)
}
