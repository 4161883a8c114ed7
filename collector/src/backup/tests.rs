use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusta_wire::UnixMs;

use super::*;
use crate::log::tests::{batch, upload};
use crate::log::{Keeping, Log, Position};
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

const NOW: UnixMs = UnixMs(1_795_251_600_000);

fn open_log(data_dir: &Path) -> Log {
    Log::open(Keeping { dir: log::dir_in(data_dir), retention_days: 9, group_commit: Duration::from_millis(1) }).unwrap()
}

/// Saves a cursor the way readers of the log do: after what it points at.
fn save_cursor(store: &Store, position: u64) {
    let deed = Deed { at: UnixMs(position as i64), actor: "cli", action: "cursor", subject: "log", detail: "" };
    store.write(|tx| audit::record(tx, &deed)).unwrap();
}

fn cursor(store: &Store) -> u64 {
    let newest = "SELECT max(at) FROM audit WHERE action = 'cursor'";
    store.read(|tx| Ok::<_, StoreError>(tx.query_row(newest, [], |row| row.get::<_, i64>(0))?)).unwrap().cast_unsigned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_everything_acknowledged_before_it() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    crate::identity::Authority::rotate(dir.path(), NOW).unwrap();
    let log = open_log(dir.path());
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = tokio::spawn({
        let (log, store, stop, acknowledged) = (log.clone(), store.clone(), stop.clone(), acknowledged.clone());
        async move {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                log.append(upload(&log, "S1", NOW, &[batch(1, 1, n, 1)])).await.unwrap();
                save_cursor(&store, n + 1);
                acknowledged.store(n + 1, Ordering::Relaxed);
            }
        }
    });
    while acknowledged.load(Ordering::Relaxed) < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let out = elsewhere.path().join("backup");
    let before = acknowledged.load(Ordering::Relaxed);
    backup(dir.path(), &out, &[]).unwrap();
    let after = acknowledged.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert!(after > before, "nothing was written during the backup; the test proves nothing");

    let restored = elsewhere.path().join("data");
    restore(&out, &restored, None).unwrap();
    let held: Vec<u64> = open_log(&restored).read_from(Position(0), 1_000_000).unwrap().iter().map(|s| s.head.id.sequence.0).collect();
    assert!(held.len() as u64 >= before, "{} of {before} acknowledged batches", held.len());
    assert_eq!(held, (0..held.len() as u64).collect::<Vec<_>>());
    let cursor = cursor(&Store::open(&restored).unwrap());
    assert!(before <= cursor && cursor <= held.len() as u64, "the cursor {cursor} points past the log of {}", held.len());
    assert_eq!(std::fs::read(restored.join("authority/1.key")).unwrap(), std::fs::read(dir.path().join("authority/1.key")).unwrap());
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o077, 0, "others can read the authority's key");
}

#[test]
fn a_damaged_backup_and_a_full_directory_are_refused_and_change_nothing() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_cursor(&Store::open(dir.path()).unwrap(), 1);
    let out = elsewhere.path().join("backup");
    backup(dir.path(), &out, &[]).unwrap();
    assert!(restore(&out, dir.path(), None).is_err(), "a directory in use was overwritten");
    let damaged = elsewhere.path().join("damaged");
    std::fs::copy(&out, &damaged).unwrap();
    Connection::open(&damaged).unwrap().execute("UPDATE chunks SET bytes = zeroblob(length(bytes)) WHERE part = 0", []).unwrap();
    let target = elsewhere.path().join("data");
    let error = restore(&damaged, &target, None).unwrap_err();
    assert!(format!("{error:#}").contains("state.sqlite is damaged"), "{error:#}");
    assert!(!target.exists() && restore(dir.path(), &target, None).is_err());
    restore(&out, &target, None).unwrap();
}

#[test]
fn an_encrypted_backup_is_read_by_the_holder_of_a_key_alone_and_holds_nothing_in_the_open() {
    use age::secrecy::ExposeSecret;
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_cursor(&Store::open(dir.path()).unwrap(), 1);
    crate::identity::Authority::rotate(dir.path(), NOW).unwrap();
    let key_file = |name: &str| {
        let (key, path) = (age::x25519::Identity::generate(), elsewhere.path().join(name));
        std::fs::write(&path, format!("# public key: {}\n{}\n", key.to_public(), key.to_string().expose_secret())).unwrap();
        (key.to_public().to_string(), path)
    };
    let ((first, first_file), (second, second_file), (_, stranger)) = (key_file("first"), key_file("second"), key_file("stranger"));
    let (out, target) = (elsewhere.path().join("backup"), elsewhere.path().join("data"));
    assert!(backup(dir.path(), &out, &["age1nonsense".to_owned()]).is_err() && !out.exists());
    backup(dir.path(), &out, &[first, second]).unwrap();
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o077, 0);
    assert!(std::fs::read_dir(dir.path()).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().contains("backup")));
    let sealed = std::fs::read(&out).unwrap();
    for open in [&b"SQLite format"[..], b"PRIVATE KEY", b"state.sqlite"] {
        assert!(!sealed.windows(open.len()).any(|window| window == open), "{} is in the open", String::from_utf8_lossy(open));
    }
    for (identities, reason) in [(None, "--identity"), (Some(&stranger), "No matching keys"), (Some(&out), "identity file")] {
        let error = format!("{:#}", restore(&out, &target, identities.map(PathBuf::as_path)).unwrap_err());
        assert!(error.contains(reason), "{error}");
        assert!(!target.exists());
    }
    for damage in [
        sealed[..sealed.len() - 1].to_vec(),
        [&sealed[..sealed.len() / 2], &[sealed[sealed.len() / 2] ^ 1], &sealed[sealed.len() / 2 + 1..]].concat(),
    ] {
        let damaged = elsewhere.path().join("damaged");
        std::fs::write(&damaged, damage).unwrap();
        assert!(restore(&damaged, &target, Some(&first_file)).is_err() && !target.exists());
    }
    for identities in [&first_file, &second_file] {
        restore(&out, &target, Some(identities)).unwrap();
        assert_eq!(std::fs::read(target.join("authority/1.key")).unwrap(), std::fs::read(dir.path().join("authority/1.key")).unwrap());
        std::fs::remove_dir_all(&target).unwrap();
    }
    // The tool of the format reads it too.
    let plain = elsewhere.path().join("plain");
    let tool = std::process::Command::new("age").args(["-d", "-i"]).arg(&second_file).arg("-o").arg(&plain).arg(&out).status();
    assert!(tool.unwrap().success() && std::fs::read(&plain).unwrap().starts_with(b"SQLite format"));
    restore(&plain, &target, None).unwrap();
}
