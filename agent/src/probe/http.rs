//! HTTP or HTTPS request with its phases: resolve, connect, TLS, first byte, transfer.

use std::path::PathBuf;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::round::{Lap, Round, Values};
use super::stream::{Phases, add};
use super::trust::{Seen, Trust};
use super::{Host, Measurement, Place};
use crate::packet::http::{Body, Framing, Head, head};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to fetch: `https://portal.example/health`.
    pub url: String,
    /// `GET` or `HEAD`.
    #[serde(default)]
    pub method: Method,
    /// Statuses that count as right.
    #[serde(default = "only_ok")]
    pub status: Vec<u16>,
    /// A text the body must hold.
    #[serde(default)]
    pub keyword: Option<String>,
    /// Redirects to follow, at most 10.
    #[serde(default = "three")]
    pub redirects: u8,
    /// Most bytes of body to read.
    #[serde(default = "usual_body")]
    pub body_limit: u32,
    /// A file of PEM certificates to trust instead of the public roots.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Connects here whatever the name of the first URL resolves to.
    #[serde(default)]
    pub connect_to: Option<Place>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        self.ca.iter().map(|path| path.display().to_string()).collect()
    }
}

/// The request methods a probe may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Fetches the body.
    #[default]
    Get,
    /// Fetches the head only.
    Head,
}

fn only_ok() -> Vec<u16> {
    vec![200]
}

fn three() -> u8 {
    3
}

/// 64 KiB holds any health page and the head of any portal.
fn usual_body() -> u32 {
    64 * 1024
}

/// A body this long is a throughput test, which has its own probe and its own budget.
const LARGEST_BODY: u32 = 4 * 1024 * 1024;

/// HTTP request.
#[derive(Debug)]
pub struct Http {
    config: Config,
    url: Url,
    trust: Option<Trust>,
}

impl Http {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let url = Url::parse(&config.url)?;
        if config.redirects > 10 {
            return Err(format!("`redirects` is {}, it must be at most 10", config.redirects));
        }
        if config.body_limit == 0 || config.body_limit > LARGEST_BODY {
            return Err(format!("`body_limit` is {}, it must be between 1 and {LARGEST_BODY}", config.body_limit));
        }
        if config.status.is_empty() {
            return Err("`status` is empty, so no answer could be right".into());
        }
        if config.keyword.is_some() && config.method == Method::Head {
            return Err("`keyword` needs a body, which `method: HEAD` does not fetch".into());
        }
        // A plain URL may redirect to an encrypted one.
        let needs_trust = url.is_tls || config.redirects > 0;
        let trust = if needs_trust { Trust::for_url(!url.is_tls, config.ca.as_deref())? } else { None };
        Ok(Http { config, url, trust })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        use Metric::*;
        let mut metrics = vec![ResolveUs, ConnectUs, FirstByteUs, TransferUs, HttpStatus, BodyBytes];
        if self.trust.is_some() {
            metrics.extend([TlsUs, CertificateS]);
        }
        metrics
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        // Pages are mostly small; who asks for more than the usual expects more.
        let body = match u64::from(self.config.body_limit) {
            _ if self.config.method == Method::Head => 0,
            limit if limit > u64::from(usual_body()) => limit,
            limit => limit / 8,
        };
        body + if self.url.is_tls { 6_000 } else { 1_200 }
    }

    pub(super) fn address(&self) -> String {
        self.config.url.clone()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut fetch = Fetch::default();
        let fetched = self.follow(round, &mut fetch).await;
        let mut values = Values::default();
        fetch.phases.into_values(&mut values);
        values.set_some(Metric::HttpStatus, fetch.status);
        values.set_some(Metric::BodyBytes, fetch.body.as_ref().map(Vec::len));
        values.set_some(Metric::CertificateS, fetch.seen.left_s);
        values.end(fetched.and_then(|()| self.judge(&fetch)))
    }

    async fn follow(&self, round: &Round<'_>, fetch: &mut Fetch) -> Result<(), Outcome> {
        let mut url = self.url.clone();
        let mut connect_to = self.config.connect_to.as_ref();
        for left in (0..=self.config.redirects).rev() {
            let location = self.fetch(round, &url, connect_to.take(), fetch).await?;
            match location {
                Some(location) if left > 0 => url = url.join(&location).ok_or(Outcome::Malformed)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Fetches one URL; returns where it redirects to.
    async fn fetch(&self, round: &Round<'_>, url: &Url, connect_to: Option<&Place>, fetch: &mut Fetch) -> Result<Option<String>, Outcome> {
        let (host, port) = connect_to.map_or((&url.host, url.port), |place| (&place.host, place.port_or(url.port)));
        let stream = round.dial(host, port, &mut fetch.phases).await?;
        if url.is_tls {
            let trust = self.trust.as_ref().ok_or(Outcome::SystemError)?;
            let stream = round.handshake(stream, trust, &url.host, &mut fetch.phases, &mut fetch.seen).await?;
            self.exchange(round, url, stream, fetch).await
        } else {
            self.exchange(round, url, stream, fetch).await
        }
    }

    async fn exchange(
        &self,
        round: &Round<'_>,
        url: &Url,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        fetch: &mut Fetch,
    ) -> Result<Option<String>, Outcome> {
        let socket_fault = |e: std::io::Error| round.way.outcome_of(&e);
        let sent = round.lap();
        round.by_deadline(stream.write_all(self.request(url).as_bytes())).await?.map_err(socket_fault)?;
        let (head, rest) = self.read_head(round, &mut stream, sent, fetch).await?;
        fetch.status = Some(head.status);
        let received = round.lap();
        let framing = if self.config.method == Method::Head { Framing::Length(0) } else { head.framing };
        let mut body = Body::new(framing, self.config.body_limit as usize);
        body.feed(&rest).map_err(|_| Outcome::Malformed)?;
        let mut piece = vec![0; PIECE_BYTES];
        while !body.is_done() {
            match round.by_deadline(stream.read(&mut piece)).await? {
                Ok(0) if body.may_close() => break,
                Ok(0) => return Err(Outcome::Malformed),
                Ok(count) => body.feed(&piece[..count]).map_err(|_| Outcome::Malformed)?,
                // Many servers end TLS without a goodbye; the body's own framing says whether something is missing.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && body.may_close() => break,
                Err(error) => return Err(socket_fault(error)),
            }
        }
        add(&mut fetch.phases.transfer, round.took(received));
        fetch.body = Some(body.bytes);
        Ok(head.location.filter(|_| matches!(head.status, 301 | 302 | 303 | 307 | 308)))
    }

    /// Reads until the head is whole; returns it and the bytes of the body that came with it.
    async fn read_head(
        &self,
        round: &Round<'_>,
        stream: &mut (impl AsyncRead + Unpin),
        sent: Lap,
        fetch: &mut Fetch,
    ) -> Result<(Head, Vec<u8>), Outcome> {
        let mut received = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut first_byte_noted = false;
        loop {
            let count = round.by_deadline(stream.read(&mut piece)).await?.map_err(|e| round.way.outcome_of(&e))?;
            if count == 0 {
                return Err(Outcome::Malformed);
            }
            if !std::mem::replace(&mut first_byte_noted, true) {
                add(&mut fetch.phases.first_byte, round.took(sent));
            }
            received.extend_from_slice(&piece[..count]);
            while let Some(head) = head(&received).map_err(|_| Outcome::Malformed)? {
                let rest = received.split_off(head.length);
                // 100 Continue and 103 Early Hints come before the answer.
                if head.status >= 200 {
                    return Ok((head, rest));
                }
                received = rest;
            }
        }
    }

    fn request(&self, url: &Url) -> String {
        let method = if self.config.method == Method::Head { "HEAD" } else { "GET" };
        let agent = concat!("rusta-agent/", env!("CARGO_PKG_VERSION"));
        format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            url.path, url.authority
        )
    }

    fn judge(&self, fetch: &Fetch) -> Result<(), Outcome> {
        let status_fits = fetch.status.is_some_and(|status| self.config.status.contains(&status));
        let body = fetch.body.as_deref().unwrap_or_default();
        let keyword_fits = self.config.keyword.as_deref().is_none_or(|keyword| holds(body, keyword.as_bytes()));
        if status_fits && keyword_fits { Ok(()) } else { Err(Outcome::Unexpected) }
    }
}

/// One TCP segment's worth and a TLS record's half: small enough for a router, large enough for few calls.
const PIECE_BYTES: usize = 8 * 1024;

fn holds(body: &[u8], keyword: &[u8]) -> bool {
    keyword.is_empty() || body.windows(keyword.len()).any(|window| window == keyword)
}

/// What a fetch found, redirects included.
#[derive(Debug, Default)]
struct Fetch {
    phases: Phases,
    seen: Seen,
    status: Option<u16>,
    body: Option<Vec<u8>>,
}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub is_tls: bool,
    pub host: Host,
    pub port: u16,
    pub authority: String,
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Result<Url, String> {
        let wrong = |why: &str| format!("`{text}` {why}, such as `https://portal.example/health`");
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("does not start with http:// or https://")),
        };
        // What stands here goes into a request as it is: a line end in it would begin another one.
        if rest.chars().any(|c| c.is_control() || c == ' ') {
            return Err(wrong("has a blank or a control character"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("carries a password; a URL must not"));
        }
        let place: Place = authority.parse()?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { is_tls, port: place.port_or(if is_tls { 443 } else { 80 }), host: place.host, authority: authority.to_owned(), path })
    }

    /// Finds where a `Location` leads (RFC 3986 section 5.2, without dot segments).
    fn join(&self, location: &str) -> Option<Url> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let location = location.split('#').next().unwrap_or_default();
        let directory = &self.path[..=self.path.split('?').next()?.rfind('/')?];
        let whole = if location.contains("://") {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", self.authority)
        } else {
            format!("{scheme}://{}{directory}{location}", self.authority)
        };
        Url::parse(&whole).ok()
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
