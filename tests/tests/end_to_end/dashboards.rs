//! Both Grafana packs pass through Grafana's own types without losing a key; Prometheus' own tool reads the rules for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::http;
use rusta_tests::programs::{free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn dashboards() -> Vec<PathBuf> {
    let folders = ["influxql", "promql"].map(|pack| repository().join("dashboards").join(pack).join("dashboards"));
    folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect()
}

fn round_trip(files: &[PathBuf]) -> rusta_tests::programs::Said {
    let python = repository().join("target/python/bin/python");
    assert!(python.is_file(), "{} is missing: scripts/test installs it", python.display());
    run(Command::new(python).arg(repository().join("tests/grafana/round_trip.py")).args(files))
}

#[test]
fn grafanas_own_types_know_every_key() {
    let files = dashboards();
    assert!(files.len() >= 18, "{files:?}");
    let said = round_trip(&files);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn a_misspelt_key_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = std::fs::read_to_string(&dashboards()[0]).unwrap().replacen("\"legend\"", "\"ledgend\"", 1);
    let file = folder.path().join("wrong.json");
    std::fs::write(&file, wrong.replacen("\"gridPos\"", "\"gridPosition\"", 1)).unwrap();
    let said = round_trip(&[file]);
    assert!(said.code == Some(1) && said.stdout.contains("is unknown"), "{}\n{}", said.stdout, said.stderr);
}

/// Names of our metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("rusta_")).map(str::to_owned).collect()
}

#[test]
fn the_rules_for_prometheus_hold_their_tests_and_name_metrics_there_are() {
    let folder = repository().join("dashboards/prometheus");
    run_ok(Command::new("promtool").args(["check", "rules"]).arg(folder.join("rusta.rules.yml")));
    run_ok(Command::new("promtool").args(["test", "rules", "rusta.test.yml"]).current_dir(&folder));

    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let sinks = "sinks: [{ name: influx, url: \"http://127.0.0.1:9/write?db=x\" }]";
    stage.configure_collector(agents, &["127.0.0.1"], http, sinks);
    stage.import(&[Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }]);
    let _collector = stage.serve(None, http);
    let there = metrics_in(&http::get(http, "/metrics").unwrap().text());
    let rules = std::fs::read_to_string(folder.join("rusta.rules.yml")).unwrap();
    let named = metrics_in(&rules.lines().filter(|line| line.trim_start().starts_with("expr:")).collect::<Vec<_>>().join("\n"));
    assert!(named.len() >= 10, "{named:?}");
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?} of {there:?}");
}
