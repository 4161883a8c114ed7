//! SIP OPTIONS and its answers (RFC 3261 section 11), as far as a probe needs them.

use std::net::SocketAddr;

/// What makes an OPTIONS request ours.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The server as the configuration names it.
    pub server: &'a str,
    /// Where we send from.
    pub local: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'a str,
    /// Tells our request from any other.
    pub nonce: u64,
}

impl Request<'_> {
    /// Writes the request.
    pub fn encode(&self) -> String {
        let Request { server, local, transport, nonce } = self;
        format!(
            "OPTIONS sip:{server} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};branch=z9hG4bK{nonce:016x};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:rusta@{ip}>;tag={nonce:08x}\r\n\
             To: <sip:{server}>\r\n\
             Call-ID: {nonce:016x}@rusta\r\n\
             CSeq: 1 OPTIONS\r\n\
             Contact: <sip:rusta@{local}>\r\n\
             Accept: application/sdp\r\n\
             Content-Length: 0\r\n\r\n",
            ip = bracketed(*local),
        )
    }
}

fn bracketed(local: SocketAddr) -> String {
    if local.is_ipv6() { format!("[{}]", local.ip()) } else { local.ip().to_string() }
}

/// What a message turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The final status of our request.
    Final(u16),
    /// A provisional one, or about something else: keep waiting.
    NotYet,
    /// Not SIP at all.
    Malformed,
}

/// Reads a message as an answer to the request with `nonce`.
pub fn answer(message: &[u8], nonce: u64) -> Answer {
    let Ok(text) = std::str::from_utf8(message) else { return Answer::Malformed };
    let mut lines = text.split("\r\n");
    let Some(first) = lines.next() else { return Answer::Malformed };
    let Some(rest) = first.strip_prefix("SIP/2.0 ") else {
        // Another server's request on the same port is well formed and none of our business.
        return if first.ends_with(" SIP/2.0") { Answer::NotYet } else { Answer::Malformed };
    };
    let Some(Ok(status)) = rest.get(..3).map(str::parse::<u16>) else { return Answer::Malformed };
    let ours = format!("{nonce:016x}@rusta");
    let is_call_id = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("call-id") || name.eq_ignore_ascii_case("i")).then(|| value.trim() == ours)
    };
    let is_ours = lines.take_while(|line| !line.is_empty()).find_map(is_call_id).unwrap_or(false);
    match status {
        200..=699 if is_ours => Answer::Final(status),
        100..=699 => Answer::NotYet,
        _ => Answer::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: u64 = 0x0123_4567_89ab_cdef;

    fn request() -> Request<'static> {
        Request { server: "10.1.0.137", local: "10.1.0.2:40000".parse().unwrap(), transport: "UDP", nonce: NONCE }
    }

    /// What Asterisk 20 answers (header order and compact forms kept).
    const ASTERISK: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.1.0.2:40000;rport=40000;received=10.1.0.2;branch=z9hG4bK0123456789abcdef\r\n\
        Call-ID: 0123456789abcdef@rusta\r\nFrom: <sip:rusta@10.1.0.2>;tag=123456789abcdef\r\nTo: <sip:10.1.0.137>;tag=z9hG4bK0123456789abcdef\r\n\
        CSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nAllow: OPTIONS, REGISTER, INVITE\r\nServer: Asterisk PBX 20.6.0\r\nContent-Length:  0\r\n\r\n";

    #[test]
    fn the_request_has_what_the_standard_demands() {
        let text = request().encode();
        for header in [
            "Via: SIP/2.0/UDP 10.1.0.2:40000;branch=z9hG4bK",
            "Max-Forwards:",
            "From:",
            "To:",
            "Call-ID:",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ] {
            assert!(text.contains(header), "{header} is missing");
        }
        assert!(text.starts_with("OPTIONS sip:10.1.0.137 SIP/2.0\r\n") && text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn final_answers_are_told_from_provisional_and_foreign_ones() {
        assert_eq!(answer(ASTERISK, NONCE), Answer::Final(200));
        assert_eq!(answer(ASTERISK, NONCE + 1), Answer::NotYet, "another call");
        assert_eq!(answer(b"SIP/2.0 100 Trying\r\ni: 0123456789abcdef@rusta\r\n\r\n", NONCE), Answer::NotYet);
        assert_eq!(answer(b"SIP/2.0 503 Service Unavailable\r\ni: 0123456789abcdef@rusta\r\n\r\n", NONCE), Answer::Final(503));
        assert_eq!(answer(request().encode().as_bytes(), NONCE), Answer::NotYet, "our own request, looped");
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"SIP/2.0 x", b"\xff\xfe", b"SIP/2.0 099 X\r\n\r\n"] {
            assert_eq!(answer(bytes, NONCE), Answer::Malformed, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn bent_answers_never_panic(flip in 0usize..300, to in any::<u8>(), cut in 0usize..400) {
            let mut bent = ASTERISK.to_vec();
            bent[flip] = to;
            let _ = answer(&bent[..cut.min(bent.len())], NONCE);
        }
    }
}
