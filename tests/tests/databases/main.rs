//! Real databases: what the sink writes arrives in Debian's `influxdb` and `victoria-metrics`, through an outage, and
//! every panel of both Grafana packs gets an answer from it.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod numbers;
mod outages;
mod province;
mod proxy;
mod servers;

use std::collections::BTreeSet;

use rusta_collector::grafana::query::Lang;
use rusta_collector::grafana::{ALERTS, DASHBOARDS, outages};
use rusta_collector::sink::points::{Fields, write_probes, write_states};
use rusta_wire::UnixMs;

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
        // An outage begins in the last minute, for which annotations are asked.
        let snapshot = if minute + 1 == MINUTES { province.in_an_outage() } else { province.snapshot.clone() };
        write_states(&mut lines, &snapshot, UnixMs(province.start.0 + minute * 60_000));
        lines += &province::kpi_lines(UnixMs(province.start.0 + minute * 60_000));
    }
    let written = rusta_collector::sink::delivery::deliver(&servers::client(), &server.endpoint(), &lines).await.unwrap();
    assert_eq!((written.lines, written.poison.as_slice()), (lines.lines().count(), [].as_slice()));
    server.settle().await;
    let mut silent = BTreeSet::new();
    for (place, query) in questions(lang) {
        let text = servers::fill_in(&query, lang);
        if server.ask(&text).await == 0 {
            silent.insert(format!("{place}: {text}"));
        }
    }
    assert!(silent.is_empty(), "no answer to:\n{}", silent.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Everything a pack asks: panels, alert rules, annotations.
fn questions(lang: Lang) -> Vec<(String, String)> {
    let panels = DASHBOARDS.iter().flat_map(|dashboard| dashboard.panels.iter().map(move |panel| (dashboard, panel)));
    let panels = panels.flat_map(|(dashboard, panel)| {
        panel.queries.iter().map(move |(_, query)| (format!("{} / {}", dashboard.name, panel.title.1), query.text(lang)))
    });
    let alerts = ALERTS.iter().map(|alert| (format!("alert {}", alert.name), alert.query.text(lang)));
    let outages = DASHBOARDS.iter().filter_map(|dashboard| Some((format!("outages of {}", dashboard.name), outages(dashboard, lang)?)));
    panels.chain(alerts).chain(outages).collect()
}

#[tokio::test]
async fn every_influxql_panel_gets_an_answer_from_influxdb() {
    every_panel_answers(&Influx::start().await, Lang::InfluxQl).await;
}

#[tokio::test]
async fn every_promql_panel_gets_an_answer_from_victoria_metrics() {
    every_panel_answers(&Victoria::start().await, Lang::PromQl).await;
}
