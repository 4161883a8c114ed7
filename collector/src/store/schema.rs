//! The schema of the state database as a list of migrations, oldest first.
//!
//! Each area adds a file `schema/NNN_area.sql` and a line here: base 001-009, engine and history 010-019, inventory and
//! KPIs 020-029, people and web 030-039, alerts 040-049, sinks and boots 050-059, alerts again 060-069, agents 070-079, intake
//! 090-099, the people's port 100-109, accounts 110-129, journal 130-139, people again 160-169. A number, once released, never changes meaning:
//! a later change is a later number. The table `migrations` keeps which were applied, so numbers may be added out of
//! order; `PRAGMA user_version` keeps the highest, so that an older program refuses a newer file.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, chain};

struct Migration {
    number: u32,
    sql: &'static str,
}

/// The migration that chains the audit log.
pub(super) const AUDIT_CHAIN: u32 = 111;

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
    Migration { number: 41, sql: include_str!("schema/041_maintenance.sql") },
    Migration { number: 50, sql: include_str!("schema/050_boots_heard.sql") },
    Migration { number: 51, sql: include_str!("schema/051_revisions.sql") },
    Migration { number: 60, sql: include_str!("schema/060_decisions_of_sites.sql") },
    Migration { number: 61, sql: include_str!("schema/061_members_by_end.sql") },
    Migration { number: 70, sql: include_str!("schema/070_agent_assignment.sql") },
    Migration { number: 80, sql: include_str!("schema/080_packets.sql") },
    Migration { number: 81, sql: include_str!("schema/081_ends.sql") },
    Migration { number: 90, sql: include_str!("schema/090_intake.sql") },
    Migration { number: 100, sql: include_str!("schema/100_sign_in_links.sql") },
    Migration { number: 110, sql: include_str!("schema/110_accounts.sql") },
    Migration { number: AUDIT_CHAIN, sql: include_str!("schema/111_audit_chain.sql") },
    Migration { number: 112, sql: include_str!("schema/112_acknowledgements.sql") },
    Migration { number: 113, sql: include_str!("schema/113_second_factor.sql") },
    Migration { number: 130, sql: include_str!("schema/130_journal.sql") },
    Migration { number: 150, sql: include_str!("schema/150_registry_revisions.sql") },
    Migration { number: 160, sql: include_str!("schema/160_directories.sql") },
    Migration { number: 161, sql: include_str!("schema/161_revocation_reasons.sql") },
];

/// Applies what is missing, all of it or none, and returns which that was.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<Vec<u32>, StoreError> {
    let known = MIGRATIONS.iter().map(|m| m.number).max().unwrap_or(0);
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY) STRICT")?;
    let applied =
        transaction.prepare("SELECT number FROM migrations")?.query_map([], |row| row.get(0))?.collect::<Result<HashSet<u32>, _>>()?;
    let missing: Vec<_> = MIGRATIONS.iter().filter(|m| !applied.contains(&m.number)).collect();
    for migration in &missing {
        transaction.execute_batch(migration.sql)?;
        if migration.number == AUDIT_CHAIN {
            chain::take_in(&transaction)?;
        }
        transaction.execute("INSERT INTO migrations (number) VALUES (?1)", [migration.number])?;
    }
    transaction.pragma_update(None, "user_version", known.max(found))?;
    transaction.commit()?;
    Ok(missing.into_iter().map(|migration| migration.number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State databases as earlier collectors left them, with rows in every table of their time.
    const GOLDEN: &[(u32, &str)] = &[
        (1, include_str!("schema/golden/001.sql")),
        (40, include_str!("schema/golden/040.sql")),
        (51, include_str!("schema/golden/051.sql")),
    ];

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn golden_databases_of_earlier_versions_migrate_and_keep_their_rows() {
        for (version, sql) in GOLDEN {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(sql).unwrap();
            let before = tables_of(&db);
            assert!(before.iter().all(|(_, _, rows)| !rows.is_empty()), "golden {version} has a table without rows");
            migrate(&mut db, Path::new("golden")).unwrap();
            let rows: i64 = db.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
            let chained = chain::verify(&db, None).unwrap();
            assert!(
                matches!(chained, chain::Verdict::Sound { rows: all, .. } if i64::try_from(all) == Ok(rows)),
                "golden {version}: {chained:?}"
            );
            for (table, columns, rows) in before {
                assert_eq!(rows_of(&db, &table, &columns), rows, "golden {version}: {table} was changed");
            }
            assert_eq!(schema_of(&db), schema_of(&current()), "golden {version} became another schema than a new database has");
        }
    }

    /// A program that knew the first migrations left the tables of its time, filled with what the newest golden database
    /// holds of them.
    #[test]
    fn a_database_of_every_earlier_version_keeps_its_rows_and_gets_the_same_schema() {
        let golden = Connection::open_in_memory().unwrap();
        golden.execute_batch(GOLDEN.last().unwrap().1).unwrap();
        let covered = MIGRATIONS.iter().filter(|migration| migration.number <= GOLDEN.last().unwrap().0).count();
        for known in 0..=covered {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch("PRAGMA foreign_keys = OFF; CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT").unwrap();
            for migration in &MIGRATIONS[..known] {
                db.execute_batch(migration.sql).unwrap();
                db.execute("INSERT INTO migrations (number) VALUES (?1)", [migration.number]).unwrap();
            }
            for (table, columns, _) in tables_of(&db) {
                for row in rows_of(&golden, &table, &columns) {
                    db.execute_batch(&format!("INSERT INTO {table} ({}) VALUES ({row})", names_of(&db, &table))).unwrap();
                }
            }
            db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
            let before = tables_of(&db);
            assert!(before.iter().all(|(_, _, rows)| !rows.is_empty()), "a table of the first {known} migrations has no rows");
            migrate(&mut db, Path::new("earlier")).unwrap();
            migrate(&mut db, Path::new("again")).unwrap();
            for (table, columns, rows) in before {
                assert_eq!(rows_of(&db, &table, &columns), rows, "{table} was changed after the first {known} migrations");
            }
            assert_eq!(schema_of(&db), schema_of(&current()), "from the first {known} migrations");
            let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "after the first {known} migrations");
            assert!(!db.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap(), "a row of the first {known} points nowhere");
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

    #[test]
    fn decisions_of_before_find_their_sites() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT").unwrap();
        for migration in MIGRATIONS.iter().filter(|m| m.number < 60) {
            db.execute_batch(migration.sql).unwrap();
            db.execute("INSERT INTO migrations (number) VALUES (?1)", [migration.number]).unwrap();
        }
        db.execute("INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES ('a1', 'v-9', 'k', 1, 2)", []).unwrap();
        let cases = [
            ("incident/7", None),
            ("site/v-1", Some("v-1")),
            ("alert/redundancy-lost/site/v-2", Some("v-2")),
            ("alert/plan-nearly-used/link/v-3/apn0", Some("v-3")),
            ("alert/weak-radio/target/v-4/apn0/modem", Some("v-4")),
            ("alert/agent-silent/agent/a1", Some("v-9")),
            ("alert/agent-silent/agent/gone", None),
            ("alert/availability-low/kpi/0901/availability", None),
        ];
        for (key, _) in cases {
            db.execute("INSERT INTO decisions (case_key, at, stage, verdict, reason) VALUES (?1, 1, 's', 'v', 'r')", [key]).unwrap();
        }
        migrate(&mut db, Path::new("before")).unwrap();
        for (key, site) in cases {
            let found: Option<String> = db.query_row("SELECT site FROM decisions WHERE case_key = ?1", [key], |row| row.get(0)).unwrap();
            assert_eq!(found.as_deref(), site, "{key}");
        }
    }

    /// A table's name, its columns, its rows as text.
    type Table = (String, String, Vec<String>);

    /// Reads every table but the list of migrations, which a migration adds to.
    fn tables_of(db: &Connection) -> Vec<Table> {
        let sql =
            "SELECT m.name, group_concat('quote(' || c.name || ')', ' || '','' || ') FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name != 'migrations' GROUP BY m.name";
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let named: Vec<(String, String)> = rows.map(Result::unwrap).collect();
        named.into_iter().map(|(table, columns)| (table.clone(), columns.clone(), rows_of(db, &table, &columns))).collect()
    }

    fn names_of(db: &Connection, table: &str) -> String {
        db.query_row("SELECT group_concat(name) FROM pragma_table_info(?1)", [table], |row| row.get(0)).unwrap()
    }

    fn rows_of(db: &Connection, table: &str, columns: &str) -> Vec<String> {
        let mut statement = db.prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
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
