//! Every point arrives once the database is back: dead, full, slow, overloaded, and with a line it will never take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_collector::log::Position;
use rusta_collector::sink::queue::Queue;
use rusta_collector::sink::tail::{Counters, Settings, Source, Tail};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::province::Province;
use super::proxy::{Habits, Mishap, Proxy};
use super::servers::{Disk, Influx, Server, Victoria};
use rusta_collector::sink::delivery::Endpoint;

/// A sink at work on a province's records, one record a read, so that an outage falls between two.
struct Sink {
    counters: Counters,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
    _head: watch::Sender<Position>,
    tail: JoinHandle<anyhow::Result<()>>,
}

impl Sink {
    fn start(province: &Province, endpoint: Endpoint) -> Sink {
        let folder = tempfile::tempdir().unwrap();
        let (head, head_seen) = watch::channel(Position(0));
        let (_snapshots, snapshots) = watch::channel(Arc::new(province.snapshot.clone()));
        let (stop, stop_seen) = watch::channel(false);
        let counters = Counters::default();
        let records = province.records.clone();
        let source = Source {
            records: move |after: Position, _: usize| {
                let next = records.iter().find(|record| record.position > after).cloned();
                Ok(next.map(|record| (record.position, vec![record])))
            },
            figures: |_: &_| Vec::new(),
            head: head_seen,
            snapshots,
        };
        let queue = folder.path().join("sink.sqlite");
        let settings = Settings { name: "test".into(), endpoint, queue, states_every: Duration::from_secs(3600) };
        let tail = tokio::spawn(Tail::new(settings, source, counters.clone()).unwrap().run(stop_seen));
        head.send(Position(1)).unwrap();
        Sink { counters, folder, stop, _head: head, tail }
    }

    async fn until(&self, what: &str, reached: impl Fn(&Counters) -> bool) {
        let start = Instant::now();
        while !reached(&self.counters) {
            assert!(start.elapsed() < Duration::from_secs(180), "{what}: {:?}", self.counters);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many points were taken or set aside, and ends the sink.
    async fn finish(self, points: usize) -> tempfile::TempDir {
        self.until("everything arrives", |seen| seen.written.get() + seen.set_aside.get() >= points as u64).await;
        self.stop.send(true).unwrap();
        self.tail.await.unwrap().unwrap();
        self.folder
    }
}

async fn assert_everything_is_there(server: &dyn Server, province: &Province, missing: usize) {
    server.settle().await;
    assert_eq!(server.count("probe", "ok").await, province.probe_points() - missing);
    assert_eq!(server.count("site_state", "up").await, province.snapshot.sites.len());
    assert_eq!(server.count("link_state", "up").await, province.snapshot.links.len());
    assert_eq!(server.count("agent", "reporting").await, province.snapshot.agents.len());
}

async fn through_a_death(server: &mut dyn Server) {
    let province = Province::of_now();
    server.kill();
    let sink = Sink::start(&province, server.endpoint());
    sink.until("the first failure", |seen| seen.postponed.get() > 0).await;
    assert_eq!(sink.counters.written.get(), 0);
    server.restart().await;
    sink.finish(province.probe_points() + province.state_points()).await;
    assert_everything_is_there(server, &province, 0).await;
}

#[tokio::test]
async fn influxdb_was_dead() {
    through_a_death(&mut Influx::start().await).await;
}

#[tokio::test]
async fn victoria_metrics_was_dead() {
    through_a_death(&mut Victoria::start().await).await;
}

/// Slow, overloaded, failing, answers lost, a line it will never take, bodies too large: one after the other.
async fn through_everything_else(server: &dyn Server) {
    let province = Province::of_now();
    let mishaps = [
        Mishap::Slow(Duration::from_secs(2)),
        Mishap::Refused(429, Some(1)),
        Mishap::Refused(503, None),
        Mishap::AnswerLost,
        Mishap::Refused(500, None),
    ];
    // The second site's round of the portal in its fifth minute.
    let habits = Habits {
        poison: Some(("site=v1,link=apn\\ 0,network=apn,target=portal", format!(" {}", province.start.0 + 240_000))),
        most_lines: Some(20),
    };
    let (proxy, endpoint) = Proxy::start(server.endpoint(), &mishaps, habits.clone()).await;
    let started = Instant::now();
    let sink = Sink::start(&province, endpoint);
    let counters = sink.counters.clone();
    let folder = sink.finish(province.probe_points() + province.state_points()).await;
    assert_eq!(proxy.mishaps_left(), 0);
    assert!(started.elapsed() > Duration::from_secs(3), "it waited for the slow answer and as long as it was told");
    assert_eq!(counters.set_aside.get(), 1, "one line was refused, and nothing beside it");
    let kept = Queue::open(&folder.path().join("sink.sqlite")).unwrap().poison().unwrap();
    assert!(kept.len() == 1 && habits.refuses(&kept[0].0) && kept[0].1 == "unable to parse", "{kept:?}");
    assert_everything_is_there(server, &province, 1).await;
}

#[tokio::test]
async fn influxdb_was_slow_overloaded_and_picky() {
    through_everything_else(&Influx::start().await).await;
}

#[tokio::test]
async fn victoria_metrics_was_slow_overloaded_and_picky() {
    through_everything_else(&Victoria::start().await).await;
}

async fn through_a_full_disk(server: &mut dyn Server, disk: &Disk, spare_mb: usize) {
    let province = Province::of_now();
    disk.fill(spare_mb);
    server.notices_a_full_disk().await;
    let sink = Sink::start(&province, server.endpoint());
    sink.until("the first failure", |seen| seen.postponed.get() > 0).await;
    disk.free();
    // InfluxDB 1 keeps failing until somebody restarts it; VictoriaMetrics goes on by itself.
    server.recovers_from_a_full_disk().await;
    sink.finish(province.probe_points() + province.state_points()).await;
    assert_everything_is_there(server, &province, 0).await;
}

#[tokio::test]
async fn influxdb_had_no_space_left() {
    let Some(disk) = Disk::small() else { return };
    through_a_full_disk(&mut Influx::start_on(&disk).await, &disk, 0).await;
}

#[tokio::test]
async fn victoria_metrics_had_no_space_left() {
    let Some(disk) = Disk::small() else { return };
    // Below its own limit it refuses; on a disk without a byte it would end, which is another test's outage.
    through_a_full_disk(&mut Victoria::start_on(&disk).await, &disk, 8).await;
}
