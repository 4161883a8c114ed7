//! Nobody bound to a county gets, or changes, another county's row: asked of every route the router has.
//!
//! The routes come from the router itself, their methods from its `Allow` headers, the API's parameters from its OpenAPI
//! document. A route with a part to fill in, or one that changes something, needs a line here; a test fails until it has one.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use calamine::Reader as _;

use super::{Answer, ask, get, get_as, routed, stage};
use crate::inventory::{Inventory, RegionId, RegionKind};
use crate::people::{NewToken, Role};
use crate::persian::{Lang, digits};
use crate::web::WebState;

/// Another county's things, as an address may name them.
struct Foreign {
    region: String,
    site: String,
    /// Number of an incident that touches the other county and nothing else.
    incident: &'static str,
}

/// Reads the routes from the router's own description of itself.
fn paths(router: &Router) -> BTreeSet<String> {
    let described = format!("{router:?}");
    let quoted = described.split("RouteId(").filter_map(|rest| rest.split_once("): \"")?.1.split('"').next());
    quoted.filter(|path| path.starts_with('/') && !path.contains("__private")).map(str::to_owned).collect()
}

/// Asks the router which methods an address takes.
async fn methods(router: &Router, address: &str) -> Vec<Method> {
    let request = Request::builder().method("PROPFIND").uri(address).body(Body::empty()).unwrap();
    let answer = ask(router, request).await;
    answer.header("allow").split(',').filter_map(|word| word.trim().parse().ok()).collect()
}

/// Fills in a route's parts with another county's things; what cannot be filled in is a route nobody thought about.
fn filled(path: &str, foreign: &Foreign) -> Vec<String> {
    match path {
        "/regions/{code}" => vec![format!("/regions/{}", foreign.region)],
        "/map/{code}" => vec!["/map/all.svg".to_owned(), format!("/map/{}.svg", foreign.region)],
        "/sites/{code}" | "/api/v1/sites/{code}" | "/api/v1/sites/{code}/series" => vec![path.replace("{code}", &foreign.site)],
        "/incidents/{id}" | "/api/v1/incidents/{id}" => vec![path.replace("{id}", foreign.incident), path.replace("{id}", "1")],
        "/kpis/{id}" => vec!["/kpis/availability".to_owned(), "/kpis/connected_share_now".to_owned()],
        "/report/{form}" => ["csv", "xlsx"].map(|form| path.replace("{form}", form)).into(),
        "/admin/import/check/{ticket}" => vec![path.replace("{ticket}", &"0".repeat(64))],
        "/static/{name}" => vec!["/static/app.css".to_owned()],
        "/api/{*rest}" => vec!["/api/v2/sites".to_owned()],
        path => {
            assert!(!path.contains('{'), "{path} is not looked at: say here what of another county its parts could name");
            vec![path.to_owned()]
        }
    }
}

/// Everything somebody could append to an address to see more: what pages and API know as parameters, with values that
/// name the other county.
fn queries(document: &serde_json::Value, path: &str, foreign: &Foreign) -> Vec<String> {
    let mut names: BTreeMap<String, String> = [
        ("region", foreign.region.as_str()),
        ("parent", foreign.region.as_str()),
        ("site", foreign.site.as_str()),
        ("q", foreign.site.as_str()),
        ("cursor", foreign.site.as_str()),
        ("all", "1"),
        ("wall", "1"),
        ("state", "all"),
        ("period", "24h"),
        ("range", "7d"),
        ("lang", "en"),
        ("limit", "1000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for parameter in document["paths"][path]["get"]["parameters"].as_array().into_iter().flatten() {
        names.entry(parameter["name"].as_str().unwrap().to_owned()).or_insert_with(|| foreign.region.clone());
    }
    let one_each = names.iter().map(|(name, value)| format!("?{name}={value}"));
    let without = std::iter::once(String::new());
    without
        .chain(one_each)
        .chain([format!("?region={}&limit=1000&lang=fa", foreign.region), "?kind=village&limit=1000".to_owned()])
        .collect()
}

/// Forms that would change another county's things.
fn forms(path: &str, foreign: &Foreign, csrf: &str) -> Vec<String> {
    let Foreign { region, site, .. } = foreign;
    match path {
        "/incidents/{id}" => {
            ["acknowledge", "assign", "note", "cause", "visited", "resolve"].map(|what| format!("csrf={csrf}&what={what}&text=POW")).into()
        }
        "/admin/users" => vec![
            format!("csrf={csrf}&what=add&name=spy&password=ten+letters!&role=admin&region={region}"),
            format!("csrf={csrf}&what=remove&name=boss"),
        ],
        "/admin/tokens" => {
            vec![format!("csrf={csrf}&what=add&label=spy&role=viewer&region={region}"), format!("csrf={csrf}&what=revoke&id=1")]
        }
        "/admin/agents" => {
            ["approve", "revoke", "replace", "token"].map(|what| format!("csrf={csrf}&what={what}&id=00000000000000a1&reason=x")).into()
        }
        "/admin/import/check/{ticket}" => vec![format!("csrf={csrf}&what=store")],
        "/admin/import/store" => vec![format!("csrf={csrf}&what=store&id=1")],
        "/admin/programs" => vec![format!("csrf={csrf}&digest=0000000000000000")],
        "/admin/maintenance" => vec![
            format!("csrf={csrf}&what=add&reason=x&from=1405-09-01&until=1405-09-02&covers=site/{site}+region/{region}"),
            format!("csrf={csrf}&what=end&id=1"),
        ],
        // These change only the visitor's own session.
        "/login" | "/login/link" | "/logout" | "/account/password" | "/account/second" | "/account/sessions" | "/account/confirm" => {
            Vec::new()
        }
        path => panic!("{path} takes a change nobody looks at: say here what of another county it could change"),
    }
}

/// What a county user must not read: codes and names of the other counties and of everything in them.
struct Secrets {
    codes: HashSet<String>,
    names: HashSet<String>,
}

impl Secrets {
    fn of(inventory: &Inventory, mine: RegionId) -> Self {
        let regions = (0..).map(RegionId).zip(&inventory.regions);
        let others: Vec<_> = regions.filter(|(id, r)| r.kind == RegionKind::County && *id != mine).map(|(_, region)| region).collect();
        let sites = inventory.sites.iter().filter(|site| !inventory.is_within(site.region, mine));
        Secrets {
            codes: sites.map(|site| site.code.clone()).chain(others.iter().map(|county| county.code.clone())).collect(),
            names: others.iter().map(|county| county.name_fa.clone()).collect(),
        }
    }

    /// Lists what an answer gives away. What somebody typed into an address may stand in the page's own links.
    fn leaked(&self, answer: &Answer, address: &str) -> Vec<String> {
        let text = match answer.header("content-type") {
            kind if kind.contains("spreadsheet") => cells_of_workbook(&answer.body),
            _ => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
        let codes = words.filter(|word| self.codes.contains(*word) && !address.contains(*word));
        let cells = text.split(['<', '>', '"', ',', '\n']).map(str::trim);
        codes.chain(cells.filter(|cell| self.names.contains(*cell))).map(str::to_owned).collect()
    }
}

fn cells_of_workbook(bytes: &[u8]) -> String {
    let mut book = calamine::Xlsx::new(std::io::Cursor::new(bytes)).unwrap();
    let sheets = book.sheet_names();
    let ranges = sheets.iter().map(|name| book.worksheet_range(name).unwrap());
    let rows: Vec<_> = ranges.flat_map(|range| range.rows().map(<[_]>::to_vec).collect::<Vec<_>>()).collect();
    assert!(!rows.is_empty(), "a workbook has at least its titles");
    rows.into_iter().flatten().map(|cell| format!("{cell}\n")).collect()
}

struct Scene {
    _dir: tempfile::TempDir,
    web: WebState,
    router: Router,
    mine: RegionId,
    foreign: Foreign,
    secrets: Secrets,
    document: serde_json::Value,
}

async fn scene() -> Scene {
    let (dir, web) = stage::web();
    let inventory = stage::province();
    let counties: Vec<_> =
        (0..).map(RegionId).zip(&inventory.regions).filter(|(_, r)| r.kind == RegionKind::County).map(|(id, _)| id).collect();
    let (mine, other) = (counties[0], counties[3]);
    let site = inventory.sites.iter().find(|site| inventory.is_within(site.region, other)).unwrap();
    let foreign = Foreign { region: inventory.region(other).code.clone(), site: site.code.clone(), incident: "3" };
    web.store
        .write(|db| {
            db.execute(
                "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at, opened_at,
                 causes, sites, villages, villages_share, classes)
                 VALUES (3, 'link', ?1, 'link', 'الف', 'A', 'down', 1, ?2, ?2, '[]', 1, 1, 0.1, 'B')",
                (&site.code, stage::NOW.0 - 900_000),
            )?;
            let sql = "INSERT INTO incident_members (incident, site_code, link_name, trouble, since, attached_at)
                       VALUES (3, ?1, 'x', 'down', ?2, ?2)";
            db.execute(sql, (&site.code, stage::NOW.0 - 900_000))?;
            Ok::<_, crate::store::StoreError>(())
        })
        .unwrap();
    let router = routed(web.clone().with_public_status(true));
    let document = get(&router, "/openapi.json").await.json();
    Scene { _dir: dir, web, router, mine, foreign, secrets: Secrets::of(&inventory, mine), document }
}

#[tokio::test]
async fn a_county_user_never_gets_another_countys_row() {
    let scene = scene().await;
    let inventory = stage::province();
    let region = inventory.region(scene.mine).code.clone();
    let token = NewToken { label: "county".to_owned(), role: Role::Admin, region: Some(region), expires_at: None, networks: Vec::new() };
    let bearer = scene.web.people.add_token(&token, "cli", stage::NOW).unwrap();
    let (mut asked, mut shown) = (0, BTreeSet::new());
    for path in paths(&scene.router) {
        for filled in filled(&path, &scene.foreign) {
            if !methods(&scene.router, &filled).await.contains(&Method::GET) && !path.starts_with("/api/{") {
                continue;
            }
            for query in queries(&scene.document, &path, &scene.foreign) {
                let address = format!("{filled}{query}");
                let answer = get_as(&scene.router, &address, &bearer).await;
                assert!(!answer.status.is_server_error(), "{address}: {}", answer.status);
                // The status page is for anybody: shares of regions, as it says itself.
                if answer.status.is_success() && path != "/status" {
                    let leaked = scene.secrets.leaked(&answer, &address);
                    assert!(leaked.is_empty(), "{address} shows {leaked:?}");
                    shown.insert(path.clone());
                }
                let names_them = [&scene.foreign.site, scene.foreign.incident].iter().any(|part| filled.ends_with(*part));
                assert!(!names_them || answer.status == StatusCode::NOT_FOUND, "{address}: {}", answer.status);
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "{asked} addresses");
    let expected =
        ["/", "/agents", "/api/v1/kpis", "/api/v1/sites", "/incidents", "/kpis", "/metrics", "/sites", "/sites.csv", "/sites.xlsx"];
    assert!(expected.iter().all(|path| shown.contains(*path)), "only {shown:?} showed anything");
    let all = get_as(&scene.router, "/api/v1/sites?limit=1000", &bearer).await.json();
    let own = inventory.sites.iter().filter(|site| inventory.is_within(site.region, scene.mine)).count();
    assert_eq!(all["items"].as_array().unwrap().len(), own.min(1000), "their own rows are all there");
}

/// What an answer says, without the very thing that was asked for.
fn told(answer: &Answer, asked_for: &Foreign) -> (StatusCode, String, String) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let numbers = ["incidents/N", "incidents%2FN", "incident `N`"].map(|form| form.replace('N', asked_for.incident));
    let codes = [&asked_for.site, &asked_for.region].map(|code| [code.clone(), digits(code, Lang::Fa)]);
    let text = codes.iter().flatten().chain(&numbers).fold(text, |text, name| text.replace(name.as_str(), "~"));
    (answer.status, answer.header("content-type").to_owned(), text)
}

/// Existence is told by nothing: not by a status, not by a text, on no page and by no answer.
#[tokio::test]
async fn a_code_of_another_county_and_a_code_that_is_nowhere_answer_alike() {
    let scene = scene().await;
    let region = stage::province().region(scene.mine).code.clone();
    let token = NewToken { label: "county".to_owned(), role: Role::Admin, region: Some(region), expires_at: None, networks: Vec::new() };
    let bearer = scene.web.people.add_token(&token, "cli", stage::NOW).unwrap();
    // Of the same length and shape.
    let nines = |(at, c): (usize, char)| if at > 1 && c.is_ascii_digit() { '9' } else { c };
    let other = |code: &str| code.chars().enumerate().map(nines).collect::<String>();
    let nowhere = Foreign { region: other(&scene.foreign.region), site: other(&scene.foreign.site), incident: "8" };
    let inventory = stage::province();
    assert!(inventory.region_by_code(&nowhere.region).is_none() && !inventory.sites.iter().any(|site| site.code == nowhere.site));
    let mut compared = 0;
    for path in paths(&scene.router) {
        let there = filled(&path, &scene.foreign).into_iter().zip(filled(&path, &nowhere));
        for (there, away) in there.filter(|(there, _)| !there.ends_with("/1")) {
            let takes = methods(&scene.router, &there).await;
            for (there_query, away_query) in
                queries(&scene.document, &path, &scene.foreign).iter().zip(queries(&scene.document, &path, &nowhere))
            {
                // A form to sign in carries a token of its own.
                if !takes.contains(&Method::GET) || ["/status", "/login", "/login/link", "/login/openid/back"].contains(&path.as_str()) {
                    continue;
                }
                let (there, away) = (format!("{there}{there_query}"), format!("{away}{away_query}"));
                let answers = (get_as(&scene.router, &there, &bearer).await, get_as(&scene.router, &away, &bearer).await);
                if answers.0.header("content-type").contains("spreadsheet") {
                    assert_eq!(cells_of_workbook(&answers.0.body), cells_of_workbook(&answers.1.body), "{there} and {away}");
                } else {
                    let ((status, kind, text), other) = (told(&answers.0, &scene.foreign), told(&answers.1, &nowhere));
                    assert_eq!((status, kind), (other.0, other.1), "{there} and {away}");
                    let differ = text.lines().zip(other.2.lines()).find(|(mine, its)| mine != its);
                    assert_eq!(differ, None, "{there} and {away}");
                    assert_eq!(text.len(), other.2.len(), "{there} and {away}");
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 150, "{compared} addresses");
}

/// Everything the state database holds, but for what an open session writes.
fn everything(web: &WebState) -> Vec<String> {
    let read = |db: &rusqlite::Transaction<'_>| -> rusqlite::Result<Vec<String>> {
        let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('sessions') ORDER BY name")?;
        let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        for name in names {
            let mut query = db.prepare(&format!("SELECT * FROM \"{name}\""))?;
            let columns = query.column_count();
            let mut found = query.query([])?;
            while let Some(row) = found.next()? {
                let cells: Result<Vec<rusqlite::types::Value>, _> = (0..columns).map(|at| row.get(at)).collect();
                rows.push(format!("{name} {:?}", cells?));
            }
        }
        Ok(rows)
    };
    web.store.read(|db| read(db).map_err(crate::store::StoreError::from)).unwrap()
}

#[tokio::test]
async fn a_county_user_never_changes_another_countys_row() {
    let scene = scene().await;
    let region = stage::province().region(scene.mine).code.clone();
    stage::session(&scene.web.people, "boss", Role::Admin, None);
    let (cookie, csrf) = stage::session(&scene.web.people, "karim", Role::Admin, Some(&region));
    let before = everything(&scene.web);
    let mut changes = 0;
    for path in paths(&scene.router) {
        for address in filled(&path, &scene.foreign).into_iter().filter(|address| !address.ends_with("/1")) {
            let methods = methods(&scene.router, &address).await;
            assert!(methods.iter().all(|m| [Method::GET, Method::HEAD, Method::POST].contains(m)), "{path} takes {methods:?}");
            if !methods.contains(&Method::POST) {
                continue;
            }
            for form in forms(&path, &scene.foreign, &csrf) {
                let answer = super::post(&scene.router, &address, &form, &cookie).await;
                assert!(answer.status.is_client_error(), "{address} {form}: {}", answer.status);
                changes += 1;
            }
        }
    }
    assert!(changes >= 10, "{changes} changes tried");
    let after = everything(&scene.web);
    // That a form was refused is told to the audit log, and nothing else is.
    let refusals = after.iter().filter(|row| row.contains("form.refused")).count();
    assert!(refusals > 0, "the audit log knows of no refusal");
    let chained = |row: &&String| !row.starts_with("audit_chain") && !row.contains("form.refused");
    let (before, after): (Vec<_>, Vec<_>) = (before.iter().filter(chained).collect(), after.iter().filter(chained).collect());
    let differing: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(differing.is_empty() && before.len() == after.len(), "changed: {differing:?}");
}

/// Whoever is shown a page in the menu may open it: the administration was offered to a county's administrator, and refused.
#[tokio::test]
async fn the_menu_offers_what_opens() {
    let scene = scene().await;
    let region = stage::province().region(scene.mine).code.clone();
    let people = &scene.web.people;
    let visitors = [("boss", Role::Admin, None), ("karim", Role::Admin, Some(region.as_str())), ("omid", Role::Operator, None)];
    for (name, role, region) in visitors {
        let (cookie, _) = stage::session(people, name, role, region);
        let text = super::get_with(&scene.router, "/", &cookie).await.text();
        let menu = text.split_once("<nav").unwrap().1.split_once("</nav>").unwrap().0;
        let entries: Vec<&str> = menu.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
        assert!(entries.len() >= 6, "{entries:?}");
        for entry in &entries {
            assert_eq!(super::get_with(&scene.router, entry, &cookie).await.status, StatusCode::OK, "{entry} of {name}");
        }
        assert_eq!(entries.contains(&"/admin"), name == "boss");
    }
}

#[tokio::test]
async fn without_a_login_only_the_open_doors_answer() {
    let scene = scene().await;
    let open =
        ["/login", "/login/link", "/login/openid", "/login/openid/back", "/status", "/static/{name}", "/openapi.json", "/api/{*rest}"];
    for path in paths(&scene.router) {
        for address in filled(&path, &scene.foreign) {
            let answer = get(&scene.router, &address).await;
            if !open.contains(&path.as_str()) {
                assert!(!answer.status.is_success(), "{address} answers anybody");
                let leads = answer.status == StatusCode::SEE_OTHER && answer.header("location").starts_with("/login");
                let refuses = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::METHOD_NOT_ALLOWED);
                assert!(leads || refuses, "{address}: {}", answer.status);
            }
        }
    }
}

#[tokio::test]
async fn a_region_that_is_gone_shows_nothing() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web);
    let token =
        NewToken { label: "gone".to_owned(), role: Role::Viewer, region: Some("9999".to_owned()), expires_at: None, networks: Vec::new() };
    let bearer = people.add_token(&token, "cli", stage::NOW).unwrap();
    assert_eq!(get_as(&router, "/api/v1/sites", &bearer).await.json()["items"].as_array().unwrap().len(), 0);
    assert_eq!(get_as(&router, "/api/v1/kpis", &bearer).await.json()["items"].as_array().unwrap().len(), 0);
    assert_eq!(get_as(&router, "/", &bearer).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_county_user_explains_figures_of_their_own_county_alone() {
    let scene = scene().await;
    let inventory = stage::province();
    let mine = inventory.region(scene.mine).code.clone();
    let token =
        NewToken { label: "county".to_owned(), role: Role::Admin, region: Some(mine.clone()), expires_at: None, networks: Vec::new() };
    let bearer = scene.web.people.add_token(&token, "cli", stage::NOW).unwrap();
    super::kpis::a_week_of_villages(&scene.web.store);
    let ids =
        ["connected_share_now", "connected_share_period", "villages_connected_month", "saidi", "availability", "new_county_readiness"];
    for id in ids {
        let period = if id == "connected_share_now" { "now" } else { "1405-08-29" };
        for form in ["csv", "json"] {
            let asked = |region: &str| format!("/api/v1/kpis/explain?id={id}&region={region}&period={period}&form={form}");
            let own = get_as(&scene.router, &asked(&mine), &bearer).await;
            assert_eq!(own.status, StatusCode::OK, "{id}: {}", own.text());
            let has_rows = ["village", "site"].iter().any(|kind| own.text().contains(kind));
            assert!(has_rows || id == "new_county_readiness", "{id} explains nothing");
            let leaked = scene.secrets.leaked(&own, &asked(&mine));
            assert!(leaked.is_empty(), "{id} shows {leaked:?}");
            for other in [scene.foreign.region.as_str(), "09"] {
                assert_eq!(get_as(&scene.router, &asked(other), &bearer).await.status, StatusCode::NOT_FOUND, "{id} of {other}");
            }
        }
    }
}
