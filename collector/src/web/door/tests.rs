use axum::body::Body;
use axum::http::{HeaderValue, Request};

use super::*;

fn rules(hosts: &[&str], proxies: &[&str]) -> Rules {
    Rules {
        hosts: hosts.iter().map(ToString::to_string).collect(),
        proxies: proxies.iter().map(|network| network.parse().unwrap()).collect(),
    }
}

fn knows(rules: &Rules, uri: &str, version: Version, hosts: &[&str]) -> bool {
    let mut request = Request::get(uri).version(version);
    for host in hosts {
        request = request.header(HOST, *host);
    }
    rules.knows_names(&request.body(Body::empty()).unwrap(), "10.1.0.5".parse().unwrap())
}

#[test]
fn only_our_own_names_are_answered_to() {
    let rules = rules(&["localhost", "rusta.example", "*.province.example", "203.0.113.7"], &[]);
    let known = |host: &str| knows(&rules, "/", Version::HTTP_11, &[host]);
    for ours in [
        "localhost",
        "localhost:8080",
        "LOCALHOST.",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:8080",
        "10.1.0.5:8443",
        "rusta.example",
        "Rusta.Example:443",
        "kpi.province.example",
        "203.0.113.7",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(known(ours), "{ours}");
    }
    for foreign in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "rusta.example.evil.example",
        "a.b.province.example",
        "province.example",
        "10.1.0.6",
        "user@localhost",
        "localhost:80@evil.example",
        "[::2]",
        "0x7f.1",
        "",
        "local host",
        "localhost\u{e9}",
    ] {
        assert!(!known(foreign), "{foreign}");
    }
}

#[test]
fn each_name_a_request_calls_us_by_must_be_ours() {
    let rules = rules(&["localhost"], &[]);
    assert!(!knows(&rules, "/", Version::HTTP_11, &[]));
    assert!(knows(&rules, "/", Version::HTTP_10, &[]), "a health check of HTTP/1.0 calls us by no name; a browser always does");
    assert!(!knows(&rules, "/", Version::HTTP_11, &["localhost", "evil.example"]));
    assert!(!knows(&rules, "http://evil.example/", Version::HTTP_11, &["localhost"]));
    assert!(!knows(&rules, "http://localhost/", Version::HTTP_11, &["evil.example"]));
    assert!(knows(&rules, "http://localhost:8080/", Version::HTTP_2, &[]));
    assert!(!knows(&rules, "http://evil.example/", Version::HTTP_2, &[]));
}

fn origin(rules: &Rules, peer: &str, headers: &[(&'static str, &str)]) -> Option<(String, Came)> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    rules.origin(peer.parse().unwrap(), &map).map(|(address, came)| (address.to_string(), came))
}

#[test]
fn the_real_address_is_the_nearest_that_is_no_proxy_of_ours() {
    let rules = rules(&[], &["127.0.0.1", "10.0.0.0/8", "fd00::/8"]);
    let at = |peer: &str, headers: &[(&'static str, &str)]| origin(&rules, peer, headers).unwrap().0;
    // Whatever a visitor writes in front, the proxy's own word comes last.
    assert_eq!(at("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, 198.51.100.4")]), "198.51.100.4");
    assert_eq!(at("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, 198.51.100.4, 10.3.4.5")]), "198.51.100.4");
    assert_eq!(at("127.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.4:4711")]), "198.51.100.4");
    assert_eq!(at("fd00::1", &[("x-forwarded-for", "[2001:db8::9]:80")]), "2001:db8::9");
    assert_eq!(at("10.0.0.1", &[("forwarded", "for=1.1.1.1;proto=http, For=\"[2001:db8::17]:4711\";by=10.0.0.1")]), "2001:db8::17");
    assert_eq!(at("10.0.0.1", &[("forwarded", "for=\"a,b;for=1.1.1.1\", for=198.51.100.4")]), "198.51.100.4");
    // Nobody knows who is behind the last proxy: it is the last that is known.
    for unknown in ["for=unknown", "for=_hidden", "by=10.0.0.1", "", "for=198.51.100.4, for=unknown"] {
        assert_eq!(at("10.0.0.1", &[("forwarded", unknown)]), "10.0.0.1", "{unknown}");
    }
    assert_eq!(at("10.0.0.1", &[("x-forwarded-for", "198.51.100.4, rubbish")]), "10.0.0.1");
    assert_eq!(at("10.0.0.1", &[]), "10.0.0.1");
    // All of them are ours: the farthest.
    assert_eq!(at("10.0.0.1", &[("x-forwarded-for", "10.0.0.7, 10.0.0.2")]), "10.0.0.7");
}

#[test]
fn a_stranger_is_not_believed_and_a_contradiction_is_refused() {
    let rules = rules(&[], &["10.0.0.1"]);
    assert_eq!(origin(&rules, "198.51.100.4", &[("x-forwarded-for", "127.0.0.1")]), Some(("198.51.100.4".into(), Came::Elsewhere)));
    let both = [("x-forwarded-for", "198.51.100.4"), ("forwarded", "for=127.0.0.1")];
    assert_eq!(origin(&rules, "10.0.0.1", &both), None);
    let both = [("x-forwarded-for", "198.51.100.4"), ("forwarded", "for=198.51.100.4")];
    assert_eq!(origin(&rules, "10.0.0.1", &both), Some(("198.51.100.4".into(), Came::Elsewhere)));
}

#[test]
fn only_who_sits_at_this_machine_comes_from_here() {
    let rules = rules(&[], &["127.0.0.9"]);
    assert_eq!(origin(&rules, "127.0.0.1", &[]).unwrap().1, Came::Here);
    assert_eq!(origin(&rules, "::1", &[]).unwrap().1, Came::Here);
    assert_eq!(origin(&rules, "10.0.0.1", &[]).unwrap().1, Came::Elsewhere);
    // A proxy on this machine that nobody declared.
    for name in ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"] {
        assert_eq!(origin(&rules, "127.0.0.1", &[(name, "127.0.0.1")]).unwrap().1, Came::Elsewhere, "{name}");
    }
    // And one that was.
    assert_eq!(origin(&rules, "127.0.0.9", &[("x-forwarded-for", "127.0.0.1")]), Some(("127.0.0.1".into(), Came::Elsewhere)));
}

#[test]
fn a_declared_proxy_is_believed_that_its_visitor_came_over_tls_and_nobody_else() {
    let rules = rules(&[], &["10.0.0.0/8"]);
    let says = |peer: &str, lines: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        rules.came_over_tls(peer.parse().unwrap(), &headers)
    };
    for lines in [
        [("x-forwarded-proto", "https")],
        [("x-forwarded-proto", "HTTPS, http")],
        [("forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43")],
        [("forwarded", "for=192.0.2.60; Proto=\"https\"")],
    ] {
        assert!(says("10.1.1.1", &lines), "{lines:?}");
        assert!(!says("192.0.2.1", &lines), "{lines:?} of somebody nobody declared");
    }
    for lines in [[("x-forwarded-proto", "http")], [("forwarded", "for=\"proto=https\"")], [("x-forwarded-ssl", "https")]] {
        assert!(!says("10.1.1.1", &lines), "{lines:?}");
    }
}
