use super::*;

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn count(store: &Store) -> i64 {
    store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))?)).unwrap()
}

fn insert(tx: &Transaction<'_>) -> Result<(), StoreError> {
    audit::record(tx, &audit::Deed { at: rusta_wire::UnixMs(1), actor: "cli", action: "test", subject: "x", detail: "" })
}

#[test]
fn the_linked_sqlite_is_new_enough() {
    guard_sqlite_version().unwrap();
}

#[test]
fn a_failed_write_leaves_nothing() {
    let (_dir, store) = open();
    let failed: Result<(), StoreError> = store.write(|tx| {
        insert(tx)?;
        Err(StoreError::Refused("no".into()))
    });
    assert!(failed.is_err());
    assert_eq!(count(&store), 0);
    store.write(insert).unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn the_audit_log_is_append_only() {
    let (_dir, store) = open();
    store.write(insert).unwrap();
    for sql in ["UPDATE audit SET actor = 'y'", "DELETE FROM audit"] {
        let refused: Result<(), StoreError> = store.write(|tx| {
            tx.execute(sql, [])?;
            Ok(())
        });
        assert!(refused.is_err(), "{sql} was allowed");
    }
    assert_eq!(count(&store), 1);
}

#[test]
fn another_process_is_noticed_and_ourselves_not() {
    let (dir, store) = open();
    let before = store.foreign_changes().unwrap();
    store.write(insert).unwrap();
    assert_eq!(store.foreign_changes().unwrap(), before);
    Store::open(dir.path()).unwrap().write(insert).unwrap();
    assert_ne!(store.foreign_changes().unwrap(), before);
}

#[test]
fn a_newer_file_is_refused() {
    let (dir, store) = open();
    lock(&store.inner.writer).pragma_update(None, "user_version", 9_999).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::TooNew { found: 9_999, .. })));
}
