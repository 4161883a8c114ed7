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
    Migration { number: 12, sql: include_str!("schema/012_layers.sql") },
    Migration { number: 13, sql: include_str!("schema/013_definitions.sql") },
    Migration { number: 20, sql: include_str!("schema/020_inventory.sql") },
    Migration { number: 21, sql: include_str!("schema/021_reports.sql") },
    Migration { number: 30, sql: include_str!("schema/030_people.sql") },
    Migration { number: 35, sql: include_str!("schema/035_agent_version.sql") },
    Migration { number: 36, sql: include_str!("schema/036_user_language.sql") },
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

    /// A state database as the first released collector left it, with rows in every table of its time.
    const GOLDEN: &[(u32, &str)] = &[(1, include_str!("schema/golden/001.sql"))];

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn golden_databases_of_earlier_versions_migrate_and_keep_their_rows() {
        for (version, sql) in GOLDEN {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(sql).unwrap();
            migrate(&mut db, Path::new("golden")).unwrap();
            let agents: String = db.query_row("SELECT group_concat(id || ' ' || site_code) FROM agents", [], |row| row.get(0)).unwrap();
            assert_eq!(agents, "00000000000000a1 15-0001,00000000000000a2 15-0002", "golden {version}");
            assert_eq!(schema_of(&db), schema_of(&current()), "golden {version} became another schema than a new database has");
        }
    }

    /// Whatever subset of areas an earlier build had, the result is the same schema.
    #[test]
    fn every_earlier_version_migrates_to_the_same_schema() {
        for known in 0..MIGRATIONS.len() {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch("CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT").unwrap();
            for migration in &MIGRATIONS[..known] {
                db.execute_batch(migration.sql).unwrap();
                db.execute("INSERT INTO migrations (number) VALUES (?1)", [migration.number]).unwrap();
            }
            migrate(&mut db, Path::new("partial")).unwrap();
            migrate(&mut db, Path::new("again")).unwrap();
            assert_eq!(schema_of(&db), schema_of(&current()), "from the first {known} migrations");
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut db = Connection::open_in_memory().unwrap();
        // In the way of the first migration.
        db.execute_batch("CREATE TABLE tokens (other INTEGER)").unwrap();
        assert!(migrate(&mut db, Path::new("stuck")).is_err());
        assert_eq!(schema_of(&db).len(), 1);
    }

    fn current() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, Path::new("fresh")).unwrap();
        db
    }

    fn schema_of(db: &Connection) -> Vec<(String, String)> {
        let mut statement = db.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }
}
