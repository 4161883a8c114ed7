//! One write to a time-series database, and what its answer means.
//!
//! One shape fits InfluxDB 2 and 3 and VictoriaMetrics (`/api/v2/write`) and InfluxDB 1 (`/write`). A refused body is
//! halved until the line at fault stands alone; that line is set aside and everything else gets through.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::errors::root_of;

/// Where to write.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The whole write URL with its query; it holds no secret.
    pub url: String,
    /// Value of the `Authorization` header, such as `Token …`.
    pub authorization: Option<String>,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Stored.
    Written,
    /// The body holds something the database will never take.
    Rejected(String),
    /// The body is too large; halves may fit.
    TooLarge,
    /// Not now; the database says when, if it does.
    Later(Option<Duration>, String),
}

/// Lines that were delivered, and lines that never will be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Lines stored.
    pub lines: usize,
    /// Lines set aside, each with the database's reason.
    pub poison: Vec<(String, String)>,
}

/// Why a delivery stopped before its end: everything not delivered is to be sent again.
#[derive(Debug, PartialEq, Eq)]
pub struct Postponed {
    /// What the database asked for.
    pub retry_after: Option<Duration>,
    /// What went wrong.
    pub reason: String,
}

/// Refusals in a row, with nothing accepted, after which the fault is the database's and not a line's. Halving the largest
/// body down to one bad line takes 13.
const REFUSALS_IN_A_ROW: usize = 32;

/// Delivers every line of `body`. Sending a line twice stores it once: series and timestamp are its identity.
///
/// # Errors
/// [`Postponed`] when the database cannot take anything at present.
pub async fn deliver(client: &reqwest::Client, endpoint: &Endpoint, body: &str) -> Result<Delivered, Postponed> {
    let lines: Vec<&str> = body.lines().filter(|line| !line.is_empty()).collect();
    let mut delivered = Delivered::default();
    let mut parts = vec![lines.as_slice()];
    let mut refusals = 0;
    while let Some(part) = parts.pop() {
        let answer = write(client, endpoint, part).await;
        refusals = if answer == Answer::Written { 0 } else { refusals + 1 };
        match answer {
            Answer::Rejected(reason) if refusals > REFUSALS_IN_A_ROW => return Err(Postponed { retry_after: None, reason }),
            Answer::Written => delivered.lines += part.len(),
            Answer::Rejected(_) | Answer::TooLarge if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            Answer::Rejected(reason) => delivered.poison.extend(part.iter().map(|line| ((*line).to_owned(), reason.clone()))),
            Answer::TooLarge => delivered.poison.extend(part.iter().map(|line| ((*line).to_owned(), "line is too large".to_owned()))),
            Answer::Later(retry_after, reason) => return Err(Postponed { retry_after, reason }),
        }
    }
    Ok(delivered)
}

async fn write(client: &reqwest::Client, endpoint: &Endpoint, lines: &[&str]) -> Answer {
    let body = match gzip(lines) {
        Ok(body) => body,
        Err(error) => return Answer::Later(None, error.to_string()),
    };
    let mut request = client.post(&endpoint.url).header("Content-Encoding", "gzip").header("Content-Type", "text/plain; charset=utf-8");
    if let Some(authorization) = &endpoint.authorization {
        request = request.header("Authorization", authorization);
    }
    match request.body(body).send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            let retry_after = response.headers().get("Retry-After").and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            let reason = response.text().await.unwrap_or_default();
            meaning(status, retry_after, reason.chars().take(300).collect())
        }
        // The URL is ours to show, but a proxy's may hold a password: keep it out.
        Err(error) => {
            let error = error.without_url();
            Answer::Later(None, format!("{error}: {}", root_of(&error)))
        }
    }
}

/// Reads a status. 401, 403 and 404 mean a wrong token or bucket: nothing is wrong with the data, so it waits for a person.
fn meaning(status: u16, retry_after: Option<Duration>, reason: String) -> Answer {
    match status {
        200..=299 => Answer::Written,
        413 => Answer::TooLarge,
        400 | 422 => Answer::Rejected(reason),
        _ => Answer::Later(retry_after, format!("status {status}: {reason}")),
    }
}

/// Level 1 costs a quarter of level 6 and leaves 18 instead of 13 bytes a point.
fn gzip(lines: &[&str]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for line in lines {
        encoder.write_all(line.as_bytes())?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
