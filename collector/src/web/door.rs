//! The door of the people's port: which names we answer to, and where a visitor really comes from.
//!
//! ```text
//! connection --Met--> name known? --no--> 421
//!                        | yes
//!                        v
//!            peer a trusted proxy? --yes--> the nearest address in its header that is no trusted proxy
//!                        | no                          |
//!                        +-------> ConnectInfo, Came <-+
//! ```
//! A page of an attacker's whose name resolves to our address (DNS rebinding) sends that name as `Host`, so an unknown
//! name is refused whoever asks. What a header says of addresses counts only from a proxy the operator declared.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED, HOST, HeaderName, VIA, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::config::{Http, Network, TlsFiles};

/// The two ends of the connection a request came over.
#[derive(Debug, Clone, Copy)]
pub struct Met {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Which of our addresses they reached.
    pub local: SocketAddr,
}

/// How a request came, for who may look without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Over the socket in the data directory, which only the data's owner can open.
    Shell,
    /// From this machine, through nobody.
    Here,
    /// From elsewhere, or through a proxy.
    Elsewhere,
}

/// That a visitor's own connection is encrypted, as far as a declared proxy says: ours to the proxy may be plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// What proxies say of whom they speak for; nginx and HAProxy write it.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What proxies say of how they were reached.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What only a proxy adds: such a request came through somebody, also if nobody declared them.
const OF_PROXIES: [HeaderName; 5] =
    [FORWARDED, X_FORWARDED_FOR, VIA, HeaderName::from_static("x-real-ip"), HeaderName::from_static("x-forwarded-host")];

/// Who is let in; clones share it.
#[derive(Clone)]
pub struct Door(Arc<Rules>);

struct Rules {
    hosts: BTreeSet<String>,
    proxies: Vec<Network>,
}

impl Door {
    /// Reads the names of the configuration and of the certificate.
    ///
    /// # Errors
    /// A certificate that cannot be read.
    pub fn new(http: &Http) -> anyhow::Result<Door> {
        let mut hosts: BTreeSet<String> = http.hosts.iter().cloned().collect();
        hosts.insert("localhost".to_owned());
        hosts.insert(http.listen.ip().to_string());
        hosts.extend(http.tls.as_ref().map(names_of).transpose()?.into_iter().flatten());
        Ok(Door(Arc::new(Rules { hosts, proxies: http.trusted_proxies.clone() })))
    }

    /// Puts the door before everything a router serves. Each request must carry a [`Met`].
    pub fn before(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, enter))
    }
}

async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Some(met) = request.extensions().get::<Met>().copied() else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "a request without a connection");
    };
    if !door.0.knows_names(&request, met.local.ip()) {
        return refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "This collector does not go by that name; `http: { hosts: [...] }` in collector.yaml lists its names.\n\
             این نام، نام این سامانه نیست؛ نام‌های آن در collector.yaml در `hosts` نوشته می‌شود.",
        );
    }
    let Some((address, came)) = door.0.origin(met.peer.ip().to_canonical(), request.headers()) else {
        return refusal(StatusCode::BAD_REQUEST, "Forwarded and X-Forwarded-For disagree: the proxy must write one and drop the other");
    };
    let port = if address == met.peer.ip().to_canonical() { met.peer.port() } else { 0 };
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, port)));
    request.extensions_mut().insert(came);
    if door.0.came_over_tls(met.peer.ip().to_canonical(), request.headers()) {
        request.extensions_mut().insert(OverTls);
    }
    next.run(request).await
}

fn refusal(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

impl Rules {
    /// Tells whether every name a request calls us by is ours. One of HTTP/1.0 may call us by none; browsers never do.
    fn knows_names(&self, request: &Request, local: IpAddr) -> bool {
        let typed = request.uri().authority().map(|authority| Some(authority.clone()));
        let sent = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let mut called: Vec<Option<Authority>> = typed.into_iter().chain(sent).collect();
        if called.is_empty() && request.version() > Version::HTTP_10 {
            called.push(None);
        }
        called.iter().all(|name| name.as_ref().is_some_and(|name| !name.as_str().contains('@') && self.knows(name.host(), local)))
    }

    fn knows(&self, host: &str, local: IpAddr) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == local.to_canonical() || self.hosts.contains(&address.to_string());
        }
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        let wild = name.split_once('.').is_some_and(|(_, parent)| self.hosts.contains(&format!("*.{parent}")));
        wild || self.hosts.contains(&name)
    }

    /// Tells whether a declared proxy says that it was reached over TLS, in `Forwarded: proto=` (RFC 7239, 5.4) or in
    /// `X-Forwarded-Proto`. Where it passes on what a visitor made up, that marks the cookies of that visitor alone.
    fn came_over_tls(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let lines = |name: HeaderName| headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect::<Vec<_>>();
        let is_https = |word: &str| word.trim().trim_matches('"').eq_ignore_ascii_case("https");
        let new = lines(FORWARDED).into_iter().flat_map(|line| split(line, ',')).flat_map(|element| split(element, ';'));
        let new =
            new.filter_map(|pair| pair.split_once('=')).any(|(key, value)| key.trim().eq_ignore_ascii_case("proto") && is_https(value));
        self.trusts(peer) && (new || lines(X_FORWARDED_PROTO).iter().flat_map(|line| line.split(',')).any(is_https))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.holds(address))
    }

    /// Finds where a request comes from; `None` if what the proxies say contradicts itself.
    ///
    /// A proxy appends to one of the two headers and passes the other on as the visitor sent it, so where they differ one of
    /// them is a stranger's invention.
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Option<(IpAddr, Came)> {
        if !self.trusts(peer) {
            let alone = peer.is_loopback() && !OF_PROXIES.iter().any(|name| headers.contains_key(name));
            return Some((peer, if alone { Came::Here } else { Came::Elsewhere }));
        }
        // From the nearest hop on: whoever a trusted proxy names, as long as they are a trusted proxy themselves.
        let follow = |hops: Vec<Option<IpAddr>>| {
            let mut at = peer;
            for hop in hops.into_iter().rev().take_while(Option::is_some).flatten() {
                if !self.trusts(at) {
                    break;
                }
                at = hop;
            }
            at
        };
        let lines = |name: HeaderName| headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect::<Vec<_>>();
        let (new, old) = (lines(FORWARDED), lines(X_FORWARDED_FOR));
        let new = (!new.is_empty()).then(|| follow(new.iter().flat_map(|line| split(line, ',')).map(for_of).collect()));
        let old = (!old.is_empty()).then(|| follow(old.iter().flat_map(|line| line.split(',')).map(address).collect()));
        match (new, old) {
            (Some(new), Some(old)) if new != old => None,
            (new, old) => Some((new.or(old).unwrap_or(peer), Came::Elsewhere)),
        }
    }
}

/// Reads the `for` of an element of `Forwarded` (RFC 7239, 4); `None` for `unknown` and for names a proxy made up.
fn for_of(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for"));
    named.next().and_then(|(_, value)| address(value.trim().trim_matches('"')))
}

/// Reads an address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    bare().or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip())).map(|address: IpAddr| address.to_canonical())
}

/// Splits a header line at a separator that stands outside quotes.
fn split(line: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut quoted) = (Vec::new(), 0, false);
    for (at, letter) in line.char_indices() {
        quoted ^= letter == '"';
        if letter == separator && !quoted {
            parts.push(&line[from..at]);
            from = at + letter.len_utf8();
        }
    }
    parts.push(&line[from..]);
    parts
}

/// Reads the names and addresses a certificate is made out to.
fn names_of(files: &TlsFiles) -> anyhow::Result<Vec<String>> {
    use rustls_pki_types::pem::PemObject;
    use x509_parser::extensions::GeneralName;
    let leaf = rustls_pki_types::CertificateDer::from_pem_file(&files.certificate)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&leaf)?;
    let named = certificate.subject_alternative_name()?.map(|extension| extension.value.general_names.as_slice());
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .ok()
            .map(|address| address.to_string()),
        _ => None,
    };
    Ok(named.unwrap_or_default().iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests;
