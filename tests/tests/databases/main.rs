//! Real databases: what the sink writes arrives in Debian's `influxdb` and `victoria-metrics`, through an outage, and
//! every panel of both Grafana packs gets an answer from it.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod province;
mod servers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusta_collector::grafana::query::Lang;
use rusta_collector::grafana::{DASHBOARDS, Dashboard};
use rusta_collector::log::Position;
use rusta_collector::sink::points::{Fields, write_probes, write_states};
use rusta_collector::sink::tail::{Counters, Settings, Source, Tail};
use rusta_wire::UnixMs;
use tokio::sync::watch;

use province::{MINUTES, Province};
use servers::{Influx, Server, Victoria};

/// Writes everything the province knows, then runs every panel's query.
async fn every_panel_answers(server: &dyn Server, lang: Lang) {
    let province = Province::of_now();
    let (mut lines, fields) = (String::new(), Fields::new());
    for record in &province.records {
        write_probes(&mut lines, &fields, &province.snapshot.inventory, record);
    }
    for minute in 0..MINUTES {
        write_states(&mut lines, &province.snapshot, UnixMs(province.start.0 + minute * 60_000));
        lines += &province::kpi_line(UnixMs(province.start.0 + minute * 60_000));
    }
    let written = rusta_collector::sink::delivery::deliver(&servers::client(), &server.endpoint(), &lines).await.unwrap();
    assert_eq!((written.lines, written.poison.as_slice()), (lines.lines().count(), [].as_slice()));
    server.settle().await;
    let mut silent = BTreeSet::new();
    for (dashboard, panel, query) in questions() {
        let text = servers::fill_in(&query.text(lang), lang);
        if server.ask(&text).await == 0 {
            silent.insert(format!("{} / {panel}: {text}", dashboard.name));
        }
    }
    assert!(silent.is_empty(), "no answer to:\n{}", silent.into_iter().collect::<Vec<_>>().join("\n"));
}

fn questions() -> impl Iterator<Item = (&'static Dashboard, &'static str, &'static rusta_collector::grafana::query::Query)> {
    DASHBOARDS.iter().flat_map(|d| d.panels.iter().flat_map(move |p| p.queries.iter().map(move |(_, q)| (d, p.title.1, q))))
}

#[tokio::test]
async fn every_influxql_panel_gets_an_answer_from_influxdb() {
    every_panel_answers(&Influx::start().await, Lang::InfluxQl).await;
}

#[tokio::test]
async fn every_promql_panel_gets_an_answer_from_victoria_metrics() {
    every_panel_answers(&Victoria::start().await, Lang::PromQl).await;
}

#[tokio::test]
async fn every_point_arrives_once_although_the_database_was_dead() {
    let mut server = Influx::start().await;
    let province = Province::of_now();
    let expected = province.probe_points();
    let folder = tempfile::tempdir().unwrap();
    let (head, head_seen) = watch::channel(Position(0));
    let (_snapshots, snapshots_seen) = watch::channel(Arc::new(province.snapshot.clone()));
    let (stop, stop_seen) = watch::channel(false);
    let counters = Counters::default();
    let records = province.records.clone();
    let source = Source {
        records: move |after: Position, max: usize| {
            let next: Vec<_> = records.iter().filter(|r| r.position > after).take(max).cloned().collect();
            Ok(next.last().map(|last| last.position).map(|last| (last, next)))
        },
        figures: |_: &_| Vec::new(),
        head: head_seen,
        snapshots: snapshots_seen,
    };
    let settings = Settings {
        name: "test".into(),
        endpoint: server.endpoint(),
        queue: folder.path().join("sink.sqlite"),
        states_every: Duration::from_secs(3600),
    };
    server.kill();
    let tail = tokio::spawn(Tail::new(settings, source, counters.clone()).unwrap().run(stop_seen));
    head.send(Position(1)).unwrap();
    while counters.postponed.get() == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counters.written.get(), 0);
    server.restart().await;
    let everything = expected + province.state_points();
    for _ in 0..600 {
        if counters.written.get() >= everything as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.send(true).unwrap();
    tail.await.unwrap().unwrap();
    assert_eq!(server.count("probe", "ok").await, expected);
    assert_eq!(server.count("site_state", "up").await, province.snapshot.sites.len());
}
