use std::collections::{BTreeMap, BTreeSet};

use rusta_wire::Metric;

use super::*;
use crate::engine::{AgentState, LinkState, SiteState};
use crate::grafana::query::{Fold, Query};
use crate::sink::schema;

const LANGS: [Lang; 2] = [Lang::InfluxQl, Lang::PromQl];

fn schema_of(measurement: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<BTreeSet<_>>();
    let (tags, fields) = match measurement {
        "probe" => {
            let fields = Metric::ALL.iter().map(|m| schema::Published::of(*m).name).chain(["ok".to_owned()]);
            (words(&schema::PROBE_TAGS), fields.collect())
        }
        "link_state" => (words(&schema::LINK_STATE_TAGS), LinkState::ALL.iter().map(ToString::to_string).collect()),
        "site_state" => (
            words(&schema::SITE_STATE_TAGS),
            SiteState::ALL.iter().map(ToString::to_string).chain(words(&schema::SITE_PLACE_FIELDS)).collect(),
        ),
        "agent" => {
            (words(&schema::AGENT_TAGS), AgentState::ALL.iter().map(ToString::to_string).chain(words(&schema::AGENT_FIELDS)).collect())
        }
        "kpi" => (words(&schema::KPI_TAGS), words(&schema::KPI_FIELDS)),
        other => panic!("{other} is not in the schema"),
    };
    (tags, fields)
}

fn queries() -> impl Iterator<Item = (&'static str, &'static Query)> {
    let panels = DASHBOARDS.iter().flat_map(|d| d.panels.iter().flat_map(move |p| p.queries.iter().map(move |(_, q)| (d.name, q))));
    panels.chain(ALERTS.iter().map(|alert| (alert.name, &alert.query)))
}

#[test]
fn every_panel_asks_for_what_is_written() {
    for (place, query) in queries() {
        let (tags, fields) = schema_of(query.measurement);
        assert!(fields.contains(query.field), "{place}: no field {} in {}", query.field, query.measurement);
        let objects: &[&str] = if let Fold::SumOfLast(object) = query.fold { object } else { &[] };
        for tag in query.by.iter().chain(objects).chain(query.filters.iter().map(|(tag, _)| tag)) {
            assert!(tags.contains(*tag), "{place}: no tag {tag} in {}", query.measurement);
        }
    }
}

#[test]
fn every_variable_exists_and_is_used() {
    for dashboard in DASHBOARDS {
        let (tags, fields) = schema_of(dashboard.variables_from.0);
        assert!(fields.contains(dashboard.variables_from.1));
        let filters = dashboard.panels.iter().flat_map(|p| p.queries.iter()).flat_map(|(_, q)| q.filters.iter());
        let chosen: BTreeSet<&str> = filters.filter_map(|(tag, filter)| filter.variable(tag)).collect();
        assert_eq!(chosen, dashboard.variables.iter().copied().collect(), "{}", dashboard.name);
        assert!(chosen.iter().all(|tag| tags.contains(*tag)), "{}", dashboard.name);
        // Every variable a text mentions is one of the dashboard's own or Grafana's.
        for lang in LANGS {
            let text = render(dashboard, lang).to_string();
            for rest in text.split("${").skip(1).filter(|rest| !rest.starts_with("__")) {
                let name = rest.split(['}', ':']).next().unwrap();
                assert!(name == "rusta" || chosen.contains(name), "{}: ${{{name}}} is no variable", dashboard.name);
            }
        }
    }
}

#[test]
fn panels_do_not_overlap_and_uids_are_unique() {
    let mut uids = BTreeMap::new();
    for (dashboard, lang) in DASHBOARDS.iter().flat_map(|d| LANGS.map(|lang| (d, lang))) {
        let json = render(dashboard, lang);
        assert_eq!(uids.insert(json["uid"].to_string(), dashboard.name), None);
        let mut taken = BTreeSet::new();
        for panel in json["panels"].as_array().unwrap() {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{}", dashboard.name);
            for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{}: panels overlap at {cell:?}", dashboard.name);
            }
        }
    }
}

#[test]
fn nothing_is_loaded_from_outside() {
    for (dashboard, lang) in DASHBOARDS.iter().flat_map(|d| LANGS.map(|lang| (d, lang))) {
        let text = render(dashboard, lang).to_string().replace("http://127.0.0.1:8080", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{}", dashboard.name);
    }
}

#[test]
fn the_packs_in_dashboards_are_what_export_writes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    for lang in LANGS {
        let fresh = tempfile::tempdir().unwrap();
        export(lang, fresh.path()).unwrap();
        let boards = DASHBOARDS.iter().map(|dashboard| format!("dashboards/{}.json", dashboard.name));
        let files = provisioning::files(lang).into_iter().map(|(file, _)| format!("provisioning/{file}"));
        for file in boards.chain(files).chain(["schema.md".to_owned()]) {
            let kept = std::fs::read_to_string(root.join(lang.as_str()).join(&file)).unwrap();
            let made = std::fs::read_to_string(fresh.path().join(&file)).unwrap();
            assert!(
                kept == made,
                "{file} is out of date: run `rusta-collector export-grafana --lang {} --out dashboards/{0}`",
                lang.as_str()
            );
        }
    }
}

#[test]
fn provisioning_files_are_yaml_and_every_rule_is_complete() {
    for lang in LANGS {
        for (file, text) in provisioning::files(lang) {
            let document: serde_yaml::Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(document["apiVersion"].as_u64(), Some(1), "{file}");
            if file.starts_with("alerting") {
                let rules = document["groups"][0]["rules"].as_sequence().unwrap();
                assert_eq!(rules.len(), ALERTS.len());
                assert!(
                    rules.iter().all(|rule| rule["data"].as_sequence().unwrap().len() == 3 && rule["uid"].as_str().unwrap().len() <= 40)
                );
            }
        }
    }
}
