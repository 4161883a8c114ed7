//! What machines rely on: problems for every mistake, cursors that hold still, examples that work, metrics that parse.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{Answer, ask, get, get_as, routed, stage};
use crate::people::{NewToken, Role};
use crate::store::StoreError;

#[tokio::test]
async fn every_mistake_is_a_problem() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let mistakes = [
        ("GET", "/api/v1/sites?limit=0", 400),
        ("GET", "/api/v1/sites?limit=x", 400),
        ("GET", "/api/v1/sites?limit=1&limit=2", 400),
        ("GET", "/api/v1/sites?cursor=none", 400),
        ("GET", "/api/v1/regions?cursor=none", 400),
        ("GET", "/api/v1/regions?kind=galaxy", 400),
        ("GET", "/api/v1/agents?cursor=none", 400),
        ("GET", "/api/v1/incidents?state=lost", 400),
        ("GET", "/api/v1/incidents?cursor=-1", 400),
        ("GET", "/api/v1/sites/%ff", 404),
        ("GET", "/api/v1/incidents/x", 404),
        ("GET", "/api/v1/incidents/99999999999999999999", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/sites", 405),
        ("POST", "/metrics", 405),
        ("GET", "/metrics?site=none", 404),
    ];
    for (method, address, status) in mistakes {
        let answer = ask(&router, Request::builder().method(method).uri(address).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, "application/problem+json"), "{method} {address}");
        let problem = answer.json();
        assert!(problem["type"].as_str().unwrap().starts_with("urn:rusta:problem:") && problem["status"] == status, "{problem}");
        assert!(status != 405 || answer.header("allow").contains("GET"), "{method} {address}: {}", answer.header("allow"));
    }
}

/// Reads a list to its end, `limit` rows at a time.
async fn read_all(router: &axum::Router, list: &str, key: &str, bearer: &str, limit: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let separator = if list.contains('?') { '&' } else { '?' };
        let page = get_as(router, &format!("{list}{separator}limit={limit}{cursor}"), bearer).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        seen.extend(items.iter().map(|item| item[key].to_string()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
        assert_eq!(items.len(), limit, "only the last page is short: {list}");
    }
}

#[tokio::test]
async fn a_list_read_in_pages_has_every_row_once_for_whoever_reads_it() {
    let (_dir, web) = stage::web();
    let inventory = stage::province();
    // Every third incident touches the first site's county, and every second one is over.
    web.store
        .write(|db| {
            for id in 10..70_i64 {
                let ended = (id % 2 == 0).then_some(stage::NOW.0);
                let sql = "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at,
                           opened_at, resolved_at, causes, sites, villages, villages_share, classes)
                           VALUES (?1, 'link', 'x', 'link', 'الف', 'A', 'down', 1, 0, 0, ?2, '[]', 1, 1, 0.1, 'B')";
                db.execute(sql, (id, ended))?;
                let site = if id % 3 == 0 { inventory.sites.first() } else { inventory.sites.last() };
                let sql = "INSERT INTO incident_members (incident, site_code, link_name, trouble, since, attached_at)
                           VALUES (?1, ?2, 'x', 'down', 0, 0)";
                db.execute(sql, (id, &site.unwrap().code))?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let people = web.people.clone();
    let router = routed(web);
    let token = |region: Option<String>| {
        let token = NewToken { label: "reader".to_owned(), role: Role::Viewer, region, expires_at: None, networks: Vec::new() };
        people.add_token(&token, "cli", stage::NOW).unwrap()
    };
    let mut above = inventory.ancestors(inventory.sites[0].region);
    let county = above.find(|id| inventory.region(*id).kind.as_str() == "county").unwrap();
    for bearer in [token(None), token(Some(inventory.region(county).code.clone()))] {
        let lists = [
            ("/api/v1/incidents?state=all", "id", 7),
            ("/api/v1/incidents", "id", 7),
            ("/api/v1/agents", "id", 300),
            ("/api/v1/regions?kind=rural_district", "code", 5),
        ];
        for (list, key, limit) in lists {
            let (whole, parts) = (read_all(&router, list, key, &bearer, 1000).await, read_all(&router, list, key, &bearer, limit).await);
            assert_eq!(whole, parts, "{list}");
            assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "{list} has a row twice");
            assert!(parts.len() > limit, "{list} has {} rows", parts.len());
        }
    }
}

#[tokio::test]
async fn the_descriptions_own_examples_work_and_every_answer_says_what_it_may_be() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let document = get(&router, "/openapi.json").await.json();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let operation = &operations["get"];
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("200") && responses.contains_key("304") && responses.contains_key("401"), "{path}");
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let shared = response["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
            let response = shared.unwrap_or(response);
            assert!(response["content"]["application/problem+json"].is_object(), "{path} {status} is no problem: {response}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query") {
            let example = &parameter["example"];
            let Some(text) = example.as_str().map(str::to_owned).or_else(|| example.as_i64().map(|number| number.to_string())) else {
                continue;
            };
            let site = stage::a_down_site();
            let filled = path.replace("{code}", &site).replace("{id}", "1");
            let address = format!("{filled}?{}={text}", parameter["name"].as_str().unwrap());
            assert_eq!(get(&router, &address).await.status, StatusCode::OK, "{address}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried} examples");
}

/// Prometheus' own client library reads the text back: `[name, type, [[labels, value], ...]]` for each family.
fn parsed(text: &str) -> serde_json::Value {
    let script = "import json, sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
                  print(json.dumps([[f.name, f.type, [[s.labels, s.value] for s in f.samples]] for f in read(sys.stdin.read())]))";
    // Debian's interpreter has Debian's package.
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 and python3-prometheus-client: scripts/test installs them");
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "not OpenMetrics");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks as a Prometheus does that prefers OpenMetrics.
async fn open_metrics(router: &Router, address: &str) -> Answer {
    let accept =
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5";
    ask(router, Request::get(address).header("accept", accept).body(Body::empty()).unwrap()).await
}

/// `promtool` reads text 0.0.4 alone: a line such as `# TYPE rusta_build info` stopped it.
#[tokio::test]
async fn metrics_are_the_text_every_scraper_reads_unless_another_is_asked_for() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let answer = get(&router, "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.header("vary"), "accept");
    let text = answer.text();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool: scripts/test installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // 3 says that some names are not to its taste; 1 that it cannot read the text.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("# TYPE rusta_build_info gauge\n") && !text.contains("# EOF"), "{text}");
    // Both say the same.
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&text), samples(&open_metrics(&router, "/metrics").await.text()));
}

#[tokio::test]
async fn metrics_are_openmetrics_with_the_numbers_of_the_api() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let answer = open_metrics(&router, "/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let families = parsed(&answer.text());
    let samples = |family: &str| {
        let found = families.as_array().unwrap().iter().find(|one| one[0] == family);
        found.unwrap_or_else(|| panic!("no {family}"))[2].as_array().unwrap().clone()
    };
    let figures = get(&router, "/api/v1/kpis?id=connected_share_now").await.json();
    let mut compared = 0;
    for figure in figures["items"].as_array().unwrap() {
        let kind = figure["region"]["kind"].as_str().unwrap();
        for field in ["value", "lo", "hi", "known_ratio"] {
            let mine = |sample: &&serde_json::Value| {
                let labels = &sample[0];
                labels["region"] == figure["region"]["code"]
                    && labels["kpi"] == "connected_share_now"
                    && (&labels["period"], &labels["weight"]) == (&"now".into(), &"village".into())
            };
            let sample = samples(&format!("rusta_kpi_{field}")).iter().find(mine).map(|sample| sample[1].as_f64());
            let expected = Some(figure[field].as_f64()).filter(|value| value.is_some() && ["province", "county"].contains(&kind));
            assert_eq!(sample, expected, "{field} of {figure}");
            compared += usize::from(expected.is_some());
        }
    }
    assert!(compared > 20, "{compared} numbers");
    let regions = get(&router, "/api/v1/regions?kind=county").await.json();
    for county in regions["items"].as_array().unwrap() {
        let of = |family: &str, state: &str| {
            let mine = |s: &serde_json::Value| s[0]["county"] == county["code"] && s[0]["state"] == state;
            samples(family).iter().filter(|s| mine(s)).filter_map(|s| s[1].as_f64()).sum::<f64>()
        };
        let counts = &county["counts"];
        assert_eq!(Some(of("rusta_sites", "down")), counts["sites"]["down"].as_f64(), "{county}");
        assert_eq!(Some(of("rusta_sites", "unknown")), counts["sites"]["unknown"].as_f64(), "{county}");
        assert_eq!(Some(of("rusta_villages", "disconnected")), counts["villages"]["disconnected"].as_f64(), "{county}");
    }
    assert_eq!(samples("rusta_incidents_open").first().and_then(|s| s[1].as_f64()), Some(1.0));
}

#[tokio::test]
async fn a_sites_probes_have_blackbox_exporters_names_and_silence_has_no_sample() {
    let (_dir, web) = stage::web();
    let router = routed(web.with_anonymous_viewer(true));
    let snapshot = stage::snapshot();
    let code_of = |state: crate::engine::SiteState| {
        let at = snapshot.sites.iter().position(|site| site.state == state).unwrap();
        snapshot.inventory.sites[at].code.clone()
    };
    let text = open_metrics(&router, &format!("/metrics?site={}", code_of(crate::engine::SiteState::Up))).await.text();
    let families = parsed(&text);
    let values = |family: &str| -> Vec<f64> {
        let found = families.as_array().unwrap().iter().find(|one| one[0] == family).unwrap_or_else(|| panic!("no {family}"));
        found[2].as_array().unwrap().iter().filter_map(|sample| sample[1].as_f64()).collect()
    };
    assert!(values("probe_success").iter().all(|value| *value == 1.0) && values("probe_success").len() >= 5);
    assert!(values("probe_http_status_code").contains(&200.0));
    assert!(values("probe_duration_seconds").iter().any(|seconds| (seconds - 0.279).abs() < 1e-9), "61 + 130 + 88 ms");
    let expiry = stage::NOW.seconds() as f64 + 3_456_000.0;
    assert!(values("probe_ssl_earliest_cert_expiry").iter().all(|at| (at - expiry).abs() < 120.0));
    let down = parsed(&open_metrics(&router, &format!("/metrics?site={}", code_of(crate::engine::SiteState::Down))).await.text());
    assert!(down[0][2].as_array().unwrap().iter().any(|sample| sample[1] == 0.0), "{down}");
    let silent = open_metrics(&router, &format!("/metrics?site={}", code_of(crate::engine::SiteState::Unknown))).await.text();
    assert!(parsed(&silent).as_array().unwrap().iter().all(|family| family[2].as_array().unwrap().is_empty()), "{silent}");
}
