use super::*;
use crate::store::Store;

fn deed<'a>(at: i64, subject: &'a str) -> Deed<'a> {
    Deed { at: UnixMs(at), actor: "cli", action: "test.do", subject, detail: "" }
}

fn store_of(rows: i64) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for at in 1..=rows {
        store.write(|tx| record(tx, &deed(at, &format!("row {at}")))).unwrap();
    }
    (dir, store)
}

fn verdict(store: &Store) -> Verdict {
    let head = HeadFile::beside(store.path()).read().unwrap().unwrap();
    store.read(|tx| verify(tx, Some(&head))).unwrap()
}

/// Does what somebody with the file and a shell can do: the triggers are no obstacle to them.
fn tamper(store: &Store, sql: &str) {
    let db = Connection::open(store.path()).unwrap();
    let triggers: Vec<String> = db
        .prepare("SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {}; {sql}", triggers.join(";"))).unwrap();
}

fn broken_at(store: &Store) -> i64 {
    match verdict(store) {
        Verdict::Broken { row, .. } => row,
        sound => panic!("not noticed: {sound:?}"),
    }
}

#[test]
fn a_log_nobody_touched_is_sound() {
    let (_dir, store) = store_of(9);
    assert!(matches!(verdict(&store), Verdict::Sound { rows: 9, head: Head { id: 9, .. } }));
}

#[test]
fn every_way_to_touch_a_row_is_noticed_at_its_place() {
    let ways: [(&str, i64); 9] = [
        ("UPDATE audit SET actor = 'user:other' WHERE id = 4", 4),
        ("UPDATE audit SET at = at + 1 WHERE id = 1", 1),
        ("UPDATE audit SET subject = 'a', detail = 'b' WHERE id = 9", 9),
        ("UPDATE audit_chain SET hash = replace(hash, '1', '2') WHERE id = 5", 5),
        ("DELETE FROM audit WHERE id = 6; DELETE FROM audit_chain WHERE id = 6", 6),
        ("DELETE FROM audit WHERE id > 7; DELETE FROM audit_chain WHERE id > 7", 8),
        ("DELETE FROM audit WHERE id > 7", 8),
        ("DELETE FROM audit; DELETE FROM audit_chain", 1),
        (
            "DELETE FROM audit WHERE id < 4; DELETE FROM audit_chain WHERE id < 4; UPDATE audit_begin SET before = 3, hash = (SELECT hash FROM audit_chain WHERE id = 4)",
            4,
        ),
    ];
    for (sql, place) in ways {
        let (_dir, store) = store_of(9);
        tamper(&store, sql);
        assert_eq!(broken_at(&store), place, "{sql}");
    }
}

#[test]
fn what_is_written_after_the_end_was_cut_off_hides_nothing() {
    let (_dir, store) = store_of(9);
    tamper(&store, "DELETE FROM audit WHERE id > 7; DELETE FROM audit_chain WHERE id > 7");
    for at in 10..20 {
        store.write(|tx| record(tx, &deed(at, "later"))).unwrap();
    }
    assert_eq!(broken_at(&store), 9, "the head kept apart still knows row 9 as it was");
}

#[test]
fn a_beginning_removed_for_its_age_is_told_and_one_removed_by_hand_is_noticed() {
    let (_dir, store) = store_of(9);
    let last = store.write(|tx| chain::shorten(tx, 4)).unwrap().unwrap();
    assert_eq!(broken_at(&store), 4, "nothing tells of it yet");
    store.write(|tx| record(tx, &Deed { action: chain::SHORTEN, detail: &last.to_string(), ..deed(10, "x") })).unwrap();
    assert!(matches!(verdict(&store), Verdict::Sound { rows: 6, .. }));
}

#[test]
fn old_rows_go_a_thousand_at_a_time_and_the_rest_stays_sound() {
    let (_dir, store) = store_of(0);
    let years = |years: i64| years * 366 * 86_400_000;
    store
        .write(|tx| {
            (1..1_000).try_for_each(|at| record(tx, &deed(if at <= 600 { at } else { years(6) + at }, "x")))?;
            record(tx, &deed(years(6) + 1_000, "the thousandth"))
        })
        .unwrap();
    assert!(matches!(verdict(&store), Verdict::Sound { rows: 401, .. }), "{:?}", verdict(&store));
}
