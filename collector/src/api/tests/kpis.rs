use axum::http::StatusCode;

use rusta_wire::UnixMs;

use super::{get, routed, stage};
use crate::day::Day;
use crate::inventory::{generate, versions};
use crate::kpi::{Breakdown, CATALOGUE, Decree, Term, by_id, define};
use crate::store::{Store, StoreError};

/// Fills every village's days of the week before the stage's now: up but for the first tenth of the day.
fn a_week_of_villages(store: &Store) {
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
