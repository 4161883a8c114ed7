use std::sync::Arc;

use axum::http::StatusCode;
use rusta_wire::UnixMs;
use tokio::sync::watch;

use super::{get, routed, stage};
use crate::day::Day;
use crate::inventory::{Declared, Inventory, generate, versions};
use crate::kpi::{Breakdown, CATALOGUE, Decree, Term, by_id, define};
use crate::store::{Store, StoreError};
use crate::web::WebState;

/// Fills every village's days of the week before the stage's now: up but for the first tenth of the day.
pub(super) fn a_week_of_villages(store: &Store) {
    let inventory = stage::province();
    let draft = generate::draft(generate::Size::Kr, 7).unwrap();
    versions::import(store, &draft, &versions::Import { by: "cli", at: stage::NOW, effective_from: UnixMs(0) }).unwrap();
    let today = Day::of(stage::NOW);
    store
        .write(|tx| {
            for village in inventory.villages() {
                let code = &inventory.region(village).code;
                tx.execute("INSERT INTO objects (kind, code, link) VALUES (3, ?1, '')", [code])?;
                let id = tx.last_insert_rowid();
                for day in today.0 - 7..today.0 {
                    let sql = "INSERT INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
                               VALUES (3, ?1, ?2, 77760, 0, 8640, 0, 0, 0)";
                    tx.execute(sql, (day, id))?;
                }
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[tokio::test]
async fn every_period_of_the_catalogue_is_answered() {
    let (_dir, web) = stage::web();
    a_week_of_villages(&web.store);
    let router = routed(web.with_anonymous_viewer(true));
    // The stage's now is 1405/08/30, a Saturday, 14:20.
    let periods = ["now", "24h", "1405-08-29", "1405-08-29w", "1405-08", "1405-q3", "1405"];
    for period in periods {
        let id = if period == "now" { "connected_share_now" } else { "connected_share_period" };
        let answer = get(&router, &format!("/api/v1/kpis?id={id}&region=09&period={period}")).await;
        let items = answer.json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 1, "{period}: {items}");
        assert_eq!(items[0]["period"], period.replace("29w", "23w"), "{period}");
        let denominator = items[0]["denominator"].as_f64().unwrap();
        match period {
            "1405-08-29" => assert_eq!(items[0]["value"], 0.9),
            "1405-08-29w" => assert_eq!((denominator / 86_400.0) as usize, 7 * stage::province().villages().count()),
            // No timeline of these 24 hours is built: all of it is unknown, none of it is down.
            "24h" => assert_eq!((denominator, &items[0]["lo"], &items[0]["hi"]), (0.0, &0.0.into(), &1.0.into())),
            _ => assert!(denominator > 0.0, "{period}"),
        }
    }
    for wrong in ["yesterday", "1405-13", "25h", "1404-12-30"] {
        let answer = get(&router, &format!("/api/v1/kpis?period={wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.text().contains(wrong));
    }
}

#[tokio::test]
async fn every_breakdown_adds_up_and_one_a_figure_lacks_is_refused() {
    let (_dir, web) = stage::web();
    a_week_of_villages(&web.store);
    let router = routed(web.with_anonymous_viewer(true));
    let ask = async |query: &str| get(&router, &format!("/api/v1/kpis?{query}")).await;
    let sum = |items: &serde_json::Value, key: &str| items.as_array().unwrap().iter().map(|item| item[key].as_f64().unwrap()).sum::<f64>();
    for (id, period) in [("connected_share_now", "now"), ("connected_share_period", "1405-08-29"), ("registry_completeness", "1405-08-29")]
    {
        let whole = ask(&format!("id={id}&region=09&period={period}")).await.json()["items"].clone();
        for by in by_id(id).unwrap().by {
            let parts = ask(&format!("id={id}&region=09&period={period}&by={by}")).await.json()["items"].clone();
            assert!(!parts.as_array().unwrap().is_empty(), "{id} by {by}");
            for key in ["numerator", "denominator", "unknown"] {
                assert_eq!(sum(&parts, key), sum(&whole, key), "{key} of {id} by {by}");
            }
        }
    }
    for kpi in CATALOGUE {
        for by in Breakdown::ALL.iter().filter(|by| !kpi.by.contains(by)) {
            let answer = ask(&format!("id={}&period=1405-08-29&by={by}", kpi.id)).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} by {by}", kpi.id);
        }
    }
    assert_eq!(ask("by=colour").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_decree_makes_a_version_and_the_earlier_one_stays_beside_it() {
    let (_dir, web) = stage::web();
    a_week_of_villages(&web.store);
    let router = routed(web.clone().with_anonymous_viewer(true));
    let ask = async |id: &str| get(&router, &format!("/api/v1/kpis?id={id}&region=09&period=1405-08-29")).await;
    let figure = async |id: &str| ask(id).await.json()["items"][0].clone();
    let first = figure("villages_connected_month").await;
    assert_eq!((&first["value"], &first["definition_version"]), (&1.0.into(), &2.into()));
    let effective_from = crate::inventory::dates::moment("1405-08-01").unwrap();
    let set = [(Term::Connected, "0.95".to_owned())];
    let kpi = by_id("villages_connected_month").unwrap();
    let decree = Decree { kpi, set: &set, effective_from, decree: "1405/231", by: ("cli", stage::NOW) };
    assert_eq!(define(&web.store, &decree).unwrap(), 3);
    // Every village was connected for 90 % of the day: enough for the catalogue's own versions, not for the decree's.
    let (newer, older) = (figure("villages_connected_month").await, figure("villages_connected_month@1").await);
    assert_eq!((&newer["value"], &newer["definition_version"]), (&0.0.into(), &3.into()));
    assert_eq!((&older["value"], &older["definition_version"]), (&1.0.into(), &1.into()));
    let refused = ask("villages_connected_month@4").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("it has 1, 2, 3"), "{}", refused.text());
    let listed = get(&router, "/api/v1/kpis/definitions").await.json()["items"].clone();
    let texts = CATALOGUE.iter().map(|kpi| 1 + usize::from(kpi.second.is_some())).sum::<usize>();
    assert_eq!(listed.as_array().unwrap().len(), texts + 1);
    let second = listed.as_array().unwrap().iter().find(|one| one["version"] == 3).unwrap();
    assert_eq!((&second["decree"], &second["terms"]["connected"]), (&"1405/231".into(), &"0.95".into()));
}

/// Adds the columns of an explanation up, as anybody would who reads the file.
fn summed(csv: &str) -> ([f64; 3], [f64; 3]) {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let cell = |line: &csv::StringRecord, name: &str| line[heading.iter().position(|known| known == name).unwrap()].to_owned();
    let number = |line: &csv::StringRecord, name: &str| cell(line, name).parse::<f64>().unwrap();
    let (figure, rows): (Vec<_>, Vec<_>) = lines.iter().partition(|line| cell(line, "kind") == "figure");
    let columns = ["numerator", "denominator", "unknown"];
    let sum = |name: &str| {
        let per = rows.first().map_or(1.0, |line| number(line, &format!("{name}_per")));
        rows.iter().map(|line| number(line, name)).sum::<f64>() / per
    };
    (columns.map(sum), columns.map(|name| number(figure[0], name)))
}

#[tokio::test]
async fn what_explains_the_figure_of_now_adds_up_to_it() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    for weight in ["village", "household", "population"] {
        let asked = format!("id=connected_share_now&region=09&period=now&weight={weight}");
        let shown = get(&router, &format!("/api/v1/kpis?{asked}")).await.json()["items"][0].clone();
        let explained = get(&router, &format!("/api/v1/kpis/explain?{asked}&form=csv")).await;
        assert_eq!(explained.header("content-type"), "text/csv; charset=utf-8");
        let (rows, figure) = summed(&explained.text());
        let said = ["numerator", "denominator", "unknown"].map(|key| shown[key].as_f64().unwrap());
        assert_eq!((rows, figure), (said, said), "by {weight}");
        assert!(said[0] > 0.0 && said[2] > 0.0, "there is something to add");
    }
}

#[tokio::test]
async fn what_explains_a_period_adds_up_and_a_wrong_question_says_so() {
    let (_dir, web) = stage::web();
    a_week_of_villages(&web.store);
    let router = routed(web.with_anonymous_viewer(true));
    let (rows, figure) =
        summed(&get(&router, "/api/v1/kpis/explain?id=connected_share_period&region=09&period=1405-08-29&form=csv").await.text());
    assert_eq!(rows, figure);
    assert!(rows[1] > 0.0);
    for (wrong, status) in [
        ("id=nothing&region=09&period=1405-08", StatusCode::BAD_REQUEST),
        ("id=saidi&region=NOWHERE&period=1405-08", StatusCode::NOT_FOUND),
        ("id=saidi&region=09&period=someday", StatusCode::BAD_REQUEST),
        ("id=saidi@9&region=09&period=1405-08", StatusCode::BAD_REQUEST),
        ("id=saidi&region=09&period=1405-08&form=xml", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(get(&router, &format!("/api/v1/kpis/explain?{wrong}")).await.status, status, "{wrong}");
    }
}

#[tokio::test]
async fn a_definition_is_told_with_everything_that_makes_it_checkable() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let listed = get(&router, "/api/v1/kpis/definitions").await.json()["items"].clone();
    let saidi = listed.as_array().unwrap().iter().find(|one| one["id"] == "saidi" && one["version"] == 2).unwrap();
    let said = &saidi["dictionary_en"];
    assert_eq!((&said["numerator"], &said["denominator"], &said["unit"]), (&"minutes".into(), &"villages".into(), &"minutes".into()));
    assert_eq!(said["example"]["numerator"], 691_200.0, "the worked example is the golden fixture's");
    let page = get(&router, "/kpis/saidi?region=09&lang=en").await.text();
    for words in ["announced work", "late data", "rounding", "worked example", "691200"] {
        assert!(page.contains(words), "the page does not tell {words}");
    }
}

#[tokio::test]
async fn what_was_announced_is_shown_with_its_source_and_the_latest_day_holds() {
    let (_dir, web) = stage::web();
    let mut snapshot = stage::snapshot();
    let mut inventory = Inventory::clone(&snapshot.inventory);
    let region = inventory.region_by_code("09").unwrap();
    let one = |kpi: &str, value: f64, unit: &str, as_of: &str| Declared {
        kpi: kpi.to_owned(),
        value,
        unit: unit.to_owned(),
        numerator: None,
        denominator: None,
        region,
        as_of: as_of.to_owned(),
        announced_on: None,
        publisher: "office".to_owned(),
        source: format!("letter of {as_of}"),
        superseded_by: None,
    };
    // The later day stands first in the file; a day to come holds for nobody; the last is no KPI of the catalogue.
    inventory.declared = vec![
        one("nin_share_20plus", 0.93, "ratio", "2025-09-01"),
        one("nin_share_20plus", 0.755, "ratio", "2018-09-01"),
        one("nin_share_20plus", 1.0, "ratio", "2030-01-01"),
        one("coverage_of_areas", 0.98, "ratio", "2025-09-01"),
        one("villages_total", 2861.0, "count", "2025-09-01"),
    ];
    snapshot.inventory = Arc::new(inventory);
    let (_sender, snapshots) = watch::channel(Arc::new(snapshot));
    let router = routed(WebState::new(snapshots, web.store.clone()).with_clock(|| stage::NOW).with_anonymous_viewer(true));
    let items = get(&router, "/api/v1/declared?region=09").await.json()["items"].clone();
    let held: Vec<(String, f64)> = items
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["holds"] == true)
        .map(|one| (one["kpi"].as_str().unwrap().to_owned(), one["value"].as_f64().unwrap()))
        .collect();
    let expected = [("coverage_of_areas", 0.98), ("nin_share_20plus", 0.93), ("villages_total", 2861.0)];
    assert_eq!(held, expected.map(|(kpi, value)| (kpi.to_owned(), value)));
    assert_eq!(items.as_array().unwrap().len(), 5, "what does not hold is told too");
    let page = get(&router, "/kpis?region=09&lang=en").await.text();
    for words in ["98", "2,861", "letter of 2025-09-01", "coverage_of_areas"] {
        assert!(page.contains(words), "the page does not show {words}");
    }
    assert_eq!(get(&router, "/api/v1/declared?region=NOWHERE").await.status, StatusCode::NOT_FOUND);
}
