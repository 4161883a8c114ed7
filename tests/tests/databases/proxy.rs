//! What can stand between a sink and its database: slowness, refusals, lost answers. InfluxData's own parser judges every body
//! that comes by.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rusta_collector::sink::delivery::Endpoint;

use super::servers::client;

/// What happens to one write.
#[derive(Debug, Clone, Copy)]
pub enum Mishap {
    /// It takes this long.
    Slow(Duration),
    /// It is refused with a status, and told when to come back.
    Refused(u16, Option<u64>),
    /// It is stored, and the answer is lost on the way.
    AnswerLost,
}

/// What always happens.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// A line with this in it and this at its end makes the whole body a bad one.
    pub poison: Option<(&'static str, String)>,
    /// Bodies of more lines are too large.
    pub most_lines: Option<usize>,
}

impl Habits {
    /// Tells whether a line is the one that is never taken.
    pub fn refuses(&self, line: &str) -> bool {
        self.poison.as_ref().is_some_and(|(inside, end)| line.contains(inside) && line.ends_with(end))
    }
}

/// A proxy in front of a database.
#[derive(Clone)]
pub struct Proxy {
    behind: Endpoint,
    mishaps: Arc<Mutex<VecDeque<Mishap>>>,
    habits: Habits,
}

impl Proxy {
    /// Starts one; mishaps befall the first writes, one each.
    pub async fn start(behind: Endpoint, mishaps: &[Mishap], habits: Habits) -> (Proxy, Endpoint) {
        let proxy = Proxy { behind, mishaps: Arc::new(Mutex::new(mishaps.iter().copied().collect())), habits };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path: Uri = proxy.behind.url.parse().unwrap();
        let url = format!("http://{}{}", listener.local_addr().unwrap(), path.path_and_query().unwrap());
        let router = Router::new().fallback(write).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (proxy, Endpoint { url, authorization: None })
    }

    /// Returns how many mishaps are still to come.
    pub fn mishaps_left(&self) -> usize {
        self.mishaps.lock().unwrap().len()
    }

    async fn pass_on(&self, query: &str, body: Bytes) -> Response {
        let base = self.behind.url.split('?').next().unwrap();
        let request = client().post(format!("{base}?{query}")).header("Content-Encoding", "gzip").body(body);
        match request.send().await {
            Ok(answer) => StatusCode::from_u16(answer.status().as_u16()).unwrap().into_response(),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}

async fn write(State(proxy): State<Proxy>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
    let parsed = influxdb_line_protocol::parse_lines(&text).collect::<Result<Vec<_>, _>>();
    let count = parsed.unwrap_or_else(|error| panic!("InfluxData's parser refuses a body: {error}")).len();
    assert_eq!(count, text.lines().count());
    let (query, mishap) = (query.unwrap_or_default(), proxy.mishaps.lock().unwrap().pop_front());
    match mishap {
        Some(Mishap::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Mishap::Refused(status, again)) => {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = again.map(|seconds| [("Retry-After", seconds.to_string())]);
            return headers.map_or_else(|| status.into_response(), |headers| (status, headers).into_response());
        }
        Some(Mishap::AnswerLost) => {
            proxy.pass_on(&query, body).await;
            // A handler that panics closes its connection without an answer.
            panic!("the answer is lost on purpose");
        }
        None => {}
    }
    if proxy.habits.most_lines.is_some_and(|most| count > most) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    if text.lines().any(|line| proxy.habits.refuses(line)) {
        return (StatusCode::BAD_REQUEST, "unable to parse").into_response();
    }
    proxy.pass_on(&query, body).await
}
