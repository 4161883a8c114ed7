//! What every connection to a SQLite file has in common.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Statements a connection keeps prepared: more than any of the collector's loops uses.
const STATEMENTS: usize = 128;

/// Has a connection plan each statement once and keep the plan.
///
/// Without the planner's stability guarantee SQLite looks at bound values while it plans, and plans the statement again
/// whenever another value is bound: that took a third of the time in which history was built.
///
/// # Errors
/// What SQLite says.
pub fn plan_once(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn another_bound_value_is_no_reason_to_plan_again() {
        let planned = |db: &Connection| {
            db.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER) STRICT").unwrap();
            let mut statement = db.prepare("SELECT b FROM t WHERE a > ?1 LIMIT ?2").unwrap();
            for n in 0..5 {
                statement.query_map([n, n + 1], |_| Ok(())).unwrap().for_each(drop);
            }
            statement.get_status(StatementStatus::RePrepare)
        };
        let (usual, once) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        plan_once(&once).unwrap();
        assert!(planned(&usual) > 0, "if SQLite no longer does it, this file can go");
        assert_eq!(planned(&once), 0);
    }
}
