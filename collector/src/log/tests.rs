use rusta_wire::{
    Batch, Clock, ClockSource, Frame, FrameKind, Metric, Network, Outcome, ProbeKind, Reason, Rung, Sample, Sequence, Series, SeriesIndex,
    SeriesTable,
};

use super::*;

/// 2026-11-21T09:00:00Z.
pub(super) const START: UnixMs = UnixMs(1_795_251_600_000);
const DAY_MS: i64 = 86_400_000;

pub(crate) fn table() -> SeriesTable {
    SeriesTable {
        series: vec![Series {
            link: "apn0".into(),
            network: Network::Apn,
            target: "gateway".into(),
            towards: String::new(),
            rung: Rung::Gateway,
            probe: ProbeKind::Icmp,
            interval_s: 60,
            metrics: vec![Metric::Sent],
        }],
    }
}

pub(crate) fn batch(agent: u64, boot: u64, sequence: u64, covers: u32) -> Batch {
    let from = MonoMs(1_000 + sequence * 60_000);
    Batch {
        id: BatchId { agent: AgentId(agent), boot: BootId(boot), sequence: Sequence(sequence) },
        covers,
        from,
        until: MonoMs(from.0 + 60_000),
        clock: Clock { unix: UnixMs(0), source: ClockSource::None, uncertainty_ms: 0 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table().id(),
        samples: vec![Sample { series: SeriesIndex(0), at: MonoMs(from.0 + 500), outcome: Outcome::Ok, values: vec![Some(3)] }],
    }
}

pub(crate) fn upload(log: &Log, site: &str, received_at: UnixMs, batches: &[Batch]) -> Upload {
    let incoming = |batch: &Batch| {
        let payload = batch.encode(&table()).unwrap();
        Incoming {
            head: Batch::head(&payload).unwrap(),
            live_offset_ms: None,
            frame: Frame::new(FrameKind::Batch, payload).unwrap().to_bytes().into(),
            names: log.learn_names(batch.id.agent, &table().encode()).unwrap(),
        }
    };
    Upload { site_code: site.into(), received_at, batches: batches.iter().map(incoming).collect() }
}

fn keeping(dir: &Path) -> Keeping {
    Keeping { dir: dir.to_owned(), retention_days: 3, group_commit: Duration::from_millis(1) }
}

pub(super) fn open(dir: &Path) -> Log {
    Log::open(keeping(dir)).unwrap()
}

pub(super) async fn append(log: &Log, received_at: UnixMs, batches: &[Batch]) -> Result<Appended, LogError> {
    log.append(upload(log, "S1", received_at, batches)).await
}

fn ids(log: &Log) -> Vec<u64> {
    log.read_from(Position(0), 10_000).unwrap().iter().map(|stored| stored.head.id.sequence.0).collect()
}

#[tokio::test]
async fn a_batch_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let sent = batch(7, 9, 0, 1);
    append(&log, START, std::slice::from_ref(&sent)).await.unwrap();
    let [stored] = log.read_from(Position(0), 10).unwrap().try_into().unwrap();
    assert_eq!(stored.batch().unwrap(), sent);
    assert_eq!((stored.position, stored.received_at, stored.site_code.as_ref()), (Position(1), START, "S1"));
    assert_eq!(*log.head().borrow(), Position(1));
}

#[tokio::test]
async fn what_is_stored_is_stored_once_across_days_restarts_and_lost_summaries() {
    let dir = tempfile::tempdir().unwrap();
    for (round, lose_summary) in [(0, false), (1, false), (2, true)] {
        if lose_summary {
            std::fs::write(dir.path().join("seen.sqlite"), b"garbage, not a database at all").unwrap();
        }
        let log = open(dir.path());
        let at = UnixMs(START.0 + round * DAY_MS);
        let again = append(&log, at, &[batch(7, 9, 0, 1), batch(7, 9, 1, 1)]).await.unwrap();
        assert_eq!(again, if round == 0 { Appended { stored: 2, duplicates: 0 } } else { Appended { stored: 0, duplicates: 2 } });
        append(&log, at, &[batch(7, 9, 10 + round as u64, 1)]).await.unwrap();
    }
    assert_eq!(ids(&open(dir.path())), [0, 1, 10, 11, 12]);
}

#[tokio::test]
async fn an_overlap_is_refused_whole_and_a_covered_batch_is_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append(&log, START, &[batch(1, 1, 4, 4)]).await.unwrap();
    assert_eq!(append(&log, START, &[batch(1, 1, 5, 1)]).await.unwrap(), Appended { stored: 0, duplicates: 1 });
    assert!(matches!(append(&log, START, &[batch(1, 1, 20, 1), batch(1, 1, 2, 3)]).await, Err(LogError::Overlap(_))));
    assert_eq!(append(&log, START, &[batch(1, 1, 20, 1)]).await.unwrap().stored, 1, "the refused upload left something behind");
    assert_eq!(ids(&log), [4, 20]);
}

#[tokio::test]
async fn a_clock_months_ahead_costs_no_day_that_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let append_on = |day: i64, sequence: u64| {
        let (log, at) = (log.clone(), UnixMs(START.0 + day * DAY_MS));
        async move { append(&log, at, &[batch(1, 1, sequence, 1)]).await.unwrap() }
    };
    for day in 0..3 {
        append_on(day, day as u64).await;
    }
    append_on(62, 3).await;
    assert_eq!(ids(&log), [0, 1, 2, 3], "the clock went ahead by two months: nothing is old yet");
    append_on(3, 4).await;
    assert_eq!(ids(&log).len(), 5, "and back");
    for day in 63..66 {
        append_on(day, day as u64).await;
    }
    assert!(!ids(&log).contains(&0), "days go again once enough newer ones are there");
}

#[tokio::test]
async fn readers_follow_over_days_and_old_days_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for day in 0..6u64 {
        append(&log, UnixMs(START.0 + day as i64 * DAY_MS), &[batch(1, 1, day * 2, 1), batch(1, 1, day * 2 + 1, 1)]).await.unwrap();
    }
    assert_eq!(ids(&log), [4, 5, 6, 7, 8, 9, 10, 11], "three days of retention beside the newest");
    assert_eq!(log.read_from(Position(7), 3).unwrap().iter().map(|s| s.position.0).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!(append(&log, UnixMs(START.0 + 5 * DAY_MS), &[batch(1, 1, 0, 1)]).await.unwrap().duplicates, 1, "gone days are remembered");
    let of_boot = log.of_boot(AgentId(1), BootId(1), Position(10), 100).unwrap();
    assert_eq!(of_boot.len(), 2);
}

#[tokio::test]
async fn a_site_is_read_by_the_time_of_its_boots() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let batches: Vec<Batch> = (0..10).map(|n| batch(1, 1, n, 1)).collect();
    append(&log, START, &batches).await.unwrap();
    log.append(upload(&log, "S2", START, &[batch(2, 1, 3, 1)])).await.unwrap();
    let range = |from, until| BootRange { boot: BootId(1), from: MonoMs(from), until: MonoMs(until), received_from: UnixMs(0) };
    let found = log.site_range("S1", &[range(130_000, 200_000)], usize::MAX).unwrap();
    assert_eq!(found.iter().map(|s| s.head.id.sequence.0).collect::<Vec<_>>(), [2, 3]);
    assert!(log.site_range("S3", &[range(0, 200_000)], usize::MAX).unwrap().is_empty());
    // A day's file is looked into only if it may hold something.
    append(&log, UnixMs(START.0 + DAY_MS), &[batch(1, 1, 10, 1)]).await.unwrap();
    let all = range(0, 2_000_000);
    assert_eq!(log.site_range("S1", &[all], usize::MAX).unwrap().len(), 11);
    let later = BootRange { received_from: UnixMs(START.0 + DAY_MS), ..all };
    assert_eq!(log.site_range("S1", &[later], usize::MAX).unwrap().iter().map(|s| s.head.id.sequence.0).collect::<Vec<_>>(), [10]);
}

#[tokio::test]
async fn the_clock_going_back_does_not_go_back_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append(&log, UnixMs(START.0 + DAY_MS), &[batch(1, 1, 0, 1)]).await.unwrap();
    append(&log, START, &[batch(1, 1, 1, 1)]).await.unwrap();
    assert_eq!(log.files().len(), 1);
    assert_eq!(ids(&log), [0, 1]);
}

#[tokio::test]
async fn a_damaged_day_is_set_aside_and_positions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append(&log, START, &[batch(1, 1, 0, 1), batch(1, 1, 1, 1)]).await.unwrap();
    let file = log.files().remove(0);
    drop(log);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(&file, bytes).unwrap();
    let log = open(dir.path());
    append(&log, START, &[batch(1, 1, 2, 1)]).await.unwrap();
    assert_eq!(log.read_from(Position(0), 10).unwrap()[0].position, Position(3));
    assert!(std::fs::exists(file.with_extension("sqlite.damaged")).unwrap());
}

#[tokio::test]
async fn tables_are_found_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path()), START, &[batch(1, 1, 0, 1)]).await.unwrap();
    let log = open(dir.path());
    assert_eq!(*log.names(AgentId(1), table().id()).unwrap().unwrap().table, table());
    assert!(log.names(AgentId(2), table().id()).unwrap().is_none(), "a table belongs to the agent that sent it");
}

/// A small disk of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the privilege to mount.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|output| output.status.success()).then(|| SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_to_the_namespace = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_acknowledged_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount("6m") else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let dir = disk.0.path().join("log");
    let log = open(&dir);
    append(&log, START, &[batch(1, 1, 0, 1)]).await.unwrap();
    let ballast = disk.0.path().join("ballast");
    // As much as goes in; writing fails when the disk is full.
    let _full = std::fs::write(&ballast, vec![1; 8 << 20]);
    let mut acknowledged = vec![0];
    let mut refused = None;
    for n in 1..2_000 {
        match append(&log, START, &[batch(1, 1, n, 1)]).await {
            Ok(_) => acknowledged.push(n),
            Err(error) => {
                refused = Some((n, error));
                break;
            }
        }
    }
    let (n, error) = refused.expect("the disk was full and everything was stored");
    assert!(matches!(error, LogError::Unavailable(_)), "{error}");
    assert!(log.trouble().is_some(), "readiness does not know");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(log.trouble().is_some(), "it calls a full disk good again");
    assert!(append(&log, START, &[batch(1, 1, n, 1)]).await.is_err());
    std::fs::remove_file(&ballast).unwrap();
    for _ in 0..100 {
        if log.trouble().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(append(&log, START, &[batch(1, 1, n, 1)]).await.unwrap(), Appended { stored: 1, duplicates: 0 });
    acknowledged.push(n);
    assert_eq!(ids(&log), acknowledged);
    drop(log);
    assert_eq!(ids(&open(&dir)), acknowledged, "after a restart");
}
