//! The schema of the state database as a list of migrations, oldest first.
//!
//! Each area adds a file `schema/NNN_area.sql` and a line here: base 001-009, engine and history 010-019, inventory and
//! KPIs 020-029, people and web 030-039, alerts 040-049, sinks 050-059. A number, once released, never changes meaning:
//! a later change is a later number. The table `migrations` keeps which were applied, so numbers may be added out of
//! order; `PRAGMA user_version` keeps the highest, so that an older program refuses a newer file.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

struct Migration {
    number: u32,
    sql: &'static str,
}

/// Every migration there is.
const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("schema/001_identity.sql") },
    Migration { number: 2, sql: include_str!("schema/002_boots.sql") },
    Migration { number: 10, sql: include_str!("schema/010_engine.sql") },
    Migration { number: 11, sql: include_str!("schema/011_history.sql") },
    Migration { number: 20, sql: include_str!("schema/020_inventory.sql") },
    Migration { number: 30, sql: include_str!("schema/030_people.sql") },
    Migration { number: 40, sql: include_str!("schema/040_alerts.sql") },
];

/// Applies what is missing, all of it or none.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|m| m.number).max().unwrap_or(0);
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT")?;
    let applied =
        transaction.prepare("SELECT number FROM migrations")?.query_map([], |row| row.get(0))?.collect::<Result<HashSet<u32>, _>>()?;
    for migration in MIGRATIONS.iter().filter(|m| !applied.contains(&m.number)) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute("INSERT INTO migrations (number) VALUES (?1)", [migration.number])?;
    }
    transaction.pragma_update(None, "user_version", known.max(found))?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
}
