use axum::http::StatusCode;

use super::{Answer, fill_in_login, get, post, routed, stage};
use crate::people::{NewUser, Role};
use crate::persian::{Lang, digits, integer, percent};

/// Every page that anybody may open, with an address that shows something.
pub fn pages() -> Vec<String> {
    let county = stage::province().regions.iter().find(|region| region.kind.as_str() == "county").unwrap().code.clone();
    let rural = stage::province().regions.iter().find(|region| region.kind.as_str() == "rural_district").unwrap().code.clone();
    vec![
        "/".to_owned(),
        "/?wall=1".to_owned(),
        format!("/regions/{county}"),
        format!("/regions/{rural}"),
        "/sites".to_owned(),
        "/sites?state=down".to_owned(),
        format!("/sites/{}", stage::a_down_site()),
        format!("/sites/{}?range=365d", stage::a_down_site()),
        format!("/sites/{}?as=table", stage::a_down_site()),
        "/agents".to_owned(),
        "/agents?sort=certificate&page=1".to_owned(),
        "/incidents".to_owned(),
        "/incidents?all=1".to_owned(),
        "/incidents/1".to_owned(),
        "/kpis".to_owned(),
        "/kpis?period=24h&weight=household".to_owned(),
        "/kpis/availability?by=operator".to_owned(),
        "/kpis/connected_share_now".to_owned(),
        "/kpis/dictionary".to_owned(),
        "/services".to_owned(),
        "/status".to_owned(),
        "/login".to_owned(),
    ]
}

fn with_lang(address: &str, lang: Lang) -> String {
    format!("{address}{}lang={}", if address.contains('?') { '&' } else { '?' }, lang.code())
}

fn assert_sound(answer: &Answer, address: &str, lang: Lang) {
    assert_eq!(answer.status, StatusCode::OK, "{address}");
    let html = answer.text();
    assert!(html.contains(&format!("<html lang=\"{}\" dir=\"{}\"", lang.code(), lang.direction())), "{address}");
    assert!(html.len() <= 60 * 1024, "{address} in {} has {} bytes", lang.code(), html.len());
    for foreign in ["http://", "https://", "style=\"", "<style", "onclick", "javascript:"] {
        assert!(!html.replace("http://www.w3.org/", "").contains(foreign), "{address} contains {foreign}");
    }
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self'"), "{address}: {policy}");
    let text = html.split("<main").nth(1).unwrap();
    if lang == Lang::Fa {
        assert!(!text.contains('ي') && !text.contains('ك'), "Arabic letters in {address}");
    }
}

#[tokio::test]
async fn every_page_is_sound_in_both_languages_and_small() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true).with_public_status(true));
    for address in pages() {
        for lang in Lang::ALL {
            assert_sound(&get(&router, &with_lang(&address, lang)).await, &address, lang);
        }
    }
}

#[tokio::test]
async fn the_province_page_shows_the_numbers_of_the_api() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let figures = get(&router, "/api/v1/kpis?id=connected_share_now").await.json();
    let page = get(&router, "/?lang=fa").await.text();
    let mut checked = 0;
    for figure in figures["items"].as_array().unwrap() {
        if figure["region"]["kind"] != "county" && figure["region"]["kind"] != "province" {
            continue;
        }
        if let Some(value) = figure["value"].as_f64() {
            assert!(page.contains(&percent(value, Lang::Fa)), "{figure}");
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
    let regions = get(&router, "/api/v1/regions?kind=county").await.json();
    for county in regions["items"].as_array().unwrap() {
        let counts = &county["counts"];
        let name = digits(county["name_fa"].as_str().unwrap(), Lang::Fa);
        let row = page
            .split("<tr>")
            .filter(|row| row.contains("scope=\"row\""))
            .find(|row| row.contains(&format!("/regions/{}\"", county["code"].as_str().unwrap())))
            .unwrap();
        assert!(row.contains(&name));
        for count in [&counts["villages"]["total"], &counts["villages"]["disconnected"], &counts["sites"]["down"]] {
            assert!(row.contains(&format!(">{}<", integer(count.as_i64().unwrap(), Lang::Fa))), "{count} not in {row}");
        }
    }
}

#[tokio::test]
async fn the_site_page_names_the_broken_rung() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let code = stage::a_down_site();
    let detail = get(&router, &format!("/api/v1/sites/{code}")).await.json();
    assert_eq!(detail["state"], "down");
    let cause = detail["cause"]["code"].as_str().unwrap();
    let page = get(&router, &format!("/sites/{code}?lang=en")).await.text();
    assert!(page.contains("class=\"broken\""));
    assert!(page.contains(&format!("<bdi dir=\"ltr\">{cause}</bdi>")));
    assert_eq!(get(&router, "/sites/no-such-site").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/api/v1/sites/no-such-site").await.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn search_finds_any_spelling_and_pages_do_not_overlap() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let first = get(&router, "/api/v1/sites?limit=50").await.json();
    let name = first["items"][7]["name_fa"].as_str().unwrap();
    let sloppy = name.replace('ی', "ي").replace('ک', "ك").replace('\u{200c}', " ");
    let encoded: String = sloppy.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let found = get(&router, &format!("/api/v1/sites?q={encoded}")).await.json();
    assert!(found["items"].as_array().unwrap().iter().any(|site| site["name_fa"] == name), "{sloppy}");
    let mut seen = std::collections::HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = get(&router, &format!("/api/v1/sites?limit=1000&cursor={cursor}")).await.json();
        for site in page["items"].as_array().unwrap() {
            assert!(seen.insert(site["code"].as_str().unwrap().to_owned()), "twice: {site}");
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), stage::province().sites.len());
}

#[tokio::test]
async fn mistakes_are_problems_and_etags_save_bytes() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    for wrong in [
        "/api/v1/sites?state=broken",
        "/api/v1/sites?limit=0",
        "/api/v1/kpis?id=none",
        "/api/v1/kpis?period=1404-12-30",
        "/api/v1/sites?limit=x",
    ] {
        let answer = get(&router, wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.json()["type"].as_str().unwrap().starts_with("urn:rusta:problem:"));
    }
    assert_eq!(get(&router, "/api/v1/nothing").await.status, StatusCode::NOT_FOUND);
    let first = get(&router, "/api/v1/regions?kind=county").await;
    let again = axum::http::Request::get("/api/v1/regions?kind=county").header("if-none-match", first.header("etag"));
    let again = super::ask(&router, again.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn without_a_login_pages_lead_to_it_and_the_api_refuses() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web);
    for address in pages().into_iter().filter(|address| address != "/login" && address != "/status") {
        let answer = get(&router, &address).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address}");
        assert!(answer.header("location").starts_with("/login?next="), "{address}");
    }
    assert_eq!(get(&router, "/api/v1/sites").await.status, StatusCode::UNAUTHORIZED);
    let user = NewUser { name: "sara".to_owned(), password: "ten letters!".to_owned(), role: Role::Viewer, region: None };
    people.add_user(&user, "cli", stage::NOW).unwrap();
    assert_eq!(fill_in_login(&router, "name=sara&password=wrong").await.status, StatusCode::UNAUTHORIZED);
    let welcome = fill_in_login(&router, "name=sara&password=ten+letters!&next=%2Fagents").await;
    assert_eq!((welcome.status, welcome.header("location")), (StatusCode::SEE_OTHER, "/agents"));
    let cookie = welcome.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let session = cookie.split(';').next().unwrap().to_owned();
    let request = axum::http::Request::get("/agents").header("cookie", &session).body(axum::body::Body::empty()).unwrap();
    assert_eq!(super::ask(&router, request).await.status, StatusCode::OK);
    let foreign = post(&router, "/login", "name=sara&password=ten+letters!", "").await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN, "a foreign page signs nobody in");
    assert_eq!(post(&router, "/logout", "csrf=forged", &session).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_api_describes_itself() {
    let (_dir, web) = stage::web();
    let router = routed(web);
    let document = get(&router, "/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["kpis", "regions", "sites", "sites/{code}", "sites/{code}/series", "incidents", "incidents/{id}", "agents", "services"] {
        assert!(document["paths"][format!("/api/v1/{path}")]["get"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn an_operator_works_on_an_incident_and_a_viewer_does_not() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web);
    let viewer = stage::session(&people, "vida", Role::Viewer, None);
    let operator = stage::session(&people, "omid", Role::Operator, None);
    let form = |csrf: &str| format!("csrf={csrf}&what=note&text=%D8%A8%D8%B1%D9%82+%D9%82%D8%B7%D8%B9+%D8%A7%D8%B3%D8%AA");
    assert_eq!(post(&router, "/incidents/1", &form(&viewer.1), &viewer.0).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&router, "/incidents/1", &form("forged"), &operator.0).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&router, "/incidents/1", &form(&operator.1), &operator.0).await.status, StatusCode::SEE_OTHER);
    assert_eq!(post(&router, "/incidents/99", &form(&operator.1), &operator.0).await.status, StatusCode::NOT_FOUND);
    let page = super::get_with(&router, "/incidents/1?lang=fa", &operator.0).await.text();
    assert!(page.contains("برق قطع است") && page.contains("omid"));
    let empty = format!("csrf={}&what=note&text=", operator.1);
    assert_eq!(post(&router, "/incidents/1", &empty, &operator.0).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn only_an_administrator_of_everything_administers() {
    let (_dir, web) = stage::web();
    let people = web.people.clone();
    let router = routed(web);
    let county = stage::province().regions.iter().find(|region| region.kind.as_str() == "county").unwrap().code.clone();
    let bound = stage::session(&people, "karim", Role::Admin, Some(&county));
    let operator = stage::session(&people, "omid", Role::Operator, None);
    let admin = stage::session(&people, "boss", Role::Admin, None);
    for low in [&bound, &operator] {
        assert_eq!(super::get_with(&router, "/admin", &low.0).await.status, StatusCode::FORBIDDEN);
        let form = format!("csrf={}&what=add&name=x&password=ten+letters!&role=admin", low.1);
        assert_eq!(post(&router, "/admin/users", &form, &low.0).await.status, StatusCode::FORBIDDEN);
        let form = format!("csrf={}&what=add&label=x&role=viewer", low.1);
        assert_eq!(post(&router, "/admin/tokens", &form, &low.0).await.status, StatusCode::FORBIDDEN);
    }
    for lang in Lang::ALL {
        let answer = super::get_with(&router, &with_lang("/admin", lang), &admin.0).await;
        assert_sound(&answer, "/admin", lang);
    }
    let form = format!("csrf={}&what=add&name=nader&password=ten+letters!&role=viewer&region={county}", admin.1);
    assert_eq!(post(&router, "/admin/users", &form, &admin.0).await.status, StatusCode::SEE_OTHER);
    assert!(people.users().unwrap().iter().any(|user| user.name == "nader" && user.region.as_deref() == Some(county.as_str())));
    let wrong = format!("csrf={}&what=add&name=nobody&password=ten+letters!&role=viewer&region=0000", admin.1);
    assert_eq!(post(&router, "/admin/users", &wrong, &admin.0).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let work = format!("csrf={}&what=add&reason=mast+painted&from=1405-09-01+08:00&until=1405-09-01+12:00&weekly=yes", admin.1);
    let refused = post(&router, "/admin/maintenance", &format!("{work}&covers=region/0000"), &admin.0).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("region/0000"));
    assert_eq!(
        post(&router, "/admin/maintenance", &format!("{work}&covers=region/{county}"), &admin.0).await.status,
        StatusCode::SEE_OTHER
    );
    let planned = super::get_with(&router, "/admin", &admin.0).await.text();
    assert!(planned.contains("mast painted") && planned.contains(&format!("region/{county}")));
    let end = format!("csrf={}&what=end&id=1", admin.1);
    assert_eq!(post(&router, "/admin/maintenance", &end, &admin.0).await.status, StatusCode::SEE_OTHER);
    assert_eq!(post(&router, "/admin/maintenance", &end, &admin.0).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let token = post(&router, "/admin/tokens", &format!("csrf={}&what=add&label=grafana&role=viewer", admin.1), &admin.0).await.text();
    let secret = token.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(super::get_as(&router, "/api/v1/services", secret).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_status_page_is_off_until_switched_on_and_names_no_site() {
    let (_dir, web) = stage::web();
    assert_eq!(get(&routed(web.clone()), "/status").await.status, StatusCode::NOT_FOUND);
    let page = get(&routed(web.with_public_status(true)), "/status?lang=fa").await.text();
    let province = stage::province().regions[0].name_fa.clone();
    assert!(page.contains(&province));
    assert!(!page.contains("/sites/") && !page.contains("href=\"/regions"));
}

#[tokio::test]
async fn a_signed_in_person_keeps_their_language_on_every_device() {
    let (_dir, web) = stage::web();
    let user = NewUser { name: "zahra".into(), password: "a long enough password".into(), role: Role::Viewer, region: None };
    web.people.add_user(&user, "test", web.now()).unwrap();
    let router = routed(web);
    let sign_in = async || {
        let welcome = fill_in_login(&router, "name=zahra&password=a+long+enough+password&next=%2F").await;
        welcome.header("set-cookie").split(';').next().unwrap().to_owned()
    };
    let (office, phone) = (sign_in().await, sign_in().await);
    let direction = async |address: &str, cookie: &str| {
        let page = super::get_with(&router, address, cookie).await.text();
        if page.contains("dir=\"rtl\"") { "rtl" } else { "ltr" }
    };
    assert_eq!(direction("/services", &phone).await, "rtl");
    assert_eq!(direction("/services?lang=en", &office).await, "ltr");
    assert_eq!(direction("/services", &phone).await, "ltr", "the account knows it, not the device");
}
