//! A plain HTTP/1.1 client of one request per connection. Blocking, so that a thread inside a network namespace can
//! use it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status line and header lines.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}), status {}: {}", self.status, self.text()))
    }
}

/// Asks for a path.
///
/// # Errors
/// No connection, or none that answers within a minute.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<Response> {
    ask(address, &format!("GET {path}"), b"")
}

/// Posts a body to a path.
///
/// # Errors
/// As for [`get`].
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> std::io::Result<Response> {
    ask(address, &format!("POST {path}"), body)
}

/// Asks under the name `host` with further header lines, each ended by CR LF.
///
/// # Errors
/// As for [`get`].
pub fn ask_as(address: SocketAddr, host: &str, what: &str, headers: &str, body: &[u8]) -> std::io::Result<Response> {
    let limit = Duration::from_secs(60);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // HTTP/1.0 keeps the answer in one piece: no chunks, and the end of the connection is the end of the body.
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{what} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n{length}{headers}\r\n")?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {}", String::from_utf8_lossy(&answer))))
}

fn ask(address: SocketAddr, what: &str, body: &[u8]) -> std::io::Result<Response> {
    ask_as(address, &address.to_string(), what, "", body)
}

fn read(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Response { status, head, body: answer[end + 4..].to_vec() })
}
