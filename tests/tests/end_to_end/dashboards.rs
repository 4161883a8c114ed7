//! Both Grafana packs pass through Grafana's own types without losing a key.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::run;

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
