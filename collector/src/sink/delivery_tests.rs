use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::*;

/// A database that keeps what it took and answers as told.
#[derive(Default)]
struct Database {
    lines: Vec<String>,
    /// Answers to give before it starts to work.
    first: Vec<(u16, Option<u64>)>,
    /// Refuses bodies with a line that contains this.
    refuses: Option<&'static str>,
    /// Refuses bodies of more lines than this.
    most_lines: Option<usize>,
    requests: usize,
}

async fn take(State(database): State<Arc<Mutex<Database>>>, body: Bytes) -> Response {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut text).unwrap();
    let mut database = database.lock().unwrap();
    database.requests += 1;
    if let Some((status, retry_after)) = database.first.pop() {
        let headers = retry_after.map(|s| [("Retry-After", s.to_string())]);
        return (StatusCode::from_u16(status).unwrap(), headers.unwrap_or([("Retry-After", String::new())]), "not now").into_response();
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if database.most_lines.is_some_and(|most| lines.len() > most) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    if database.refuses.is_some_and(|bad| text.contains(bad)) {
        return (StatusCode::BAD_REQUEST, "cannot parse").into_response();
    }
    database.lines.extend(lines);
    StatusCode::NO_CONTENT.into_response()
}

async fn serve(database: Database) -> (Arc<Mutex<Database>>, Endpoint) {
    let database = Arc::new(Mutex::new(database));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v2/write", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v2/write", post(take)).with_state(database.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (database, Endpoint { url, authorization: None })
}

fn client() -> reqwest::Client {
    // Another test may have installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn body(lines: usize) -> String {
    (0..lines).map(|n| format!("probe,site=s{n}x v=1 {n}\n")).collect()
}

#[tokio::test]
async fn one_bad_line_among_many_is_set_aside_alone() {
    let (database, endpoint) = serve(Database { refuses: Some("s777x"), ..Database::default() }).await;
    let delivered = deliver(&client(), &endpoint, &body(5_000)).await.unwrap();
    assert_eq!(delivered.lines, 4_999);
    assert_eq!(delivered.poison, [("probe,site=s777x v=1 777".to_owned(), "cannot parse".to_owned())]);
    assert_eq!(database.lock().unwrap().lines.len(), 4_999);
}

#[tokio::test]
async fn a_body_too_large_is_split_until_it_fits() {
    let (database, endpoint) = serve(Database { most_lines: Some(100), ..Database::default() }).await;
    let delivered = deliver(&client(), &endpoint, &body(1_000)).await.unwrap();
    assert_eq!((delivered.lines, delivered.poison.len()), (1_000, 0));
    assert_eq!(database.lock().unwrap().lines.len(), 1_000);
}

#[tokio::test]
async fn the_database_says_when_to_come_back() {
    let (database, endpoint) = serve(Database { first: vec![(429, Some(7))], ..Database::default() }).await;
    let postponed = deliver(&client(), &endpoint, &body(3)).await.unwrap_err();
    assert_eq!(postponed.retry_after, Some(Duration::from_secs(7)));
    assert!(deliver(&client(), &endpoint, &body(3)).await.is_ok());
    assert_eq!(database.lock().unwrap().lines.len(), 3);
}

#[tokio::test]
async fn a_database_that_refuses_everything_poisons_nothing() {
    let (database, endpoint) = serve(Database { refuses: Some("probe"), ..Database::default() }).await;
    assert!(deliver(&client(), &endpoint, &body(5_000)).await.is_err());
    assert!(database.lock().unwrap().requests <= REFUSALS_IN_A_ROW + 1);
}

#[tokio::test]
async fn a_wrong_token_waits_for_a_person() {
    let (_, endpoint) = serve(Database { first: vec![(401, None)], ..Database::default() }).await;
    assert!(deliver(&client(), &endpoint, &body(1)).await.unwrap_err().reason.contains("401"));
}

#[tokio::test]
async fn a_dead_database_postpones() {
    let endpoint = Endpoint { url: "http://127.0.0.1:1/write".into(), authorization: None };
    assert!(deliver(&client(), &endpoint, &body(1)).await.is_err());
}
