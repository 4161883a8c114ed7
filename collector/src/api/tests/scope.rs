use std::collections::HashSet;

use axum::http::StatusCode;

use super::{get_as, routed, stage};
use crate::inventory::{Inventory, RegionId, RegionKind};
use crate::people::{NewToken, Role};

/// Every address that shows rows; `{region}` and `{site}` are filled with another county's.
const ADDRESSES: &[&str] = &[
    "/",
    "/?wall=1",
    "/regions/{region}",
    "/map/all.svg",
    "/map/{region}.svg",
    "/sites",
    "/sites?region={region}",
    "/sites.csv",
    "/sites.csv?region={region}",
    "/sites.xlsx",
    "/sites/{site}",
    "/sites/{site}?range=7d",
    "/agents",
    "/agents?state=silent",
    "/incidents",
    "/incidents?all=1",
    "/incidents/1",
    "/incidents/2",
    "/kpis",
    "/kpis?region={region}",
    "/kpis?period=24h",
    "/services",
    "/admin",
    "/api/v1/kpis",
    "/api/v1/kpis?region={region}",
    "/api/v1/regions",
    "/api/v1/regions?parent={region}",
    "/api/v1/regions?limit=1000",
    "/api/v1/sites?limit=1000",
    "/api/v1/sites?region={region}&limit=1000",
    "/api/v1/sites/{site}",
    "/api/v1/sites/{site}/series",
    "/api/v1/agents?limit=1000",
    "/api/v1/incidents",
    "/api/v1/incidents?state=all",
    "/api/v1/incidents/1",
    "/api/v1/incidents/2",
    "/api/v1/services",
];

/// Splits a page, JSON or CSV into the pieces a code could be.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
}

/// Splits a page, JSON or CSV into the pieces a name could be.
fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split(['<', '>', '"', ',', '\n']).map(str::trim)
}

fn codes_of<'a>(inventory: &'a Inventory, counties: &'a [RegionId], mine: RegionId) -> impl Iterator<Item = &'a str> {
    counties.iter().filter(move |county| **county != mine).map(|county| inventory.region(*county).code.as_str())
}

#[tokio::test]
async fn a_county_user_never_gets_another_countys_row() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web.with_anonymous_viewer(true));
    let inventory = stage::province();
    let counties: Vec<_> =
        (0..).map(RegionId).zip(&inventory.regions).filter(|(_, r)| r.kind == RegionKind::County).map(|(id, _)| id).collect();
    let (mine, other) = (counties[0], counties[3]);
    let token =
        NewToken { label: "county".to_owned(), role: Role::Admin, region: Some(inventory.region(mine).code.clone()), expires_at: None };
    let bearer = people.add_token(&token, "cli", stage::NOW).unwrap();
    let foreign: Vec<_> = inventory.sites.iter().filter(|site| !inventory.is_within(site.region, mine)).collect();
    let site = foreign.iter().find(|site| inventory.is_within(site.region, other)).unwrap();
    let foreign_codes: HashSet<_> = foreign.iter().map(|site| site.code.as_str()).chain(codes_of(&inventory, &counties, mine)).collect();
    let names: Vec<_> =
        counties.iter().filter(|county| **county != mine).map(|county| inventory.region(*county).name_fa.as_str()).collect();
    for address in ADDRESSES {
        let address = address.replace("{region}", &inventory.region(other).code).replace("{site}", &site.code);
        let answer = get_as(&router, &address, &bearer).await;
        assert!(answer.status != StatusCode::INTERNAL_SERVER_ERROR, "{address}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success() && !address.ends_with(".xlsx") {
            let leaked: Vec<_> = words(&text).filter(|word| foreign_codes.contains(word)).collect();
            // What somebody typed into an address stands in the page's own links.
            assert!(leaked.iter().all(|code| address.contains(*code)), "{address} shows {leaked:?}");
            assert!(!cells(&text).any(|cell| names.contains(&cell)), "{address} names another county");
        }
        if address.contains(&site.code) {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{address}");
        }
    }
    let all = get_as(&router, "/api/v1/sites?limit=1000", &bearer).await.json();
    let own = inventory.sites.iter().filter(|site| inventory.is_within(site.region, mine)).count();
    assert_eq!(all["items"].as_array().unwrap().len(), own.min(1000), "their own rows are all there");
}

#[tokio::test]
async fn a_region_that_is_gone_shows_nothing() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web);
    let token = NewToken { label: "gone".to_owned(), role: Role::Viewer, region: Some("9999".to_owned()), expires_at: None };
    let bearer = people.add_token(&token, "cli", stage::NOW).unwrap();
    assert_eq!(get_as(&router, "/api/v1/sites", &bearer).await.json()["items"].as_array().unwrap().len(), 0);
    assert_eq!(get_as(&router, "/api/v1/kpis", &bearer).await.json()["items"].as_array().unwrap().len(), 0);
    assert_eq!(get_as(&router, "/", &bearer).await.status, StatusCode::OK);
}
